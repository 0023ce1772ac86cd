"""Spectra of a state from its rows, block by block, into a file of spectra: rows of a dump, drawn ones, a running model's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from geomkit.measures.accumulation import StateSpectra
from geomkit.measures.nulls import null_rows
from geomkit.measures.spectra import CovarianceAccumulator, is_centred
from geomkit.store.dumps import State
from geomkit.store.provenance import rng
from geomkit.store.spectra import SpectraWriter
from geomkit.store.texts import Texts

Rows = Callable[[int, int], np.ndarray]
"""Vectors of the texts first..last-1, one after another."""
BATCH = 16
HELD = 1 << 22
"""Numbers in the rows of a state, up to which all of them are kept, so that they are read or drawn once."""
WIDEST = 1024
"""Up to this width each document's covariance is kept, after the last block and the final norm: wider ones fill disks, and
resampling them takes days."""


def keeps_documents(state: State, depth: int, width: int) -> bool:
    """Whether each document's covariance is kept."""
    return state.layer >= depth and width <= WIDEST


def what_is_absent(widths: Mapping[State, int], depth: int, texts: Texts, lengths: Sequence[int]) -> dict[str, str]:
    """What spectra of these states, given with their widths, will lack, and why."""
    longest = max(texts.tokens)
    absent = {f"n = {n}": f"the longest text has {longest} tokens" for n in lengths if n > longest}
    if wide := [state for state, width in widths.items() if state.layer >= depth and not keeps_documents(state, depth, width)]:
        absent[f"documents/{wide[0].path}"] = f"covariances of documents are kept up to a width of {WIDEST}"
    return absent


def held(rows: Rows, offset: np.ndarray, width: int) -> Rows:
    """The same rows, kept where they are few; `offset`: where each text begins."""
    if offset[-1] * width > HELD:
        return rows
    whole = rows(0, len(offset) - 1)
    return lambda first, last: whole[offset[first] : offset[last]]


def decompose(
    writer: SpectraWriter,
    variant: str,
    state: State,
    rows: Rows,
    width: int,
    texts: Texts,
    modes: Sequence[str],
    lengths: Sequence[int],
    documents: bool,
    dtype: str | None = None,
) -> None:
    """One state of one variant. What is centred needs the mean of all rows first: a pass of its own. dtype: the type that rows
    were computed or stored in, where they arrive in another."""
    offset, total = texts.offset, np.zeros(width)
    for first, last in blocks(range(len(offset) - 1)) if any(map(is_centred, modes)) else []:
        total += rows(first, last).sum(axis=0, dtype=np.float64)
    spectra = StateSpectra(width, modes, lengths, total / offset[-1], dtype=dtype)
    for document, own in enumerate(by_document(texts.document)):
        for first, last in blocks(own):
            spectra.add(rows(first, last), np.diff(offset[first : last + 1]))
        sums = spectra.end_document()
        if documents:
            write_document(writer, variant, state, document, sums)
    write_state(writer, variant, state, spectra)


def write_document(
    writer: SpectraWriter, variant: str, state: State, document: int, sums: Mapping[str, CovarianceAccumulator]
) -> None:
    for mode, own in sums.items():
        writer.document(variant, mode, state, document, own)


def write_state(writer: SpectraWriter, variant: str, state: State, spectra: StateSpectra) -> None:
    """Spectra of the corpus and of the texts, wherever they were computed."""
    for mode, rows in spectra.whole.items():
        writer.whole(variant, mode, state, rows)
    for mode, found in spectra.texts():
        writer.texts(variant, mode, state, found)


def drawn_rows(null: str, state: State, texts: Texts, width: int, seed: int) -> Rows:
    """A null's rows instead of a state's, the same in every pass."""

    def rows(first: int, last: int) -> np.ndarray:
        sizes = texts.tokens[first:last]
        draws = [null_rows(null, n, width, rng(seed, null, state.path, text)) for text, n in enumerate(sizes, first)]
        return np.concatenate(draws)

    return rows


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
