"""Read documents from files, split them by document, and cut texts of equal length from token ids."""

import bz2
import json
import math
import os
import re
import textwrap
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geomkit.core.errors import ConfigError, DataError
from geomkit.core.model_folders import check_pointer
from geomkit.core.provenance import digest, replacing, rng
from geomkit.core.registry import Registry

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetFile

SPLITS = {"test": 0.2, "validation": 0.1, "train": 0.7}
"""Share of documents in each split."""


LONE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
UNWRITABLE = re.compile("[\0\ud800-\udfff]")
"""Characters that no name of a document in an HDF5 file can hold."""


class Document(NamedTuple):
    """A document: a name that is unique in its corpus, and its text."""

    name: str
    text: str


readers: Registry[Callable[..., Iterator[Document]]] = Registry("corpus reader", by_name=True)
"""Readers take a file or a folder and yield documents. A new one needs nothing but `@readers.register(name)`, a literal. One that
can take the text from any column has the keyword `column`."""


def takes_column(reader: str) -> bool:
    """Whether a reader lets one choose the column of the text."""
    return "column" in signature(readers[reader]).parameters


READER_OF = {".txt": "text", ".md": "text", ".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
"""The reader of files that end so."""


def files_in(path: Path, *endings: str) -> list[Path]:
    """List the file itself, or the files below the folder that have one of the endings, sorted.

    Linked folders are followed, each folder once. Hidden files, such as copies in .ipynb_checkpoints, and files of other kinds
    are left out; the log says so.

    Raises DataError if there are none, and for a link to what is not there.
    """
    if path.is_file():
        return [path]
    files, other, hidden = list[Path](), Counter[str](), list[Path]()
    for file in walk(path, hidden):
        if file.suffix.lower() not in endings:
            other[file.suffix.lower() or "without an ending"] += 1
        elif not file.exists():
            raise DataError(f"{file}: a link to {os.readlink(file)}, which is not there; restore or remove it")
        elif file.is_file():
            files.append(file)
    own = (each for each in sorted(hidden) if any(one.suffix.lower() in endings for one in (each, *each.rglob("*"))))
    copies = listed([each.relative_to(path).as_posix() for each in own])
    kinds = ", ".join(f"{count} {ending}" for ending, count in sorted(other.items()))
    if not files:
        able = sorted({READER_OF[ending] for ending in other.keys() & READER_OF.keys()} if {*endings} & READER_OF.keys() else ())
        packed = not able and other.keys() & {".gz", ".zst", ".xz", ".bz2", ".zip"}
        why = [f"; there are {kinds}"] * bool(kinds) + [f"; set reader: {' or '.join(able)}"] * bool(able)
        why += ["; decompress them"] * bool(packed)
        why += [f"; hidden files are not read: {copies}"] * bool(copies)
        raise DataError(f"{path}: no {' or '.join(endings)} file in there" + "".join(why))
    for what, names in (("hidden files", copies), ("files of other kinds", kinds)):
        if names:
            print(printable(f"{path}: {what} left out: {names}"))
    return sorted(files)


def walk(folder: Path, hidden: list[Path]) -> Iterator[Path]:
    """Walk all files below a folder and below folders that are linked there, each folder once: as itself rather than as a link.

    Hidden files and folders are put into `hidden` instead.

    Raises DataError for a folder that cannot be listed.
    """
    seen: set[str] = set()
    folders, links = [folder], list[Path]()
    while folders or links:
        current = folders.pop() if folders else links.pop(0)
        if (real := os.path.realpath(current)) in seen:
            print(printable(f"{current}: left out, for it is linked to {real}, which is read already"))
            continue
        seen.add(real)
        try:
            inside = sorted(current.iterdir()) if current.is_dir() else []
        except OSError as error:
            raise DataError(f"{current}: cannot be listed ({error.strerror})") from None
        for entry in inside:
            if entry.name.startswith("."):
                hidden.append(entry)
            elif not entry.is_dir():
                yield entry
            else:
                (links if entry.is_symlink() else folders).append(entry)


def listed(names: Sequence[str]) -> str:
    """Join names with commas, of many only the first."""
    return textwrap.shorten(", ".join(names), 200, placeholder=" ...")


def printable(line: str) -> str:
    """Convert a line so that any stream can write it, whatever bytes file names have."""
    return line.encode("utf-8", "backslashreplace").decode()


def label(file: Path, path: Path) -> str:
    """Label the documents of a file: by its name, or its path in the folder that is read."""
    return file.name if file == path else file.relative_to(path).as_posix()


def name_of(identifier: object, label: str, number: int) -> str:
    """Name a row: by its id, or where it has none, as in a row with a null, by its file and number."""
    none = identifier is None or identifier == "" or (isinstance(identifier, float) and math.isnan(identifier))
    return f"{label}:{number}" if none else str(identifier)


@readers.register("text")
def plain_text(path: Path) -> Iterator[Document]:
    """Read each .txt or .md file as a document."""
    if path.is_file() and READER_OF.get(path.suffix.lower(), "text") != "text":
        raise DataError(
            f"{path}: the reader text would take all of it for one document; set reader: {READER_OF[path.suffix.lower()]}"
        )
    for file in files_in(path, ".txt", ".md"):
        yield Document(file.stem if file == path else label(file, path), utf8(file))


@readers.register("jsonl")
def json_lines(path: Path, *, column: str = "text") -> Iterator[Document]:
    """Read each line of .jsonl files as a document: the object's "text", or another key, named by "id" or else by its line.

    A null is no document.
    """
    for file in files_in(path, ".jsonl", ".json"):
        name = label(file, path)
        for number, line in enumerate(utf8_lines(file), 1):
            if line.strip():
                where = f'{file}, line {number}: not a JSON object with a "{column}"'
                row = json_object(line, column, where)
                yield Document(name_of(row.get("id"), name, number), text_of(row[column], f'{file}, line {number}: "{column}"'))


def json_object(line: str, column: str, where: str) -> dict[str, Any]:
    """Parse the object on a line. Raises DataError, which begins with `where`, for anything else or without the column."""
    apart = "; write each object on a line of its own"
    over_lines = f"{apart}, as jq -c '.[]' does" if line.lstrip().startswith("[") else ""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        hint = over_lines or (apart if line.strip() == "{" or error.msg == "Extra data" else "; is the line cut off?")
        raise DataError(f"{where} ({error.msg} at column {error.colno}){hint}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} ({textwrap.shorten(str(error), 80)})") from None
    if not isinstance(row, dict):
        raise DataError(f"{where} (it is of type {type(row).__name__}){over_lines}")
    if column not in row:
        raise DataError(f"{where} (its keys are {listed([*row]) or 'none'}); set the column that holds the text")
    return row


def text_of(value: object, where: str) -> str:
    """Return a document's text, empty for a null. Raises DataError, which begins with `where`, for what is no text."""
    if not isinstance(value, str | None):
        raise DataError(f"{where} is of type {type(value).__name__}, not text; set the column that holds the text")
    return value or ""


@readers.register("parquet")
def parquet(path: Path, *, column: str = "text") -> Iterator[Document]:
    """Read each row of Parquet files as a document: column "text", or another, named by column "id" or else by its row.

    A null is no document.
    """
    from geomkit.tables.parquet import named, parquet_file  # which loads pyarrow

    for file in files_in(path, ".parquet"):
        check_start(file)
        reader = READER_OF.get(file.suffix.lower(), "parquet")
        if reader != "parquet":
            raise DataError(f"{file}: not a Parquet file, which the reader parquet takes; set reader: {reader}")
        table = parquet_file(file)
        check_columns(file, table.schema_arrow, column)
        names = [name for name in dict.fromkeys(("id", column)) if name in table.schema_arrow.names]
        number = 0
        with named(file):
            for batch in table.iter_batches(GROUP, columns=names):
                try:
                    rows = batch.to_pylist()
                except UnicodeDecodeError as error:
                    raise DataError(f"{file}, rows {number} to {number + len(batch) - 1}: not UTF-8 text ({error})") from None
                for row in rows:
                    name = name_of(row.get("id"), label(file, path), number)
                    yield Document(name, text_of(row[column], f'{file}, row {number}: "{column}"'))
                    number += 1


def check_columns(file: Path, schema: "Schema", column: str) -> None:
    """Check that a file has the text column once, and as text; raise DataError otherwise."""
    import pyarrow.types as kinds

    def is_text(kind: Any) -> bool:
        kind = kind.value_type if kinds.is_dictionary(kind) else kind
        return kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind) or kinds.is_null(kind)

    if column not in schema.names:
        raise DataError(f'{file}: no column "{column}" among {listed(schema.names)}; set the column that holds the text')
    for name in ("id", column):
        if schema.names.count(name) > 1:
            raise DataError(f'{file}: {schema.names.count(name)} columns are named "{name}"; rename one of them')
    if not is_text(kind := schema.field(column).type):
        able = listed([field.name for field in schema if is_text(field.type)])
        raise DataError(f'{file}: column "{column}" is of type {kind}, not text; columns of text: {able or "none"}')


@readers.register("sotu")
def sotu(path: Path) -> Iterator[Document]:
    """Read State of the Union messages: a document for each, without editorial brackets, the audience, and the speaker's name."""
    for file in files_in(path, ".txt"):
        text = re.sub(r"\[[^\[\]]{0,200}\]", "", utf8(file))
        text = re.sub(r"^Audience members?\..*$", "", text, flags=re.MULTILINE)
        yield Document(file.stem, re.sub(r"^The President\. ", "", text, flags=re.MULTILINE))


@readers.register("wikipedia")
def wikipedia(path: Path) -> Iterator[Document]:
    """Read the articles of an English MediaWiki XML dump (plain or bz2), as prose, without redirects."""
    import xml.etree.ElementTree as xml

    from geomkit.sources.wikitext import prose

    for file in files_in(path, ".xml", ".bz2"):
        check_start(file)
        with bz2.open(file) if file.suffix == ".bz2" else file.open("rb") as stream:
            try:
                for _, page in xml.iterparse(stream):
                    if page.tag.rpartition("}")[2] != "page":
                        continue
                    title, text = page.findtext("{*}title"), page.findtext("{*}revision/{*}text")
                    if page.findtext("{*}ns", "0") == "0" and page.find("{*}redirect") is None and title and text:
                        yield Document(title, prose(text))
                    page.clear()
            except (xml.ParseError, EOFError, OSError) as error:
                raise DataError(f"{file}: not a whole MediaWiki XML dump ({error})") from None


@readers.register("lee")
def lee(path: Path) -> Iterator[Document]:
    """Read Lee's 50 news documents, one a line, in the order of the similarity judgements."""
    for file in files_in(path, ".cor"):
        check_start(file)
        for number, line in enumerate(file.read_text(encoding="latin-1").split("\n")):
            yield Document(f"{number:02d}", line)


@readers.register("chitchat")
def chitchat(path: Path) -> Iterator[Document]:
    """Read conversations of the Chit Chat Challenge (Myers, Etchart, Fulda 2020), a JSON object by conversation.

    Each is a document, with a line for each turn of a speaker.
    """
    for file in files_in(path, ".json"):
        try:
            for name, conversation in json.loads(utf8(file)).items():
                yield Document(name, "\n".join(turn_text(turn) for turn in conversation["messages"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f'{file}: not an object of conversations with "messages" ({error!r})') from None


def turn_text(turn: Sequence[dict[str, str]]) -> str:
    """Join the messages that a speaker sends one after another to one line."""
    return " ".join(message["text"].replace("\n", " ") for message in turn)


COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"PK\x03\x04": "zip"}
"""First bytes of compressed files."""
WIDE = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
"""First bytes of files in UTF-16 or UTF-32."""


def check_start(file: Path, text: bool = False) -> None:
    """Check that a file is not a Git LFS pointer, nor compressed or UTF-16 where text is expected; raise DataError otherwise."""
    check_pointer(file)
    with file.open("rb") as stream:
        start = stream.read(512)
    if text:
        for magic, kind in COMPRESSED.items():
            if start.startswith(magic):
                raise DataError(f"{file}: not UTF-8 text but compressed ({kind}); decompress it")
        if start.startswith(WIDE) or start.count(0) > len(start) // 4:
            raise DataError(f"{file}: not UTF-8 text but UTF-16 or binary; save it as UTF-8")


def utf8(file: Path) -> str:
    """Read a file's text as it is, without a byte order mark. Raises DataError, naming the line, for what is not UTF-8."""
    content = file.read_bytes()
    check_start(file, text=True)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(file, content.count(b"\n", 0, error.start) + 1, error) from None


def utf8_lines(file: Path) -> Iterator[str]:
    """Read a file's lines without a byte order mark, one in memory at a time."""
    check_start(file, text=True)
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise not_utf8(file, number, error) from None


def not_utf8(file: Path, line: int, error: UnicodeDecodeError) -> DataError:
    return DataError(
        f"{file}, line {line}: not UTF-8 text (byte 0x{error.object[error.start]:02x}: {error.reason}); "
        "save it as UTF-8, for text in latin-1 by iconv -f latin1 -t utf8"
    )


def clean(text: str) -> str:
    """Collapse runs of spaces and tabs to one space and three or more line ends to two, and strip both ends.

    A byte order mark is stripped, too.
    """
    text = re.sub(r"[^\S\n]+", " ", text.removeprefix("\ufeff").replace("\r\n", "\n"))
    return re.sub(r" ?\n ?(?:\n ?)+", "\n\n", re.sub(r" ?\n ?", "\n", text)).strip()


def split_of(name: str) -> str:
    """Assign a document to a split by a hash of its name alone.

    No other document, seed or setting moves it, so what a model was trained on stays out of what it is measured on.
    """
    place = int(digest("split", name)[:8], 16) / 16**8
    for split, share in SPLITS.items():
        place -= share
        if place < 0:
            return split
    return split


def read_documents(path: Path, reader: str, column: str | None = None, cleaned: bool = False) -> Iterator[Document]:
    """Read the documents of a file or folder, one by one, without blank ones.

    column: the one with the text, where it is not the reader's own; cleaned: with `clean` text, else it stays as it is. Of
    earlier documents only the names stay in memory.

    Raises ConfigError for a column where the reader has none, DataError for a corpus without a document, for one that is not
    text, and for a name that occurs twice.
    """
    if column is not None and not takes_column(reader):
        raise ConfigError(f"{path}: the reader {reader!r} takes no column, but {column!r} was asked for")
    names: set[str] = set()
    blank = 0
    for name, text in readers[reader](Path(path), **({} if column is None else {"column": column})):
        shown = repr(name if len(name) <= 100 else f"{name[:97]}...")
        if not isinstance(text, str):
            raise DataError(f"{path}: document {shown} is of type {type(text).__name__}, not text")
        if UNWRITABLE.search(name) or LONE.search(text):
            raise DataError(
                f"{path}: document {shown} has a null character in its name, or half of a surrogate pair; "
                "neither is text, so change it there"
            )
        text = clean(text) if cleaned else text.removeprefix("\ufeff")
        if not text.strip():
            blank += 1
            continue
        if name in names:
            raise DataError(
                f"{path}: two documents are named {shown}; names must be unique, for the split is made from them: "
                "leave out the ids, and documents are named by file and row"
            )
        names.add(name)
        yield Document(name, text)
    if blank:
        print(printable(f"{path}: {blank} empty documents left out"))
    if not names:
        raise DataError(f"{path}: the reader {reader!r} found no text in there")


class Slice(NamedTuple):
    """Tokens start..stop of a document."""

    document: int
    start: int
    stop: int


def cut(lengths: Sequence[int], count: int, length: int, seed: int) -> list[Slice]:
    """Cut at most `count` disjoint slices of `length` tokens, dealt out evenly over documents of the given token counts.

    Documents shorter than `length` are used, whole, only where fewer than 40 are long enough.
    """
    draw = rng(seed, "cut")
    enough = [document for document, n in enumerate(lengths) if n >= length]
    chosen = enough if len(enough) >= 40 else [document for document, n in enumerate(lengths) if n >= 2]
    hands = []
    for document in draw.permutation(np.array(chosen, dtype=int)).tolist():
        size = min(length, lengths[document])
        slots = lengths[document] // size
        first = int(draw.integers(lengths[document] - slots * size + 1))
        hands.append(
            [Slice(document, first + slot * size, first + (slot + 1) * size) for slot in draw.permutation(slots).tolist()]
        )
    rounds: Iterable[Slice] = (
        hand[turn] for turn in range(max(map(len, hands), default=0)) for hand in hands if turn < len(hand)
    )
    return sorted(next_slice for next_slice, _ in zip(rounds, range(count), strict=False))


GROUP = 16
"""Documents in a row group of a stored corpus, which are read together."""


def prepare_corpus(source: Path, output: Path, reader: str, column: str | None = None, cleaned: bool = False) -> None:
    """Read a corpus's documents and write them, with a line about their number and splits.

    cleaned: see `read_documents`.
    """
    splits: Counter[str] = Counter()
    characters = 0

    def counted() -> Iterator[Document]:
        nonlocal characters
        for document in read_documents(source, reader, column, cleaned):
            splits[split_of(document.name)] += 1
            characters += len(document.text)
            yield document

    write_documents(counted(), output)
    print(f"{splits.total()} documents, {characters} characters; {dict(splits)}")


def write_documents(documents: Iterable[Document], path: Path) -> None:
    """Write documents with their splits as one Parquet file: columns document, split, text. Memory holds one row group."""
    from geomkit.tables.parquet import write_rows  # which loads pyarrow

    rows = ({"document": name, "split": split_of(name), "text": text} for name, text in documents)
    with replacing(path) as temporary:
        write_rows(temporary, ("document", "split", "text"), rows, GROUP)


@dataclass(frozen=True)
class StoredDocuments(Sequence[Document]):
    """Documents in a Parquet file, each read on demand: only (row group, row in it) stay in memory, (documents, 2)."""

    file: "ParquetFile"
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Document:  # type: ignore[override]
        group, row = self.places[index].tolist()
        rows = self.file.read_row_group(group, ["document", "text"], use_threads=False)
        return Document(rows["document"][row].as_py(), rows["text"][row].as_py())


def stored_documents(path: Path, split: str) -> StoredDocuments:
    """Open the documents of one split (or `all`) of a file that `write_documents` wrote.

    Raises DataError if there are none.
    """
    from geomkit.tables.parquet import parquet_file  # which loads pyarrow

    file = parquet_file(path)
    places = array("q")
    for group in range(file.num_row_groups):
        splits = file.read_row_group(group, ["split"], use_threads=False)["split"].to_pylist()
        for row in (row for row, each in enumerate(splits) if split in ("all", each)):
            places.extend((group, row))
    if not places:
        raise DataError(f"{path}: no document is in the split {split!r}; set split: all in the corpus's entry")
    return StoredDocuments(file, np.frombuffer(places, dtype=np.int64).reshape(-1, 2))
