"""Cut the texts that all models of one tokenizer read, and count its tokens in the rest of the corpus."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geomkit.errors import ConfigError, DataError
from geomkit.lm import backends  # noqa: F401  # before what imports torch as it is
from geomkit.lm.models import load_tokenizer, prefix
from geomkit.sources.corpora import Document, cut, stored_documents
from geomkit.store.provenance import digest, file_sha256, rng
from geomkit.store.texts import Sample, StoredTexts, Texts, read_texts, write_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_LENGTHS: Mapping[str, int] = {}
COUNTED = 2_000_000
"""Tokens of other documents that are counted, at most: more would not tell common tokens from rare ones any better."""


def cut_texts(
    folder: Path,
    corpus: Path,
    output: Path,
    split: str,
    texts: Mapping[str, int],
    seed: int,
    trust_remote_code: bool,
    lengths: Mapping[str, int] = NO_LENGTHS,
) -> None:
    """Writes the texts of a corpus in the tokenizer of a model's folder, and how often each token occurs in other documents.

    texts: how many (`count`) of how many tokens (`length`). lengths: by key of the configuration, tokens that the longest text
    must have. Raises ConfigError where it has fewer, and DataError where there is no text.
    """
    tokenizer = load_tokenizer(folder, trust_remote_code)
    try:
        found = sample(stored_documents(corpus, split), tokenizer, texts["count"], texts["length"], seed)
    except DataError as error:
        raise DataError(f"{corpus}: {error}") from None
    longest = max(found.texts.tokens)
    for key, length in lengths.items():
        if longest < length:
            raise ConfigError(
                f"config: {key}: the longest text of {corpus} has {longest} tokens, fewer than {length}; set a smaller length, "
                "or take longer documents"
            )
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
    """The texts in a file, for the model of that name and folder. Raises DataError if another tokenizer cut them."""
    stored = read_texts(path)
    if tokenizer_sha256(load_tokenizer(folder, trust_remote_code)) != stored.attributes["tokenizer sha256"]:
        raise DataError(
            f"{path}: cut by the tokenizer of {stored.attributes['model']}, which is not that of {name}; "
            "give one of them a tokenizer of another name (models.*.tokenizer), in an entry of its own if both are in one folder"
        )
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
