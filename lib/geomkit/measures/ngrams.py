"""Count n-grams, and predict the loss of a trigram model that stores only the most frequent ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError

Ints = NDArray[np.int64]

WORD = re.compile(r"\w+(?:['’]\w+)*")


def word_ids(texts: Sequence[str]) -> list[Ints]:
    """Encode each text's lower-case words as ids, in the alphabetical order of all words."""
    words = [WORD.findall(text.lower()) for text in texts]
    lengths = np.cumsum([len(each) for each in words])
    joined = [word for each in words for word in each]
    if not joined:
        raise DataError("there is no word in these texts")
    ids = np.unique(np.array(joined), return_inverse=True)[1]
    return [np.asarray(part, dtype=np.int64) for part in np.split(ids, lengths[:-1])]


def ngram_codes(documents: Sequence[ArrayLike], order: int, vocabulary: int) -> Ints:
    """Encode every n-gram within a document as one number, first token first, base `vocabulary`: (n-grams,).

    A document shorter than an n-gram gives none.

    documents: token ids of each. Raises DataError for ids outside the vocabulary, and for codes that do not fit in 63 bits.
    """
    if order < 1 or vocabulary < 1 or order * np.log2(vocabulary) > 63:
        raise DataError(f"n-grams of order {order} over {vocabulary} tokens do not fit in 63 bits")
    codes = [np.empty(0, dtype=np.int64)]
    for document in documents:
        ids = np.asarray(document, dtype=np.int64)
        if ids.size and not (ids.min() >= 0 and ids.max() < vocabulary):
            raise DataError(f"token ids from {ids.min()} to {ids.max()} in a vocabulary of {vocabulary}")
        code = np.zeros(max(0, ids.size - order + 1), dtype=np.int64)
        for k in range(order):
            code = code * vocabulary + ids[k : k + code.size]
        codes.append(code)
    return np.concatenate(codes)


def ngram_counts(documents: Sequence[ArrayLike], order: int, vocabulary: int) -> tuple[Ints, Ints]:
    """Count n-grams: types (types,) in the order of their codes, and counts, which add up to the n-grams of all documents."""
    codes, counts = np.unique(ngram_codes(documents, order, vocabulary), return_counts=True)
    return codes, counts.astype(np.int64)


@dataclass(frozen=True)
class NgramBudget:
    """A trigram model over a fixed bigram model that stores a budget of trigrams: the most frequent in training.

    Where (a, b, c) is held, p(c | a b) = (count(a b c) - discount) / count(a b). The probability that is left in a context goes
    to the tokens not held there, in proportion to the bigram model (count(b c) + weight q(c)) / (count(b) + weight), with q the
    unigram counts plus one. Where all tokens are held, these are scaled up. It adds up to 1 for every budget and context; with
    no trigram held it is the bigram model. Trigrams of one count are ordered by their token ids.
    """

    vocabulary: int
    codes: Ints
    """(types,), sorted."""
    counts: Ints
    rank: Ints
    """Of each type, 1 for the most frequent."""
    pairs: Array
    """Bigram model (vocabulary, vocabulary)."""
    discount: float

    @classmethod
    def train(
        cls, documents: Sequence[ArrayLike], vocabulary: int, discount: float = 0.75, weight: float = 128.0
    ) -> "NgramBudget":
        """Count trigrams in documents' token ids. Raises DataError without a trigram and for a discount outside (0, 1)."""
        if not 0 < discount < 1 or weight <= 0:
            raise DataError(f"a discount is between 0 and 1 and a weight positive; found {discount:g} and {weight:g}")
        codes, counts = ngram_counts(documents, 3, vocabulary)
        if not codes.size:
            raise DataError("no document has three tokens: there is no trigram to hold")
        rank = np.empty(codes.size, dtype=np.int64)
        rank[np.lexsort((codes, -counts))] = np.arange(1, codes.size + 1)
        single = np.bincount(ngram_codes(documents, 1, vocabulary), minlength=vocabulary) + 1.0
        double = np.bincount(ngram_codes(documents, 2, vocabulary), minlength=vocabulary**2).reshape(vocabulary, vocabulary)
        before = double.sum(axis=1, keepdims=True)
        return cls(vocabulary, codes, counts, rank, (double + weight * single / single.sum()) / (before + weight), discount)

    @property
    def types(self) -> int:
        return self.codes.size

    @cached_property
    def contexts(self) -> tuple[Ints, Ints, Array]:
        """Codes of training contexts (contexts,), each type's context as an index (types,), and how often each is followed."""
        codes, index = np.unique(self.codes // self.vocabulary, return_inverse=True)
        return codes, index.astype(np.int64), np.bincount(index, self.counts, minlength=codes.size).astype(float)

    @cached_property
    def backoff(self) -> Array:
        """Bigram probability of each type's last token (types,)."""
        return self.pairs[self.codes // self.vocabulary % self.vocabulary, self.codes % self.vocabulary]

    def find(self, codes: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Look up trigrams (n,) among the types: their places, and whether they are there."""
        return locate(self.codes, codes)

    def losses(self, codes: Ints, budget: int) -> Array:
        """Compute -ln p of the last token of each trigram (n,), in nats, by a model that stores `budget` of them.

        Raises DataError for a budget below 0 or above the number of types.
        """
        if not 0 <= budget <= self.types:
            raise DataError(f"a budget is between 0 and all {self.types} trigrams; found {budget}")
        contexts, index, followed = self.contexts
        stored, number = self.rank <= budget, followed.size
        taken = np.bincount(index[stored], self.counts[stored] - self.discount, minlength=number) / followed
        covered = np.bincount(index[stored], self.backoff[stored], minlength=number)
        full = np.bincount(index[stored], minlength=number) == self.vocabulary
        with np.errstate(divide="ignore", invalid="ignore"):
            share, scale = np.where(full, 0.0, (1 - taken) / (1 - covered)), np.where(full, 1 / taken, 1.0)
        at, known = self.find(codes)
        context, seen = locate(contexts, codes // self.vocabulary)
        fallback = (
            np.where(seen, share[context], 1.0) * self.pairs[codes // self.vocabulary % self.vocabulary, codes % self.vocabulary]
        )
        own = (self.counts[at] - self.discount) * (scale / followed)[index[at]]
        surprisal: Array = -np.log(np.where(known & stored[at], own, fallback))
        return surprisal


def locate(table: Ints, values: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Look up values (n,) in a sorted table: a valid index in any case, and whether the value is there."""
    at = np.minimum(np.searchsorted(table, values), table.size - 1)
    return at, table[at] == values


@dataclass(frozen=True)
class BudgetCurve:
    """Gaps in nats a trigram of test text for each budget (budgets,), measured and as two entropies of skills predict them."""

    budgets: Ints
    measured: Array
    """Loss at a budget minus the loss with all trigrams of training; what test text has beyond those no budget buys."""
    constant: Array
    """One saving h for all trigrams times the frequency of those that are not held."""
    by_class: Array
    """Sum of frequency times saving, each class of ranks with its own."""
    floor: float
    """Loss with all trigrams of training: the E of the theory."""
    unseen: float
    """Share of test trigrams that training has not."""


def budget_curve(model: NgramBudget, other: Ints, test: Ints, budgets: Sequence[int], own_frequency: bool = False) -> BudgetCurve:
    """Measure the gap of each budget on test trigrams (n,), and predict it from trigrams of `other` documents (m,).

    The saving h_k of a trigram is how much lower its loss is with all trigrams than with none.

    Classes of ranks end at powers of two. Frequencies are those of training, or with `own_frequency` of `other`, where a class
    spreads its frequency evenly over its ranks; a class without an occurrence in `other` has the constant saving.
    Raises DataError where `other` has none of the trigrams.
    """
    sizes = np.asarray(budgets, dtype=np.int64)
    codes, times = np.unique(other, return_counts=True)
    at, known = model.find(codes)
    if not known.any():
        raise DataError("the other documents have no trigram of training: there is no saving to measure")
    saved, times = (model.losses(codes, 0) - model.losses(codes, model.types))[known], times[known]
    edges = np.append(0, 2 ** np.arange(int(model.types - 1).bit_length() + 1))
    classes, seen = edges.size - 1, np.searchsorted(edges, model.rank[at[known]]) - 1
    number, total = np.bincount(seen, times, minlength=classes), np.bincount(seen, times * saved, minlength=classes)
    mean = float(total.sum() / number.sum())
    of_class = np.where(number > 0, total / np.where(number > 0, number, 1), mean)
    class_of = np.searchsorted(edges, np.arange(1, model.types + 1)) - 1
    if own_frequency:
        frequency = (number / np.maximum(np.bincount(class_of, minlength=classes), 1))[class_of] / np.size(other)
    else:
        frequency = np.sort(model.counts)[::-1] / model.counts.sum()
    constant, by_class = (np.append(np.cumsum((frequency * h)[::-1])[::-1], 0.0)[sizes] for h in (mean, of_class[class_of]))
    codes, times = np.unique(test, return_counts=True)
    losses = np.array([np.average(model.losses(codes, int(budget)), weights=times) for budget in (*sizes, model.types)])
    unseen = 1 - float(np.average(model.find(codes)[1], weights=times))
    return BudgetCurve(sizes, losses[:-1] - losses[-1], constant, by_class, float(losses[-1]), unseen)
