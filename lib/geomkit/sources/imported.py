"""Import hidden states that another program has dumped.

A layout is how a folder holds them: a new one is one function with `@layouts.register(name)`, a literal. It takes the folder and
the numbers of the layers that an entry names, or None, and returns what it found. No array is read as a whole.
"""

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.arrays import narrowest
from geomkit.core.config import CAUSAL, resolve_layers
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.logs import progress
from geomkit.core.provenance import file_sha256, versions
from geomkit.core.registry import Registry
from geomkit.core.state import State, order
from geomkit.sources.corpora import UNWRITABLE, check_start, utf8
from geomkit.sources.weights import header
from geomkit.states.bfloat16 import from_words
from geomkit.states.dumps import write_dump
from geomkit.states.stream import DTYPE, ranges
from geomkit.states.texts import Texts
from geomkit.tables.tidy import FACTS

Rows = Callable[[int, int], np.ndarray]
"""Values of the rows first..last-1 of an array, as they are stored."""
LACKS = "the states were imported, and their files do not say it"
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U32": "<u4", "U16": "<u2"}
"""Types of safetensors that are read, and numpy's name for what is stored."""
FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Stored:
    """An array in a file, read row by row. where: its file and key; kind: a name of `TYPES`."""

    where: str
    shape: tuple[int, ...]
    kind: str
    read: Rows

    def rows(self, first: int, last: int) -> np.ndarray:
        """Read rows in float32.

        Raises DataError, naming file and key, for a value that is not finite or that float32 cannot represent.
        """
        values = self.read(first, last)
        with np.errstate(over="ignore"):
            floats: np.ndarray = from_words(values) if self.kind == "BF16" else np.asarray(values, dtype=np.float32)
        if not np.isfinite(floats).all():
            row = first + int(np.nonzero(~np.isfinite(floats.reshape(len(floats), -1)).all(axis=1))[0][0])
            raise DataError(f"{self.where}: row {row} is not finite in float32")
        return floats

    def check(self, shape: Sequence[int | None]) -> None:
        """Check the shape (None: any length) and the type; raise DataError otherwise."""
        fits = len(self.shape) == len(shape) and all(want in (None, have) for have, want in zip(self.shape, shape, strict=True))
        if not fits or 0 in self.shape:
            wanted = ", ".join("any" if one is None else str(one) for one in shape)
            raise DataError(f"{self.where}: its shape is {self.shape}, not ({wanted})")
        if self.kind not in FLOATS:
            raise DataError(f"{self.where}: its type is {self.kind}; states are {', '.join(FLOATS)}")


@dataclass(frozen=True)
class ImportedStates:
    """Imported texts and states: token ids (-1 where unknown), each state's rows, and the stored types.

    Each state has its arrays one after another, row on row; kinds of numbers are names of `FLOATS`.
    """

    texts: Texts
    ids: np.ndarray
    states: Mapping[State, Rows]
    kinds: Collection[str]


TOGETHER = 16
"""Texts in a batch."""
Layout = Callable[[Path, Sequence[int] | None], ImportedStates]
layouts: Registry[Layout] = Registry("layout of states", by_name=True)


def import_states(
    folder: Path,
    output: Path,
    entry: Mapping[str, Any],
    dump: Mapping[str, Any],
) -> None:
    """Write a dump of the states in a folder. Raises DataError, naming file and key, for what does not fit together.

    entry: what the catalogue of models says of them: `layout`, `layers`, the model's sizes, and `skip`, the tokens at the start
    of each text that are left out, such as BOS; dump: the layers that are wanted, and how they are stored.
    """
    skip, facts = entry.get("skip", 0), {name: int(entry[name]) for name in FACTS}
    stored = layouts[entry.get("layout", "arrays")](folder, entry.get("layers"))
    short = [tokens for tokens in stored.texts.tokens if tokens <= skip]
    if short:
        raise DataError(f"{folder}: a text has {short[0]} tokens, and skip: {skip} leaves out as many or more")
    states, absent = wanted(folder, stored.states, dump["layers"], facts["depth"])
    texts = Texts(stored.texts.document, [tokens - skip for tokens in stored.texts.tokens], [0] * len(stored.texts.tokens))
    attributes: dict[str, object] = {f"model {key}": str(value) for key, value in entry.items()} | {
        **{"model": output.parent.parent.name, "states sha256": file_sha256(folder), "objective": CAUSAL, "variant": "trained"},
        **{DTYPE: narrowest(*(FLOATS[kind] for kind in stored.kinds)), "versions": versions("numpy"), **facts},
    }
    absent |= dict.fromkeys(("surprisal", "loss", "attention", "final norm", "frequencies of tokens"), LACKS)
    count = len(texts.document)
    borders = [min(TOGETHER, count - first) for first in range(0, count, TOGETHER)]
    with write_dump(output, texts, attributes, absent, dump["dtype"], dump["compression"], borders) as writer:
        for own in progress(ranges(borders), f"{output.parent.parent.name} import"):
            tokens = [
                slice(int(start) + skip, int(stop)) for start, stop in pairwise(stored.texts.offset[own.start : own.stop + 1])
            ]
            ids = np.concatenate([stored.ids[each] for each in tokens])
            rows = {state: np.concatenate([read(each.start, each.stop) for each in tokens]) for state, read in states.items()}
            writer.append(ids, None, rows)


def wanted(folder: Path, states: Mapping[State, Rows], layers: Any, depth: int) -> tuple[dict[State, Rows], dict[str, str]]:
    """Select the states that `dump.layers` asks for, and list those of `all` that are missing, with the reason.

    Raises DataError for a layer that is named and is not there, and for one that the model does not have.
    """
    if beyond := [state for state in states if state.layer > depth + 1]:
        raise DataError(f"{folder}: layer {beyond[0].layer}, but the entry says depth: {depth}")
    asked = set(resolve_layers(layers, depth))
    own = {state: states[state] for state in sorted(states, key=order) if state.layer in asked}
    missing = sorted(asked - {state.layer for state in own if state.sublayer == "block"})
    if missing and (layers != "all" or not own):
        there = ", ".join(str(state.layer) for state in sorted(states, key=order))
        raise DataError(f"{folder}: no layer {missing[0]}, which dump.layers asks for; there are {there or 'none'}")
    return own, {State(layer).path: f"layer {layer} is not among the imported states" for layer in missing}


@layouts.register("arrays")
def arrays(folder: Path, layers: Sequence[int] | None) -> ImportedStates:
    """Read this project's layout: texts.csv, layer-<k>.npy or layer-<k> in .safetensors files, and ids.npy if ids are known.

    texts.csv has `document,tokens`, a line for each text; arrays are (all tokens, d), texts one after another; ids.npy is (all
    tokens,).
    """
    texts = read_texts(folder / "texts.csv")
    total = int(texts.offset[-1])
    by_state: dict[State, Stored] = {}
    for array in [*map(npy_array, files_of(folder, "layer-*.npy")), *tensors(files_of(folder, "*.safetensors"))]:
        key = re.fullmatch(r".*\blayer-(\d+)(\.npy)?", array.where)
        if key is None:
            raise DataError(f"{array.where}: no layer; keys are layer-0, layer-1, ...")
        array.check((total, None))
        if (state := State(int(key[1]))) in by_state:
            raise DataError(f"{array.where}: layer {state.layer} is in {by_state[state].where} already")
        by_state[state] = array
    ids = read_ids(folder / "ids.npy", total)
    states = {state: array.rows for state, array in by_state.items() if layers is None or state.layer in layers}
    return ImportedStates(texts, ids, states, {array.kind for array in by_state.values()})


def read_texts(path: Path) -> Texts:
    """Read the list of texts. Raises DataError, naming the line, for anything but names and numbers."""
    if not path.exists():
        raise DataError(f"{path}: not there; it says of each text its document and its tokens")
    reader = csv.DictReader(io.StringIO(utf8(path), newline=""))
    documents, tokens = [], []
    try:
        known = list(reader.fieldnames or [])
        if missing := [name for name in ("document", "tokens") if name not in known]:
            raise DataError(
                f"{path}: no column {missing[0]!r}, separated by a comma; there are {known}; its first line is document,tokens"
            )
        for row in reader:
            number, name = row["tokens"] or "", row["document"]
            if not re.fullmatch("0*[1-9][0-9]{0,11}", number):
                raise DataError(f"{path}, line {reader.line_num}: tokens is {row['tokens']!r}, not digits of a number from 1 on")
            if not name or UNWRITABLE.search(name):
                raise DataError(f"{path}, line {reader.line_num}: document is {name!r}, not a name")
            documents.append(name)
            tokens.append(int(number))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + 1}: not a table of comma-separated values ({error})") from None
    if not tokens:
        raise DataError(f"{path}: it lists no text")
    return Texts(documents, tokens, [0] * len(tokens))


def read_ids(path: Path, total: int) -> np.ndarray:
    """Read token ids (tokens,), -1 where there is no file of them."""
    if not path.exists():
        return np.full(total, -1, dtype=np.int32)
    array = npy_array(path)
    if array.shape != (total,) or array.kind[0] not in "IU":
        raise DataError(f"{path}: shape {array.shape} of {array.kind} is not one whole number for each of {total} tokens")
    return np.asarray(array.read(0, total), dtype=np.int32)


@layouts.register("vllm")
def vllm(folder: Path, layers: Sequence[int] | None) -> ImportedStates:
    """Read the output of vLLM's hidden-state extraction.

    It is a .safetensors file for each prompt, with `hidden_states` (tokens, layers, d) and `token_ids` (tokens,). The numbers of
    the layers are not in it.
    """
    files = files_of(folder, "*.safetensors")
    if layers is None:
        raise ConfigError("layout vllm needs layers, the numbers that eagle_aux_hidden_state_layer_ids named")
    if not files:
        raise DataError(f"{folder}: no .safetensors file in it")
    parts: list[Stored] = []
    ids: list[np.ndarray] = []
    for file in files:
        own = {array.where.partition(": ")[2]: array for array in tensors([file])}
        for key in ("hidden_states", "token_ids"):
            if key not in own:
                raise DataError(f"{file}: no {key}; there are {', '.join(own)}")
        states, tokens = own["hidden_states"], own["token_ids"]
        states.check((tokens.shape[0] if tokens.shape else 0, len(layers), parts[0].shape[2] if parts else None))
        ids.append(np.asarray(tokens.read(0, tokens.shape[0]), dtype=np.int32))
        parts.append(states)
    sizes = [part.shape[0] for part in parts]
    texts = Texts([file.stem for file in files], sizes, [0] * len(sizes))

    cache: dict[tuple[int, int, int], np.ndarray] = {}

    def read(number: int, first: int, last: int) -> np.ndarray:
        """Read all layers of a file's rows, cached until other rows are read: layers are requested one after another."""
        if (key := (number, first, last)) not in cache:
            cache.clear()
            cache[key] = parts[number].rows(first, last)
        return cache[key]

    def of(place: int) -> Rows:
        return joined(texts.offset, lambda number, first, last: read(number, first, last)[:, place])

    return ImportedStates(
        texts, np.concatenate(ids), {State(layer): of(place) for place, layer in enumerate(layers)}, {part.kind for part in parts}
    )


HOOKS = (
    (re.compile(r"hook_embed"), lambda number: State(0)),
    (re.compile(r"blocks\.(\d+)\.hook_resid_pre"), lambda number: State(number)),
    (re.compile(r"blocks\.(\d+)\.hook_resid_mid"), lambda number: State(number + 1, "attention")),
    (re.compile(r"blocks\.(\d+)\.hook_resid_post"), lambda number: State(number + 1)),
)
"""TransformerLens' names of states of the residual stream, whose blocks are counted from 0."""


def hooked(name: str) -> State | None:
    """Parse the state that a hook names, if it is one of the residual stream."""
    for pattern, state in HOOKS:
        if match := pattern.fullmatch(name):
            return state(*(map(int, match.groups() or [0])))
    return None


@layouts.register("saelens")
def saelens(folder: Path, layers: Sequence[int] | None) -> ImportedStates:
    """Read the output of SAELens' CacheActivationsRunner.

    It is a data set of `datasets` on the disk, with a column for a hook, (context, d) in each row, and `token_ids`. Each row is a
    text, and a document of its own.
    """
    import pyarrow as pa

    files = files_of(folder, "data-*.arrow")
    if not files:
        raise DataError(f"{folder}: no data-*.arrow in it")
    parts: dict[State, list[Stored]] = {}
    ids, sizes = [], []
    for file in files:
        try:
            with pa.memory_map(str(file)) as stream, pa.ipc.open_stream(stream) as reader:
                table = reader.read_all()
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{file}: not a stream of Arrow ({error})") from None
        columns = {name: state for name in table.column_names if (state := hooked(name)) is not None}
        if not columns:
            raise DataError(f"{file}: no column is a hook of the residual stream; there are {', '.join(table.column_names)}")
        for name, state in columns.items():
            array = arrow_array(f"{file}: {name}", table[name])
            first = parts.get(state, [array])[0]
            array.check((None, first.shape[1], first.shape[2]))
            parts.setdefault(state, []).append(array)
        rows, context = parts[next(iter(columns.values()))][-1].shape[:2]
        sizes += [context] * rows
        ids.append(arrow_ids(f"{file}: token_ids", table, rows * context))
    texts = Texts([f"row {number}" for number in range(len(sizes))], sizes, [0] * len(sizes))
    states = {}
    for state, own in parts.items():
        starts = np.cumsum([0, *(array.shape[0] * array.shape[1] for array in own)])
        if starts[-1] != texts.offset[-1]:
            raise DataError(f"{folder}: {state.path} has {starts[-1]} rows, and the first state {texts.offset[-1]}")
        if layers is None or state.layer in layers:
            flats = [flat(array) for array in own]
            states[state] = joined(starts, lambda number, first, last, flats=flats: flats[number](first, last))  # type: ignore[misc]
    return ImportedStates(texts, np.concatenate(ids), states, {array.kind for own in parts.values() for array in own})


def arrow_array(where: str, column: Any) -> Stored:
    """Open a column of lists of lists of numbers, whose rows are of one shape."""
    import pyarrow as pa

    values = column.combine_chunks()
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    levels = [len(values)]
    while not pa.types.is_primitive(values.type):
        values = values.storage if isinstance(values.type, pa.BaseExtensionType) else values
        values = values.flatten()
        levels.append(len(values))
    shape = tuple(after // max(1, before) for before, after in zip([1, *levels], levels, strict=False))
    kind = {"double": "F64", "float": "F32", "halffloat": "F16"}.get(str(values.type), str(values.type))
    if int(np.prod(shape)) != len(values) or values.null_count:
        raise DataError(f"{where}: its rows are of different shapes, or have gaps")
    numbers = values.to_numpy(zero_copy_only=False).reshape(shape)
    return Stored(where, shape, kind, lambda first, last: numbers[first:last])


def arrow_ids(where: str, table: Any, total: int) -> np.ndarray:
    """Read the token ids of all rows, -1 where they were not stored."""
    if "token_ids" not in table.column_names:
        return np.full(total, -1, dtype=np.int32)
    ids: np.ndarray = table["token_ids"].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.int32)
    if len(ids) != total:
        raise DataError(f"{where}: {len(ids)} ids for {total} tokens")
    return ids


def flat(array: Stored) -> Rows:
    """View rows of texts of one length (texts, context, d) as rows of tokens."""
    context = array.shape[1]

    def rows(first: int, last: int) -> np.ndarray:
        begin = first // context
        tokens = array.rows(begin, -(-last // context)).reshape(-1, array.shape[2])
        return tokens[first - begin * context : last - begin * context]

    return rows


def joined(starts: np.ndarray, read: Callable[[int, int, int], np.ndarray]) -> Rows:
    """Join rows of arrays, the k-th of which begins at starts[k]; read: of array k the rows first..last-1."""

    def rows(first: int, last: int) -> np.ndarray:
        numbers = range(int(np.searchsorted(starts, first, "right")) - 1, int(np.searchsorted(starts, last, "left")))
        ends = [(number, int(starts[number]), int(starts[number + 1])) for number in numbers]
        return np.concatenate([read(number, max(first, low) - low, min(last, high) - low) for number, low, high in ends])

    return rows


def files_of(folder: Path, pattern: str) -> list[Path]:
    """List files that match a pattern, sorted, without hidden ones. Raises DataError for a pointer of Git LFS."""
    files = [file for file in sorted(folder.glob(pattern)) if not file.name.startswith(".")]
    for file in files:
        check_start(file)
    return files


def npy_array(file: Path) -> Stored:
    """Map an array in a .npy file. Raises DataError for another kind of file, or one with Python objects."""
    try:
        mapped = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{file}: not a whole .npy file of numbers ({error})") from None
    kind = {"float64": "F64", "float32": "F32", "float16": "F16"}.get(mapped.dtype.name)
    letter = {"i": "I", "u": "U"}.get(mapped.dtype.kind, mapped.dtype.name)
    return Stored(
        str(file),
        mapped.shape,
        kind or f"{letter}{8 * mapped.dtype.itemsize}",
        lambda first, last: np.asarray(mapped[first:last]),
    )


def tensors(files: Sequence[Path]) -> Iterator[Stored]:
    """Open every tensor of safetensors files. Raises DataError for another kind of file, or a truncated one."""
    for file in files:
        try:
            listed, start = header(file)
            places = {name: one["data_offsets"] for name, one in listed.items()}
        except (OSError, OverflowError, MemoryError, AttributeError, KeyError, TypeError):
            raise DataError(f"{file}: not a safetensors file") from None
        for name, one in listed.items():
            low, high = places[name]
            if start + high > file.stat().st_size:
                raise DataError(f"{file}: {name} is cut off")
            yield tensor(file, name, one["dtype"], tuple(one["shape"]), start + low)


def tensor(file: Path, name: str, kind: str, shape: tuple[int, ...], start: int) -> Stored:
    each = int(np.prod(shape[1:]))

    def read(first: int, last: int) -> np.ndarray:
        dtype = np.dtype(TYPES[kind])
        values = np.fromfile(file, dtype, (last - first) * each, offset=start + first * each * dtype.itemsize)
        return values.reshape(last - first, *shape[1:])

    return Stored(f"{file}: {name}", shape, kind, read)
