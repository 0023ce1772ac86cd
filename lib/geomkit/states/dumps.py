"""Dumps: the hidden states of a model on a set of texts, one HDF5 file for each model, corpus and variant.

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
/texts/batch       int64   (batches,)  how many texts each batch has (`geomkit.states.stream`)
/corpus/{document,tokens,bytes}        of a part alone (`geomkit.states.parts`): all texts of the corpus; attribute first, the
                                       number of the part's first text
attributes         the model's sizes, its `objective` (causal or masked), `final norm` (layer, rms or none) with its
                   `final norm eps`, and where everything came from; `absent` is a JSON object {what: why}
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from geomkit.core.config import CAUSAL
from geomkit.core.errors import DataError
from geomkit.core.provenance import replacing
from geomkit.core.state import State, order
from geomkit.states.bfloat16 import from_words, to_words
from geomkit.states.hdf5 import Reader, created, opened, put, read
from geomkit.states.stream import Batch, States, not_finite, numbered_words, ranges, read_of, states_type
from geomkit.states.texts import Texts, lists_of, read_lists

SCHEMA = 1
TYPE, BFLOAT16 = "type", "bfloat16"
"""The attribute of states that are stored as words of 16 bits."""
CHUNK_BYTES = 1 << 18
BATCHES, CORPUS = "texts/batch", "corpus"


class DumpWriter:
    """Writer of a dump, batch by batch; memory does not grow with the number of tokens."""

    def __init__(self, file: h5py.File, dtype: str, compression: str | None):
        self.file, self.kind, self.compression = file, dtype, compression
        self.dtype = np.dtype(np.uint16 if dtype == BFLOAT16 else dtype)
        self.rows, self.total = 0, int(file["tokens/offset"][-1])
        self.starts = file["tokens/offset"][:-1]
        self.datasets: dict[str, h5py.Dataset] = {}
        for name, kind in (("id", "int32"), ("surprisal", "float32")):
            self._create(f"tokens/{name}", (self.total,), np.dtype(kind))

    def append(self, ids: np.ndarray, surprisal: np.ndarray | None, states: Mapping[State, np.ndarray]) -> None:
        """Add the next rows: ids (k,), surprisal (k,), None where it is unknown, and for each state (k, d).

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
    batches: Sequence[int],
    vocabulary: np.ndarray | None = None,
    part: States | None = None,
) -> Iterator[DumpWriter]:
    """Yield a writer for a dump that appears at `path` only when the block succeeds and every row was written.

    `absent` may still grow inside the block; batches: how many texts each `append` has; vocabulary: counts of each token id
    elsewhere; part: of a part of a corpus, the stream that it is written from.
    """
    with replacing(path) as temporary, created(temporary, rdcc_nbytes=CHUNK_BYTES) as file:
        file.attrs.update(sorted({"schema": SCHEMA, **attributes}.items()))
        put(file, "tokens/offset", texts.offset)
        put(file, "texts/document", list(texts.document))
        put(file, "texts/bytes", np.asarray(texts.bytes, dtype=np.int64))
        put(file, BATCHES, np.asarray(batches, dtype=np.int64))
        if part is not None:
            for name, values in lists_of(part.texts).items():
                put(file, f"{CORPUS}/{name}", values)
            file[CORPUS].attrs["first"] = part.share.start
        if vocabulary is not None:
            put(file, "vocabulary/count", vocabulary)
        writer = DumpWriter(file, dtype, compression)
        yield writer
        if writer.rows != writer.total:
            raise DataError(f"{path}: {writer.rows} of {writer.total} tokens were written")
        file.attrs["absent"] = json.dumps(absent)


class Dump(Reader):
    """A dump opened for reading, whole or a part of one: its rows are `States`.

    Raises DataError if the file is not a dump, or was written by another version of the schema.
    """

    def __init__(self, path: Path):
        self.file = opened(path, "dump", SCHEMA, "tokens/offset")
        self.offset: np.ndarray = read(self.file, "tokens/offset")
        self.borders: list[int] = read(self.file, BATCHES).tolist()
        first = int(self.file[CORPUS].attrs["first"]) if CORPUS in self.file else 0
        self.share = range(first, first + len(self.offset) - 1)

    @property
    def attributes(self) -> dict[str, object]:
        return {name: value for name, value in self.file.attrs.items() if name not in ("absent", "schema")}

    @property
    def facts(self) -> dict[str, object]:
        """Return the attributes that all parts of a dump share, without its name."""
        return self.attributes | ({"absent": self.absent, "states": [state.path for state in self.states]} if self.share else {})

    @property
    def has_texts(self) -> bool:
        return len(self.share) > 0

    @property
    def absent(self) -> dict[str, str]:
        return json.loads(self.file.attrs["absent"])

    @property
    def objective(self) -> str:
        """Training objective: the next token (`causal`), or masked tokens (`masked`)."""
        return str(self.attributes.get("objective", CAUSAL))

    @property
    def dtype(self) -> str:
        """Type with the fewest digits in which states were computed or stored."""
        data = [self.file[state.path] for state in self.states]
        return states_type(self.attributes, *(BFLOAT16 if TYPE in one.attrs else one.dtype.name for one in data))

    @cached_property
    def texts(self) -> Texts:
        """Texts of the whole corpus."""
        return read_lists(self.file, CORPUS) if CORPUS in self.file else self.own_texts

    @property
    def own_texts(self) -> Texts:
        """Texts in the file."""
        names = [name.decode() for name in read(self.file, "texts/document")]
        return Texts(names, np.diff(self.offset).tolist(), read(self.file, "texts/bytes").tolist())

    @property
    def states(self) -> list[State]:
        """All states in the file, by layer, each block's output after its sublayers."""
        if len(self.offset) == 1:  # a part without texts
            return []
        all_states = [State(int(layer)) for layer in self.file["hidden"]]
        for layer, sublayers in self.file.get("sublayer", {}).items():
            all_states += [State(int(layer), name) for name in sublayers]
        return sorted(all_states, key=order)

    def surprisal(self, text: int) -> np.ndarray:
        """Read the surprisal of a text's tokens in nats: (tokens,), NaN where there was no past."""
        return read(self.file, "tokens/surprisal", slice(*self.offset[text : text + 2]))

    def ids(self, text: int) -> np.ndarray:
        """Read the token ids of a text by its number in the corpus: (tokens,)."""
        own = text - self.share.start
        return read(self.file, "tokens/id", slice(*self.offset[own : own + 2]))

    def words(self, ids: Sequence[int]) -> list[str]:
        """See `geomkit.states.stream.States`."""
        return numbered_words(ids)

    def vocabulary(self) -> np.ndarray | None:
        """Read how often each token id occurs in other documents of the corpus: (ids,); None in dumps of nulls."""
        return read(self.file, "vocabulary/count") if "vocabulary" in self.file else None

    def rows(self, state: State, first: int, last: int) -> np.ndarray:
        """Read the vectors of the texts first..last-1 of the file, one after another: (tokens, d)."""
        values = read(self.file, state.path, slice(self.offset[first], self.offset[last]))
        return from_words(values) if self.file[state.path].attrs.get(TYPE) == BFLOAT16 else values

    @cached_property
    def widths(self) -> dict[State, int]:
        """Width of every state, by layer, each block's output after its sublayers."""
        return {state: self.file[state.path].shape[1] for state in self.states}

    def groups(self) -> list[list[State]]:
        """Return states one by one: each pass reads one."""
        return [[state] for state in self.states]

    def batches(
        self,
        states: Sequence[State] | None = None,
        scored: bool = False,
        start: int = 0,
        texts: Collection[int] | None = None,
    ) -> Iterator[Batch]:
        """See `geomkit.states.stream.States`."""
        for own in (own for batch in ranges(self.borders, self.share.start)[start:] for own in read_of(batch, texts)):
            first, last = own.start - self.share.start, own.stop - self.share.start
            tokens = slice(self.offset[first], self.offset[last])
            yield Batch(
                own,
                read(self.file, "tokens/id", tokens),
                read(self.file, "tokens/surprisal", tokens) if scored else None,
                {state: self.rows(state, first, last) for state in (self.states if states is None else states)},
            )

    def gather(self, states: Sequence[State] | None = None, texts: Sequence[int] | None = None) -> Mapping[State, np.ndarray]:
        """See `geomkit.states.stream.States`; a state is read when it is looked up."""
        return Gathered(self, self.states if states is None else states, texts)


class Gathered(Mapping[State, np.ndarray]):
    """Rows of states of a dump, read from the file at each look-up."""

    def __init__(self, dump: Dump, states: Sequence[State], texts: Sequence[int] | None):
        self.dump, self.states, self.texts = dump, states, texts

    def __getitem__(self, state: State) -> np.ndarray:
        if state not in self.states:
            raise KeyError(state)
        if self.texts is None:
            return self.dump.rows(state, 0, len(self.dump.share))
        own = [text - self.dump.share.start for text in self.texts]
        return np.concatenate([self.dump.rows(state, text, text + 1) for text in own])

    def __iter__(self) -> Iterator[State]:
        return iter(self.states)

    def __len__(self) -> int:
        return len(self.states)


def stored(dumps: Sequence[Path] | Path) -> Callable[[str], States]:
    """Return a function that opens dumps by the names of their variants, which are their file names."""
    files = {path.stem: path for path in ([dumps] if isinstance(dumps, Path) else dumps)}
    return lambda variant: Dump(files[variant])
