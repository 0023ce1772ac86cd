"""Regress a logarithm on several measures of a model, each cell (a width, a depth, an MLP) once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.laws.differences import ROUNDING, Slope, pure_error
from geomkit.laws.lack_of_fit import LackOfFit, lack_of_fit

CONDITION = 30.0
"""Above this condition number of centred columns of length 1, effects of collinear columns are not told apart (Belsley, Kuh,
Welsch 1980, Regression Diagnostics)."""


@dataclass(frozen=True)
class Coefficient(Slope):
    """A slope with other columns held fixed: `sizes` counts cells, of which `columns` and the intercept use up some."""

    columns: int = 1

    @property
    def freedom(self) -> int:
        return self.sizes - self.columns - 1


@dataclass(frozen=True)
class Regression:
    """The coefficient of each column, the design's condition number, and whether the seeds' scatter rejects the fit."""

    coefficients: Mapping[str, Coefficient]
    condition: float
    lack: LackOfFit


def condition_number(columns: Mapping[str, ArrayLike]) -> float:
    """Compute the condition number of columns (cells,), centred and scaled to length 1.

    It is the largest singular value over the smallest: 1 for columns that are not correlated, infinite for one that is constant
    or a combination of others.

    1 for columns that are not correlated, infinite for one that is constant or a combination of others.
    """
    table = np.array([np.asarray(column, dtype=float) for column in columns.values()])
    centred = table - table.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    if (length <= 1e-12 * np.linalg.norm(table, axis=1, keepdims=True)).any():
        return math.inf
    values = np.linalg.svd(centred / length, compute_uv=False)
    return float(values[0] / values[-1]) if values[-1] > 1e-12 * values[0] else math.inf


def regress(columns: Mapping[str, ArrayLike], seeds: Sequence[ArrayLike], drawn: ArrayLike | None = None) -> Regression:
    """Fit the cells' means by least squares on an intercept and the columns.

    columns: by name (cells,). seeds: for each cell the values of its seeds (seeds,). drawn: the cells' means in resamples of
    documents (cells, resamples). A coefficient's error is the larger of the scatter of cells about the fit and the pooled scatter
    of seeds, t with cells - columns - 1 degrees of freedom, and that of documents, normal, in quadrature (`Slope`, `separate`).
    Limit: with one column, `geomkit.laws.verdicts.slope_of`.
    Raises DataError, which names the columns, for a design that is collinear (`CONDITION`), for too few cells, and for values
    that are not finite.
    """
    names = ", ".join(columns)
    table = np.array([np.asarray(column, dtype=float) for column in columns.values()])
    values = [np.asarray(cell, dtype=float) for cell in seeds]
    cells = len(values)
    if table.shape != (len(columns), cells) or not all(cell.size for cell in values):
        raise DataError(f"a regression on {names} takes a value of each for every cell; found {table.shape} for {cells} cells")
    if cells < len(columns) + 2:
        raise DataError(f"{cells} cells are too few for a regression on {names}")
    means = np.array([cell.mean() for cell in values])
    if not (np.isfinite(table).all() and np.isfinite(means).all()):
        raise DataError(f"a regression on {names}: at some cell there is no value, or none that is positive")
    condition = condition_number(columns)
    if not condition <= CONDITION:
        raise DataError(f"{names} are collinear in these {cells} cells: condition number {condition:.3g}, allowed {CONDITION:g}")
    design = np.vstack([np.ones(cells), table]).T
    weights = np.linalg.pinv(design)
    solution = weights @ means
    residuals = means - design @ solution
    scatter = math.sqrt(residuals @ residuals / (cells - design.shape[1]))
    within = pure_error(values)
    numbers = np.array([cell.size for cell in values], dtype=float)
    draws = None if drawn is None else np.std(weights @ np.asarray(drawn, dtype=float), axis=1, ddof=1)
    coefficients = {
        name: Coefficient(
            value=float(solution[row]),
            sizes=cells,
            scatter=scatter * float(np.linalg.norm(weights[row])),
            pure=math.sqrt(within.variance * float((weights[row] ** 2 / numbers).sum())) if within else None,
            documents=None if draws is None else float(draws[row]),
            donors=None,
            rounding=ROUNDING * float(np.linalg.norm(weights[row])),
            separate=True,
            columns=len(columns),
        )
        for row, name in enumerate(columns, 1)
    }
    root = np.sqrt(numbers)
    weighted = np.linalg.lstsq(design * root[:, None], means * root, rcond=None)[0]
    lack = lack_of_fit(np.arange(1, cells + 1), values, design @ weighted, design.shape[1])
    return Regression(coefficients, condition, lack)


@dataclass(frozen=True)
class Through:
    """A slope through the origin with its t interval."""

    value: float
    low: float
    high: float
    freedom: int


def through_origin(x: ArrayLike, y: ArrayLike) -> Through:
    """Fit the least-squares slope of y on x, both (n,), without intercept, on n - 1 degrees of freedom.

    Limits: c, with an interval of no length, for y = c x. Raises DataError below two points, or where x is 0.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.size < 2 or not np.isfinite(x + y).all() or not (x @ x) > 0:
        raise DataError(f"a slope through the origin takes two points or more, finite; found shapes {x.shape} and {y.shape}")
    value = float(x @ y / (x @ x))
    rest = y - value * x
    reach = float(stats.t.ppf(0.975, x.size - 1)) * math.sqrt(rest @ rest / (x.size - 1) / (x @ x))
    return Through(value, value - reach, value + reach, x.size - 1)


def on_line(x: ArrayLike, y: ArrayLike, at: Array | float) -> Array:
    """Interpolate y linearly at other places.

    Below the smallest x the line through the two smallest continues, and above the largest that through the two largest. Raises
    DataError for fewer than two different x.
    """
    places, order = np.unique(np.asarray(x, dtype=float), return_index=True)
    if places.size < 2:
        raise DataError("a line takes two points at different places")
    values, at = np.asarray(y, dtype=float)[order], np.asarray(at, dtype=float)
    k = np.clip(np.searchsorted(places, at) - 1, 0, places.size - 2)
    return np.asarray(values[k] + (at - places[k]) * (values[k + 1] - values[k]) / (places[k + 1] - places[k]))
