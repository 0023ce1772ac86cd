"""Test whether a law fits size means, against the scatter of seeds within sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from geomkit.laws.differences import LEVEL, ROUNDING, pure_error


class Fitness(StrEnum):
    """Verdict of the lack-of-fit test: whether size means lie as near to a law as the scatter of their seeds allows."""

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
    """Test a line in ln N, or another law with so many parameters, whose values `fitted` (sizes,) are, for lack of fit.

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
