"""Fit laws of a measurement with model size and data: Huber fits in log space, their intervals, and their errors.

Each form is fitted to ln y under the Huber loss, so that errors are relative and one model that went wrong does not bend the law.
Points with the same x, seeds of one size, count as one: their geometric mean, which is their mean in log space.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from geomkit.core.arrays import Array
from geomkit.core.errors import ConfigError, DataError
from geomkit.laws.forms import Form, Status, forms
from geomkit.laws.huber import minimise

DELTA = 1e-3
"""Least Huber threshold in ln y, and the one of the fit whose scatter the threshold of other forms follows."""

OUTLIER = 4.0
"""Huber threshold of all forms but chinchilla, in robust standard deviations. Far below the scatter (as chinchilla's is, with
hundreds of points) a fit goes through as many points as it has parameters, and with five to ten sizes that wastes a third of
them. At four standard deviations clean data keep their least-squares fit, exactly in 97 % of samples of seven sizes, and a model
that went wrong still weighs little."""

BATCH = 512
"""Resamples that are refitted at once: few enough for the cache."""


class NoFit(DataError):
    """These numbers determine no law of this form; the message is the reason."""


def size_means(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Average y over points of one size: distinct x (variables, n), in order, and the geometric mean of y at each.

    Every size counts once, however many seeds it has: the scatter between sizes is what a law is judged by.
    Raises NoFit if a number is not finite and positive.
    """
    x, y = np.atleast_2d(np.asarray(x, dtype=float)), np.asarray(y, dtype=float)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise NoFit("x or y is not finite")
    if (x <= 0).any() or (y <= 0).any():
        raise NoFit("x or y is not positive")
    sizes, index, seeds = np.unique(x, axis=1, return_inverse=True, return_counts=True)
    return sizes, np.exp(np.bincount(index.ravel(), np.log(y)) / seeds)


@dataclass(frozen=True)
class Solution:
    """The minimum of the Huber loss in working coordinates, and the scatter about it."""

    form: Form
    z: Array
    theta: Array
    loss: float
    delta: float

    @cached_property
    def residuals(self) -> Array:
        return self.z - self.form.model(self.theta[None])[0][0]

    @property
    def params(self) -> dict[str, float]:
        with np.errstate(over="ignore"):
            return {name: float(value) for name, value in self.form.params(self.theta).items()}

    @property
    def freedom(self) -> int:
        return self.z.size - self.theta.size

    @cached_property
    def scale(self) -> float:
        """Robust standard deviation: median |residual| / 0.6745, without the p smallest: a robust fit goes through p points."""
        return float(np.median(np.sort(np.abs(self.residuals))[self.theta.size :]) / stats.norm.ppf(0.75))

    @cached_property
    def inside(self) -> float:
        """E psi', the share of errors within delta.

        Where delta is far below the scatter, hardly a residual is left to count: then the share within OUTLIER standard
        deviations is counted, and a normal density gives the rest.
        """
        window = max(self.delta, OUTLIER * self.scale)
        share = float(np.mean(np.abs(self.residuals) <= window))
        if window > self.delta:
            share *= math.erf(self.delta / self.scale / math.sqrt(2)) / math.erf(OUTLIER / math.sqrt(2))
        return share

    @cached_property
    def variance(self) -> float:
        """Variance E psi^2 / E psi' with n - p degrees of freedom; the residual variance where no residual is beyond delta."""
        return float((np.clip(self.residuals, -self.delta, self.delta) ** 2).sum()) / self.freedom / self.inside

    @property
    def exact(self) -> bool:
        """Whether the scatter is rounding, so that no profile can be read from it."""
        return self.variance < 1e-24

    def standard_error(self, k: int) -> float:
        """Compute the standard error of coordinate k in the linearised model (Huber 1981, section 7.6)."""
        jacobian = self.form.model(self.theta[None])[1][0]
        norms = np.linalg.norm(jacobian, axis=0)
        return math.sqrt(self.variance / self.inside) * float(np.linalg.norm(np.linalg.pinv(jacobian / norms)[k]) / norms[k])

    def statistic(self, pinned: Mapping[int, ArrayLike]) -> Array:
        """Compute the cost of pinning q coordinates at values (batch,): 2 (loss - least loss) / (q variance).

        It is F(q, n - p) where the values are true (Schrader and Hettmansperger 1980); the classical profile F where no residual
        is beyond delta.
        """
        if self.exact:
            raise NoFit("y has no scatter about the law")
        start = np.tile(self.theta, (np.size(next(iter(pinned.values()))), 1))
        loss = minimise(self.form, self.z, start, self.delta, pinned=pinned)[1]
        return 2 * (loss - self.loss) / (len(pinned) * self.variance)

    def interval(self, name: str, level: float) -> tuple[float, float]:
        """Compute the t interval of a linear form, else the profile F interval.

        It ends at the lower bound or at inf where the profile stays below F.
        """
        k = self.form.names.index(name)
        value, error = float(self.theta[k]), self.standard_error(k)
        if self.form.linear:
            width = stats.t.ppf((1 + level) / 2, self.freedom) * error
            return float(value - width), float(value + width)
        if self.exact:
            return value, value
        limit = stats.f.ppf(level, 1, self.freedom)

        def excess(at: float) -> float:
            return float(self.statistic({k: [at]})[0] - limit)

        def end(side: int, bound: float) -> float:
            near, step = value, max(math.sqrt(limit) * error, 1e-9 * value)
            while True:
                far = side * min(side * near + step, side * bound)
                if excess(far) > 0:
                    return float(optimize.brentq(excess, *sorted((near, far)), rtol=1e-6))
                if far == bound:
                    return bound if side < 0 else math.inf
                near, step = far, 2 * step

        return end(-1, self.form.lower[k]), end(1, self.form.upper[k])


def solve(form: str, x: ArrayLike, y: ArrayLike, own_threshold: bool = True) -> Solution:
    """Fit a form to size means, the best of many starts.

    With `own_threshold` off, the threshold follows the scatter for every form, so that forms can be compared. Raises NoFit with
    the reason if these numbers determine no law, ConfigError for an unknown form and DataError for shapes that do not match.
    """
    kind = forms[form]
    shape, wanted = np.atleast_2d(np.asarray(x)).shape, (kind.variables, *np.shape(y))
    if shape != wanted:
        raise DataError(f"{form} takes x of shape ({kind.variables}, n) and y of shape (n,); found {shape} and {np.shape(y)}")
    sizes, means = size_means(x, y)
    z, n, p = np.log(means), means.size, len(kind.names)
    if n <= p:
        raise NoFit(f"{n} sizes, and {form} needs at least {p + 1}")
    if kind.variables > 1 and min(np.unique(row).size for row in sizes) < 3:
        raise NoFit(f"{form} needs at least 3 values of each variable")
    if np.ptp(z) < 1e-9:
        raise NoFit("y is flat")
    law = kind(np.log(sizes))

    def best(delta: float, *more: Array) -> Solution:
        theta, loss, converged = minimise(law, z, np.vstack([law.starts(z), *more]), delta)
        k = int(loss.argmin())
        if not converged[k]:
            raise NoFit("no convergence: these sizes do not tell its parameters apart")
        return Solution(law, z, theta[k], float(loss[k]), delta)

    follows = kind.delta is None or not own_threshold
    solution = best(DELTA if follows or kind.delta is None else kind.delta)
    if follows:
        solution = best(max(DELTA, OUTLIER * solution.scale), solution.theta)
    for name in kind.amplitudes:
        if solution.theta[kind.names.index(name)] == 0:
            raise NoFit(f"{name} is 0: y does not fall")
    if not np.isfinite(list(solution.params.values())).all():
        raise NoFit("parameters beyond the range of floating point")
    return solution


@dataclass(frozen=True)
class Fit:
    """A law and how well these sizes determine it (not how it extrapolates: see `heldout_error`).

    A failed fit has no params and no numbers. Numbers that do not exist are None.
    """

    form: str
    status: Status
    n: int
    """Number of sizes, or of pairs (N, D)."""
    params: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    residual_sd: float | None = None
    """Standard deviation of the residuals of ln y, with n - p degrees of freedom."""
    aicc: float | None = None
    """n ln(sum r^2 / n) + 2 k + 2 k (k + 1) / (n - k - 1), k = p + 1. For reports: at ten sizes or fewer it chooses nothing."""
    heldout_error: float | None = None
    """Mean of ln(predicted / measured) at the largest sizes, by the law fitted without them."""
    objective: float | None = None
    """Huber loss of ln y, summed over sizes."""
    delta: float | None = None
    """The Huber threshold."""
    reason: str = ""
    """Why it failed."""

    @property
    def failed(self) -> bool:
        return self.status == Status.FAILED

    def predict(self, x: ArrayLike) -> Array:
        """Predict y (n,) at x, (n,) or (variables, n). Raises NoFit if the fit failed."""
        if self.failed:
            raise NoFit(f"{self.form} predicts nothing: {self.reason}")
        return forms[self.form].formula(self.params, np.atleast_2d(np.asarray(x, dtype=float)))

    def as_dict(self) -> dict[str, Any]:
        """Convert to JSON: None for what does not exist and for an open end of an interval."""
        ends = {name: tuple(end if math.isfinite(end) else None for end in ends) for name, ends in self.interval.items()}
        return asdict(self) | {"interval": ends}


def fit(form: str, x: ArrayLike, y: ArrayLike, *, held_out: int = 1, level: float = 0.95) -> Fit:
    """Fit the form to y (n,) at x, (n,) or (variables, n), seeds of one size averaged (`size_means`).

    The loss is Huber's in ln y; delta is 1e-3 for chinchilla and else four robust standard deviations, but at least 1e-3.
    Numbers that determine no law (a flat y, too few sizes, a NaN, something not positive) give a Fit that failed and says why.
    `held_out` largest values of the first variable are left out for `heldout_error`.
    Raises ConfigError for an unknown form and DataError for shapes that do not match.
    """
    kind = forms[form]
    x, y = np.atleast_2d(np.asarray(x, dtype=float)), np.asarray(y, dtype=float)
    try:
        solution = solve(form, x, y)
    except NoFit as reason:
        return Fit(form, Status.FAILED, np.unique(x, axis=1).shape[1], reason=str(reason))
    n, k = solution.z.size, solution.theta.size + 1
    squares = float(solution.residuals @ solution.residuals)
    at_bound = any(value in bounds for value, *bounds in zip(solution.theta, kind.lower, kind.upper, strict=True))
    return Fit(
        form=form,
        status=Status.BOUND_HIT if at_bound else Status.CONVERGED,
        n=n,
        params=solution.params,
        interval={name: solution.interval(name, level) for name in kind.intervals},
        residual_sd=math.sqrt(squares / solution.freedom),
        aicc=n * math.log(squares / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1) if squares and n > k + 1 else None,
        heldout_error=heldout_error(form, x, y, held_out),
        objective=solution.loss,
        delta=solution.delta,
    )


def heldout_error(form: str, x: Array, y: Array, held_out: int) -> float | None:
    """Compute the mean ln(predicted / measured) at the `held_out` largest values of x[0]; None if the rest determines no law."""
    values = np.unique(x[0])
    if not 0 < held_out < values.size:
        return None
    rest = x[0] < values[-held_out]
    try:
        law = solve(form, x[:, rest], y[rest])
    except NoFit:
        return None
    sizes, means = size_means(x[:, ~rest], y[~rest])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        error = float(np.mean(np.log(law.form.formula(law.params, sizes) / means)))
    return error if math.isfinite(error) else None


@dataclass(frozen=True)
class Profile:
    """Profile of the loss over a grid of two parameters: `statistic` (first, second) is below `limit` inside the joint region."""

    grid: dict[str, Array]
    statistic: Array
    limit: float


def profile(form: str, x: ArrayLike, y: ArrayLike, grid: Mapping[str, ArrayLike], level: float = 0.95) -> Profile:
    """Compute the profile likelihood over a grid of parameters, all others fitted at each point.

    grid: such as {"E": values, "alpha": values}.

    The statistic is F(q, n - p) at the truth for q parameters; 0 at the fit. The parameters must be among the form's `intervals`.
    Raises NoFit if these numbers determine no law and ConfigError for another parameter.
    """
    kind = forms[form]
    if not set(grid) <= set(kind.intervals):
        raise ConfigError(f"{form}: no profile over {', '.join(grid)}; known: {', '.join(kind.intervals)}")
    solution = solve(form, x, y)
    axes = {name: np.asarray(values, dtype=float) for name, values in grid.items()}
    mesh = np.meshgrid(*axes.values(), indexing="ij")
    statistic = solution.statistic({kind.names.index(name): points.ravel() for name, points in zip(axes, mesh, strict=True)})
    return Profile(axes, statistic.reshape(mesh[0].shape), float(stats.f.ppf(level, len(axes), solution.freedom)))


@dataclass(frozen=True)
class Bootstrap:
    """Refits of resampled points. NaN where a resample determines no law."""

    params: dict[str, Array]
    objective: Array
    counts: NDArray[np.int64]
    """(resamples, n): how often each point was drawn, points in the order of `size_means`."""


def bootstrap(form: str, x: ArrayLike, y: ArrayLike, resamples: int, rng: np.random.Generator) -> Bootstrap:
    """Draw the n points (models) with replacement and refit, all resamples at once, with the threshold delta of the full fit.

    Each refit starts from the full fit; where that ends without convergence or at a bound, also from all of its starting points.
    Raises NoFit if the full data determine no law.
    """
    full = solve(form, x, y)
    law, z, p = full.form, full.z, full.theta.size
    counts = rng.multinomial(z.size, np.full(z.size, 1 / z.size), size=resamples)
    theta, loss = np.empty((resamples, p)), np.empty(resamples)
    for rows in np.array_split(np.arange(resamples), math.ceil(resamples / BATCH)):
        theta[rows], loss[rows], converged = minimise(law, z, np.tile(full.theta, (rows.size, 1)), full.delta, counts[rows])
        loss[rows[~converged]] = np.inf
        doubtful = rows[~converged | ((theta[rows] == law.lower) | (theta[rows] == law.upper)).any(axis=1)]
        for start in law.starts(z) if doubtful.size else ():
            again, value, converged = minimise(law, z, np.tile(start, (doubtful.size, 1)), full.delta, counts[doubtful])
            better = converged & (value < loss[doubtful])
            theta[doubtful[better]], loss[doubtful[better]] = again[better], value[better]
    amplitudes = theta[:, [law.names.index(name) for name in law.amplitudes]]
    lost = ~np.isfinite(loss) | ((counts > 0).sum(axis=1) <= p) | (amplitudes == 0).any(axis=1)
    theta[lost], loss[lost] = np.nan, np.nan
    return Bootstrap(law.params(theta), loss, counts)
