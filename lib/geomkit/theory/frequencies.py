"""Estimate the exponent of a frequency table, by maximum likelihood of a discrete power law above a least count."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from geomkit.core.errors import DataError
from geomkit.theory.skills import LEAST_TYPES, Array, checked_counts

STEEPEST = 8.0
"""The largest exponent g that is tried."""


@dataclass(frozen=True)
class FrequencyExponent:
    """The exponent of a frequency table: p(count = x) proportional to x^-g for x >= xmin, and a = 1 / (g - 1) - 1 of the theory,
    where frequencies fall as rank^-(1 + a).

    status: `law` where the interval of a is above 0, `no asymptotic law` where none of it is, else `undecided`; `bound hit`
    where g is at the end of its range. Intervals are profile likelihood with types as independent, at the given xmin: its
    choice is not in them.
    """

    status: str
    g: float
    g_interval: tuple[float, float]
    a: float
    a_interval: tuple[float, float]
    xmin: int
    types: int
    """At or above xmin."""
    distance: float
    """Kolmogorov-Smirnov distance of the types at or above xmin."""


def frequency_exponent(counts: ArrayLike, xmin: int | None = None, level: float = 0.95) -> FrequencyExponent:
    """Estimate the exponent of counts (types,). Without `xmin` it is the count with the least Kolmogorov-Smirnov distance whose
    tail has at least 100 types (Clauset, Shalizi and Newman 2009, arXiv 0706.1062, sections 3.1 and 3.3).

    Limiting case: for counts drawn from the law g is its exponent, g = 2 with a = 0 being Zipf's law.
    Raises DataError below 100 types, in the table or at and above xmin, and for a tail of one count alone.
    """
    values, repeated = np.unique(checked_counts(counts), return_counts=True)
    number = repeated.astype(float)
    types = np.cumsum(number[::-1])[::-1]
    if xmin is None:
        ends = np.flatnonzero((types >= LEAST_TYPES) & (np.arange(values.size) < values.size - 1))
        if not ends.size:
            raise DataError("a frequency table has one count alone: no exponent")
        xmin = min((int(values[k]) for k in ends), key=lambda x: distance_above(values, number, x))
    first = int(np.searchsorted(values, xmin))
    values, number = values[first:], number[first:]
    if number.sum() < LEAST_TYPES or values.size < 2:
        raise DataError(
            f"xmin = {xmin}: {number.sum():.0f} types of {values.size} counts at or above it; an exponent needs {LEAST_TYPES}"
        )
    g = likeliest(values, number, xmin)
    best, drop = log_likelihood(g, values, number, xmin), float(stats.chi2.ppf(level, 1)) / 2

    def excess(at: float) -> float:
        return best - log_likelihood(at, values, number, xmin) - drop

    low = float(optimize.brentq(excess, 1 + 1e-9, g))
    high = float(optimize.brentq(excess, g, STEEPEST)) if excess(STEEPEST) > 0 else math.inf
    status = "law" if high < 2 else "no asymptotic law" if low >= 2 else "undecided"
    return FrequencyExponent(
        status="bound hit" if g > STEEPEST - 1e-3 else status,
        g=g,
        g_interval=(low, high),
        a=rank_exponent(g),
        a_interval=(rank_exponent(high), rank_exponent(low)),
        xmin=xmin,
        types=int(number.sum()),
        distance=ks_distance(values, number, g, xmin),
    )


def distance_above(values: Array, number: Array, xmin: int) -> float:
    """Kolmogorov-Smirnov distance of the likeliest law above xmin."""
    tail = values >= xmin
    return ks_distance(values[tail], number[tail], likeliest(values[tail], number[tail], xmin), xmin)


def rank_exponent(g: float) -> float:
    """a = 1 / (g - 1) - 1: as many types have a count above x as have a rank below that of x. 0 at g = 2."""
    return 1 / (g - 1) - 1


def log_likelihood(g: float, values: Array, number: Array, xmin: float) -> float:
    """Log-likelihood of counts `values` (m,), each of `number` (m,) types: -g sum ln x - types ln zeta(g, xmin)."""
    return float(-g * (number @ np.log(values)) - number.sum() * np.log(special.zeta(g, xmin)))


def likeliest(values: Array, number: Array, xmin: float) -> float:
    """The g of the greatest likelihood, at most `STEEPEST`."""
    options = {"xatol": 1e-9}
    optimum = optimize.minimize_scalar(
        lambda g: -log_likelihood(g, values, number, xmin), bounds=(1 + 1e-9, STEEPEST), method="bounded", options=options
    )
    return float(optimum.x)


def ks_distance(values: Array, number: Array, g: float, xmin: float) -> float:
    """Greatest difference of the distribution functions of the table and the law, over all whole x >= xmin: it is at a count of
    the table, or at the number before one."""
    empirical = np.cumsum(number) / number.sum()
    at, before = (1 - special.zeta(g, x) / special.zeta(g, xmin) for x in (values + 1, values))
    return float(max(np.abs(empirical - at).max(), np.abs(np.append(0.0, empirical[:-1]) - before).max()))
