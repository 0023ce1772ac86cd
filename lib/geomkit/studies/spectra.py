"""Eigenvalues of every token cloud of one model and corpus: each text at each length, and the whole corpus, for every variant.
Of whole texts also every token's information gain, trained and shuffled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.logs import progress
from geomkit.measures.accumulation import StateSpectra
from geomkit.measures.gain import information_gain
from geomkit.measures.nulls import null_rows
from geomkit.measures.spectra import normalise
from geomkit.store.dumps import Dump, State
from geomkit.store.provenance import rng
from geomkit.store.refusals import refused_files
from geomkit.store.spectra import SpectraWriter, write_spectra

Rows = Callable[[int, int], np.ndarray]
BATCH = 16
WIDEST = 1024
"""Up to this width each document's covariance is kept, after the last block and the final norm: wider ones fill disks, and
resampling them takes days."""


def decompose_dumps(
    dumps: Sequence[str],
    output: Path,
    modes: Sequence[str],
    lengths: Sequence[int],
    drawn: Sequence[str],
    gain: Mapping[str, Any] | None,
    seed: int,
) -> None:
    """Writes the spectra of one model and corpus; refused ones if its dumps are."""
    files = {Path(path).stem: Path(path) for path in dumps}
    with refused_files([output]), Dump(files["trained"]) as dump:
        texts, attributes, absent, states = dump.texts, dump.attributes, dump.absent, dump.states
        for length in lengths:
            if not any(n >= length for n in texts.tokens):
                absent[f"n = {length}"] = f"the longest text has {max(texts.tokens)} tokens"
        depth = int(str(attributes["depth"]))
        if too_wide := [state.path for state in states if state.layer >= depth and dump.width(state) > WIDEST]:
            absent[f"documents/{too_wide[0]}"] = f"covariances of documents are kept up to a width of {WIDEST}"
        with write_spectra(output, texts, attributes, absent) as writer:
            for null in drawn:
                for state in progress(states, f"{output.parent.name} {null}"):
                    rows = drawn_rows(null, dump, state, seed)
                    measure(writer, null, state, rows, dump, modes, lengths, False)
            for variant, path in files.items():
                with Dump(path) as run:
                    write_tokens(writer, variant, run)
                    for state in progress(states, f"{output.parent.name} {variant}"):
                        documents = state.layer >= depth and run.width(state) <= WIDEST
                        measure(writer, variant, state, stored_rows(run, state), dump, modes, lengths, documents)
                        if gain and variant in ("trained", "shuffled"):
                            writer.gains(variant, state, gains(run, state, **gain))


def stored_rows(dump: Dump, state: State) -> Rows:
    return lambda first, last: dump.rows(state, first, last)


def drawn_rows(null: str, dump: Dump, state: State, seed: int) -> Rows:
    """A null's rows instead of a state's, the same in every pass."""
    width = dump.width(state)

    def rows(first: int, last: int) -> np.ndarray:
        sizes = np.diff(dump.offset[first : last + 1])
        draws = [null_rows(null, n, width, rng(seed, null, state.path, text)) for text, n in enumerate(sizes, first)]
        return np.concatenate(draws)

    return rows


def measure(
    writer: SpectraWriter,
    variant: str,
    state: State,
    rows: Rows,
    dump: Dump,
    modes: Sequence[str],
    lengths: Sequence[int],
    documents: bool,
) -> None:
    """One state of one variant: two passes, for what is centred needs the mean of all rows first."""
    width, offset = dump.width(state), dump.offset
    total = np.zeros(width)
    for first, last in blocks(range(len(offset) - 1)):
        total += rows(first, last).sum(axis=0, dtype=np.float64)
    spectra = StateSpectra(width, modes, lengths, total / offset[-1])
    for document, texts in enumerate(by_document(dump.texts.document)):
        for first, last in blocks(texts):
            spectra.add(rows(first, last), np.diff(offset[first : last + 1]))
        for mode, own in spectra.end_document().items():
            if documents:
                writer.document(variant, mode, state, document, own)
    for mode, found in spectra.corpus():
        writer.corpus(variant, mode, state, found)
    for mode, found in spectra.texts():
        writer.texts(variant, mode, state, found)


def by_document(names: Sequence[str]) -> Iterator[range]:
    """The texts of each document, which follow one another."""
    start = 0
    for _, group in groupby(names):
        stop = start + len(list(group))
        yield range(start, stop)
        start = stop


def blocks(texts: range) -> Iterator[tuple[int, int]]:
    """(first, last) of at most BATCH texts at a time."""
    for first in texts[::BATCH]:
        yield first, min(first + BATCH, texts.stop)


def gains(dump: Dump, state: State, n: int, eps2: float) -> Iterator[np.ndarray]:
    """Information gain of every token, unit rows, with one n for all texts, text after text."""
    for first, last in blocks(range(len(dump.offset) - 1)):
        texts = np.split(normalise(dump.rows(state, first, last), "unit"), dump.offset[first + 1 : last] - dump.offset[first])
        for _, alike in groupby(texts, key=len):
            yield information_gain(np.stack(list(alike)), eps2, n).ravel()


def write_tokens(writer: SpectraWriter, variant: str, dump: Dump) -> None:
    texts = range(len(dump.offset) - 1)
    writer.tokens(variant, map(dump.ids, texts), map(dump.surprisal, texts))
