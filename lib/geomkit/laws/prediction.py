"""Whether a measurement tells anything about the loss that model size does not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from geomkit.errors import DataError
from geomkit.laws.statistics import Array, Estimate, partial_correlation, partial_correlation_interval, percentile_interval


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
        same_size = np.repeat(np.eye(len(number))[1:], number, axis=1)
        between = partial_correlation_interval(np.concatenate(value), np.concatenate(loss), same_size)
    return Prediction(
        partial=partial,
        measurement=percentile_interval(draws),
        error_size=leave_one_size_out(log_n, losses, log_n),
        error_both=leave_one_size_out([log_n, values], losses, log_n),
        between_seeds=between,
    )


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
