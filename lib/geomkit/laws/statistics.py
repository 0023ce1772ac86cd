"""Slopes and partial correlations with their intervals."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError


class Estimate(NamedTuple):
    """A value, its interval, and the degrees of freedom behind it."""

    value: float
    low: float
    high: float
    freedom: int


def slope(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Estimate:
    """Fit the least-squares slope of y on x, both (n,), with its t interval on n - 2 degrees of freedom.

    On ln x and ln y, size means, it is the exponent of a power law. The difference between the exponents of a measurement and its
    null is the slope of ln(value / null), whose scatter leaves out what both share.
    Raises DataError below three points, if one is not finite, or if x does not vary.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or x.size < 3 or not np.isfinite(x + y).all() or np.ptp(x) == 0:
        raise DataError(f"a slope needs three points or more, finite, at different x; found shapes {x.shape} and {y.shape}")
    weight = slope_weights(x)
    residuals = y - y.mean() - (weight @ y) * (x - x.mean())
    error = math.sqrt(residuals @ residuals / (x.size - 2) * (weight @ weight))
    width = float(stats.t.ppf((1 + level) / 2, x.size - 2)) * error
    value = float(weight @ y)
    return Estimate(value, value - width, value + width, x.size - 2)


def slope_weights(x: Array) -> Array:
    """Return w with w . y the least-squares slope of y on x."""
    centred = x - x.mean()
    weights: Array = centred / (centred @ centred)
    return weights


def partial_correlation(x: ArrayLike, y: ArrayLike, controls: ArrayLike = ()) -> float:
    """Correlate x and y (n,) after removing what controls (n,) or (controls, n) explain linearly.

    Pearson's r without controls. 0 for variables that are related through the controls alone.
    Raises DataError for shapes that do not match and where nothing of x or y is left.
    """
    columns = [np.asarray(column, dtype=float) for column in (x, y, *np.atleast_2d(np.asarray(controls, dtype=float)))]
    columns = columns[:2] + [column for column in columns[2:] if column.size]
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
        raise DataError(f"x, y and controls have shapes {', '.join(str(column.shape) for column in columns)}; they must be alike")
    table = np.stack(columns)
    table -= table.mean(axis=1, keepdims=True)
    rest = table[:2] - [linear_prediction(row, table[2:]) for row in table[:2]]
    if not (np.linalg.norm(rest, axis=1) > 1e-10 * np.linalg.norm(table[:2], axis=1)).all():
        raise DataError("no correlation: x or y does not vary beside its controls")
    return float(np.corrcoef(rest)[0, 1])


def partial_correlations(x: Array, y: Array, control: ArrayLike) -> Array:
    """Compute the `partial_correlation` of each pair of columns of x and y (n, resamples) given one control (n,): (resamples,).

    Raises DataError where nothing of one of them is left.
    """
    given = np.linalg.qr(np.stack([np.ones(len(x)), np.asarray(control, dtype=float)], axis=1))[0]
    centred = [columns - columns.mean(axis=0) for columns in (x, y)]
    rest = [columns - given @ (given.T @ columns) for columns in centred]
    norms = [np.linalg.norm(columns, axis=0) for columns in rest]
    if not all((norm > 1e-10 * np.linalg.norm(columns, axis=0)).all() for norm, columns in zip(norms, centred, strict=True)):
        raise DataError("no correlation: x or y does not vary beside its controls")
    return np.asarray((rest[0] * rest[1]).sum(axis=0) / (norms[0] * norms[1]))


def partial_of_products(products: Array) -> Array:
    """Compute the partial correlation of the second and third variable given the rest, from sums of products (..., v, v).

    The first variable is 1. NaN where one of them does not vary beside the rest.
    """
    given, pair = np.r_[0, 3 : products.shape[-1]], [1, 2]
    inner = products[..., given[:, None], given]
    outer = products[..., given[:, None], pair]
    rest = products[..., pair, :][..., pair] - outer.mT @ np.linalg.pinv(inner, rcond=1e-10, hermitian=True) @ outer
    squares = np.diagonal(rest, axis1=-2, axis2=-1)
    varies = (squares > 1e-9 * products[..., :1, 0]).all(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(varies, rest[..., 0, 1] / np.sqrt(squares.prod(axis=-1)), np.nan)


def linear_prediction(y: ArrayLike, controls: ArrayLike, among: ArrayLike | None = None) -> Array:
    """Predict y (n,) linearly from an intercept and controls (controls, n), fitted to the points of the mask `among`.

    Controls may depend on each other.
    """
    y = np.asarray(y, dtype=float)
    table = np.vstack([np.ones(y.size), np.asarray(controls, dtype=float)]).T
    fitted = slice(None) if among is None else np.asarray(among)
    prediction: Array = table @ np.linalg.lstsq(table[fitted], y[fitted], rcond=None)[0]
    return prediction


def categories(*labels: ArrayLike) -> Array:
    """Encode labels (n,) as controls (controls, n), whatever their effect is: a column for each value but one."""
    coded = [np.unique(np.asarray(label), return_inverse=True) for label in labels]
    return np.vstack([np.eye(values.size)[1:, index] for values, index in coded])


def partial_correlation_interval(
    x: ArrayLike, y: ArrayLike, controls: ArrayLike = (), level: float = 0.95, independent: int | None = None
) -> Estimate:
    """Compute a partial correlation with Fisher's z interval, on n - 3 - rank of the controls degrees of freedom.

    `independent`: the number of independent observations, where fewer than n: sizes, say, of which each has several rows whose
    deviations go together. Then there are no more than that less 3 degrees of freedom. Raises DataError without one.
    """
    given = np.atleast_2d(np.asarray(controls, dtype=float))
    rank = int(np.linalg.matrix_rank(given - given.mean(axis=1, keepdims=True))) if given.size else 0
    number = np.size(x) if independent is None else independent
    freedom = min(np.size(x) - rank, number) - 3
    if freedom < 1:
        raise DataError(f"{number} observations are too few for the interval of a partial correlation")
    value = partial_correlation(x, y, controls)
    if abs(value) == 1:
        return Estimate(value, value, value, freedom)
    width = float(stats.norm.ppf((1 + level) / 2)) / math.sqrt(freedom)
    return Estimate(value, math.tanh(math.atanh(value) - width), math.tanh(math.atanh(value) + width), freedom)


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p values (Holm 1979): the k-th smallest times (m - k + 1), no smaller than those before it and at most 1."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1)))
    return adjusted.tolist()
