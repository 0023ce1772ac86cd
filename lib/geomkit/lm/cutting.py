"""Cut the texts that all models of one tokenizer read, and count its tokens in the rest of the corpus."""

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from geomkit.config import tokenizer_folder
from geomkit.errors import DataError
from geomkit.lm import backends  # noqa: F401  # before what imports torch as it is
from geomkit.lm.context import check_texts
from geomkit.lm.models import load_config, load_tokenizer, prefix
from geomkit.sources.corpora import Document, cut, stored_documents
from geomkit.store.provenance import digest, file_sha256, rng
from geomkit.store.texts import Sample, StoredTexts, Texts, read_texts, write_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COUNTED = 2_000_000
"""Tokens of other documents that are counted, at most: more would not tell common tokens from rare ones any better."""
COMPARED, LETTERS = 20, 10_000
"""Documents, and characters at the start of each, whose tokens are compared with those that the tokenizer's file gives."""


def cut_texts(
    folder: Path, corpus: Path, output: Path, split: str, texts: Mapping[str, int], seed: int, trust_remote_code: bool
) -> None:
    """Writes the texts of a corpus in the tokenizer of a model's folder, and how often each token occurs in other documents.

    texts: how many (`count`) of how many tokens (`length`).
    """
    tokenizer = load_tokenizer(folder, trust_remote_code)
    check_ids(tokenizer, folder, stored_documents(corpus, split))
    try:
        found = sample(stored_documents(corpus, split), tokenizer, texts["count"], texts["length"], seed)
    except DataError as error:
        raise DataError(f"{corpus}: {error}") from None
    check_texts(folder, load_config(folder, trust_remote_code), found)
    measured = set(found.texts.document)
    print(f"{len(found.ids)} texts of {len(measured)} documents, {sum(found.texts.tokens)} tokens")
    counts = vocabulary_counts(stored_documents(corpus, "all"), measured, tokenizer, len(tokenizer), seed)
    attributes = {
        "model": folder.name,
        "tokenizer sha256": tokenizer_sha256(tokenizer),
        "corpus sha256": file_sha256(corpus),
        "seed": seed,
    }
    write_texts(output, found, counts, attributes)


def check_ids(tokenizer: "PreTrainedTokenizerBase", folder: Path, documents: Sequence[Document]) -> None:
    """Raises DataError for a tokenizer that gives the start of some documents other ids than its tokenizer.json does."""
    file = tokenizer_folder(folder) / "tokenizer.json"
    if not file.is_file():
        return
    own = Tokenizer.from_file(str(file))
    own.no_truncation()
    own.no_padding()
    for index in range(0, len(documents), -(-len(documents) // COMPARED)):
        name, text = documents[index].name, documents[index].text[:LETTERS]
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if (backend := getattr(tokenizer, "backend_tokenizer", None)) is not None:
            own.encode_special_tokens = backend.encode_special_tokens
        expected = own.encode(text, add_special_tokens=False)
        if ids != expected.ids:
            first = differing(tokenizer.convert_ids_to_tokens(ids), expected.tokens)
            raise DataError(
                f"{file}: {type(tokenizer).__name__} gives document {name!r} other tokens than this file does ({len(ids)}, but "
                f"{len(expected.ids)}, {first}); tokenizer_config.json, or code that comes with the model, contradicts the file: "
                "save the tokenizer again"
            )


def differing(found: Sequence[str], expected: Sequence[str]) -> str:
    """The first tokens that two lists do not share."""
    pairs = zip_longest(found, expected, fillvalue="none")
    return next((f"the first {one!r} for {other!r}" for one, other in pairs if one != other), "of one text")


def tokenizer_sha256(tokenizer: "PreTrainedTokenizerBase") -> str:
    """sha256 of what a tokenizer does, whatever files it was loaded from: its rules, its vocabulary, and the tokens that it puts
    before a text. Settings of padding and truncation, which cutting texts does not use, do not count."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        rules: object = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
    else:
        rules = {key: value for key, value in json.loads(backend.to_str()).items() if key not in ("truncation", "padding")}
    return digest(json.dumps(rules, sort_keys=True), prefix(tokenizer))


def texts_for(path: Path, folder: Path, name: str, trust_remote_code: bool) -> StoredTexts:
    """The texts in a file, for the model of that name and folder. Raises DataError if another tokenizer cut them, or if the model
    does not take them."""
    stored = read_texts(path)
    if tokenizer_sha256(load_tokenizer(folder, trust_remote_code)) != stored.attributes["tokenizer sha256"]:
        raise DataError(
            f"{path}: cut by the tokenizer of {stored.attributes['model']}, which is not that of {name}; "
            "give one of them a tokenizer of another name (models.*.tokenizer)"
        )
    check_texts(name, load_config(folder, trust_remote_code), stored.sample)
    return stored


def sample(documents: Sequence[Document], tokenizer: "PreTrainedTokenizerBase", count: int, length: int, seed: int) -> Sample:
    """`count` texts of `length` tokens, cut out of documents as `geomkit.sources.corpora.cut` does.

    Documents are tokenized in random order until there are enough, so a large corpus costs no more than a small one.
    Raises DataError if no document has two tokens.
    """
    order = rng(seed, "documents").permutation(len(documents)).tolist()
    tokens: list[np.ndarray] = []
    names: list[str] = []
    enough = 0
    for index in order:
        ids = tokenizer(documents[index].text, add_special_tokens=False, verbose=False)["input_ids"]
        tokens.append(np.array(ids, dtype=np.int32))
        names.append(documents[index].name)
        enough += len(ids) >= length
        if enough >= max(count, 40):
            break
    slices = cut([len(ids) for ids in tokens], count, length, seed)
    if not slices:
        raise DataError(f"no text of at least two tokens among {len(documents)} documents")
    ids = [tokens[part.document][part.start : part.stop].copy() for part in slices]
    before = prefix(tokenizer)
    scored = [len(tokenizer.decode(part if before else part[1:]).encode()) for part in ids]
    return Sample(ids, before, Texts([names[part.document] for part in slices], [len(part) for part in ids], scored))


def vocabulary_counts(
    documents: Sequence[Document], measured: Collection[str], tokenizer: "PreTrainedTokenizerBase", vocabulary: int, seed: int
) -> np.ndarray:
    """How often each token id occurs in documents that are not measured, up to COUNTED tokens by chance: (vocabulary,)."""
    counts = np.zeros(vocabulary, dtype=np.int64)
    for index in rng(seed, "vocabulary").permutation(len(documents)).tolist():
        document = documents[index]
        if document.name not in measured:
            counts += np.bincount(
                tokenizer(document.text, add_special_tokens=False, verbose=False)["input_ids"], minlength=vocabulary
            )
        if counts.sum() >= COUNTED:
            break
    return counts
