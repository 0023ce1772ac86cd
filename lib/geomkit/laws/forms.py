"""Functional forms of laws: ln y against ln x, with derivatives, for whole batches of parameters."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from enum import StrEnum
from itertools import product
from typing import ClassVar, Self

import numpy as np
from scipy import optimize, special

from geomkit.core.arrays import Array
from geomkit.core.registry import Registry

Names = tuple[str, ...]
Bounds = tuple[float, ...]
Model = tuple[Array, Array, Callable[[Array], Array]]


class Status(StrEnum):
    """Status of a fit; `bound hit` if a parameter ended at the end of its range. A failed fit has a reason and no numbers."""

    CONVERGED = "converged"
    BOUND_HIT = "bound hit"
    FAILED = "failed"


def gram(jacobian: Array, weight: Array) -> Array:
    """Compute J^T diag(weight) J for a batch: (batch, n, p), (batch, n) -> (batch, p, p)."""
    return (jacobian * weight[..., None]).swapaxes(1, 2) @ jacobian


class Form(ABC):
    """A law y = f(x) in working coordinates theta, with l = ln x - centre instead of x, which decorrelates its parameters.

    A new form names its parameters in the order of theta and says where theta may be, which parameters get an interval (they are
    the same in theta and in `params`) and of which kind (t if the form is `linear`, else profile F), and which of them, when 0,
    leave no law (`amplitudes`). `delta`: the Huber threshold of its loss, None for one that follows the scatter.
    """

    names: ClassVar[Names]
    lower: ClassVar[Bounds]
    upper: ClassVar[Bounds]
    intervals: ClassVar[Names]
    amplitudes: ClassVar[Names] = ()
    variables: ClassVar[int] = 1
    linear: ClassVar[bool] = False
    delta: ClassVar[float | None] = None

    def __init__(self, log_x: Array):
        self.centre = self.origin(log_x)
        self.l = log_x - self.centre[:, None]

    def at(self, log_x: Array) -> Self:
        """Return the same coordinates, with the same centre, at another ln x (variables, n)."""
        other = copy(self)
        other.l = log_x - self.centre[:, None]
        return other

    @staticmethod
    def origin(log_x: Array) -> Array:
        """Return the centre (variables,) for ln x (variables, n)."""
        return np.mean(log_x, axis=1)

    @abstractmethod
    def model(self, theta: Array) -> Model:
        """Evaluate g = ln f (batch, n) at theta (batch, p), with derivatives.

        Also returns its derivatives (batch, n, p), and c (batch, n) -> sum_i c_i Hessian(g_i).
        """

    @abstractmethod
    def starts(self, z: Array) -> Array:
        """Return starting points (starts, p) for the targets z = ln y (n,)."""

    @abstractmethod
    def params(self, theta: Array) -> dict[str, Array]:
        """Return the usual parameters, by name, of theta (..., p)."""

    @staticmethod
    @abstractmethod
    def formula(params: Mapping[str, float], x: Array) -> Array:
        """Evaluate y (n,) at x (variables, n)."""


forms: Registry[type[Form]] = Registry("scaling law")
"""Forms by name. A new one needs nothing but `@forms.register(name)`."""


class Line(Form):
    """A linear form with two coordinates, a level at the mean of ln x and a slope b; the design is (1, l)."""

    names, intervals, linear = ("a", "b"), ("b",), True
    lower, upper = (-np.inf, -np.inf), (np.inf, np.inf)

    @property
    def design(self) -> Array:
        return np.stack([np.ones_like(self.l[0]), self.l[0]], axis=-1)

    def least_squares(self, values: Array) -> Array:
        return np.array([values.mean(), self.l[0] @ values / (self.l[0] @ self.l[0])])


@forms.register("power")
class Power(Line):
    """Power law y = a x^b, a line in log space: without outliers, the least-squares line and its t interval."""

    def model(self, theta: Array) -> Model:
        jacobian = np.broadcast_to(self.design, (len(theta), *self.design.shape))
        return theta @ self.design.T, jacobian, lambda c: np.zeros((len(theta), 2, 2))

    def starts(self, z: Array) -> Array:
        return self.least_squares(z)[None]

    def params(self, theta: Array) -> dict[str, Array]:
        return {"a": np.exp(theta[..., 0] - theta[..., 1] * self.centre[0]), "b": theta[..., 1]}

    @staticmethod
    def formula(params: Mapping[str, float], x: Array) -> Array:
        return params["a"] * x[0] ** params["b"]


@forms.register("log_linear")
class LogLinear(Line):
    """Logarithmic law y = a + b ln x. Its errors are relative too, so its residuals and AICc compare with the other forms'."""

    def model(self, theta: Array) -> Model:
        f = theta @ self.design.T
        jacobian = self.design / f[..., None]
        return np.log(f), jacobian, lambda c: -gram(jacobian, c)

    def starts(self, z: Array) -> Array:
        return np.stack([self.least_squares(np.exp(z)), [np.exp(z).mean(), 0.0]])

    def params(self, theta: Array) -> dict[str, Array]:
        return {"a": theta[..., 0] - theta[..., 1] * self.centre[0], "b": theta[..., 1]}

    @staticmethod
    def formula(params: Mapping[str, float], x: Array) -> Array:
        return params["a"] + params["b"] * np.log(x[0])


class PowerSum(Form):
    """Sum of power laws y = E + sum over variables of an amplitude times x^-exponent.

    theta = (E, A, alpha, B, beta, ...), none negative.
    """

    exponents: ClassVar[Array]
    """Grid of each exponent for the starts."""

    @staticmethod
    def origin(log_x: Array) -> Array:
        """Return the smallest x: an amplitude is what its term adds there, whatever the exponent."""
        return np.min(log_x, axis=1)

    def model(self, theta: Array) -> Model:
        amplitude, exponent = theta[:, 1::2, None], theta[:, 2::2, None]
        term = np.exp(-exponent * self.l)
        f = theta[:, :1] + (amplitude * term).sum(axis=1)
        share = term / f[:, None]
        jacobian = np.empty((*f.shape, theta.shape[1]))
        jacobian[..., 0] = 1 / f
        jacobian[..., 1::2] = share.swapaxes(1, 2)
        jacobian[..., 2::2] = (-amplitude * share * self.l).swapaxes(1, 2)

        def curvature(c: Array) -> Array:
            hessian = -gram(jacobian, c)
            first, second = ((c[:, None] * share * self.l**power).sum(axis=2) for power in (1, 2))
            for v in range(self.variables):
                a, e = 1 + 2 * v, 2 + 2 * v
                hessian[:, [a, e], [e, a]] -= first[:, v, None]
                hessian[:, e, e] += theta[:, a] * second[:, v]
            return hessian

        return np.log(f), jacobian, curvature

    def starts(self, z: Array) -> Array:
        """Find starts by variable projection (Golub and Pereyra 1973).

        Exponents are from the grid, and for each E and the amplitudes by non-negative least squares of f / y - 1. The best 16 of
        the grid; their loss is another, so they are starts only.
        """
        candidates = []
        for exponent in np.stack(np.meshgrid(*[self.exponents] * self.variables), axis=-1).reshape(-1, self.variables):
            columns = np.vstack([np.ones_like(z), np.exp(-exponent[:, None] * self.l)]) * np.exp(-z)
            linear, error = optimize.nnls(columns.T, np.ones_like(z))
            candidates.append((error, linear[0], *np.column_stack([linear[1:], exponent]).ravel()))
        return np.array(sorted(candidates)[:16])[:, 1:]

    def params(self, theta: Array) -> dict[str, Array]:
        amplitude = theta[..., 1::2] * np.exp(theta[..., 2::2] * self.centre)
        return {name: amplitude[..., k // 2] if k % 2 else theta[..., k] for k, name in enumerate(self.names)}


@forms.register("offset_power")
class OffsetPower(PowerSum):
    """Offset power law y = E + A x^-alpha, alpha at most 5. E = 0 is the falling power law, and is reported as a bound hit."""

    names, intervals, amplitudes = ("E", "A", "alpha"), ("E", "alpha"), ("A",)
    lower, upper = (0.0, 0.0, 0.0), (np.inf, np.inf, 5.0)
    exponents = np.geomspace(0.01, 4, 36)

    @staticmethod
    def formula(params: Mapping[str, float], x: Array) -> Array:
        return params["E"] + params["A"] * x[0] ** -params["alpha"]


@forms.register("chinchilla")
class Chinchilla(PowerSum):
    """Chinchilla law y = E + A N^-alpha + B D^-beta, x = (N, D).

    Source: Hoffmann et al. 2022 (arXiv 2203.15556), equation 2, and their threshold.
    """

    names, intervals, amplitudes = ("E", "A", "alpha", "B", "beta"), ("E", "alpha", "beta"), ("A", "B")
    lower, upper = (0.0, 0.0, 0.0, 0.0, 0.0), (np.inf, np.inf, 5.0, np.inf, 5.0)
    exponents = np.geomspace(0.02, 2, 12)
    variables, delta = 2, 1e-3

    @staticmethod
    def formula(params: Mapping[str, float], x: Array) -> Array:
        return params["E"] + params["A"] * x[0] ** -params["alpha"] + params["B"] * x[1] ** -params["beta"]


@forms.register("kaplan")
class Kaplan(Form):
    """Kaplan law y = ((N_c / N)^(alpha / beta) + D_c / D)^beta, x = (N, D): Kaplan et al. 2020 (arXiv 2001.08361), equation 1.5.

    A power law of N where data do not limit and one of D where size does not, joined so that the smaller one vanishes beside the
    larger: it has no offset, and its terms do not add up as chinchilla's do. Exponents are between 0.01 and 5. theta = (a, alpha,
    b, beta), with a and b the two laws' ln y at the centre.
    """

    names, intervals = ("a", "alpha", "b", "beta"), ("alpha", "beta")
    lower, upper = (-np.inf, 0.01, -np.inf, 0.01), (np.inf, 5.0, np.inf, 5.0)
    exponents = np.geomspace(0.02, 2, 12)
    variables = 2

    def model(self, theta: Array) -> Model:
        a, alpha, b, beta = (column[:, None] for column in theta.T)
        size, data = self.l
        of_size, of_data = a - alpha * size, b - beta * data
        difference = (of_size - of_data) / beta
        p, q = special.expit(difference), special.expit(-difference)
        g = beta * np.logaddexp(of_size / beta, of_data / beta)
        mixing = (g - p * of_size - q * of_data) / beta
        jacobian = np.stack([p, -p * size, q, mixing - q * data], axis=-1)
        slope = np.stack([1 + 0 * p, -size + 0 * p, -1 + 0 * p, data - difference], axis=-1)
        return g, jacobian, lambda c: gram(slope, c * p * q / beta)

    def starts(self, z: Array) -> Array:
        """Find starts by non-negative least squares of the relative error; the best 16.

        For exponents of the grid y^(1 / beta) is linear in the two laws' own.
        """
        candidates, (size, data), level = [], self.l, z.mean()
        for alpha, beta in product(self.exponents, repeat=2):
            columns = np.exp(-(np.stack([alpha * size, beta * data]) + z - level) / beta)
            linear, error = optimize.nnls(columns.T, np.ones_like(z))
            a, b = level + beta * np.log(np.maximum(linear, 1e-30))
            candidates.append((beta * error, a, alpha, b, beta))
        return np.array(sorted(candidates)[:16])[:, 1:]

    def params(self, theta: Array) -> dict[str, Array]:
        a, alpha, b, beta = np.moveaxis(theta, -1, 0)
        size, data = self.centre
        return {"N_c": np.exp(a / alpha + size), "alpha": alpha, "D_c": np.exp(b / beta + data), "beta": beta}

    @staticmethod
    def formula(params: Mapping[str, float], x: Array) -> Array:
        alpha, beta = params["alpha"], params["beta"]
        of_size, of_data = alpha * np.log(params["N_c"] / x[0]), beta * np.log(params["D_c"] / x[1])
        y: Array = np.exp(beta * np.logaddexp(of_size / beta, of_data / beta))
        return y
