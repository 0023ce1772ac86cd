"""Correlate ranks of few observations, with an interval that holds for few."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng

LEAST = 4
"""Observations that a rank correlation takes: with three, its interval is everything."""
DRAWN = 100_000
"""Numbers drawn for each correlation on the grid: many samples of few observations, 2,000 samples at least."""
GRID = np.concatenate([[-1.0], np.tanh(np.linspace(-4, 4, 65)), [1.0]])
"""Correlations of normal variables at which samples are drawn."""


class RankCorrelation(NamedTuple):
    """Spearman's rho, its interval, the p value of independence (two-sided), and the number of observations."""

    value: float
    low: float
    high: float
    p: float
    number: int


def rank_correlation(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> RankCorrelation:
    """Compute Spearman's rank correlation of x and y (n,), with an interval that does not assume that n is large.

    The interval inverts the two one-sided tests (Clopper, Pearson 1934): it holds every correlation under which rho as high, and
    as low, as the observed one has a probability of (1 - level) / 2 or more. The sampling distribution is drawn from normal
    variables, which serve all pairs that a monotone change of each makes normal, since ranks do not notice such changes. Their
    Spearman correlation is 6 / pi asin(r / 2) (Pearson 1907). So the interval holds 0 where p is at least 1 - level, and it has
    an end for rho = 1, where a bootstrap has no width and Fisher's z none. It is as wide as few observations make it: for rho = 1
    it begins at -0.2 for 4 of them, and at 0.96 for 10. In simulations it covers 94 to 100 %; Fisher's z with the variance of
    Bonett and Wright (2000) covers 59 % for 4 observations with r = 0.9.

    Raises DataError for fewer than `LEAST` observations, one that is not finite, and where x or y does not vary.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or x.size < LEAST:
        raise DataError(f"a rank correlation takes {LEAST} observations or more; found shapes {x.shape} and {y.shape}")
    if not np.isfinite(x + y).all() or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise DataError("a rank correlation takes finite values that vary")
    value = float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])
    samples, tail = sampled(x.size), (1 - level) / 2
    above = 1 - np.array([np.searchsorted(row, value - 1e-9) for row in samples]) / samples.shape[1]
    below = np.array([np.searchsorted(row, value + 1e-9) for row in samples]) / samples.shape[1]
    low, high = np.interp(tail, above, GRID), -np.interp(tail, below[::-1], -GRID[::-1])
    independent = GRID.size // 2
    p = min(1.0, 2 * float(min(above[independent], below[independent])))
    return RankCorrelation(value, spearman_of(low), spearman_of(high), p, x.size)


def spearman_of(correlation: float) -> float:
    """Return Spearman's correlation of two normal variables with this correlation."""
    return float(6 / np.pi * np.arcsin(correlation / 2))


@lru_cache(maxsize=64)
def sampled(number: int) -> Array:
    """Draw Spearman's rho of so many pairs of normal variables, sorted: (correlations of `GRID`, samples).

    The same normal numbers serve every correlation, so probabilities change with it smoothly.
    """
    draw = rng(0, "rank correlation", number)
    first, second = draw.standard_normal((2, max(2000, DRAWN // number), number))
    first.sort(axis=1)
    places, scale = np.arange(number) - (number - 1) / 2, (number**3 - number) / 12
    drawn = [places[np.argsort(r * first + np.sqrt(1 - r * r) * second, axis=1)] @ places / scale for r in GRID]
    return np.sort(np.stack(drawn), axis=1)
