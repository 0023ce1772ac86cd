"""Encode a corpus's splits as token ids and as words, to count n-grams."""

from pathlib import Path

import numpy as np

from geomkit.measures.ngrams import word_ids
from geomkit.models.load import load_tokenizer
from geomkit.sources.corpora import stored_documents
from geomkit.theory.splits import write_splits

SPLITS = ("train", "validation", "test")


def encode_splits(corpus: Path, tokenizer: Path, output: Path) -> None:
    """Encode every document of every split in the tokenizer's tokens, and those of training in words too."""
    words = load_tokenizer(tokenizer)
    texts = {split: [document.text for document in stored_documents(corpus, split)] for split in SPLITS}
    ids = {
        split: words(documents, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        for split, documents in texts.items()
    }
    splits = {split: {"token": [np.array(one, dtype=np.int64) for one in documents]} for split, documents in ids.items()}
    splits["train"]["word"] = word_ids(texts["train"])
    vocabulary = {"token": len(words), "word": 1 + max(int(ids.max()) for ids in splits["train"]["word"] if ids.size)}
    write_splits(output, splits, vocabulary)
