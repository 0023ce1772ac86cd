"""Eigenvalues of every token cloud of one model and corpus: each text at each length, and the whole corpus, for every variant.
Of whole texts also every token's information gain, trained and shuffled."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.logs import progress
from geomkit.measures.accumulation import text_gains
from geomkit.store.decomposition import Rows, blocks, decompose, drawn_rows, keeps_documents, what_is_absent
from geomkit.store.dumps import Dump, State
from geomkit.store.refusals import refused_files
from geomkit.store.spectra import GAINED, SpectraWriter, write_spectra

NOTHING: Mapping[str, str] = {}


def decompose_dumps(
    dumps: Sequence[str],
    output: Path,
    modes: Sequence[str],
    lengths: Sequence[int],
    drawn: Sequence[str],
    gain: Mapping[str, Any] | None,
    seed: int,
    left_out: Mapping[str, str] = NOTHING,
) -> None:
    """Writes the spectra of one model and corpus; refused ones if its dumps are. left_out: nulls that it has none of, and why."""
    files = {Path(path).stem: Path(path) for path in dumps}
    with refused_files([output]), Dump(files["trained"]) as dump:
        texts, attributes, widths = dump.texts, dump.attributes, {state: dump.width(state) for state in dump.states}
        depth = int(str(attributes["depth"]))
        absent = dump.absent | {**left_out} | what_is_absent(widths, depth, texts, lengths)
        with write_spectra(output, texts, attributes, absent) as writer:
            for null in drawn:
                for state, width in progress(widths.items(), f"{output.parent.name} {null}"):
                    rows = drawn_rows(null, state, texts, width, seed)
                    decompose(writer, null, state, rows, width, texts, modes, lengths, False)
            for variant, path in files.items():
                with Dump(path) as run:
                    if "surprisal" not in absent:
                        write_tokens(writer, variant, run)
                    for state in progress(run.states, f"{output.parent.name} {variant}"):
                        width = run.width(state)
                        documents = keeps_documents(state, depth, width)
                        decompose(writer, variant, state, stored_rows(run, state), width, texts, modes, lengths, documents)
                        if gain and variant in GAINED:
                            writer.gains(variant, state, gains(run, state, **gain))


def stored_rows(dump: Dump, state: State) -> Rows:
    return lambda first, last: dump.rows(state, first, last)


def gains(dump: Dump, state: State, n: int, eps2: float) -> Iterator[np.ndarray]:
    """Information gain of every token, unit rows, with one n for all texts, text after text."""
    for first, last in blocks(range(len(dump.offset) - 1)):
        yield from text_gains(dump.rows(state, first, last), np.diff(dump.offset[first : last + 1]).tolist(), eps2, n)


def write_tokens(writer: SpectraWriter, variant: str, dump: Dump) -> None:
    texts = range(len(dump.offset) - 1)
    writer.tokens(variant, map(dump.ids, texts), map(dump.surprisal, texts))
