"""Test the relation that the theory of skills implies between the exponents of size and data, on fitted laws."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import interpolate, stats

from geomkit.laws.fit import NoFit, bootstrap, fit, profile
from geomkit.laws.forms import forms
from geomkit.laws.resampling import percentile_interval
from geomkit.theory.skills import Array, data_exponent

Interval = tuple[float, float]


@dataclass(frozen=True)
class Relation:
    """beta - alpha / (1 + alpha) of a fitted law, which is 0 under the theory, and beta - alpha, 0 under its rival of one
    exponent for both.

    status: theory, rival, neither or undecided, by which of the profile intervals covers 0; or failed: reason. Ends beyond the
    largest exponents that a law may have are infinite.
    """

    form: str
    status: str
    alpha: float = math.nan
    beta: float = math.nan
    theory: float = math.nan
    rival: float = math.nan
    theory_interval: Interval = (math.nan, math.nan)
    rival_interval: Interval = (math.nan, math.nan)
    theory_bootstrap: Interval = (math.nan, math.nan)
    """Percentile interval of refits to cells drawn with replacement, for comparison."""
    single: Mapping[str, Interval] = field(default_factory=dict)
    """Of alpha and beta each by itself, for those that the losses tell."""
    law: str = ""
    """Status of the fit: converged, or bound hit where a parameter is at the end of its range."""


def relation(
    form: str,
    size: ArrayLike,
    data: ArrayLike,
    loss: ArrayLike,
    resamples: int,
    rng: np.random.Generator,
    level: float = 0.95,
    points: int = 41,
) -> Relation:
    """Compute both differences of a law with exponents alpha of N and beta of D, fitted to losses (cells,).

    The profile interval of a function of the two is its range where 2 (loss - least) / variance is below F(1, n - p), all else
    fitted at each pair of exponents of a grid and interpolated between. Losses that the law meets exactly have intervals of no
    width.
    """
    x = np.array([size, data], dtype=float)
    law = fit(form, x, loss, level=level)
    if law.failed:
        return Relation(form, f"failed: {law.reason}")
    alpha, beta = law.params["alpha"], law.params["beta"]
    theory, rival = float(departure(alpha, beta)), beta - alpha
    intervals, draws = ((theory, theory), (rival, rival)), (theory, theory)
    if law.residual_sd is not None and law.residual_sd > 1e-12:
        regions = exponent_regions(form, x, np.asarray(loss, dtype=float), law.interval, law.n, level, points)
        intervals = widened(regions[0], theory), widened(regions[1], rival)
        refits = bootstrap(form, x, loss, resamples, rng).params
        draws = percentile_interval(departure(refits["alpha"], refits["beta"]), level)
    status = verdict(*(low <= 0 <= high for low, high in intervals))
    return Relation(form, status, alpha, beta, theory, rival, *intervals, draws, law.interval, str(law.status))


def widened(interval: Interval, value: float) -> Interval:
    """Extends the interval to include the value, because a grid's region may miss the very best."""
    return min(interval[0], value), max(interval[1], value)


def departure(alpha: ArrayLike, beta: ArrayLike) -> Array:
    """beta - alpha / (1 + alpha)."""
    return np.asarray(beta, dtype=float) - data_exponent(alpha)


def verdict(theory: bool, rival: bool) -> str:
    """Name the one of two predictions that an interval covers: theory, rival, neither, or undecided where it covers both."""
    if theory and rival:
        return "undecided"
    return "theory" if theory else "rival" if rival else "neither"


def covers(interval: Interval, theory: float, rival: float) -> str:
    """`verdict` of an exponent's interval over the two values that are predicted for it."""
    return verdict(*(interval[0] <= value <= interval[1] for value in (theory, rival)))


def exponent_regions(
    form: str, x: Array, loss: Array, single: Mapping[str, Interval], n: int, level: float, points: int
) -> tuple[Interval, Interval]:
    """Profile intervals of beta - alpha / (1 + alpha) and beta - alpha, over the box of the single intervals of the two."""
    kind = forms[form]
    names = ("alpha", "beta")
    least, most = ([bounds[kind.names.index(name)] for name in names] for bounds in (kind.lower, kind.upper))
    is_open = [math.isinf(single[name][1]) for name in names]
    box = []
    for k, name in enumerate(names):
        low, high = single[name][0], min(single[name][1], most[k])
        margin = 0.05 * (high - low)
        box.append(np.linspace(max(least[k], low - margin), min(most[k], high + margin), points))
    surface = profile(form, x, loss, dict(zip(names, box, strict=True)), level)
    spline = interpolate.RectBivariateSpline(*box, np.sqrt(np.maximum(2 * surface.statistic, 0)), kx=1, ky=1)
    alpha, beta = (np.linspace(axis[0], axis[-1], 8 * points) for axis in box)
    inside = spline(alpha, beta) ** 2 <= stats.f.ppf(level, 1, n - len(kind.names))
    first, second = np.meshgrid(alpha, beta, indexing="ij")
    if not inside.any():
        raise NoFit(f"{form}: a grid of {points} points a side is too coarse for the region of its exponents")
    theory, rival = (values[inside] for values in (departure(first, second), second - first))
    top = math.inf if is_open[1] else None
    steepest = beta[inside[-1]] if is_open[0] else np.empty(0)
    return (
        (float(min([theory.min(), *(steepest - 1)])), top or float(theory.max())),
        (-math.inf if is_open[0] else float(rival.min()), top or float(rival.max())),
    )
