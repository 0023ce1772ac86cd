"""Compare the exponent of a measurement with model size to those of its nulls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from geomkit.core.arrays import Array
from geomkit.core.variants import WIDTH_NULLS
from geomkit.laws.differences import ROUNDING
from geomkit.laws.resampling import Resamples, over_seeds, percentile_interval
from geomkit.laws.statistics import Estimate, slope, slope_weights


class Verdict(StrEnum):
    """Verdict on an exponent beside nulls that act on spectra.

    They are all that a published table has, which has no tokens, and they are weak: effects of n/d enter them, and a law between
    the two is one that some spectrum of nearly the same shape would have. Laws of families that are measured here are not judged
    by them (`geomkit.laws.verdicts` has their tests).
    """

    OUTSIDE = "outside both weaker nulls"
    UNDECIDED = "undecided"
    NOT_SEEN = "width not seen"
    NO_NULL = "no null for width"
    NOT_JUDGED = "not judged"
    FAILED = "failed"


@dataclass(frozen=True)
class Comparison:
    """A null's exponent, and the measurement's minus it: the slope of ln(value / null) on ln x."""

    exponent: float
    difference: Estimate
    measurement: tuple[float, float] | None
    """The part of the difference's uncertainty that comes from the texts and seeds that were drawn."""

    @property
    def excluded(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        return not self.difference.low <= 0 <= self.difference.high


@dataclass(frozen=True)
class Exponent:
    """Slope of ln value on ln x over sizes, with its t interval, the measurement's part of it, and every null.

    Without an estimate there are no numbers, and `failure` says why.
    """

    estimate: Estimate | None = None
    measurement: tuple[float, float] | None = None
    nulls: Mapping[str, Comparison] = field(default_factory=dict)
    failure: str = ""

    @property
    def judged(self) -> tuple[Verdict, str]:
        """Return the verdict beside the weaker nulls, and the reason for it where there is more to say."""
        if self.estimate is None:
            return Verdict.FAILED, self.failure
        if not set(WIDTH_NULLS) <= set(self.nulls):
            return Verdict.NO_NULL, ""
        nulls = [self.nulls[name] for name in WIDTH_NULLS]
        if np.ptp([null.exponent for null in nulls]) < ROUNDING:
            return Verdict.NOT_SEEN, "its nulls are one, for no text is longer than the narrowest model is wide"
        if same := [name for name in WIDTH_NULLS if not self.nulls[name].excluded]:
            return Verdict.UNDECIDED, f"indistinguishable from {' and '.join(same)}"
        if len({null.difference.value > 0 for null in nulls}) > 1:
            return Verdict.UNDECIDED, f"between {' and '.join(WIDTH_NULLS)}"
        return Verdict.OUTSIDE, ""

    def unjudged(self, reason: str) -> tuple[Verdict, str]:
        """Return the verdict for a family that is measured here: whether there is an exponent, and where it is judged."""
        return (Verdict.FAILED, self.failure) if self.estimate is None else (Verdict.NOT_JUDGED, reason)

    @property
    def verdict(self) -> Verdict:
        return self.judged[0]

    @property
    def reason(self) -> str:
        return self.judged[1]


@dataclass(frozen=True)
class Levels:
    """ln of a measurement, or of a null, at each size (sizes,), and in every resample (sizes, resamples) if there are any.

    A measurement that may be negative has its own values instead of their ln; what follows then gives slopes, not exponents.

    Of a measurement that may be negative they are its own values; then what follows speaks of slopes, not exponents.
    """

    value: Array
    drawn: Array | None = None

    def __sub__(self, other: "Levels") -> "Levels":
        drawn = None if self.drawn is None or other.drawn is None else self.drawn - other.drawn
        return Levels(self.value - other.value, drawn)


def text_levels(groups: Mapping[str, Sequence[ArrayLike]], resamples: Resamples) -> dict[str, Levels]:
    """Compute levels of a measurement and of its nulls, in the same resamples, from their values on texts.

    groups: by name, for each size (seeds, texts). Texts on which anything is NaN are left out. A model's value is its mean over
    texts, a size's the geometric mean over seeds. NaN where no text is left or a mean is not positive.
    """
    arrays = {name: [np.asarray(value, dtype=float) for value in group] for name, group in groups.items()}
    whole = np.all([np.isfinite(value).all(axis=0) for group in arrays.values() for value in group], axis=0)
    kept = Resamples(resamples.texts[whole], resamples.seeds)
    result = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, group in arrays.items():
            values = [value[:, whole] for value in group]
            level = [np.log(value.sum(axis=1) / whole.sum()).mean() for value in values]
            result[name] = Levels(np.array(level), kept.levels(values))
    return result


def model_levels(values: Sequence[ArrayLike], drawn: Sequence[ArrayLike] | None, seeds: Sequence[Array]) -> Levels:
    """Compute levels from one value of each model, such as a metric of the whole corpus or the loss.

    values: for each size (seeds,); drawn: (seeds, resamples), None if nothing was resampled; seeds: how often each was drawn, in
    as many resamples or more.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.array([np.log(value).mean() for value in values])
        if drawn is None:
            return Levels(level)
        logs = [np.log(draws) for draws in drawn]
        return Levels(level, over_seeds(logs, [count[:, : log.shape[1]] for count, log in zip(seeds, logs, strict=True)]))


def exponents(sizes: Mapping[str, ArrayLike], measured: Levels, nulls: Mapping[str, Levels]) -> dict[str, Exponent]:
    """Fit the exponent of a measurement on each measure of size, and its difference from each null.

    sizes: by name, x (sizes,). Every size counts once. The t interval is over sizes; the measurement's part is that of resamples
    of documents and then seeds, the null's level taken from the same resample, and None without resamples. Levels that are not
    finite, or fewer than three sizes, give a reason and no numbers; a null that is not finite is left out.
    """
    if len(measured.value) < 3:
        return dict.fromkeys(sizes, Exponent(failure=f"{len(measured.value)} sizes"))
    if not np.isfinite(measured.value).all():
        return dict.fromkeys(sizes, Exponent(failure="at some size there is no value, or none that is positive"))
    results = {}
    for name, x in sizes.items():
        log_x = np.log(np.asarray(x, dtype=float))
        if np.ptp(log_x) == 0:
            results[name] = Exponent(failure=f"{name} does not vary")
            continue
        compared = {
            null: Comparison(slope(log_x, level.value).value, *slopes(log_x, measured - level))
            for null, level in nulls.items()
            if np.isfinite(level.value).all()
        }
        results[name] = Exponent(*slopes(log_x, measured), compared)
    return results


def slopes(log_x: Array, level: Levels) -> tuple[Estimate, tuple[float, float] | None]:
    """Fit the slope of a level with its t interval, and the measurement's part of the uncertainty.

    The part is None without resamples, and where one of them has a mean that is not positive.
    """
    part = None
    if level.drawn is not None and np.isfinite(level.drawn).all():
        part = percentile_interval(slope_weights(log_x) @ level.drawn)
    return slope(log_x, level.value), part
