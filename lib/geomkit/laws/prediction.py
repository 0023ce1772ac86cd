"""Whether a measurement tells anything about the loss that model size and data do not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from geomkit.errors import DataError
from geomkit.laws.scaling import solve
from geomkit.laws.statistics import (
    Array,
    Estimate,
    categories,
    partial_correlation,
    partial_correlation_interval,
    percentile_interval,
)


@dataclass(frozen=True)
class Prediction:
    """How a measurement goes with the loss where ln N is held fixed."""

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
    """Of values and losses, for each size (seeds,), and of their means over seeds in resamples (sizes, resamples).

    A null that tells as much about the loss as the measurement does shows that neither is more than a bend of the loss in ln N.
    Raises DataError with fewer than five sizes and where nothing of either is left beside ln N.
    """
    values, losses = (np.array([seeds.mean() for seeds in of_sizes]) for of_sizes in (value, loss))
    partial = partial_correlation_interval(values, losses, log_n)
    draws = [partial_correlation(x, y, log_n) for x, y in zip(drawn_value.T, drawn_loss.T, strict=True)]
    number = [seeds.size for seeds in value]
    between, apart = None, [np.ptp(seeds) > 1e-9 * np.abs(seeds).max() for seeds in value]
    if any(apart):
        size = categories(np.repeat(np.arange(len(number)), number))
        between = partial_correlation_interval(np.concatenate(value), np.concatenate(loss), size)
    return Prediction(
        partial=partial,
        measurement=percentile_interval(draws),
        error_size=leave_one_out(log_n, losses, log_n),
        error_both=leave_one_out([log_n, values], losses, log_n),
        between_seeds=between,
    )


def leave_one_out(predictors: ArrayLike, y: ArrayLike, groups: ArrayLike) -> float:
    """Root mean square error of linear regression of y (n,) on predictors (k, n) for each of the groups (n,), such as sizes, by
    the others, groups weighted alike. Raises DataError for predictors that are not finite, and with fewer groups than
    coefficients and one more.
    """
    predictors, y = np.atleast_2d(np.asarray(predictors, dtype=float)), np.asarray(y, dtype=float)
    demand(predictors, groups, len(predictors) + 2)
    return grouped_error(y, groups, lambda rest: regression(predictors, y, rest))


def leave_one_out_law(form: str, x: ArrayLike, y: ArrayLike, groups: ArrayLike, beside: ArrayLike = ()) -> float:
    """The same of a law's form, y (n,) at x (variables, n), and of what is `beside` it (k, n): what the law leaves over is then
    regressed on that. Raises NoFit where the other groups determine no law, and DataError as above.
    """
    x, y = np.atleast_2d(np.asarray(x, dtype=float)), np.asarray(y, dtype=float)
    more = np.reshape(np.asarray(beside, dtype=float), (-1, y.size))
    demand(more, groups, len(more) + 2)

    def predict(rest: Array) -> Array:
        law = solve(form, x[:, rest], y[rest])
        values = law.form.formula(law.params, x)
        return values + regression(more, y - values, rest) if len(more) else values

    return grouped_error(y, groups, predict)


def demand(predictors: Array, groups: ArrayLike, least: int) -> None:
    if not np.isfinite(predictors).all():
        raise DataError("a predictor is not finite")
    if (number := np.unique(np.asarray(groups)).size) < least:
        raise DataError(f"{number} groups are too few to leave one out of a regression on {len(predictors)} predictors")


def regression(predictors: Array, y: Array, rest: Array) -> Array:
    """y (n,) everywhere, by least squares where the mask `rest` is true."""
    table = np.vstack([np.ones(y.size), predictors]).T
    found: Array = table @ np.linalg.lstsq(table[rest], y[rest], rcond=None)[0]
    return found


def grouped_error(y: Array, groups: ArrayLike, predict: Callable[[Array], Array]) -> float:
    """`predict` gives y (n,) from what there is where its mask is true."""
    out = [np.asarray(groups) == group for group in np.unique(np.asarray(groups))]
    return float(np.sqrt(np.mean([np.mean((predict(~mask) - y)[mask] ** 2) for mask in out])))
