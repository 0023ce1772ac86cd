"""Compare laws of the loss on several measures of size: which the seeds reject, and which best predicts a size left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from geomkit.core.errors import DataError
from geomkit.laws.fit import Fit, NoFit, fit
from geomkit.laws.forms import Array, forms
from geomkit.laws.huber import minimise
from geomkit.laws.lack_of_fit import Fitness, LackOfFit, lack_of_fit
from geomkit.laws.prediction import laws_without

FORMS = ("power", "offset_power", "log_linear")


@dataclass(frozen=True)
class AxisLaw:
    """One form on one measure of size."""

    axis: str
    fit: Fit
    """Without intervals where the form is rejected: they would be those of a law that does not hold."""
    lack: LackOfFit
    error: float | None
    """Root mean square of ln(predicted / measured) at each size, by the law fitted without it; None if some size is needed."""
    without: Array | None
    """The loss at every size by the law fitted without each size in turn (sizes, sizes): a baseline."""

    @property
    def offset(self) -> tuple[float, float] | None:
        """Interval of the offset E, for a form that has one and is not rejected."""
        return self.fit.interval.get("E")

    @property
    def columns(self) -> dict[str, Any]:
        """Return the law as columns of a record."""
        columns = {"against": self.axis, **self.fit.as_dict(), "lack": self.lack.kind, "lack_reason": self.lack.reason}
        columns |= {"lack_p": self.lack.p, "misfit": self.lack.misfit, "misfit_at": self.lack.at}
        return columns | {"error_left_out": self.error}


def laws_on_axes(
    axes: Mapping[str, ArrayLike], losses: Sequence[ArrayLike], among: Sequence[str] = FORMS, held_out: int = 1
) -> list[AxisLaw]:
    """Fit every form on every measure of size: axes by name, x (sizes,); losses: for each size those of its seeds (seeds,).

    A form is tried against the scatter of seeds of one size, not of sizes that share x (a width of several depths).
    Raises DataError for losses that are not positive and axes of another length.
    """
    values = [np.asarray(seeds, dtype=float) for seeds in losses]
    if not all(seeds.size and np.isfinite(seeds).all() and (seeds > 0).all() for seeds in values):
        raise DataError("a law of the loss needs losses that are finite and positive at every size")
    laws = []
    for name, axis in axes.items():
        x = np.asarray(axis, dtype=float)
        if x.shape != (len(values),):
            raise DataError(f"{name} has shape {x.shape}; the losses have {len(values)} sizes")
        laws += [law_on_axis(name, form, x, values, held_out) for form in among]
    return laws


def law_on_axis(name: str, form: str, x: Array, losses: Sequence[Array], held_out: int = 1, without_each: bool = True) -> AxisLaw:
    """Fit one form on one measure of size; without the many fits for sizes left out where these are not wanted."""
    logs = [np.log(seeds) for seeds in losses]
    means = np.exp([seeds.mean() for seeds in logs])
    law = fit(form, x, means, held_out=held_out)
    if law.failed:
        return AxisLaw(name, law, LackOfFit(Fitness.UNTESTED, law.reason), None, None)
    lack = lack_of_fit(x, logs, fitted_to_seeds(form, x, logs), len(forms[form].names))
    try:
        without = laws_without(form, x, means, np.arange(x.size)) if without_each else None
    except NoFit:
        without = None
    known = without is not None and bool((np.diag(without) > 0).all())
    error = float(np.sqrt(np.mean(np.log(np.diag(without) / means) ** 2))) if without is not None and known else None
    if lack.kind is Fitness.REJECTED:
        law = replace(law, interval={})
    return AxisLaw(name, law, lack, error, without)


def fitted_to_seeds(form: str, x: Array, logs: Sequence[Array]) -> Array:
    """Return ln of the law at x that is nearest to all seeds by least squares, each size weighing as much as it has seeds."""
    kind, z = forms[form](np.log(x)[None]), np.array([seeds.mean() for seeds in logs])
    starts = kind.starts(z)
    numbers = np.tile([float(seeds.size) for seeds in logs], (len(starts), 1))
    theta, loss, _ = minimise(kind, z, starts, LEAST_SQUARES, numbers)
    return np.asarray(kind.model(theta[[int(loss.argmin())]])[0][0])


LEAST_SQUARES = 1e3
"""A Huber threshold in ln y that no residual is beyond."""


def best(laws: Sequence[AxisLaw]) -> AxisLaw:
    """Return the law with the least error on sizes left out, rejected or not: the baseline for any predictor of the loss.

    Raises DataError if none has such an error.
    """
    known = [law for law in laws if law.error is not None]
    if not known:
        raise DataError("no law of the loss foretells a size that was left out: all failed, or the sizes are too few")
    return min(known, key=lambda law: float(law.error or 0.0))
