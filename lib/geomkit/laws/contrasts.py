"""Compare models of one width with their controls: differences of logarithms with intervals, and correlations within widths.

Where width is the same, so are every bound, n / d and the number of directions: nulls for width have no part in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.laws.statistics import categories, partial_correlation_interval

LEVEL, POWER = 0.05, 0.8

Terms = Sequence[tuple[int, ArrayLike]]
"""(sign, values (models, texts)): of each model, the sum of signed ln means over texts."""


@dataclass(frozen=True)
class Contrast:
    """A difference of logarithms, its 95 % interval (None where nothing was drawn), and the terms it was made from."""

    value: float
    low: float | None
    high: float | None
    seeds: int
    twins: int | None
    texts: int

    @property
    def sign(self) -> int | None:
        """1 or -1 where the interval excludes 0, 0 where it does not, None without one."""
        if self.low is None or self.high is None:
            return None
        return int(self.low > 0) - int(self.high < 0)


def contrast(seeds: Terms, twins: Terms | None = None, draws: ArrayLike | None = None) -> Contrast:
    """Average the terms of trained seeds, minus those of twins where there are twins.

    A term's models are the same in all terms: their difference is taken model by model, so that what they share leaves the
    scatter. Texts that have no value in one of the arrays are left out of all. draws (texts, resamples): how often each text is
    in each resample of documents, the same for trained models and twins.
    Parts of the interval add in quadrature, each with its own quantile: documents (the standard deviation over resamples,
    normal), seeds and twins (the standard error of their mean, t). A part that has one member is left out: the interval is then
    that of this training.
    Limits: 0 for equal arrays; for values that are all multiplied by c, ln c whatever is drawn.
    Raises DataError where no text has all values, and for a mean that is not positive.
    """
    groups = [
        [(sign, np.atleast_2d(np.asarray(values, dtype=float))) for sign, values in terms] for terms in (seeds, twins or [])
    ]
    whole = np.all([np.isfinite(values).all(axis=0) for terms in groups for _, values in terms], axis=0)
    if not whole.any():
        raise DataError("no text has all values")
    weights = np.ones((int(whole.sum()), 1))
    if draws is not None:
        drawn = np.asarray(draws, dtype=float)[whole]
        weights = np.hstack([weights, drawn[:, drawn.any(axis=0)]])
    weights = weights / weights.sum(axis=0)
    levels = [
        np.sum([sign * logarithm(values[:, whole] @ weights) for sign, values in terms], axis=0) for terms in groups if terms
    ]
    effect = levels[0].mean(axis=0) - (levels[1].mean(axis=0) if twins else 0.0)
    parts = [float(stats.norm.ppf(1 - LEVEL / 2) * effect[1:].std(ddof=1))] if effect.size > 2 and whole.sum() > 1 else []
    for level in levels:
        if (number := len(level)) > 1:
            parts.append(float(stats.t.ppf(1 - LEVEL / 2, number - 1) * level[:, 0].std(ddof=1) / math.sqrt(number)))
    value, reach = float(effect[0]), math.hypot(*parts)
    low, high = (value - reach, value + reach) if parts else (None, None)
    return Contrast(value, low, high, len(levels[0]), len(levels[1]) if twins else None, int(whole.sum()))


def logarithm(means: Array) -> Array:
    if not (means > 0).all():
        raise DataError("a mean is not positive: it has no logarithm")
    return np.asarray(np.log(means))


@dataclass(frozen=True)
class Within:
    """A correlation over seeds with their size held fixed, its interval, and the smallest correlation that they can detect."""

    value: float
    low: float
    high: float
    freedom: int
    detectable: float


def within(x: ArrayLike, y: ArrayLike, size: ArrayLike) -> Within:
    """Correlate x and y (models,) with size held fixed, whatever its effect is; sizes with one seed contribute nothing.

    detectable: `detectable_correlation`. Raises DataError for fewer than three more seeds than sizes that have
    several, and where x or y does not vary within sizes.
    """
    x, y, size = np.asarray(x, dtype=float), np.asarray(y, dtype=float), np.asarray(size)
    _, place, number = np.unique(size, return_inverse=True, return_counts=True)
    several = number[place] > 1
    if several.sum() - (number > 1).sum() < 3:
        raise DataError(f"{several.sum()} seeds of {(number > 1).sum()} sizes are too few for a correlation within sizes")
    controls = categories(size[several]) if (number > 1).sum() > 1 else ()
    value, low, high, freedom = partial_correlation_interval(x[several], y[several], controls)
    return Within(value, low, high, freedom, detectable_correlation(freedom))


def detectable_correlation(freedom: int) -> float:
    """Compute the correlation that a two-sided test at 5 % detects with 80 % power, on Fisher's scale.

    It is tanh((1.96 + 0.84) / sqrt(freedom)): .48 for 32 runs of two sizes, which leave 28 degrees of freedom.
    """
    z = stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER)
    return math.tanh(float(z) / math.sqrt(freedom))
