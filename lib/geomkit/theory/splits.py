"""Store a corpus's documents as token ids, split by split, in one HDF5 file, in which n-grams are counted.

/{split}/{unit}/id       int64 (n,)             all documents one after another
/{split}/{unit}/offset   int64 (documents + 1,) document i is rows offset[i]:offset[i+1]
attributes               schema; size of each unit's vocabulary
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geomkit.core.provenance import replacing
from geomkit.measures.ngrams import ngram_counts
from geomkit.states.hdf5 import created, opened, put, read

SCHEMA = 1
Ints = NDArray[np.int64]
Splits = Mapping[str, Mapping[str, Sequence[Ints]]]
"""Documents by split and by unit, `token` or `word`."""


def write_splits(path: Path, splits: Splits, vocabulary: Mapping[str, int]) -> None:
    """Write the file, which appears only when it is complete. vocabulary: of each unit, the number above every id."""
    with replacing(path) as temporary, created(temporary) as file:
        file.attrs["schema"] = SCHEMA
        for unit, size in vocabulary.items():
            file.attrs[unit] = size
        for split, units in splits.items():
            for unit, documents in units.items():
                ids = np.concatenate([np.empty(0, dtype=np.int64), *documents])
                file.create_dataset(f"{split}/{unit}/id", data=ids, fletcher32=True)
                put(file, f"{split}/{unit}/offset", np.cumsum([0, *map(len, documents)]))


def read_split(path: Path, split: str, unit: str) -> tuple[list[Ints], int]:
    """Read the documents of one split as ids, and the size of the vocabulary. Raises DataError if the file is another or
    damaged, or lacks such a part."""
    with opened(path, "file of documents as ids", SCHEMA, "train") as file:
        offset = read(file, f"{split}/{unit}/offset")
        return np.split(read(file, f"{split}/{unit}/id"), offset[1:-1]), int(file.attrs[unit])


TABLES = {"trigrams": ("token", 3), "bigrams": ("token", 2), "tokens": ("token", 1), "words": ("word", 1)}
"""Frequency tables: the unit that is counted, and how many of them are one type."""


def frequency_table(path: Path, table: str, split: str = "train") -> Ints:
    """Count the types (types,) of one of `TABLES`, n-grams within documents."""
    unit, order = TABLES[table]
    documents, vocabulary = read_split(path, split, unit)
    return ngram_counts(documents, order, vocabulary)[1]
