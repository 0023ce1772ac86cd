"""Means, shares and rank correlations of observations that share documents, with intervals from resampled documents."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from geomkit.arrays import Array
from geomkit.errors import DataError


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
        """Documents drawn with replacement, each with all of its observations, which `names` (observations,) tells apart.

        Raises DataError for no observations.
        """
        found, index = np.unique(np.asarray(names), return_inverse=True)
        if not found.size:
            raise DataError("there is no observation to draw documents of")
        return cls(index, rng.multinomial(found.size, np.full(found.size, 1 / found.size), size=resamples).astype(float))

    def totals(self, values: Array) -> Array:
        """Sums over each document of values (observations, ...): (documents, ...)."""
        sums = np.zeros((self.counts.shape[1], *values.shape[1:]))
        np.add.at(sums, self.index, values)
        return sums

    def mean(self, values: ArrayLike, level: float = 0.95) -> Clustered:
        """Mean of values (observations,), those that are NaN left out. NaN if none is left."""
        values = np.asarray(values, dtype=float)
        known = np.isfinite(values)
        sums = self.totals(np.stack([np.where(known, values, 0.0), known], axis=1))
        total, number = (self.counts @ sums).T
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._interval(np.divide(*sums.sum(axis=0)), total / number, sums[:, 1] > 0, level)

    def partial_rank_correlation(self, x: ArrayLike, y: ArrayLike, controls: ArrayLike = (), level: float = 0.95) -> Clustered:
        """Spearman's correlation of x and y (observations,) with what the ranks of controls (controls, observations) explain
        linearly taken out of both.

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
        value = float(_partial(products.sum(axis=0)))
        if not np.isfinite(value):
            raise DataError("no rank correlation: x or y does not vary beside its controls")
        drawn = _partial(np.tensordot(self.counts, products, axes=1))
        return self._interval(value, drawn, products[:, 0, 0] > 0, level)

    def _interval(self, value: float, drawn: Array, present: NDArray[np.bool_], level: float) -> Clustered:
        number = int(present.sum())
        if number < 2:
            return Clustered(float(value), np.nan, np.nan, number)
        low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return Clustered(float(value), float(low), float(high), number)


def _partial(products: Array) -> Array:
    """Partial correlation of the second and third variable given the rest, from sums of products (..., v, v) of which the first
    variable is 1. NaN where one of them does not vary beside the rest."""
    given, pair = np.r_[0, 3 : products.shape[-1]], [1, 2]
    inner = products[..., given[:, None], given]
    outer = products[..., given[:, None], pair]
    rest = products[..., pair, :][..., pair] - outer.mT @ np.linalg.pinv(inner, rcond=1e-10, hermitian=True) @ outer
    squares = np.diagonal(rest, axis1=-2, axis2=-1)
    varies = (squares > 1e-9 * products[..., :1, 0]).all(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(varies, rest[..., 0, 1] / np.sqrt(squares.prod(axis=-1)), np.nan)
