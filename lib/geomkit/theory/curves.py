"""Fit measured losses by the theory of skills: its exact curve for one frequency table, and the exponents that it ties."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from geomkit.core.errors import DataError
from geomkit.laws.fit import NoFit
from geomkit.theory.skills import Array, SkillGraph

TIMES = (0.01, 1e4)
"""Range of the threshold tau."""

GRID = (61, 241)
"""Values of tau and of c that a search looks at, in each of `ZOOMS` ever smaller boxes."""

ZOOMS = 3
PARAMETERS = ("c", "E", "h", "tau")
Interval = tuple[float, float]


@dataclass(frozen=True)
class CurveFit:
    """L = E + h G(c N, D; tau), G the gap of a graph of skills (`SkillGraph.gap`); a failed fit has no numbers.

    status: converged; bound hit, with the parameters at the end of their range; or failed: reason. Intervals are profile F; an
    end that the losses do not tell is 0 or inf, or for tau the end of its range.
    """

    status: str
    n: int
    params: dict[str, float] = field(default_factory=dict)
    interval: dict[str, Interval] = field(default_factory=dict)
    residual_sd: float | None = None
    """Of (predicted - measured) / measured, with n - 4 degrees of freedom."""

    @property
    def failed(self) -> bool:
        return self.status.startswith("failed")

    def predict(self, graph: SkillGraph, size: ArrayLike, data: ArrayLike) -> Array:
        """Losses at sizes and amounts of data, broadcast. Raises NoFit if the fit failed."""
        if self.failed:
            raise NoFit(f"the theory's curve predicts nothing: {self.status}")
        p, size = self.params, np.asarray(size, dtype=float)
        return p["E"] + p["h"] * graph.gap(np.minimum(p["c"] * size, graph.skills), data, p["tau"])


@dataclass(frozen=True)
class Cells:
    """Sizes N, amounts of data D and losses (cells,), and the graph whose gap is fitted to them."""

    graph: SkillGraph
    size: Array
    data: Array
    loss: Array

    @property
    def ranges(self) -> Array:
        """Ranges of ln tau and ln c, (2, 2): c from where the largest model knows one skill to where the smallest knows all."""
        return np.log([TIMES, (1 / self.size.max(), self.graph.skills / self.size.min())])

    def gaps(self, log_times: float, log_c: Array) -> Array:
        """G (c, cells) at one threshold. A model with room for more than all skills knows all."""
        held = np.minimum(np.exp(log_c)[:, None] * self.size, self.graph.skills)
        return self.graph.gap(held, self.data, math.exp(log_times))

    def linear(self, gaps: Array) -> tuple[Array, Array, Array]:
        """E and h (...), not negative, with the least sum of squared relative errors at gaps (..., cells), and that sum."""
        weight, share = 1 / self.loss, gaps / self.loss
        ww, ws, ss = weight @ weight, share @ weight, (share**2).sum(axis=-1)
        w1, s1 = weight.sum(), share.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            determinant = ww * ss - ws**2
            offset, scale = (ss * w1 - ws * s1) / determinant, (ww * s1 - ws * w1) / determinant
            flat = ~(determinant > 1e-13 * ww * ss) | (scale <= 0)
            alone = np.where(ss > 0, s1 / ss, 0.0)
        offset, scale = np.where(offset < 0, 0.0, offset), np.where(offset < 0, alone, scale)
        offset, scale = np.where(flat, w1 / ww, offset), np.where(flat, 0.0, scale)
        errors = offset[..., None] * weight + scale[..., None] * share - 1
        return offset, scale, (errors**2).sum(axis=-1)

    def squares(self, box: Array) -> tuple[Array, Array, Array, Array]:
        """Sum of squares (t, k) at the best E and h over ln tau (t,) and ln c (k,) in a box (2, 2), with these axes and gaps (t,
        k, cells)."""
        times, capacity = (np.linspace(side[0], side[1], number) for side, number in zip(box, GRID, strict=True))
        gaps = np.array([self.gaps(at, capacity) for at in times])
        return times, capacity, self.linear(gaps)[2], gaps


def fit_curve(graph: SkillGraph, size: ArrayLike, data: ArrayLike, loss: ArrayLike, level: float = 0.95) -> CurveFit:
    """Fits c, E, h and tau to losses (cells,) at sizes and unique data (cells,), by least squares of relative errors.

    E and h follow from c and tau, which are searched on a grid over their whole range and then in ever smaller boxes; the
    region of the intervals comes from a grid over its own box. A size holds c N skills. Limiting case: losses made by the curve
    are met exactly. Numbers that determine no curve give a status that says why; shapes that do not match raise DataError.
    """
    size, data, loss = (np.asarray(each, dtype=float) for each in (size, data, loss))
    if size.ndim != 1 or not size.shape == data.shape == loss.shape:
        raise DataError(f"sizes, data and losses have shapes {size.shape}, {data.shape} and {loss.shape}; they must be alike")
    reason = undetermined(size, data, loss)
    if reason:
        return CurveFit(f"failed: {reason}", loss.size)
    cells = Cells(graph, size, data, loss)
    whole = cells.squares(cells.ranges)
    best, least = search(cells, whole)
    offset, scale, _ = (float(part) for part in cells.linear(cells.gaps(best[0], best[1:])[0]))
    if scale == 0:
        return CurveFit("failed: h is 0: the losses do not fall as the curve does", loss.size)
    params = {"c": math.exp(best[1]), "E": offset, "h": scale, "tau": math.exp(best[0])}
    freedom = loss.size - len(PARAMETERS)
    limit = least * (1 + float(stats.f.ppf(level, 1, freedom)) / freedom)
    at_end = [
        name for name, value, ends in zip(("tau", "c"), best, cells.ranges, strict=True) if np.abs(value - ends).min() < 1e-4
    ]
    at_end += ["E"] if offset == 0 else []
    return CurveFit(
        status=f"bound hit: {', '.join(at_end)}" if at_end else "converged",
        n=loss.size,
        params=params,
        interval=intervals(cells, whole, params, limit),
        residual_sd=math.sqrt(least / freedom),
    )


def undetermined(size: Array, data: Array, loss: Array) -> str | None:
    """Why these cells do not determine a curve, or None."""
    if not all(np.isfinite(each).all() and (each > 0).all() for each in (size, data, loss)):
        return "a size, an amount of data or a loss is not finite and positive"
    if loss.size <= len(PARAMETERS):
        return f"{loss.size} cells, and the curve needs at least {len(PARAMETERS) + 1}"
    if min(np.unique(size).size, np.unique(data).size) < 3:
        return "the curve needs at least 3 sizes and 3 amounts of data"
    return "the losses are flat" if np.ptp(np.log(loss)) < 1e-9 else None


def search(cells: Cells, whole: tuple[Array, ...]) -> tuple[Array, float]:
    """The best (ln tau, ln c) and its sum of squares, from the three best local minima of the grid over the whole range."""
    times, capacity, squares = whole[:3]
    padded = np.pad(squares, 1, constant_values=np.inf)
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).min(axis=(2, 3))
    minima = np.argwhere(squares <= around)
    starts = sorted(minima.tolist(), key=lambda at: float(squares[at[0], at[1]]))[:3]

    def objective(at: Array) -> float:
        return float(cells.linear(cells.gaps(at[0], at[1:])[0])[2])

    steps = np.array([times[1] - times[0], capacity[1] - capacity[0]])
    candidates = []
    for row, column in starts:
        point = np.array([times[row], capacity[column]])
        inward = np.where(point + steps > cells.ranges[:, 1], -steps, steps)
        simplex = np.array([point, point + inward * [1, 0], point + inward * [0, 1]])
        options = {"initial_simplex": simplex, "xatol": 1e-7, "fatol": 1e-16, "maxiter": 400}
        candidates.append(optimize.minimize(objective, point, method="Nelder-Mead", bounds=cells.ranges, options=options))
    best = min(candidates, key=lambda result: float(result.fun))
    return np.asarray(best.x), float(best.fun)


def intervals(cells: Cells, whole: tuple[Array, ...], params: Mapping[str, float], limit: float) -> dict[str, Interval]:
    """Range of each parameter where the sum of squares, least over the others, is at most `limit`.

    The region is bounded by a grid over its own box, found in `ZOOMS` steps; at each c and tau E and h fill an ellipse.
    """
    here, best = whole, np.log([params["tau"], params["c"]])
    for _ in range(ZOOMS):
        here = cells.squares(box_of(here[:2], here[2] <= limit, best))
    times, capacity, squares, gaps = here
    (low_tau, high_tau), (low_c, high_c) = (
        region(axis, squares.min(axis=1 - k), best[k], limit) for k, axis in enumerate((times, capacity))
    )
    ends = cells.ranges[1]
    found = {
        "c": (0.0 if low_c <= ends[0] + 1e-9 else math.exp(low_c), math.inf if high_c >= ends[1] - 1e-9 else math.exp(high_c)),
        "tau": (math.exp(low_tau), math.exp(high_tau)),
    }
    return found | linear_region(cells, gaps, params, limit)


def box_of(axes: tuple[Array, ...], inside: NDArray[np.bool_], best: Array) -> Array:
    """Box (2, 2) of the points of a grid that are `inside`, and of the point next to `best`, with one point more on each side."""
    sides = []
    for k, axis in enumerate(axes):
        kept = np.append(np.flatnonzero(inside.any(axis=1 - k)), np.abs(axis - best[k]).argmin())
        sides.append((axis[max(0, kept.min() - 1)], axis[min(axis.size - 1, kept.max() + 1)]))
    return np.array(sides)


def region(axis: Array, profiled: Array, best: float, limit: float) -> Interval:
    """Ends of where a profile over an axis is at most `limit`, linear between its points; `best` is inside in any case."""
    inside = np.flatnonzero(profiled <= limit)
    if not inside.size:
        return best, best
    low, high = float(axis[inside[0]]), float(axis[inside[-1]])
    if inside[0] > 0:
        low = crossing(axis, profiled, inside[0], inside[0] - 1, limit)
    if inside[-1] < axis.size - 1:
        high = crossing(axis, profiled, inside[-1], inside[-1] + 1, limit)
    return min(low, best), max(high, best)


def crossing(axis: Array, profiled: Array, inner: int, outer: int, limit: float) -> float:
    """The point between two neighbours at which a profile reaches `limit`."""
    share = (limit - profiled[inner]) / (profiled[outer] - profiled[inner])
    return float(axis[inner] + share * (axis[outer] - axis[inner]))


def linear_region(cells: Cells, gaps: Array, params: Mapping[str, float], limit: float) -> dict[str, Interval]:
    """Ranges of E and h over the ellipses {(E, h): sum of squares <= limit} at gaps (t, k, cells), as far as they are not
    negative."""
    weight, share = 1 / cells.loss, gaps / cells.loss
    ww, ws, ss = weight @ weight, share @ weight, (share**2).sum(axis=-1)
    w1, s1 = weight.sum(), share.sum(axis=-1)
    ranges: dict[str, Interval] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        determinant = ww * ss - ws**2
        centres = {"E": (ss * w1 - ws * s1) / determinant, "h": (ww * s1 - ws * w1) / determinant}
        least = cells.loss.size - centres["E"] * w1 - centres["h"] * s1
        for name, own in (("E", ss), ("h", ww)):
            width = np.sqrt((limit - least) * own / determinant)
            ends = centres[name] - width, centres[name] + width
            known = np.isfinite(width) & (ends[1] >= 0)
            low, high = (ends[0][known].min(), ends[1][known].max()) if known.any() else (params[name], params[name])
            ranges[name] = max(0.0, min(float(low), params[name])), max(float(high), params[name])
    return ranges


def errors_left_out(graph: SkillGraph, size: ArrayLike, data: ArrayLike, loss: ArrayLike) -> Array:
    """ln(predicted / measured) (cells,) of the curve fitted without each size in turn. Raises NoFit where the other sizes do not
    determine it."""
    size, data, loss = (np.asarray(each, dtype=float) for each in (size, data, loss))
    errors = np.empty(loss.shape)
    for value in np.unique(size):
        out = size == value
        curve = fit_curve(graph, size[~out], data[~out], loss[~out])
        errors[out] = np.log(curve.predict(graph, size[out], data[out]) / loss[out])
    return errors
