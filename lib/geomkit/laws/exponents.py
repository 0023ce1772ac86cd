"""The exponent of a measurement with model size beside those of its nulls, and what the two together show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from geomkit.errors import DataError
from geomkit.laws.statistics import Estimate, Resamples, percentile_interval, slope, slope_weights

WIDTH_NULLS = ("fixed-spectrum", "stretched")
"""A law goes beyond width only if it is told from both."""


@dataclass(frozen=True)
class Comparison:
    """A null's exponent, and the measurement's minus it: the slope of ln(value / null) on ln x."""

    exponent: float
    difference: Estimate
    measurement: tuple[float, float] | None
    """The part of the difference's uncertainty that comes from the texts and seeds that were drawn."""

    @property
    def excluded(self) -> bool:
        """Whether the interval of the difference leaves 0 out."""
        return not self.difference.low <= 0 <= self.difference.high


@dataclass(frozen=True)
class Exponent:
    """Slope of ln value on ln x over sizes, with its t interval, the measurement's part of it, and every null.

    status: converged, or failed with the reason; then there are no numbers.
    """

    status: str
    estimate: Estimate | None = None
    measurement: tuple[float, float] | None = None
    nulls: Mapping[str, Comparison] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """What is said about width alone, which explains a law unless the intervals of both differences leave 0 out.

        An exponent between the two nulls is one that some spectrum of nearly the same shape would have: that is said, too.
        """
        if self.estimate is None:
            return self.status
        if not set(WIDTH_NULLS) <= set(self.nulls):
            return "no null for width"
        nulls = [self.nulls[name] for name in WIDTH_NULLS]
        if abs(nulls[0].exponent - nulls[1].exponent) < 1e-9:
            return "width not seen: its nulls are one, for no text is longer than the narrowest model is wide"
        if same := [name for name in WIDTH_NULLS if not self.nulls[name].excluded]:
            return f"width alone: not told from {' and '.join(same)}"
        outside = len({null.difference.value > 0 for null in nulls}) == 1
        return f"beyond width: {'outside' if outside else 'between'} the nulls"


def exponents(
    sizes: Mapping[str, ArrayLike],
    values: Sequence[ArrayLike],
    nulls: Mapping[str, Sequence[ArrayLike]],
    resamples: Resamples | None,
) -> dict[str, Exponent]:
    """The exponent of a measurement on each measure of size, and its difference from each null.

    sizes: by name, x (sizes,). values: for each size (seeds, texts); a null's arrays have the same shapes. Texts on which
    anything is NaN are left out. A model's value is its mean over texts, a size's the geometric mean over seeds; every size
    counts once. The t interval is over sizes; the measurement's part is a bootstrap of documents and then seeds, with the null
    recomputed in each resample, and None without resamples (a corpus as a whole, a published table: one text). A mean that is
    not positive, or fewer than three sizes, gives a status and no numbers.
    """
    arrays = {"": [np.asarray(value, dtype=float) for value in values]}
    arrays |= {name: [np.asarray(value, dtype=float) for value in null] for name, null in nulls.items()}
    whole = np.all([np.isfinite(value).all(axis=0) for group in arrays.values() for value in group], axis=0)
    if len(values) < 3:
        return dict.fromkeys(sizes, Exponent(f"failed: {len(values)} sizes"))
    if not whole.any():
        return dict.fromkeys(sizes, Exponent("failed: no text on which everything is defined"))
    arrays = {name: [value[:, whole] for value in group] for name, group in arrays.items()}
    with np.errstate(invalid="ignore", divide="ignore"):
        level = {name: np.array([np.log(value.mean(axis=1)).mean() for value in group]) for name, group in arrays.items()}
    if not np.isfinite(level[""]).all():
        return dict.fromkeys(sizes, Exponent("failed: a mean is not positive"))
    arrays = {name: group for name, group in arrays.items() if np.isfinite(level[name]).all()}
    kept = None if resamples is None else Resamples(resamples.texts[whole], resamples.seeds)
    drawn = {} if kept is None else {name: kept.levels(group) for name, group in arrays.items()}
    results = {}
    for name, x in sizes.items():
        log_x = np.log(np.asarray(x, dtype=float))
        if np.ptp(log_x) == 0:
            results[name] = Exponent(f"failed: {name} does not vary")
            continue
        weights = slope_weights(log_x)
        compared = {}
        for null in nulls:
            if null in arrays:
                measurement = percentile_interval(weights @ (drawn[""] - drawn[null])) if drawn else None
                difference = slope(log_x, level[""] - level[null])
                compared[null] = Comparison(slope(log_x, level[null]).value, difference, measurement)
        measurement = percentile_interval(weights @ drawn[""]) if drawn else None
        results[name] = Exponent("converged", slope(log_x, level[""]), measurement, compared)
    return results


def leave_one_size_out(predictors: ArrayLike, y: ArrayLike, sizes: ArrayLike) -> float:
    """Root mean square error of linear regression of y (n,) on predictors (k, n) for each size by the other sizes, sizes weighted
    alike. Raises DataError with fewer sizes than coefficients and one more.
    """
    table = np.vstack([np.ones(np.size(y)), np.atleast_2d(np.asarray(predictors, dtype=float))]).T
    y, sizes = np.asarray(y, dtype=float), np.asarray(sizes)
    groups = np.unique(sizes)
    if groups.size < table.shape[1] + 1:
        raise DataError(f"{groups.size} sizes are too few to leave one out of a regression on {table.shape[1] - 1} predictors")
    errors = []
    for size in groups:
        out = sizes == size
        coefficients = np.linalg.lstsq(table[~out], y[~out], rcond=None)[0]
        errors.append(np.mean((table[out] @ coefficients - y[out]) ** 2))
    return float(np.sqrt(np.mean(errors)))
