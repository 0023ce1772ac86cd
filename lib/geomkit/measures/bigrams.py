"""Group bigrams by their rank in training text, with the losses of count models on each class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomkit.core.errors import DataError
from geomkit.measures.ngrams import Array, Ints, locate, ngram_codes, ngram_counts


@dataclass(frozen=True)
class BigramClasses:
    """Bigrams of training text in octaves of rank; class 0 has those that do not occur in it.

    Bigrams of one count are ordered by their token ids. unigram (vocabulary,) and bigram (vocabulary, vocabulary) are the
    probabilities of count models: unigram counts plus one, and (count(a b) + weight unigram(b)) / (count(a) + weight).
    """

    vocabulary: int
    codes: Ints
    """(types,), sorted."""
    counts: Ints
    rank: Ints
    unigram: Array
    bigram: Array

    @classmethod
    def train(cls, documents: Sequence[ArrayLike], vocabulary: int, weight: float = 128.0) -> "BigramClasses":
        """Count the bigrams of documents' token ids. Raises DataError without a bigram, and for a weight that is not positive."""
        if not weight > 0:
            raise DataError(f"a bigram model's weight of unigrams is positive; found {weight:g}")
        codes, counts = ngram_counts(documents, 2, vocabulary)
        if not codes.size:
            raise DataError("no document has two tokens: there is no bigram")
        rank = np.empty(codes.size, dtype=np.int64)
        rank[np.lexsort((codes, -counts))] = np.arange(1, codes.size + 1)
        single = np.bincount(ngram_codes(documents, 1, vocabulary), minlength=vocabulary) + 1.0
        share: Array = single / single.sum()
        flat = np.zeros(vocabulary**2)
        flat[codes] = counts
        double = flat.reshape(vocabulary, vocabulary)
        before = double.sum(axis=1, keepdims=True)
        return cls(vocabulary, codes, counts, rank, share, (double + weight * share) / (before + weight))

    @property
    def edges(self) -> list[tuple[int, int]]:
        """First and last rank of each class: (0, 0), (1, 1), (2, 3), (4, 7) and so on."""
        firsts = 2 ** np.arange(int(self.codes.size).bit_length())
        return [(0, 0), *((int(first), min(2 * int(first) - 1, self.codes.size)) for first in firsts)]

    def classes(self, before: ArrayLike, token: ArrayLike) -> NDArray[np.int64]:
        """Return the class of each bigram (n,), a number of `edges`."""
        at, known = locate(self.codes, np.asarray(before, dtype=np.int64) * self.vocabulary + np.asarray(token, dtype=np.int64))
        return np.where(known, 1 + np.floor(np.log2(self.rank[at])).astype(np.int64), 0)

    def mean_count(self, number: int) -> float:
        """Return the mean training count of a class's bigrams; 0 for class 0."""
        first, last = self.edges[number]
        return float(self.counts[(self.rank >= first) & (self.rank <= last)].mean()) if last else 0.0
