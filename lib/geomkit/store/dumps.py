"""Dumps: what a model computed on a set of texts, one HDF5 file for each model, corpus and variant.

/tokens/id         int32   (n,)        all texts one after another; no padding and no prefix token is stored; -1 where
                                       states were imported without it
/tokens/offset     int64   (texts+1,)  text i is rows offset[i]:offset[i+1]
/tokens/surprisal  float32 (n,)        -ln p(token | its past) in nats, NaN where there is no past; of a masked model
                                       given all other tokens
/texts/document    string  (texts,)    name of the document that the text was cut from
/texts/bytes       int64   (texts,)    as in the texts
/vocabulary/count  int64   (ids,)      how often each token occurs in other documents of the corpus, in `trained` alone
/hidden/{layer}    float32 (n, d)      0 the embedding, 1..L after each block, L+1 after the final norm; or float16, or uint16
                                       with the attribute `type`, bfloat16
/sublayer/{layer}/{attention,mlp}      (n, d) block input plus that sublayer's output
/texts/batch       int64   (batches,)  how many texts were written together, in a part of a dump alone (`geomkit.store.parts`)
attributes         the model's sizes, its `objective` (causal or masked), `final norm` (layer, rms or none) with its
                   `final norm eps`, and where everything came from; `absent` is a JSON object {what: why}
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from geomkit.arrays import narrowest
from geomkit.config import CAUSAL
from geomkit.errors import DataError
from geomkit.store.bfloat16 import from_words, to_words
from geomkit.store.hdf5 import Reader, created, opened, put, read
from geomkit.store.provenance import replacing
from geomkit.store.texts import Texts

SCHEMA = 1
DTYPE = "dtype"
"""The attribute that says which type states were computed in."""
TYPE, BFLOAT16 = "type", "bfloat16"
"""The attribute of states that are stored as words of 16 bits."""
CHUNK_BYTES = 1 << 18
BATCHES = "texts/batch"
PLAIN = "plain"
"""The final state without the gain and bias that the final norm has learnt: tables' sublayer of layer L + 1. No dump holds it."""


class State(NamedTuple):
    """Names one set of token vectors: a layer, and `block` for its output or the sublayer that it was taken after."""

    layer: int
    sublayer: str = "block"

    @property
    def path(self) -> str:
        return f"hidden/{self.layer}" if self.sublayer == "block" else f"sublayer/{self.layer}/{self.sublayer}"


def order(state: State) -> tuple[int, bool, str]:
    """By layer, each block's output after its sublayers."""
    return state.layer, state.sublayer == "block", state.sublayer


def states_type(attributes: Mapping[str, object], *stored: str) -> str:
    """The type with the fewest digits among those that states were computed and stored in; float32 if nobody says."""
    return narrowest(str(attributes.get(DTYPE, "float32")), *stored)


def not_finite(path: str) -> DataError:
    """What is raised where a model has overflown."""
    return DataError(f"/{path}: the model computed NaN or infinity there; try compute.dtype: float32")


class DumpWriter:
    """Fills a dump batch by batch; memory does not grow with the number of tokens."""

    def __init__(self, file: h5py.File, dtype: str, compression: str | None):
        self.file, self.kind, self.compression = file, dtype, compression
        self.dtype = np.dtype(np.uint16 if dtype == BFLOAT16 else dtype)
        self.rows, self.total = 0, int(file["tokens/offset"][-1])
        self.starts = file["tokens/offset"][:-1]
        self.datasets: dict[str, h5py.Dataset] = {}
        for name, kind in (("id", "int32"), ("surprisal", "float32")):
            self._create(f"tokens/{name}", (self.total,), np.dtype(kind))

    def append(self, ids: np.ndarray, surprisal: np.ndarray | None, states: Mapping[State, np.ndarray]) -> None:
        """Adds the next rows: ids (k,), surprisal (k,), None where nobody knows it, and for each state (k, d).

        Raises DataError for a state that is not finite or overflows the dump's type, and for a surprisal that is not finite,
        but for a text's first.
        """
        rows = slice(self.rows, self.rows + len(ids))
        self.datasets["tokens/id"][rows] = ids
        self.datasets["tokens/surprisal"][rows] = np.nan if surprisal is None else surprisal
        for state in sorted(states, key=order):
            values = states[state]
            with np.errstate(over="ignore"):
                stored = to_words(values) if self.kind == BFLOAT16 else values.astype(self.dtype, copy=False)
                held = from_words(stored) if self.kind == BFLOAT16 else stored
                finite = np.isfinite(held.sum(dtype=np.float32))
            if not finite:
                self._refuse(state, values)
            if state.path not in self.datasets:
                self._create(state.path, (self.total, values.shape[1]), self.dtype)
                if self.kind == BFLOAT16:
                    self.datasets[state.path].attrs[TYPE] = BFLOAT16
            self.datasets[state.path][rows] = stored
        first, last = np.searchsorted(self.starts, (rows.start, rows.stop))
        if surprisal is not None and not np.isfinite(np.delete(surprisal, self.starts[first:last] - rows.start)).all():
            raise not_finite("tokens/surprisal")
        self.rows = rows.stop

    def _create(self, path: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        rows = min(shape[0], max(1, CHUNK_BYTES // (dtype.itemsize * int(np.prod(shape[1:])))))
        layout: dict[str, Any] = {"chunks": (rows, *shape[1:]), "fletcher32": True, "compression": self.compression}
        self.datasets[path] = self.file.create_dataset(path, shape, dtype, **(layout if rows else {}))

    def _refuse(self, state: State, values: np.ndarray) -> None:
        if np.isfinite(values).all():
            largest = np.abs(values).max()
            raise DataError(
                f"dump.dtype: {self.kind} cannot hold /{state.path}, whose largest value is {largest:.3g}; use float32"
            )
        raise not_finite(state.path)


@contextmanager
def write_dump(
    path: Path,
    texts: Texts,
    attributes: Mapping[str, object],
    absent: Mapping[str, str],
    dtype: str,
    compression: str | None,
    vocabulary: np.ndarray | None = None,
    batches: Sequence[int] | None = None,
) -> Iterator[DumpWriter]:
    """A writer for a dump that appears at `path` only when the block ends well and every row was written. `absent` may
    still grow inside the block; vocabulary: counts of each token id elsewhere; batches: of a part, the texts of each `append`."""
    with replacing(path) as temporary, created(temporary, rdcc_nbytes=CHUNK_BYTES) as file:
        file.attrs.update(sorted({"schema": SCHEMA, **attributes}.items()))
        put(file, "tokens/offset", texts.offset)
        put(file, "texts/document", list(texts.document))
        put(file, "texts/bytes", np.asarray(texts.bytes, dtype=np.int64))
        if vocabulary is not None:
            put(file, "vocabulary/count", vocabulary)
        if batches is not None:
            put(file, BATCHES, np.asarray(batches, dtype=np.int64))
        writer = DumpWriter(file, dtype, compression)
        yield writer
        if writer.rows != writer.total:
            raise DataError(f"{path}: {writer.rows} of {writer.total} tokens were written")
        file.attrs["absent"] = json.dumps(absent)


class Dump(Reader):
    """A dump opened for reading.

    Raises DataError if the file is not a dump, or was written by another version of the schema.
    """

    def __init__(self, path: Path):
        self.file = opened(path, "dump", SCHEMA, "tokens/offset")
        self.offset: np.ndarray = read(self.file, "tokens/offset")

    @property
    def attributes(self) -> dict[str, object]:
        return {name: value for name, value in self.file.attrs.items() if name != "absent"}

    @property
    def absent(self) -> dict[str, str]:
        return json.loads(self.file.attrs["absent"])

    @property
    def objective(self) -> str:
        """What the model was trained to predict: the next token (`causal`), or tokens that are masked (`masked`)."""
        return str(self.attributes.get("objective", CAUSAL))

    @property
    def dtype(self) -> str:
        """The type with the fewest digits that states were computed or stored in."""
        data = [self.file[state.path] for state in self.states]
        return states_type(self.attributes, *(BFLOAT16 if TYPE in one.attrs else one.dtype.name for one in data))

    @property
    def texts(self) -> Texts:
        names = [name.decode() for name in read(self.file, "texts/document")]
        return Texts(names, np.diff(self.offset).tolist(), read(self.file, "texts/bytes").tolist())

    @property
    def states(self) -> list[State]:
        """Every state in the file, by layer, each block's output after its sublayers."""
        if len(self.offset) == 1:  # a part without texts
            return []
        found = [State(int(layer)) for layer in self.file["hidden"]]
        for layer, sublayers in self.file.get("sublayer", {}).items():
            found += [State(int(layer), name) for name in sublayers]
        return sorted(found, key=order)

    def surprisal(self, text: int) -> np.ndarray:
        """Surprisal of a text's tokens in nats: (tokens,), NaN where there was no past."""
        return read(self.file, "tokens/surprisal", slice(*self.offset[text : text + 2]))

    def ids(self, text: int) -> np.ndarray:
        """Token ids of a text: (tokens,)."""
        return read(self.file, "tokens/id", slice(*self.offset[text : text + 2]))

    def all_ids(self) -> np.ndarray:
        """Token ids of all texts, one after another: (tokens,)."""
        return read(self.file, "tokens/id")

    def all_surprisal(self) -> np.ndarray:
        """Surprisal of all texts' tokens, one after another: (tokens,), NaN where there was no past."""
        return read(self.file, "tokens/surprisal")

    def vocabulary(self) -> np.ndarray | None:
        """How often each token id occurs in other documents of the corpus: (ids,); None in dumps of nulls."""
        return read(self.file, "vocabulary/count") if "vocabulary" in self.file else None

    def rows(self, state: State, first: int, last: int) -> np.ndarray:
        """Vectors of the texts first..last-1, one after another: (tokens, d)."""
        found = read(self.file, state.path, slice(self.offset[first], self.offset[last]))
        return from_words(found) if self.file[state.path].attrs.get(TYPE) == BFLOAT16 else found

    def width(self, state: State) -> int:
        return self.file[state.path].shape[1]
