"""Test whether a law differs from its null, or is practically equal to it, with verdicts that precision alone cannot change.

These are the verdicts of the protocol's version 1 (docs/protocol_1.md). They stand beside those of version 2
(`geomkit.laws.pairs`), and judge chapters that version 2 leaves to them.

Two questions are asked of every difference, and both answers are reported. Is it *different* from 0, by its t test, Holm-adjusted
over the primary tests? Is it *small*, its 90 % interval within a margin that was fixed beforehand (two one-sided tests at 5 %:
Schuirmann 1987)? Non-rejection of either is no finding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np

from geomkit.laws.differences import LEVEL, Difference, Slope, slope_of
from geomkit.laws.lack_of_fit import LackOfFit, lack_of_fit
from geomkit.laws.statistics import holm

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


class Kind(StrEnum):
    """Verdict on a difference."""

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
    """The widest model's null shows one thing, and another donor's contradicts it."""
    UNTESTED = "untested"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """A kind of verdict and its reason, in words and numbers."""

    kind: Kind
    reason: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.reason}"


def one_test(slopes: Sequence[Slope]) -> list[int]:
    """For each slope, return the first that is the same test: a metric and its ratio to a bound that the null shares are one."""
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
    """Differences of one measurement from a null for width.

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
        """Keep the primary donor, and others with at least five sizes."""
        names = list(self.donors)
        kept = [name for name in names if name == names[0] or np.size(self.donors[name].size) >= LEAST_SIZES]
        return replace(self, donors={name: self.donors[name] for name in kept})

    def without(self, size: float) -> "Endpoint":
        donors = {name: donor.at(donor.size[donor.size != size]) for name, donor in self.donors.items()}
        return replace(self, donors=donors)

    @property
    def bracket_slopes(self) -> dict[str, float]:
        """Slopes of the bracket's differences on the sizes of the primary donor."""
        sizes = next(iter(self.donors.values())).size
        nulls = {name: null.at(sizes) for name, null in self.bracket.items()}
        return {name: null.slope for name, null in nulls.items() if np.size(null.size) == np.size(sizes) and not null.problem}

    @property
    def refusal(self) -> Verdict | None:
        """Return why nothing can be tested, if so."""
        if not self.donors:
            return Verdict(Kind.UNTESTED, self.absent)
        for name, donor in self.donors.items():
            if donor.problem:
                return Verdict(Kind.FAILED, f"{name}: {donor.problem}")
        return None


def decide(
    slope: Slope, different: bool, margin: float | None, donors: Mapping[str, float], bracket: Mapping[str, float]
) -> Verdict:
    """Judge a slope by whether it is different from 0, by its margin, and by its donors' slopes.

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
    """The verdict on one endpoint and its evidence; without a slope, the verdict gives the reason."""

    verdict: Verdict
    primary: bool
    margin: float | None = None
    slope: Slope | None = None
    p: float | None = None
    """Adjusted, of a primary one."""
    tests: int | None = None
    """Number of primary tests; those that are one test count once."""
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
        """Number of sizes that change the verdict when they are left out."""
        return sum(kind is not self.verdict.kind for kind in self.without.values())

    @property
    def fragile(self) -> bool:
        return self.changes > 1

    @property
    def flags(self) -> tuple[str, ...]:
        """Caveats that a reader needs beside the verdict."""
        if self.slope is None:
            return ()
        caveats = list(self.slope.flags)
        if not self.bracketed:
            caveats.append("no bracket")
        if not self.without:
            caveats.append("too few sizes to leave one out")
        return (*caveats, "fragile") if self.fragile else tuple(caveats)

    @property
    def by_size(self) -> list[tuple[float, float, int]]:
        """Return size, mean of ln(value / null), and number of seeds, for printing a difference that is no power law."""
        if self.difference is None:
            return []
        pairs = zip(self.difference.size, self.difference.means, self.difference.seeds, strict=True)
        return [(float(size), float(mean), int(np.size(seeds))) for size, mean, seeds in pairs]

    @property
    def columns(self) -> dict[str, Any]:
        """Return the columns of a table; only the verdict and its reason where there are no numbers."""
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
    """Judge endpoints by name, the primary ones adjusted for one another, each again with one size left out.

    With a size left out all endpoints lose it, and are adjusted anew. The lack of fit of a difference stands beside its verdict
    and never alters it. `separate`: see `Slope`.
    """
    counted = {name: endpoint.counted for name, endpoint in endpoints.items()}
    judgements = _judge(counted, separate)
    tested = {name: counted[name] for name, judgement in judgements.items() if judgement.difference is not None}
    sizes = {name: judgement.difference.size for name, judgement in judgements.items() if judgement.difference is not None}
    without: dict[str, dict[float, Kind]] = {name: {} for name in tested}
    for size in np.unique(np.concatenate([*sizes.values(), np.empty(0)])):
        rest = {name: endpoint.without(size) for name, endpoint in tested.items()}
        for name, judgement in _judge(rest, separate).items():
            if size in sizes[name] and sizes[name].size > 3:
                without[name][float(size)] = judgement.verdict.kind
    return {name: replace(judgement, without=without.get(name, {})) for name, judgement in judgements.items()}


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
