"""Separate each width's own residual from what its donors share: the pair model of docs/protocol.md, and its verdicts.

A donor of width w, projected on the leading v directions, is a null for the models of width v. The difference

    D(w, v) = ln(measured at width v) - ln(projected from width w on v directions) = c + y_v - y_w + e,   w > v,

holds each width's own residual y twice: as target, and as donor. A single donor mixes its own into every difference; all pairs
together separate them. The y are regressed on 1, ln N and a quadratic that is orthogonal to both over the full grid of widths.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.laws.differences import LEVEL, detectable
from geomkit.laws.statistics import holm

LEAST_WIDTHS = 5
"""A jackknife over fewer widths has a t of one degree of freedom."""

FACTOR = 1.02
"""On every interval: the least that covers 94 % in every case of tests/benchmarks/pairs.csv (docs/protocol.md)."""


@dataclass(frozen=True)
class Margins:
    """Largest absolute slope, sag and level that count as negligible."""

    slope: float
    sag: float
    level: float = 0.05


MARGINS = {"erank_covariance": Margins(0.02, 0.05), "rate_distortion_ratio": Margins(0.008, 0.02)}
"""By metric, as docs/protocol.md fixes them."""


@dataclass(frozen=True)
class Confirmation:
    """Models and texts of the one confirmatory family of tests: what docs/protocol.md stated before any of them was trained.

    widths: those that no model had. seeds: those that are new at a width that had others, by width; they enter only the pooled
    estimate. corpora: ln D is averaged over them.
    """

    family: str
    widths: tuple[int, ...]
    seeds: Mapping[int, tuple[int, ...]]
    corpora: tuple[str, ...]

    def is_old(self, width: int, seed: int | None) -> bool:
        """Whether a model had been seen when the tests were fixed."""
        return width not in self.widths and seed not in self.seeds.get(width, ())


CONFIRMATION = Confirmation(
    family="ladder",
    widths=(18, 20, 28, 36, 40, 54, 60, 72, 80, 90, 100, 112),
    seeds={96: (2,), 128: (1, 2)},
    corpora=("wikipedia", "chitchat"),
)


class Verdict(StrEnum):
    """Verdict of the pair model on a law."""

    SUFFICES = "width suffices"
    """Slope, level and sag lie within their margins."""
    ON_AVERAGE = "width suffices on average"
    """The slope does; level or sag need not."""
    BEYOND = "beyond width"
    """The slope differs from 0, and its estimate lies outside the margin."""
    OPEN = "open"


class Coefficient(NamedTuple):
    """An estimate, its standard error with `FACTOR` in it, and the degrees of freedom of its t."""

    value: float
    error: float
    freedom: int

    def half_width(self, level: float = 1 - LEVEL) -> float:
        return -float(special.stdtrit(self.freedom, (1 - level) / 2)) * self.error

    def interval(self, level: float = 1 - LEVEL) -> tuple[float, float]:
        return self.value - self.half_width(level), self.value + self.half_width(level)

    @property
    def p(self) -> float:
        """Two-sided p value of the hypothesis 0."""
        return 2 * self._tail(abs(self.value))

    def p_within(self, margin: float) -> float:
        """Compute the p value of the two one-sided tests (Schuirmann 1987).

        It is below .05 if the 90 % interval lies within the margin.
        """
        return self._tail(margin - abs(self.value))

    @property
    def detectable(self) -> float:
        """Value that a test at 5 % detects in 80 % of repetitions, at this standard error."""
        return self.error * detectable(self.freedom)

    def _tail(self, distance: float) -> float:
        if self.error == 0:
            return 0.5 * (1 - math.copysign(1, distance)) if distance else 0.5
        return float(special.stdtr(self.freedom, -distance / self.error))


class Share(NamedTuple):
    """Share of an exponent that width accounts for: 1 - slope / exponent, with its Fieller interval.

    It is above 1 where the difference has the opposite sign.
    """

    value: float
    low: float
    high: float


class PValues(NamedTuple):
    """P values of a slope of 0, and of the two one-sided tests that slope, sag and level lie within their margins."""

    different: float
    slope: float
    sag: float
    level: float


def adjusted(p: Sequence[PValues]) -> list[PValues]:
    """Adjust the p values of several tests for one another (Holm 1979), term by term."""
    return [PValues(*values) for values in zip(*map(holm, zip(*p, strict=True)), strict=True)]


@dataclass(frozen=True)
class PairModel:
    """Least-squares estimates from all pairs of widths, with covariances from a delete-one-width jackknife and from documents.

    log_size: ln N (widths,). residual: y (widths,), which sum to 0. values and covariance: of slope, sag and level, and of the
    exponent of the measurement where it is known, (3, 3) or (4, 4); `FACTOR` is in the covariance. fit: root mean square of e.
    """

    log_size: Array
    residual: Array
    values: Array
    covariance: Array
    fit: float

    def _coefficient(self, index: int) -> Coefficient:
        freedom = self.log_size.size - 3
        return Coefficient(float(self.values[index]), math.sqrt(self.covariance[index, index]), freedom)

    @property
    def slope(self) -> Coefficient:
        """Average difference of exponents over these widths."""
        return self._coefficient(0)

    @property
    def sag(self) -> Coefficient:
        """Range of the quadratic over the grid, negative where both ends lie below its middle."""
        return self._coefficient(1)

    @property
    def level(self) -> Coefficient:
        """Constant that all differences share: 0 where projection itself changes nothing."""
        return self._coefficient(2)

    @property
    def exponent(self) -> Coefficient | None:
        """Slope of ln(measured) on ln N, beside the same quadratic."""
        return self._coefficient(3) if self.values.size > 3 else None

    @property
    def projected(self) -> Coefficient | None:
        """Exponent of the projected null, with what donors share taken out: that of the measurement minus the slope."""
        if self.exponent is None:
            return None
        weights = np.array([-1.0, 0.0, 0.0, 1.0])
        return self.exponent._replace(value=float(weights @ self.values), error=math.sqrt(weights @ self.covariance @ weights))

    @property
    def share(self) -> Share | None:
        """Share of the exponent that width accounts for; None where its |t| is below 4 or Fieller's interval is unbounded."""
        if self.exponent is None or abs(self.exponent.value) < 4 * self.exponent.error:
            return None
        t = -float(special.stdtrit(self.slope.freedom, LEVEL / 2))
        above, below = self.values[0], self.values[3]
        top, both, bottom = self.covariance[0, 0], self.covariance[0, 3], self.covariance[3, 3]
        a, b, c = below**2 - t**2 * bottom, above * below - t**2 * both, above**2 - t**2 * top
        if a <= 0:
            return None
        spread = math.sqrt(max(b**2 - a * c, 0.0)) / a
        return Share(1 - above / below, 1 - b / a - spread, 1 - b / a + spread)

    def p_values(self, margins: Margins) -> PValues:
        """Compute the p values behind a verdict, not adjusted."""
        terms = zip((self.slope, self.sag, self.level), (margins.slope, margins.sag, margins.level), strict=True)
        return PValues(self.slope.p, *(term.p_within(margin) for term, margin in terms))

    def verdict(self, margins: Margins, p: PValues | None = None) -> Verdict:
        """Judge by docs/protocol.md, from adjusted p values where there are others to adjust for.

        What is negligible and what differs by more than the margin exclude each other.
        """
        p = self.p_values(margins) if p is None else p
        if p.slope < LEVEL:
            return Verdict.SUFFICES if max(p.sag, p.level) < LEVEL else Verdict.ON_AVERAGE
        return Verdict.BEYOND if p.different < LEVEL and abs(self.slope.value) > margins.slope else Verdict.OPEN


@dataclass(frozen=True)
class PairDesign:
    """Linear maps from differences of pairs to the estimates of the pair model, and to those without each width.

    log_size: ln N (widths,), all different. donor, target: numbers of the widths of each pair (pairs,).
    """

    log_size: Array
    donor: NDArray[np.intp]
    target: NDArray[np.intp]

    @classmethod
    def complete(cls, log_size: ArrayLike) -> "PairDesign":
        """Build the design in which every wider model is a donor of every narrower one: (widths, widths - 1) / 2 pairs."""
        x = np.asarray(log_size, dtype=float)
        target, donor = np.triu_indices(x.size, 1)
        return cls(x, donor, target)

    @cached_property
    def basis(self) -> Array:
        """Regressors (widths, 3): 1, ln N about its mean, and a quadratic of range 1 that is orthogonal to both."""
        x = self.log_size - self.log_size.mean()
        linear = np.stack([np.ones_like(x), x], axis=1)
        bend = x**2 - linear @ np.linalg.lstsq(linear, x**2, rcond=None)[0]
        return np.column_stack([linear, bend / np.ptp(bend)])

    @cached_property
    def separation(self) -> Array:
        """Map from differences (pairs,) to c and the y: (1 + widths, pairs)."""
        rows = np.arange(self.donor.size)
        table = np.zeros((rows.size, 1 + self.log_size.size))
        table[:, 0] = 1
        table[rows, 1 + self.target] += 1
        table[rows, 1 + self.donor] -= 1
        return np.asarray(np.linalg.pinv(table))  # of least norm: the y sum to 0

    def _estimates(self, kept: NDArray[np.bool_]) -> Array:
        """Return the map from differences (pairs,), then ln(measured) (widths,), to slope, sag, level and exponent.

        It uses only some of the widths: (4, pairs + widths).
        """
        pairs, widths = self.donor.size, self.log_size.size
        of_pairs = kept[self.donor] & kept[self.target]
        number = np.cumsum(kept) - 1
        rest = PairDesign(self.log_size[kept], number[self.donor[of_pairs]], number[self.target[of_pairs]])
        regression = np.linalg.pinv(self.basis[kept])
        weights = np.zeros((4, pairs + widths))
        weights[:2, :pairs][:, of_pairs] = regression[1:] @ rest.separation[1:]
        weights[2, :pairs][of_pairs] = rest.separation[0]
        weights[3, pairs:][kept] = regression[1]
        return weights

    @cached_property
    def weights(self) -> Array:
        """The maps `_estimates` from all widths, then without each: (1 + widths, 4, pairs + widths)."""
        everything = np.ones(self.log_size.size, dtype=bool)
        without = ~np.eye(self.log_size.size, dtype=bool)
        return np.stack([self._estimates(kept) for kept in (everything, *without)])

    def fit(
        self,
        difference: ArrayLike,
        measured: ArrayLike | None = None,
        drawn: ArrayLike | None = None,
        measured_drawn: ArrayLike | None = None,
    ) -> PairModel:
        """Fit the pair model to differences (pairs,) and, for the exponent, to ln(measured) (widths,), seeds averaged.

        drawn, measured_drawn: the same in resamples of documents, (pairs, resamples) and (widths, resamples). A jackknife over
        widths cannot see documents that shift all widths together, so their covariance is added to it.
        Raises DataError below five widths, for a width that is in no pair, and for values that are not finite.
        """
        values, widths = np.asarray(difference, dtype=float), self.log_size.size
        level = np.zeros(widths) if measured is None else np.asarray(measured, dtype=float)
        if widths < LEAST_WIDTHS or np.unique(self.log_size).size < widths:
            raise DataError(f"{np.unique(self.log_size).size} different sizes of {widths}: the pair model needs {LEAST_WIDTHS}")
        if missing := set(range(widths)) - {*self.donor.tolist(), *self.target.tolist()}:
            raise DataError(f"size number {min(missing)} of {widths} is in no pair of donor and target")
        if values.shape != self.donor.shape or level.shape != (widths,) or not np.isfinite([*values, *level]).all():
            raise DataError(f"{self.donor.size} pairs of {widths} sizes need as many finite differences; found {values.shape}")
        weights = self.weights[:, : 3 if measured is None else 4]
        estimates = weights @ np.concatenate([values, level])
        spread = estimates[1:] - estimates[1:].mean(axis=0)
        covariance = (widths - 1) / widths * spread.T @ spread
        if drawn is not None:
            columns = np.asarray(drawn, dtype=float)
            rest = np.zeros((widths, columns.shape[1])) if measured_drawn is None else np.asarray(measured_drawn, dtype=float)
            covariance = covariance + np.cov(weights[0] @ np.concatenate([columns, rest]))
        separated = self.separation @ values
        error = values - separated[0] - separated[1:][self.target] + separated[1:][self.donor]
        return PairModel(
            log_size=self.log_size,
            residual=separated[1:],
            values=estimates[0],
            covariance=FACTOR**2 * covariance,
            fit=float(np.sqrt((error**2).mean())),
        )
