"""Eigenvalues of every token cloud of one model and corpus: each text at each length, and the whole corpus, for every variant.
Of whole texts also every token's information gain, trained and shuffled."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.logs import progress
from geomkit.measures.accumulation import text_gains
from geomkit.store.decomposition import Rows, blocks, decompose, drawn_rows, held, keeps_documents, what_is_absent
from geomkit.store.dumps import State
from geomkit.store.extracts import Asked, StateExtracts
from geomkit.store.parts import DumpParts, numbered
from geomkit.store.refusals import refused_files
from geomkit.store.sinks import SinkEffects
from geomkit.store.spectra import GAINED, SpectraWriter, write_spectra
from geomkit.store.texts import Texts
from geomkit.variants import TRAINED

NOTHING: Mapping[str, str] = {}


def decompose_dumps(
    dumps: Sequence[Path],
    output: Path,
    modes: Sequence[str],
    lengths: Sequence[int],
    drawn: Sequence[str],
    gain: Mapping[str, Any] | None,
    seed: int,
    left_out: Mapping[str, str] = NOTHING,
    part: str | None = None,
    whitened: Any = None,
    sinks: Mapping[str, Any] | None = None,
) -> None:
    """Writes the spectra of one model and corpus; refused ones if its dumps are.

    dumps: of each variant one file, or its parts in the order of the texts. left_out: nulls that it has none of, and why. part:
    the name of a part of the states, all of whose texts are decomposed in their order here (`merge_spectra` puts parts together);
    all states, where there is none. whitened, sinks: see `geomkit.store.extracts`.
    """
    files: dict[str, list[Path]] = {}
    for path in map(Path, dumps):
        files.setdefault(path.stem, []).append(path)
    number, parts = numbered(part) if part else (0, 1)
    with refused_files([output]), DumpParts(files[TRAINED]) as dump:
        texts, attributes, widths = dump.texts, dump.attributes, {state: dump.width(state) for state in dump.states}
        depth = int(str(attributes["depth"]))
        asked = Asked(gain, whitened, sinks)
        absent = dump.absent | {**left_out} | what_is_absent(widths, depth, texts, lengths)
        own = itertools.cycle([number == other for other in range(parts)])
        with write_spectra(output, texts, attributes, absent) as writer:
            if number == 0 and (counts := dump.vocabulary()) is not None:
                writer.vocabulary(counts)
            mine = [state for state in dump.states if next(own)]
            for state in progress(mine, f"{output.parent.name}, tokens"):
                extract(writer, dump, state, StateExtracts(state, depth, widths[state], texts, asked, np.zeros(1)))
            if number == 0 and sinks:
                sink_effects(dump, texts, sinks, output.parent.name).write(writer.file)
            for null in drawn:
                mine = [state for state in widths if next(own)]
                for state in progress(mine, f"{output.parent.name} {null}"):
                    rows = held(drawn_rows(null, state, texts, widths[state], seed), texts.offset, widths[state])
                    decompose(writer, null, state, rows, widths[state], texts, modes, lengths, False)
            for variant, paths in files.items():
                with DumpParts(paths) as run:
                    if number == 0 and "surprisal" not in absent:
                        write_tokens(writer, variant, run)
                    mine = [state for state in run.states if next(own)]
                    for state in progress(mine, f"{output.parent.name} {variant}"):
                        width = run.width(state)
                        documents = keeps_documents(state, depth, width)
                        rows = held(stored_rows(run, state), run.offset, width)
                        decompose(writer, variant, state, rows, width, texts, modes, lengths, documents, run.dtype)
                        if gain and variant in GAINED:
                            writer.gains(variant, state, gains(rows, run.offset, **gain))


def extract(writer: SpectraWriter, dump: DumpParts, state: State, wanted: StateExtracts) -> None:
    """What later stages ask of one state of the trained model, in one pass over its rows where they ask anything."""
    if wanted:
        for first, last in blocks(range(len(dump.offset) - 1)):
            wanted.add(dump.rows(state, first, last), range(first, last))
        wanted.write(writer, TRAINED)


def sink_effects(dump: DumpParts, texts: Texts, sinks: Mapping[str, Any], name: str) -> SinkEffects:
    """Metrics of all texts without their sinks, in one pass over all states."""
    states = [state for state in dump.states if state.sublayer == "block"]
    found = SinkEffects.blank(sinks["thresholds"], [state.layer for state in states], sinks["metrics"], texts)
    for first, last in progress(list(blocks(range(len(texts.tokens)))), f"{name}, sinks"):
        found.add(
            {state: dump.rows(state, first, last) for state in states}, texts, range(first, last), sinks["eps2"], dump.dtype
        )
    return found


def stored_rows(dump: DumpParts, state: State) -> Rows:
    return lambda first, last: dump.rows(state, first, last)


def gains(rows: Rows, offset: np.ndarray, n: int, eps2: float) -> Iterator[np.ndarray]:
    """Information gain of every token, unit rows, with one n for all texts, text after text."""
    for first, last in blocks(range(len(offset) - 1)):
        yield from text_gains(rows(first, last), np.diff(offset[first : last + 1]).tolist(), eps2, n)


def write_tokens(writer: SpectraWriter, variant: str, dump: DumpParts) -> None:
    writer.tokens(variant, [dump.all_ids()], [dump.all_surprisal()])
