"""Resample documents with replacement, each with all of its observations, and then the seeds of each size.

Observations of one document are one cluster. What resamples give is the measurement's part of the uncertainty, with models and
sizes held fixed: it is far too narrow as the uncertainty of a law.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.laws.statistics import partial_correlation, partial_of_products


def percentile_interval(draws: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Compute the percentile interval of a statistic's resamples (resamples,); resamples without a value (NaN) are left out."""
    low, high = np.nanquantile(np.asarray(draws, dtype=float), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


FEW = 10
"""Documents below which intervals over documents are rough, and say so."""


def documents_in_words(number: int) -> str:
    """Format a number of documents, with a warning where a comparison needs more."""
    return f"{number} document{'s' * (number != 1)}{f', fewer than the {FEW} that a comparison needs' if number < FEW else ''}"


class Clustered(NamedTuple):
    """A value, and the percentile interval of its resamples over documents; the ends are NaN with fewer than two documents."""

    value: float
    low: float
    high: float
    documents: int


@dataclass(frozen=True)
class Documents:
    """Observations by document, and how often each document is in each resample.

    index: (observations,), the document of each. counts: (resamples, documents).
    """

    index: NDArray[np.int64]
    counts: Array

    @classmethod
    def draw(cls, names: ArrayLike, resamples: int, rng: np.random.Generator) -> "Documents":
        """Draw documents with replacement, each with all of its observations; `names` (observations,) are those of the documents.

        Raises DataError for no observations.
        """
        documents, index = np.unique(np.asarray(names), return_inverse=True)
        if not documents.size:
            raise DataError("there is no observation to draw documents of")
        return cls(
            index, rng.multinomial(documents.size, np.full(documents.size, 1 / documents.size), size=resamples).astype(float)
        )

    @property
    def draws(self) -> Array:
        """Count how often each observation is in each resample: (observations, resamples)."""
        return self.counts[:, self.index].T

    def totals(self, values: Array) -> Array:
        """Sum values (observations, ...) over each document: (documents, ...)."""
        sums = np.zeros((self.counts.shape[1], *values.shape[1:]))
        np.add.at(sums, self.index, values)
        return sums

    def mean(self, values: ArrayLike, level: float = 0.95, weights: ArrayLike = 1.0) -> Clustered:
        """Average values (observations,) by weights, those that are NaN left out. NaN if none is left."""
        values = np.asarray(values, dtype=float)
        weights = np.where(np.isfinite(values), weights, 0.0)
        sums = self.totals(np.stack([weights * np.where(np.isfinite(values), values, 0.0), weights], axis=1))
        total, number = (self.counts @ sums).T
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._interval(np.divide(*sums.sum(axis=0)), total / number, sums[:, 1] > 0, level)

    def means(self, values: ArrayLike) -> Array:
        """Average values (observations, k) in every resample, without those that are NaN: (resamples, k). NaN if none is left."""
        values = np.asarray(values, dtype=float)
        known = np.isfinite(values)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self.counts @ self.totals(np.where(known, values, 0.0))) / (self.counts @ self.totals(known.astype(float)))

    def partial_rank_correlation(self, x: ArrayLike, y: ArrayLike, controls: ArrayLike = (), level: float = 0.95) -> Clustered:
        """Compute Spearman's partial correlation of x and y (observations,) given controls (controls, observations).

        Ranks are those of the whole; a resample weighs them anew. It is then a function of the documents' sums of products, so
        resamples cost next to nothing. Limits: Spearman's rho without controls, 0 for what is related through the controls alone.
        Raises DataError for values that are not finite and where x or y does not vary beside the controls.
        """
        rows = np.vstack([np.asarray(row, dtype=float) for row in (x, y, *np.asarray(controls, dtype=float))])
        if not np.isfinite(rows).all():
            raise DataError("a rank correlation takes finite values")
        ranks = stats.rankdata(rows, axis=1)
        scale = ranks.std(axis=1, keepdims=True)
        ranks = (ranks - ranks.mean(axis=1, keepdims=True)) / np.where(scale > 0, scale, 1)
        columns = np.vstack([np.ones(ranks.shape[1]), ranks]).T
        products = self.totals(columns[:, :, None] * columns[:, None, :])
        value = partial_correlation(ranks[0], ranks[1], ranks[2:])
        drawn = partial_of_products(np.tensordot(self.counts, products, axes=1))
        return self._interval(value, drawn, products[:, 0, 0] > 0, level)

    def _interval(self, value: float, drawn: Array, present: NDArray[np.bool_], level: float) -> Clustered:
        number = int(present.sum())
        if number < 2:
            return Clustered(float(value), np.nan, np.nan, number)
        low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return Clustered(float(value), float(low), float(high), number)


def seed_counts(seeds: int, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw seeds of one size with replacement: how often each is in each resample (resamples, seeds)."""
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)


def over_seeds(values: Sequence[Array], counts: Sequence[NDArray[Any]]) -> Array:
    """Average each size's values (seeds, resamples) over the seeds drawn: (sizes, resamples).

    Not finite where a drawn value is not.

    counts: for each size (seeds, resamples), how often each seed was drawn.
    """
    pairs = zip(values, counts, strict=True)
    with np.errstate(invalid="ignore"):
        return np.array([np.where(seeds > 0, seeds * value, 0.0).sum(axis=0) / seeds.sum(axis=0) for value, seeds in pairs])


class Band(NamedTuple):
    """Means (k,), their 95 % intervals one by one, and a band that holds for all of them together."""

    value: Array
    low: Array
    high: Array
    band_low: Array
    band_high: Array


def simultaneous(documents: Documents, values: ArrayLike, level: float = 0.95) -> Band:
    """Average values (observations, k) and give a band that covers all k means together with this probability.

    The band is mean +- q s, s the standard deviation of a mean over resamples of documents, q the quantile of the largest
    |resampled mean - mean| / s over the k. A mean that no resample moves has a band of width 0. Limit: for k = 1 it is the
    interval's symmetric counterpart. Source: Westfall, Young 1993 (max-T).
    """
    values = np.asarray(values, dtype=float)
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return band_of(mean, documents.means(values), level)


def band_of(value: Array, drawn: Array, level: float = 0.95) -> Band:
    """Give values (k,) an interval each and a band for all, as `simultaneous`, from their values in resamples (resamples, k)."""
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = (np.asarray(end) for end in np.nanquantile(drawn, tails, axis=0))
    spread = np.nanstd(drawn, axis=0)
    moved = spread > 1e-12 * np.maximum(np.abs(value), 1e-300)
    if not moved.any():
        return Band(value, low, high, value, value)
    apart = np.abs(drawn - value)[:, moved] / spread[moved]
    largest = np.nanmax(apart[np.isfinite(apart).any(axis=1)], axis=1)
    reach = np.where(moved, np.quantile(largest, level) * spread, 0.0)
    return Band(value, low, high, value - reach, value + reach)


@dataclass(frozen=True)
class Resamples:
    """Resample of documents and then, for each size, of seeds: how often each was drawn.

    texts: (texts, resamples); seeds: for each size (seeds, resamples).
    """

    texts: Array
    seeds: Sequence[Array]

    def means(self, values: ArrayLike) -> Array:
        """Average values (..., texts) over the texts drawn (..., resamples)."""
        means: Array = np.asarray(values, dtype=float) @ (self.texts / self.texts.sum(axis=0))
        return means

    def levels(self, values: Sequence[ArrayLike]) -> Array:
        """Compute ln of each size's value in every resample (sizes, resamples), from values (seeds, texts).

        A model's value is the mean over the texts drawn, a size's the geometric mean over the seeds drawn; not finite where a
        mean is not positive.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return over_seeds([np.log(self.means(value)) for value in values], self.seeds)


def draw_resamples(documents: ArrayLike, seeds: Sequence[int], resamples: int, rng: np.random.Generator) -> Resamples:
    """Draw resamples for texts of the named documents (texts,) and the given number of seeds of each size."""
    texts = Documents.draw(documents, resamples, rng).draws
    return Resamples(texts, [seed_counts(number, resamples, rng).T.astype(float) for number in seeds])
