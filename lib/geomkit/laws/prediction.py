"""Test whether a measurement predicts the loss beyond model size and data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.laws.fit import solve
from geomkit.laws.forms import Form
from geomkit.laws.resampling import percentile_interval
from geomkit.laws.statistics import (
    Estimate,
    categories,
    linear_prediction,
    partial_correlation_interval,
    partial_correlations,
)


@dataclass(frozen=True)
class Prediction:
    """Relation of a measurement to the loss with ln N held fixed."""

    partial: Estimate
    """Correlation over sizes, seeds of a size averaged, with what ln N explains linearly taken out of both."""
    measurement: tuple[float, float]
    """The part of its uncertainty that comes from the texts and seeds that were drawn."""
    error_size: float
    """Error of predicting the loss of a size that was left out, in units of the loss, from ln N alone."""
    error_both: float
    """The same from ln N and the measurement."""
    between_seeds: Estimate | None
    """Correlation between seeds of one size, where N is the same; None with one seed of each size, and for nulls that are alike
    for all seeds."""


def prediction(log_n: Array, value: Sequence[Array], loss: Sequence[Array], drawn_value: Array, drawn_loss: Array) -> Prediction:
    """Relate values to losses, for each size (seeds,), and their means over seeds in resamples (sizes, resamples), at fixed ln N.

    A null that predicts the loss as well as the measurement does shows that neither is more than a bend of the loss in ln N.
    Raises DataError with fewer than five sizes and where nothing of either is left beside ln N.
    """
    values, losses = (np.array([seeds.mean() for seeds in of_sizes]) for of_sizes in (value, loss))
    partial = partial_correlation_interval(values, losses, log_n)
    number = [seeds.size for seeds in value]
    between, apart = None, [np.ptp(seeds) > 1e-9 * np.abs(seeds).max() for seeds in value]
    if any(apart):
        size = categories(np.repeat(np.arange(len(number)), number))
        between = partial_correlation_interval(np.concatenate(value), np.concatenate(loss), size)
    return Prediction(
        partial=partial,
        measurement=percentile_interval(partial_correlations(drawn_value, drawn_loss, log_n)),
        error_size=leave_one_out(log_n, losses, log_n),
        error_both=leave_one_out([log_n, values], losses, log_n),
        between_seeds=between,
    )


def leave_one_out(predictors: ArrayLike, y: ArrayLike, groups: ArrayLike, law: ArrayLike | None = None) -> float:
    """Compute the root mean square error of linear regression, predicting each group by the others, groups weighted alike.

    The regression is of y (n,) on predictors (k, n); groups (n,) are, for example, sizes.

    With a `law`, of `laws_without` the groups, the regression is of what that leaves over; with no predictors the law predicts
    alone. Raises DataError for predictors that are not finite, and with fewer groups than coefficients and one more.
    """
    y, names = np.asarray(y, dtype=float), np.unique(np.asarray(groups))
    table = np.reshape(np.asarray(predictors, dtype=float), (-1, y.size))
    if not np.isfinite(table).all():
        raise DataError("a predictor is not finite")
    if names.size < len(table) + 2:
        raise DataError(f"{names.size} groups are too few to leave one out of a regression on {len(table)} predictors")
    errors = []
    for name, known in zip(names, np.zeros((names.size, y.size)) if law is None else np.asarray(law), strict=True):
        out = np.asarray(groups) == name
        predicted = known if law is not None and not len(table) else known + linear_prediction(y - known, table, among=~out)
        errors.append(np.mean((predicted - y)[out] ** 2))
    return float(np.sqrt(np.mean(errors)))


def laws_without(form: str, x: ArrayLike, y: ArrayLike, groups: ArrayLike) -> Array:
    """Predict y at every x (variables, n) by the law fitted without each of the groups in turn: (groups, n).

    The Huber threshold follows the scatter for every form. Raises NoFit where the others determine no law.
    """
    x, y = np.atleast_2d(np.asarray(x, dtype=float)), np.asarray(y, dtype=float)
    others = [np.asarray(groups) != name for name in np.unique(np.asarray(groups))]
    laws = [solve(form, x[:, rest], y[rest], own_threshold=False) for rest in others]
    return np.array([law.form.formula(law.params, x) for law in laws])


class LeftOut(NamedTuple):
    """A law fitted without some points, in the coordinates of its form at every point."""

    form: Form
    theta: Array

    def log(self, theta: Array) -> Array:
        """Evaluate ln y at every point (n,)."""
        return self.form.model(theta[None])[0][0]

    def derivatives(self, theta: Array) -> Array:
        """Evaluate the derivatives of ln y (n, p)."""
        return self.form.model(theta[None])[1][0]


def forms_without(form: str, x: ArrayLike, y: ArrayLike, groups: ArrayLike) -> list[LeftOut]:
    """Fit the laws of `laws_without`."""
    x, y, laws = np.atleast_2d(np.asarray(x, dtype=float)), np.asarray(y, dtype=float), []
    for name in np.unique(np.asarray(groups)):
        rest = np.asarray(groups) != name
        law = solve(form, x[:, rest], y[rest], own_threshold=False)
        laws.append(LeftOut(law.form.at(np.log(x)), law.theta))
    return laws


def leave_one_out_joint(log_metric: ArrayLike, y: ArrayLike, groups: ArrayLike, laws: Sequence[LeftOut]) -> float:
    """Compute the root mean square error of y = law(x) metric^c, predicting each group by the others.

    Law and c are fitted together by least squares of ln y, from where the law fits best alone.

    So the metric need only tell what no change of the law tells: of a power law, a trend of the metric's own neither helps nor
    hides it. Raises DataError for a metric that is not finite.
    """
    value, y, names = np.asarray(log_metric, dtype=float), np.asarray(y, dtype=float), np.unique(np.asarray(groups))
    if not np.isfinite(value).all():
        raise DataError("a predictor is not finite")
    errors = []
    for name, law in zip(names, laws, strict=True):
        out = np.asarray(groups) == name
        errors.append(np.mean((joint_prediction(value - value[~out].mean(), y, ~out, law) - y)[out] ** 2))
    return float(np.sqrt(np.mean(errors)))


def joint_prediction(value: Array, y: Array, among: Array, law: LeftOut) -> Array:
    """Predict y (n,) by law(x) exp(c value), fitted to the points of the mask `among`."""

    def misfits(theta: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return (law.log(theta[:-1]) + theta[-1] * value - np.log(y))[among]

    def jacobian(theta: Array) -> Array:
        return np.column_stack([law.derivatives(theta[:-1]), value])[among]

    bounds = ([*law.form.lower, -np.inf], [*law.form.upper, np.inf])
    start = np.append(law.theta, 0.0)
    theta = optimize.least_squares(misfits, start, jacobian, bounds, x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12).x
    return np.asarray(np.exp(law.log(theta[:-1]) + theta[-1] * value))
