"""Fit the slope of ln(value / null) on ln N, with its standard error from scatter, seeds, documents and donors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from geomkit.core.errors import DataError
from geomkit.laws.statistics import Array, slope_weights

LEVEL = 0.05
POWER = 0.8

ROUNDING = 1e-7
"""Least difference of ln(value / null): hidden states are stored in single precision, so what is smaller is rounding."""


@dataclass(frozen=True)
class Difference:
    """ln(value / null) of one donor, at all sizes but its own, where the null is the measurement.

    size: N (sizes,), distinct. seeds: for each size the values of its seeds (seeds,). drawn: size means in resamples of documents
    alone (sizes, resamples), the null's taken from the same resample.
    """

    size: Array
    seeds: Sequence[Array]
    drawn: Array | None = None

    @cached_property
    def log_size(self) -> Array:
        return np.log(np.asarray(self.size, dtype=float))

    @cached_property
    def means(self) -> Array:
        return np.array([np.mean(values) for values in self.seeds])

    @property
    def slope(self) -> float:
        """Least-squares slope of the size means on ln N; every size counts once."""
        return float(slope_weights(self.log_size) @ self.means)

    @property
    def problem(self) -> str:
        """Reason why it has no slope with a standard error; empty if it has one."""
        if len(self.seeds) != np.size(self.size) or (self.drawn is not None and len(self.drawn) != np.size(self.size)):
            return f"{np.size(self.size)} sizes do not match {len(self.seeds)} groups of seeds"
        if not all(np.size(values) for values in self.seeds):
            return "at some size there is no value"
        if np.unique(self.size).size < max(3, np.size(self.size)):
            return f"{np.unique(self.size).size} different sizes of {np.size(self.size)}; at least 3 are needed, each once"
        if not (np.isfinite(self.log_size).all() and np.isfinite(self.means).all()):
            return "at some size there is no value, or none that is positive"
        if self.drawn is not None and not np.isfinite(self.drawn).all():
            return "in some resample of documents there is no value, or none that is positive"
        return ""

    def at(self, sizes: ArrayLike) -> "Difference":
        """Restrict the difference to the given sizes."""
        kept = np.isin(self.size, np.asarray(sizes))
        seeds = [values for values, keep in zip(self.seeds, kept, strict=True) if keep]
        return Difference(np.asarray(self.size)[kept], seeds, None if self.drawn is None else self.drawn[kept])


def difference_of(size: ArrayLike, value: ArrayLike, null: ArrayLike, texts: ArrayLike) -> Difference | None:
    """Compute ln(value / null), each the mean over texts, at the sizes at which the null is known; None if there are none.

    size (models,), the same for seeds; value and null (models, texts), NaN where there is none; texts (texts, resamples): how
    often each was drawn. Texts on which either is not known are left out at all sizes.
    """
    of_model, value, null, texts = (np.asarray(array, dtype=float) for array in (size, value, null, texts))
    groups = {one: np.flatnonzero(of_model == one) for one in np.unique(of_model)}
    groups = {one: rows for one, rows in groups.items() if np.isfinite(null[rows]).any()}
    if not groups:
        return None
    known = np.concatenate(list(groups.values()))
    whole = np.isfinite(value[known]).all(axis=0) & np.isfinite(null[known]).all(axis=0)
    if not whole.any():
        return None
    drawn = texts[whole] / np.maximum(texts[whole].sum(axis=0), 1)

    def logs(values: Array) -> tuple[Array, Array]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(values[:, whole].mean(axis=1)), np.log(values[:, whole] @ drawn)

    seeds, draws = [], []
    for rows in groups.values():
        (own, own_drawn), (other, other_drawn) = logs(value[rows]), logs(null[rows])
        seeds.append(own - other)
        draws.append((own_drawn - other_drawn).mean(axis=0))
    return Difference(np.array(list(groups)), seeds, np.array(draws))


@dataclass(frozen=True)
class PureError:
    """Pooled scatter of seeds within sizes: sum of squares over sum of (seeds - 1)."""

    variance: float
    freedom: int


def pure_error(seeds: Sequence[ArrayLike]) -> PureError | None:
    """Pool the scatter of seeds within sizes; None if no size has two seeds."""
    arrays = [np.asarray(values, dtype=float) for values in seeds]
    freedom = sum(values.size - 1 for values in arrays)
    if not freedom:
        return None
    return PureError(float(sum(((values - values.mean()) ** 2).sum() for values in arrays)) / freedom, freedom)


@dataclass(frozen=True)
class Slope:
    """A slope and the parts of its standard error; a part that could not be measured is None."""

    value: float
    sizes: int
    scatter: float
    """From the residuals of size means about the line."""
    pure: float | None
    """From the scatter of seeds within sizes, each size's mean as exact as its number of seeds makes it."""
    documents: float | None
    """Standard deviation in resamples of documents."""
    donors: float | None
    """Standard deviation of the donors' slopes on the sizes that they share."""
    rounding: float = 0.0
    number_of_donors: int = 1
    separate: bool = False
    """Whether each part of the error has a quantile of its own: t with sizes - 2 for scatter and seeds, normal for documents, t
    with donors - 1 for donors. One t for all has too many degrees of freedom where two donors differ more than all else errs."""

    @property
    def freedom(self) -> int:
        return self.sizes - 2

    @property
    def error(self) -> float:
        """Standard error: the larger of the size-level and the pure-error one, in quadrature with documents and donors.

        Seeds of a size differ and so do size means, of which some have fewer seeds: residuals of few size means alone are too
        small where the size with most leverage has one seed.
        """
        return math.hypot(max(self.scatter, self.pure or 0.0), self.documents or 0.0, self.donors or 0.0, self.rounding)

    @property
    def p(self) -> float:
        """Two-sided p value of a slope of 0."""
        if not self.separate:
            return 2 * float(special.stdtr(self.freedom, -abs(self.value) / self.error))
        least = math.log(1e-15)
        if self._reach(1e-15) < abs(self.value):
            return 1e-15
        return math.exp(optimize.brentq(lambda log_p: self._reach(math.exp(log_p)) - abs(self.value), least, 0.0, xtol=1e-9))

    def _reach(self, p: float) -> float:
        """Return the slope with this two-sided p."""
        t = -float(special.stdtrit(self.freedom, p / 2))
        if not self.separate or not self.donors:
            return t * self.error
        of_donors = -float(special.stdtrit(self.number_of_donors - 1, p / 2)) * self.donors
        of_documents = -float(special.ndtri(p / 2)) * (self.documents or 0.0)
        return math.hypot(t * max(self.scatter, self.pure or 0.0), t * self.rounding, of_documents, of_donors)

    def half_width(self, level: float = 1 - LEVEL) -> float:
        return self._reach(1 - level)

    def interval(self, level: float = 1 - LEVEL) -> tuple[float, float]:
        return self.value - self.half_width(level), self.value + self.half_width(level)

    def small(self, margin: float) -> bool:
        """Whether the 90 % interval lies within the margin."""
        low, high = self.interval(1 - 2 * LEVEL)
        return -margin < low and high < margin

    def attainable(self, margin: float) -> bool:
        """Whether a slope could have been judged small at this standard error."""
        return self.half_width(1 - 2 * LEVEL) < margin

    @property
    def detectable(self) -> float:
        """Slope that a test at 5 % detects in 80 % of repetitions, at this standard error."""
        return self.half_width() / float(special.stdtrit(self.freedom, 1 - LEVEL / 2)) * detectable(self.freedom)

    @property
    def flags(self) -> tuple[str, ...]:
        """Uncertainties that the standard error leaves out."""
        parts = {"no replicated seeds": self.pure, "documents not resampled": self.documents, "no second donor": self.donors}
        return tuple(flag for flag, part in parts.items() if part is None)


@lru_cache
def detectable(freedom: float, power: float = POWER, level: float = LEVEL) -> float:
    """Compute the effect, in standard errors, that a two-sided t test detects with its own sign and this power.

    It is the noncentrality at which t exceeds its critical value so often: 2.80 with many degrees of freedom.
    """
    critical = float(special.stdtrit(freedom, 1 - level / 2))

    def lacking(effect: float) -> float:
        return float(stats.nct.sf(critical, freedom, effect)) - power

    high = 2 * critical
    while lacking(high) < 0:
        high *= 2
    return float(optimize.brentq(lacking, 0.0, high))


def slope_of(difference: Difference, donors: Sequence[Difference] = (), separate: bool = False) -> Slope:
    """Fit the slope of a difference with its standard error.

    donors: the differences from all donors' nulls, this one included.

    Raises DataError if the difference has none.
    """
    if difference.problem:
        raise DataError(difference.problem)
    x, y = difference.log_size, difference.means
    weights = slope_weights(x)
    value = float(weights @ y)
    residuals = y - y.mean() - value * (x - x.mean())
    within = pure_error(difference.seeds)
    numbers = np.array([np.size(values) for values in difference.seeds])
    return Slope(
        value=value,
        sizes=x.size,
        scatter=math.sqrt(residuals @ residuals / (x.size - 2) * (weights @ weights)),
        pure=math.sqrt(within.variance * float((weights**2 / numbers).sum())) if within else None,
        documents=None if difference.drawn is None else float(np.std(weights @ difference.drawn, ddof=1)),
        donors=spread_of_donors(donors),
        rounding=ROUNDING * float(np.linalg.norm(weights)),
        number_of_donors=max(len(donors), 1),
        separate=separate,
    )


def spread_of_donors(donors: Sequence[Difference]) -> float | None:
    """Compute the standard deviation of the donors' slopes on sizes that all share.

    None for one donor or fewer than three such sizes.
    """
    shared = reduce(np.intersect1d, [donor.size for donor in donors]) if donors else np.empty(0)
    if len(donors) < 2 or shared.size < 3:
        return None
    return float(np.std([donor.at(shared).slope for donor in donors], ddof=1))
