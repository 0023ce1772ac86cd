"""Uncertainty: t intervals of slopes, resampling of documents and then seeds, and partial correlations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from geomkit.arrays import Array
from geomkit.errors import DataError


class Estimate(NamedTuple):
    """A value, its interval, and the degrees of freedom behind it."""

    value: float
    low: float
    high: float
    freedom: int


def slope(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Estimate:
    """Least-squares slope of y on x, both (n,), with its t interval on n - 2 degrees of freedom.

    On ln x and ln y, size means, it is the exponent of a power law. The difference between the exponents of a measurement and its
    null is the slope of ln(value / null), whose scatter leaves out what both share.
    Raises DataError below three points, if one is not finite, or if x does not vary.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or x.size < 3 or not np.isfinite(x + y).all() or np.ptp(x) == 0:
        raise DataError(f"a slope needs three points or more, finite, at different x; found shapes {x.shape} and {y.shape}")
    weight = slope_weights(x)
    residuals = y - y.mean() - (weight @ y) * (x - x.mean())
    error = math.sqrt(residuals @ residuals / (x.size - 2) * (weight @ weight))
    width = float(stats.t.ppf((1 + level) / 2, x.size - 2)) * error
    value = float(weight @ y)
    return Estimate(value, value - width, value + width, x.size - 2)


def slope_weights(x: Array) -> Array:
    """w with w . y the least-squares slope of y on x."""
    centred = x - x.mean()
    weights: Array = centred / (centred @ centred)
    return weights


def percentile_interval(draws: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of a statistic's resamples (resamples,); resamples without a value (NaN) are left out."""
    low, high = np.nanquantile(np.asarray(draws, dtype=float), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def document_counts(documents: ArrayLike, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each text is in each resample (resamples, texts), documents drawn with replacement, each with all of its texts.

    `documents` (texts,) names each text's document.
    """
    names, index = np.unique(np.asarray(documents), return_inverse=True)
    return rng.multinomial(names.size, np.full(names.size, 1 / names.size), size=resamples)[:, index]


def seed_counts(seeds: int, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each seed of one size is in each resample (resamples, seeds)."""
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)


def over_seeds(values: Sequence[Array], counts: Sequence[NDArray[Any]]) -> Array:
    """Mean over the seeds drawn of each size's values (seeds, resamples): (sizes, resamples). Not finite where one drawn is not.

    counts: for each size (seeds, resamples), how often each seed was drawn.
    """
    pairs = zip(values, counts, strict=True)
    with np.errstate(invalid="ignore"):
        return np.array([np.where(seeds > 0, seeds * value, 0.0).sum(axis=0) / seeds.sum(axis=0) for value, seeds in pairs])


@dataclass(frozen=True)
class Resamples:
    """Documents and then, for each size, seeds drawn with replacement: how often each was drawn.

    It holds the sizes fixed: it is the measurement's part of the uncertainty, and far too narrow as the uncertainty of a law.
    texts: (texts, resamples); seeds: for each size (seeds, resamples).
    """

    texts: Array
    seeds: Sequence[Array]

    def means(self, values: ArrayLike) -> Array:
        """Means over the texts drawn (..., resamples) of values (..., texts)."""
        means: Array = np.asarray(values, dtype=float) @ (self.texts / self.texts.sum(axis=0))
        return means

    def levels(self, values: Sequence[ArrayLike]) -> Array:
        """ln of each size's value in every resample (sizes, resamples), of values (seeds, texts).

        A model's value is the mean over the texts drawn, a size's the geometric mean over the seeds drawn; not finite where a
        mean is not positive.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return over_seeds([np.log(self.means(value)) for value in values], self.seeds)


def draw_resamples(documents: ArrayLike, seeds: Sequence[int], resamples: int, rng: np.random.Generator) -> Resamples:
    """Resamples for texts of the named documents (texts,) and the given number of seeds of each size."""
    texts = document_counts(documents, resamples, rng).T.astype(float)
    return Resamples(texts, [seed_counts(number, resamples, rng).T.astype(float) for number in seeds])


def partial_correlation(x: ArrayLike, y: ArrayLike, controls: ArrayLike = ()) -> float:
    """Correlation of x and y (n,) with what controls (n,) or (controls, n) explain linearly taken out of both.

    Pearson's r without controls. 0 for variables that are related through the controls alone.
    Raises DataError for shapes that do not match and where nothing of x or y is left.
    """
    columns = [np.asarray(column, dtype=float) for column in (x, y, *np.atleast_2d(np.asarray(controls, dtype=float)))]
    columns = columns[:2] + [column for column in columns[2:] if column.size]
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
        raise DataError(f"x, y and controls have shapes {', '.join(str(column.shape) for column in columns)}; they must be alike")
    table = np.stack(columns)
    table -= table.mean(axis=1, keepdims=True)
    rest = table[:2] - [explained(row, table[2:]) for row in table[:2]]
    if not (np.linalg.norm(rest, axis=1) > 1e-10 * np.linalg.norm(table[:2], axis=1)).all():
        raise DataError("no correlation: x or y does not vary beside its controls")
    return float(np.corrcoef(rest)[0, 1])


def explained(y: ArrayLike, controls: ArrayLike, among: ArrayLike | None = None) -> Array:
    """What an intercept and controls (controls, n) explain linearly of y (n,), or would, where the fit is to those of the mask
    `among` alone; controls may depend on each other."""
    y = np.asarray(y, dtype=float)
    table = np.vstack([np.ones(y.size), np.asarray(controls, dtype=float)]).T
    fitted = slice(None) if among is None else np.asarray(among)
    found: Array = table @ np.linalg.lstsq(table[fitted], y[fitted], rcond=None)[0]
    return found


def categories(*labels: ArrayLike) -> Array:
    """Controls (controls, n) that hold each of the labels (n,) fixed, whatever its effect is: a column for each value but one."""
    found = [np.unique(np.asarray(label), return_inverse=True) for label in labels]
    return np.vstack([np.eye(values.size)[1:, index] for values, index in found])


def partial_correlation_interval(
    x: ArrayLike, y: ArrayLike, controls: ArrayLike = (), level: float = 0.95, independent: int | None = None
) -> Estimate:
    """Partial correlation with Fisher's z interval, on n - 3 - rank of the controls degrees of freedom.

    `independent`: the number of independent observations, where fewer than n: sizes, say, of which each has several rows whose
    deviations go together. Then there are no more than that less 3 degrees of freedom. Raises DataError without one.
    """
    given = np.atleast_2d(np.asarray(controls, dtype=float))
    rank = int(np.linalg.matrix_rank(given - given.mean(axis=1, keepdims=True))) if given.size else 0
    number = np.size(x) if independent is None else independent
    freedom = min(np.size(x) - rank, number) - 3
    if freedom < 1:
        raise DataError(f"{number} observations are too few for the interval of a partial correlation")
    value = partial_correlation(x, y, controls)
    if abs(value) == 1:
        return Estimate(value, value, value, freedom)
    width = float(stats.norm.ppf((1 + level) / 2)) / math.sqrt(freedom)
    return Estimate(value, math.tanh(math.atanh(value) - width), math.tanh(math.atanh(value) + width), freedom)
