"""Sums of the rows of every batch, so that jobs that share a corpus know its mean row: one HDF5 file for each model, corpus and
part.

/{variant}/total/{state}    (batches, d)   the sum of each batch's rows
/{variant}/squares/{state}  (batches,)     the sum of their squared lengths
/batches                    ()             how many batches the part has; it may have none
attributes                  where everything came from, and `part`
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from geomkit.core.arrays import as_numpy, namespace, reals
from geomkit.core.provenance import replacing
from geomkit.core.state import State
from geomkit.measures.spectra import squared_length
from geomkit.states.hdf5 import Reader, created, opened, put, read
from geomkit.states.parts import opened_parts
from geomkit.states.spectra import datasets
from geomkit.states.stream import Batch

SCHEMA = 1

RowSum = tuple[np.ndarray, float]
"""Of rows (n, d) the sum (d,), and the sum of their squared lengths."""


def row_sum(rows: Any) -> RowSum:
    """Sum the rows of a batch."""
    own = reals(rows)
    return as_numpy(namespace(own).sum(own, axis=0)).astype(np.float64), float(squared_length(own))


def total_of(batches: Iterable[Mapping[State, RowSum]]) -> dict[State, RowSum]:
    """Add the sums of batches to those of a corpus, in their order, so that parts give the bits of the whole."""
    totals: dict[State, RowSum] = {}
    for batch in batches:
        for state, (total, squares) in batch.items():
            before = totals.get(state)
            totals[state] = (before[0] + total, before[1] + squares) if before else (total, squares)
    return totals


class RowSumsWriter:
    def __init__(self, file: h5py.File, batches: int):
        self.file, self.batches = file, batches

    def append(self, variant: str, number: int, batch: Batch) -> None:
        """Write the sums of one batch of the part, by its number."""
        for state, rows in batch.rows.items():
            for name, one in zip(("total", "squares"), map(np.asarray, row_sum(rows)), strict=True):
                path = f"{variant}/{name}/{state.path}"
                if path not in self.file:
                    shape, chunks = (self.batches, *one.shape), (1, *one.shape) if one.ndim else (self.batches,)
                    self.file.create_dataset(path, shape, np.float64, chunks=chunks, fletcher32=True)
                self.file[path][number] = one


@contextmanager
def write_row_sums(path: Path, attributes: Mapping[str, object], batches: int) -> Iterator[RowSumsWriter]:
    """Yield a writer for a file that appears at `path` only when the block succeeds."""
    with replacing(path) as temporary, created(temporary) as file:
        file.attrs.update(sorted({**attributes, "schema": SCHEMA}.items()))
        put(file, "batches", np.asarray(batches))
        yield RowSumsWriter(file, batches)


class RowSums(Reader):
    """A part's file, opened for reading.

    Raises DataError if it is another file, and RefusalError if the model was refused.
    """

    def __init__(self, path: Path):
        self.file = opened(path, "file of sums of rows", SCHEMA, "batches")
        self.facts = {name: value for name, value in self.file.attrs.items() if name != "schema"}
        self.has_texts = bool(self.file["batches"][()])

    def states(self, variant: str) -> list[State]:
        return [state for state, _ in datasets(self.file.get(f"{variant}/total", {}))]

    def each(self, variant: str, state: State) -> Iterator[RowSum]:
        """Yield the sums of each batch."""
        if f"{variant}/total/{state.path}" not in self.file:
            return
        totals, squares = (read(self.file, f"{variant}/{name}/{state.path}") for name in ("total", "squares"))
        yield from zip(totals, squares.tolist(), strict=True)


def read_row_sums(paths: Sequence[Path], run: Mapping[str, object], variant: str) -> dict[State, RowSum]:
    """Read the sums of the corpus from the files of all parts, in their order; memory holds one part of one state.

    run: attributes of the trained model's states on these parts. Raises DataError, naming file and attribute, for files of
    another run.
    """
    with opened_parts(paths, RowSums, run) as parts:
        states = dict.fromkeys(state for part in parts for state in part.states(variant))
        return {state: total_of({state: sums} for part in parts for sums in part.each(variant, state))[state] for state in states}
