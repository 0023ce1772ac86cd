"""What the difference of a law from its null shows: the slope of ln(value / null) on ln N, its standard error, two tests, and a
verdict that neither more precision nor less can turn into a finding by itself.

Two questions are asked of every difference, and both answers are reported. Is it *different* from 0, by its t test, Holm-adjusted
over the primary tests? Is it *small*, its 90 % interval within a margin that was fixed beforehand (two one-sided tests at 5 %:
Schuirmann 1987)? Non-rejection of either is no finding.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property, lru_cache, reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from geomkit.errors import DataError
from geomkit.laws.statistics import Array, slope_weights

LEVEL = 0.05
POWER = 0.8

MARGINS = {
    "erank_covariance": 0.02,
    "erank_singular": 0.02,
    "rate_distortion": 0.008,
    "rate_distortion_ratio": 0.008,
    "rate_distortion_paper": 0.008,
}
"""Differences of exponents that are negligible: for effective ranks, and for ratios. The rate-distortion entropy and its two
ratios have one difference from a null of the same width and length, and so one margin. A metric without one is exploratory."""

LEAST_SIZES = 5
"""Donors with fewer sizes than this are not asked whether they agree."""

ROUNDING = 1e-7
"""Of ln(value / null): hidden states are stored in single precision, so what is smaller is no difference."""


class Kind(StrEnum):
    """What a difference shows."""

    BEYOND = "beyond width"
    """Different and not small."""
    RESCALED = "beyond nesting, not beyond rescaling"
    """Different and not small, but inside the bracket of the nulls that rescale a spectrum."""
    NESTED = "nested"
    """Small and not different: width suffices to describe it, which does not say that width causes it."""
    NEGLIGIBLE = "different but negligible"
    """Both."""
    UNDECIDED = "undecided"
    """Neither."""
    DONOR_DEPENDENT = "donor-dependent"
    """What the widest model's null shows, another donor's contradicts."""
    UNTESTED = "untested"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """A kind and, in words and numbers, why."""

    kind: Kind
    reason: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.reason}"


@dataclass(frozen=True)
class Difference:
    """ln(value / null) of one donor, at the sizes that it is a null for: all but its own, where the null is the measurement.

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
        """Why it has no slope with a standard error; empty if it has one."""
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
        """The same at those of its sizes that are among the given ones."""
        kept = np.isin(self.size, np.asarray(sizes))
        seeds = [values for values, keep in zip(self.seeds, kept, strict=True) if keep]
        return Difference(np.asarray(self.size)[kept], seeds, None if self.drawn is None else self.drawn[kept])


def difference_of(size: ArrayLike, value: ArrayLike, null: ArrayLike, texts: ArrayLike) -> Difference | None:
    """ln(value / null), each the mean over texts, at the sizes at which the null is known; None at fewer than one.

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
    """Scatter of seeds within sizes, pooled: sum of squares over sum of (seeds - 1)."""

    variance: float
    freedom: int


def pure_error(seeds: Sequence[ArrayLike]) -> PureError | None:
    """Of values of the seeds of each size; None if no size has two."""
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
        """The larger of the size-level and the pure-error one, in quadrature with documents and donors.

        Seeds of a size differ and so do size means, of which some have fewer seeds: residuals of few size means alone are too
        small where the size with most leverage has one seed.
        """
        return math.hypot(max(self.scatter, self.pure or 0.0), self.documents or 0.0, self.donors or 0.0, self.rounding)

    @property
    def p(self) -> float:
        """Two-sided, of a slope of 0."""
        if not self.separate:
            return 2 * float(special.stdtr(self.freedom, -abs(self.value) / self.error))
        least = math.log(1e-15)
        if self._reach(1e-15) < abs(self.value):
            return 1e-15
        return math.exp(optimize.brentq(lambda log_p: self._reach(math.exp(log_p)) - abs(self.value), least, 0.0, xtol=1e-9))

    def _reach(self, p: float) -> float:
        """The slope whose two-sided p this is."""
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
        """Whether the 90 % interval is within the margin."""
        low, high = self.interval(1 - 2 * LEVEL)
        return -margin < low and high < margin

    def attainable(self, margin: float) -> bool:
        """Whether any value would have been found small."""
        return self.half_width(1 - 2 * LEVEL) < margin

    @property
    def detectable(self) -> float:
        """The slope that a test at 5 % finds in 80 % of repetitions, at this standard error."""
        return self.half_width() / float(special.stdtrit(self.freedom, 1 - LEVEL / 2)) * detectable(self.freedom)

    @property
    def flags(self) -> tuple[str, ...]:
        """What the standard error leaves out."""
        parts = {"no replicated seeds": self.pure, "documents not resampled": self.documents, "no second donor": self.donors}
        return tuple(flag for flag, part in parts.items() if part is None)


@lru_cache
def detectable(freedom: float, power: float = POWER, level: float = LEVEL) -> float:
    """The effect, in standard errors, that a two-sided t test finds, and with its own sign, with this power: the noncentrality at
    which t exceeds its critical value so often. 2.80 with many degrees of freedom."""
    critical = float(special.stdtrit(freedom, 1 - level / 2))

    def lacking(effect: float) -> float:
        return float(stats.nct.sf(critical, freedom, effect)) - power

    high = 2 * critical
    while lacking(high) < 0:
        high *= 2
    return float(optimize.brentq(lacking, 0.0, high))


def slope_of(difference: Difference, donors: Sequence[Difference] = (), separate: bool = False) -> Slope:
    """The slope of a difference with its standard error. `donors`: the differences from all donors' nulls, this one included.

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
    """Standard deviation of the donors' slopes on sizes that all share; None for one donor or fewer than three such sizes."""
    shared = reduce(np.intersect1d, [donor.size for donor in donors]) if donors else np.empty(0)
    if len(donors) < 2 or shared.size < 3:
        return None
    return float(np.std([donor.at(shared).slope for donor in donors], ddof=1))


class Fitness(StrEnum):
    """Whether size means lie on a law as nearly as the scatter of their seeds lets them."""

    NOT_REJECTED = "not rejected"
    REJECTED = "no power law"
    UNTESTED = "untested"


@dataclass(frozen=True)
class LackOfFit:
    """F of size means about a law against the scatter of seeds, and the largest misfit, ln(measured / law), with its size."""

    kind: Fitness
    reason: str
    statistic: float | None = None
    freedom: tuple[int, int] | None = None
    p: float | None = None
    misfit: float | None = None
    at: float | None = None


def lack_of_fit(size: ArrayLike, seeds: Sequence[ArrayLike], fitted: ArrayLike | None = None, parameters: int = 2) -> LackOfFit:
    """Of a line in ln N, or of another law of so many parameters, whose values `fitted` (sizes,) are.

    seeds: for each size the ln of its values (seeds,). F = sum_j n_j (mean_j - law_j)^2 / (sizes - parameters) over the pooled
    variance of seeds is F-distributed for normal errors and a linear law fitted by least squares with the weights n_j, the
    numbers of seeds; so the line is fitted with them here, and another law should be. Of a difference it also sees what the
    null errs by, which seeds do not show, and rejects a little too often.
    """
    sizes, arrays = np.asarray(size, dtype=float), [np.asarray(values, dtype=float) for values in seeds]
    x = np.log(sizes)
    numbers, means = np.array([values.size for values in arrays], dtype=float), np.array([values.mean() for values in arrays])
    freedom = means.size - parameters
    if freedom < 1:
        return LackOfFit(Fitness.UNTESTED, f"{means.size} sizes")
    if fitted is None:
        centred = x - numbers @ x / numbers.sum()
        level = numbers @ means / numbers.sum()
        fitted = level + centred * (numbers * centred @ means / (numbers * centred @ centred))
    misfits = means - np.asarray(fitted, dtype=float)
    if not np.isfinite(misfits).all():
        return LackOfFit(Fitness.UNTESTED, "at some size there is no value, or none that is positive")
    k = int(np.abs(misfits).argmax())
    largest: dict[str, Any] = {"misfit": float(misfits[k]), "at": float(sizes[k])}
    within = pure_error(arrays)
    if within is None:
        return LackOfFit(Fitness.UNTESTED, "no replicated seeds", **largest)
    statistic = float(numbers @ misfits**2) / freedom / max(within.variance, ROUNDING**2)
    p = float(stats.f.sf(statistic, freedom, within.freedom))
    kind = Fitness.REJECTED if p < LEVEL else Fitness.NOT_REJECTED
    reason = f"F({freedom}, {within.freedom}) = {statistic:.3g}, p = {p:.2g}; largest misfit {misfits[k]:+.3g}"
    return LackOfFit(kind, reason, statistic, (freedom, within.freedom), p, **largest)


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p values (Holm 1979): the k-th smallest times (m - k + 1), no smaller than those before it and at most 1."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1)))
    return adjusted.tolist()


def one_test(slopes: Sequence[Slope]) -> list[int]:
    """For each slope the first that is the same test: a metric and its ratio to a bound that the null shares are one."""
    first: list[int] = []
    for k, slope in enumerate(slopes):
        same = [
            other
            for other in first
            if slope.sizes == slopes[other].sizes
            and max(abs(slope.value - slopes[other].value), abs(slope.error - slopes[other].error)) <= 1e-6 * slope.error
        ]
        first.append(same[0] if same else k)
    return first


@dataclass(frozen=True)
class Endpoint:
    """One measurement's differences from a null for width.

    donors: by name, the primary one first. margin: None for a metric that has none. bracket: by name, for nulls that rescale a
    spectrum; one that has no slope on the sizes of the primary donor is left out. primary: whether it is adjusted with the
    others, or exploratory and on its own. absent: why there is no null, where there is none.
    """

    donors: Mapping[str, Difference]
    margin: float | None
    bracket: Mapping[str, Difference] = field(default_factory=dict)
    primary: bool = True
    absent: str = "no null for width"

    @cached_property
    def counted(self) -> "Endpoint":
        """With the primary donor, and others that have at least five sizes."""
        names = list(self.donors)
        kept = [name for name in names if name == names[0] or np.size(self.donors[name].size) >= LEAST_SIZES]
        return replace(self, donors={name: self.donors[name] for name in kept})

    def without(self, size: float) -> "Endpoint":
        donors = {name: donor.at(donor.size[donor.size != size]) for name, donor in self.donors.items()}
        return replace(self, donors=donors)

    @property
    def bracket_slopes(self) -> dict[str, float]:
        """On the sizes of the primary donor."""
        sizes = next(iter(self.donors.values())).size
        nulls = {name: null.at(sizes) for name, null in self.bracket.items()}
        return {name: null.slope for name, null in nulls.items() if np.size(null.size) == np.size(sizes) and not null.problem}

    @property
    def refusal(self) -> Verdict | None:
        """Why nothing can be tested, if so."""
        if not self.donors:
            return Verdict(Kind.UNTESTED, self.absent)
        for name, donor in self.donors.items():
            if donor.problem:
                return Verdict(Kind.FAILED, f"{name}: {donor.problem}")
        return None


def decide(
    slope: Slope, different: bool, margin: float | None, donors: Mapping[str, float], bracket: Mapping[str, float]
) -> Verdict:
    """The verdict on a slope, of whether it is different from 0, and of its donors' slopes.

    Every donor must keep the sign of what is different, and have a point estimate within the margin of what is small. The bracket
    holds the measurement where its differences from the bracket's nulls have not all one sign.
    """
    low, high = slope.interval(1 - 2 * LEVEL)
    numbers = f"difference {slope.value:+.4f}, 90 % interval {low:+.4f} to {high:+.4f}"
    if margin is None:
        return Verdict(Kind.UNTESTED, f"no margin is fixed for it; {numbers}, {'' if different else 'not '}different from 0")
    numbers += f", margin {margin:g}"
    small = slope.small(margin)
    if not different and not small:
        return Verdict(Kind.UNDECIDED, f"{numbers}; {'small was attainable' if slope.attainable(margin) else 'too few data'}")
    against = [name for name, value in donors.items() if different and value * slope.value <= 0]
    beyond = [name for name, value in donors.items() if small and abs(value) >= margin]
    if against or beyond:
        why = [f"{donors[name]:+.4f} by {name}" for name in dict.fromkeys(against + beyond)]
        return Verdict(Kind.DONOR_DEPENDENT, f"{numbers}, but {', '.join(why)}")
    if small:
        return Verdict(Kind.NEGLIGIBLE if different else Kind.NESTED, numbers)
    if len(bracket) > 1 and min(bracket.values()) <= 0 <= max(bracket.values()):
        return Verdict(Kind.RESCALED, f"{numbers}, but between {' and '.join(bracket)}")
    return Verdict(Kind.BEYOND, numbers)


@dataclass(frozen=True)
class Judgement:
    """The verdict on one endpoint and what it rests on; without a slope, the verdict says why."""

    verdict: Verdict
    primary: bool
    margin: float | None = None
    slope: Slope | None = None
    p: float | None = None
    """Adjusted, of a primary one."""
    tests: int | None = None
    """How many primary tests there were, those that are one test counted once."""
    donors: Mapping[str, float] = field(default_factory=dict)
    """Slope of each donor that counts, on its own sizes."""
    difference: Difference | None = None
    fit: LackOfFit | None = None
    without: Mapping[float, Kind] = field(default_factory=dict)
    """The verdict with one size left out, by size; empty with fewer than four sizes."""
    bracketed: bool = False

    @property
    def different(self) -> bool | None:
        return None if self.p is None else self.p < LEVEL

    @property
    def small(self) -> bool | None:
        return None if self.slope is None or self.margin is None else self.slope.small(self.margin)

    @property
    def attainable(self) -> bool | None:
        return None if self.slope is None or self.margin is None else self.slope.attainable(self.margin)

    @property
    def changes(self) -> int:
        """How many sizes change the verdict when they are left out."""
        return sum(kind is not self.verdict.kind for kind in self.without.values())

    @property
    def fragile(self) -> bool:
        return self.changes > 1

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know beside the verdict."""
        if self.slope is None:
            return ()
        found = list(self.slope.flags)
        if not self.bracketed:
            found.append("no bracket")
        if not self.without:
            found.append("too few sizes to leave one out")
        return (*found, "fragile") if self.fragile else tuple(found)

    @property
    def by_size(self) -> list[tuple[float, float, int]]:
        """Size, mean of ln(value / null), and number of seeds: what a difference that is no power law is printed as."""
        if self.difference is None:
            return []
        pairs = zip(self.difference.size, self.difference.means, self.difference.seeds, strict=True)
        return [(float(size), float(mean), int(np.size(seeds))) for size, mean, seeds in pairs]

    @property
    def columns(self) -> dict[str, Any]:
        """As columns of a table; the verdict and its reason alone where there are no numbers."""
        columns: dict[str, Any] = {
            "verdict": self.verdict.kind,
            "reason": self.verdict.reason,
            "primary": int(self.primary),
        }
        if self.slope is None or self.fit is None:
            return columns
        slope = self.slope
        columns |= {"difference": slope.value, "error": slope.error, "sizes": slope.sizes, "freedom": slope.freedom}
        columns |= {f"error_{part}": getattr(slope, part) for part in ("scatter", "pure", "documents", "donors")}
        columns |= dict(zip(("low", "high"), slope.interval(), strict=True))
        columns |= dict(zip(("low_90", "high_90"), slope.interval(1 - 2 * LEVEL), strict=True))
        columns |= {"p": slope.p, "p_adjusted": self.p, "tests": self.tests, "different": self.different}
        columns |= {"margin": self.margin, "small": self.small, "small_attainable": self.attainable}
        columns |= {"detectable": slope.detectable, "donors": "; ".join(f"{k} {v:+.4f}" for k, v in self.donors.items())}
        columns |= {"fit": self.fit.kind, "fit_p": self.fit.p, "misfit": self.fit.misfit, "misfit_at": self.fit.at}
        return columns | {"changes": self.changes, "flags": "; ".join(self.flags)}


def judge(endpoints: Mapping[str, Endpoint], separate: bool = False) -> dict[str, Judgement]:
    """Verdicts on endpoints, by name, those that are primary adjusted for one another, each again with one size left out.

    With a size left out all endpoints lose it, and are adjusted anew. The lack of fit of a difference stands beside its verdict
    and never alters it. `separate`: see `Slope`.
    """
    counted = {name: endpoint.counted for name, endpoint in endpoints.items()}
    found = _judge(counted, separate)
    tested = {name: counted[name] for name, judgement in found.items() if judgement.difference is not None}
    sizes = {name: judgement.difference.size for name, judgement in found.items() if judgement.difference is not None}
    without: dict[str, dict[float, Kind]] = {name: {} for name in tested}
    for size in np.unique(np.concatenate([*sizes.values(), np.empty(0)])):
        rest = {name: endpoint.without(size) for name, endpoint in tested.items()}
        for name, judgement in _judge(rest, separate).items():
            if size in sizes[name] and sizes[name].size > 3:
                without[name][float(size)] = judgement.verdict.kind
    return {name: replace(judgement, without=without.get(name, {})) for name, judgement in found.items()}


def _judge(endpoints: Mapping[str, Endpoint], separate: bool) -> dict[str, Judgement]:
    refused = {name: endpoint.refusal for name, endpoint in endpoints.items()}
    slopes: dict[str, Slope] = {}
    for name, endpoint in endpoints.items():
        if refused[name] is None:
            differences = list(endpoint.donors.values())
            slopes[name] = slope_of(differences[0], differences, separate)
    primary = [name for name in slopes if endpoints[name].primary]
    first = one_test([slopes[name] for name in primary])
    kept = sorted(set(first))
    adjusted = dict(zip(kept, holm([slopes[primary[k]].p for k in kept]), strict=True))
    p = {name: slope.p for name, slope in slopes.items()} | {name: adjusted[k] for name, k in zip(primary, first, strict=True)}
    results = {}
    for name, endpoint in endpoints.items():
        if refusal := refused[name]:
            results[name] = Judgement(refusal, endpoint.primary, endpoint.margin)
            continue
        donors = {donor: difference.slope for donor, difference in endpoint.donors.items()}
        difference = next(iter(endpoint.donors.values()))
        bracket = endpoint.bracket_slopes
        results[name] = Judgement(
            verdict=decide(slopes[name], p[name] < LEVEL, endpoint.margin, donors, bracket),
            primary=endpoint.primary,
            margin=endpoint.margin,
            slope=slopes[name],
            p=p[name],
            tests=len(kept) if endpoint.primary else None,
            donors=donors,
            difference=difference,
            fit=lack_of_fit(difference.size, difference.seeds),
            bracketed=len(bracket) > 1,
        )
    return results
