"""Texts that all models of one tokenizer read of a corpus, one HDF5 file for each tokenizer and corpus.

/tokens/id         int32   (n,)        all texts one after another; no padding and no prefix token is stored
/tokens/offset     int64   (texts+1,)  text i is rows offset[i]:offset[i+1]
/texts/document    string  (texts,)    name of the document that the text was cut from
/texts/bytes       int64   (texts,)    UTF-8 bytes of the document from the end of the last token without a surprisal to the end
                                       of the text's last token; 0 where `no bytes` says why they are not known
/vocabulary/count  int64   (ids,)      how often each token occurs in other documents of the corpus
attributes         prefix: tokens before every text; model: whose tokenizer cut them; tokenizer sha256, corpus sha256, seed
                   special tokens: split or keep; special tokens written: which and how often, in the documents that texts were
                   cut from; special tokens read, added tokens read: how many of the texts' tokens are such; no bytes
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import h5py
import numpy as np

from geomkit.core.provenance import replacing, rng
from geomkit.states.hdf5 import created, opened, put, read

SCHEMA = 1


@dataclass(frozen=True)
class Texts:
    """Documents' names, numbers of tokens, and bytes of the tokens that have a surprisal, for each text."""

    document: Sequence[str]
    tokens: Sequence[int]
    bytes: Sequence[int]

    @property
    def offset(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.tokens, dtype=np.int64)])

    def part(self, share: range) -> "Texts":
        """Return a run of these texts."""
        own = slice(share.start, share.stop)
        return Texts(self.document[own], self.tokens[own], self.bytes[own])


def by_document(names: Sequence[str], start: int = 0) -> Iterator[range]:
    """The texts of each document, which follow one another, numbered from `start`."""
    for _, group in groupby(names):
        stop = start + len(list(group))
        yield range(start, stop)
        start = stop


@dataclass(frozen=True)
class Sample:
    """Texts of one corpus in one tokenizer: token ids, the prefix of each text, and their origin.

    attributes of a file also say how their documents were read.
    """

    ids: list[np.ndarray]
    prefix: list[int]
    texts: Texts
    facts: Mapping[str, object] = field(default_factory=dict)

    def some(self, numbers: Sequence[int]) -> "Sample":
        """Return some of these texts, by their numbers."""
        own = self.texts
        documents, tokens = [own.document[text] for text in numbers], [own.tokens[text] for text in numbers]
        return replace(
            self, ids=[self.ids[text] for text in numbers], texts=Texts(documents, tokens, [own.bytes[text] for text in numbers])
        )

    def shuffled(self, seed: int, block: int = 1) -> "Sample":
        """Return the same tokens in random order, text by text, or blocks of consecutive tokens; the prefix stays in front.

        Inside a block the order stays. The last block of a text may be shorter. Limit: a block as long as the text is the text.
        """
        order = rng(seed, "shuffled", *([block] if block > 1 else []))
        return Sample([in_blocks(ids, block, order) for ids in self.ids], self.prefix, self.texts)

    def first(self, n: int) -> "Sample":
        """Return the first n tokens of each text; their bytes are no longer known."""
        ids = [own[:n] for own in self.ids]
        return replace(self, ids=ids, texts=Texts(self.texts.document, [len(own) for own in ids], [0] * len(ids)))


def in_blocks(ids: np.ndarray, block: int, order: np.random.Generator) -> np.ndarray:
    """Put blocks of consecutive token ids in random order: (tokens,)."""
    return np.concatenate([ids[start : start + block] for start in order.permutation(np.arange(0, len(ids), block))])


@dataclass(frozen=True)
class StoredTexts:
    """A sample as it was stored, how often each token id occurs elsewhere in the corpus (ids,), and its origin."""

    sample: Sample
    counts: np.ndarray
    attributes: Mapping[str, object]


def lists_of(texts: Texts) -> dict[str, np.ndarray | list[str]]:
    """Convert texts to datasets by name."""
    numbers = {name: np.asarray(getattr(texts, name), dtype=np.int64) for name in ("tokens", "bytes")}
    return {"document": list(texts.document), **numbers}


def read_lists(file: h5py.File, place: str) -> Texts:
    """Read texts from a group of such datasets."""
    names = [name.decode() for name in read(file, f"{place}/document")]
    return Texts(names, *(read(file, f"{place}/{name}").tolist() for name in ("tokens", "bytes")))


def write_texts(path: Path, sample: Sample, counts: np.ndarray, attributes: Mapping[str, object]) -> None:
    """Write a file of texts, which appears whole. `counts` (ids,): how often each token id occurs in other documents."""
    with replacing(path) as temporary, created(temporary) as file:
        file.attrs.update({**attributes, "schema": SCHEMA, "prefix": np.array(sample.prefix, dtype=np.int64)})
        file.create_dataset("tokens/id", data=np.concatenate(sample.ids), fletcher32=True)
        put(file, "tokens/offset", sample.texts.offset)
        put(file, "texts/document", list(sample.texts.document))
        put(file, "texts/bytes", np.asarray(sample.texts.bytes, dtype=np.int64))
        file.create_dataset("vocabulary/count", data=counts, fletcher32=True)


def read_texts(path: Path) -> StoredTexts:
    """Read a file of texts. Raises DataError if it is another file, has another version of the schema, or is damaged."""
    with opened(path, "file of texts", SCHEMA, "tokens/offset") as file:
        offset = read(file, "tokens/offset")
        names = [name.decode() for name in read(file, "texts/document")]
        texts = Texts(names, np.diff(offset).tolist(), read(file, "texts/bytes").tolist())
        attributes = dict(file.attrs)
        before = attributes.pop("prefix").tolist()
        ids = np.split(read(file, "tokens/id"), offset[1:-1])
        return StoredTexts(Sample(ids, before, texts), read(file, "vocabulary/count"), attributes)
