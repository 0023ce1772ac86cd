"""Minimise the Huber loss of a form in log space, for a whole batch of starts, resamples or pinned parameters at once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomkit.core.arrays import Array
from geomkit.laws.forms import Form, gram

STEPS = 300


def huber(form: Form, z: Array, theta: Array, delta: float, weight: NDArray[Any]) -> tuple[Array, Array, Array, Array]:
    """Compute the Huber loss sum_i w_i rho(z_i - ln f_i) of each theta, its gradient and its Hessian.

    It is inf where an f is not positive. Also returned is the matrix of the reweighted least-squares step, whose quadratic lies
    above rho.

    Also the matrix of the reweighted least-squares step, whose quadratic lies above rho.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        g, jacobian, curvature = form.model(theta)
        r = z - g
        size = np.abs(r)
        psi = weight * np.clip(r, -delta, delta)
        loss = (weight * np.where(size <= delta, r * r / 2, delta * (size - delta / 2))).sum(axis=1)
        majorant = gram(jacobian, weight * delta / np.maximum(size, delta))
        hessian = gram(jacobian, weight * (size <= delta)) - curvature(psi)
        gradient = -(jacobian * psi[..., None]).sum(axis=1)
    return np.where(np.isfinite(loss), loss, np.inf), gradient, hessian, majorant


def bounded_step(system: Array, gradient: Array, low: Array, high: Array) -> Array:
    """Compute Newton steps (batch, p) for systems (batch, p, p) within low <= step <= high, where low <= 0 <= high.

    A coordinate at a bound that would leave stays; one that would cross a bound ends there, and the others are solved for again,
    for a step that is merely cut off need not descend.
    """
    fixed = (low == high) | ((low == 0) & (gradient > 0)) | ((high == 0) & (gradient < 0))
    step = np.zeros_like(gradient)
    while True:
        diagonal = np.abs(np.einsum("bkk->bk", system))
        scale = np.where(fixed | (diagonal == 0), 0, 1 / np.sqrt(np.where(diagonal == 0, 1, diagonal)))
        scaled = system * scale[:, :, None] * scale[:, None] + np.eye(step.shape[1]) * np.where(scale == 0, 1, 1e-12)[:, None]
        right = gradient + (system @ step[..., None])[..., 0]
        trial = np.where(fixed, step, -scale * np.linalg.solve(scaled, (scale * right)[..., None])[..., 0])
        crossed = (trial < low) | (trial > high)
        if not crossed.any():
            return trial
        step, fixed = np.where(crossed, np.clip(trial, low, high), step), fixed | crossed


def minimise(
    form: Form,
    z: Array,
    theta: Array,
    delta: float,
    weight: NDArray[Any] | None = None,
    pinned: Mapping[int, ArrayLike] | None = None,
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Minimise the Huber loss within bounds from each start of a batch: theta (batch, p), loss (batch,), converged (batch,).

    Projected Newton steps, damped by the reweighted least-squares matrix: with much damping a short step of that descent method,
    with none Newton's, which solves a piecewise quadratic in finitely many. `weight` (batch, n) counts each point, `pinned`
    holds coordinates at values (batch,). Converged: a step with little damping promises less than 1e-12 of the loss or rounding.
    """
    theta = np.array(theta, dtype=float)
    weight = np.ones((len(theta), z.size)) if weight is None else weight
    lower, upper = (np.tile(bound, (len(theta), 1)) for bound in (form.lower, form.upper))
    for k, value in (pinned or {}).items():
        lower[:, k] = upper[:, k] = value
    theta = np.clip(theta, lower, upper)
    state = huber(form, z, theta, delta, weight)
    damping, converged = np.full(len(theta), 1e-2), np.zeros(len(theta), dtype=bool)
    rounding = 8 * np.finfo(float).eps * max(1.0, float(np.abs(z).max()))
    live = np.flatnonzero(np.isfinite(state[0]))
    for _ in range(STEPS):
        if not live.size:
            break
        here, low, high, damp = theta[live], lower[live], upper[live], damping[live, None, None]
        loss, gradient, hessian, majorant = (part[live] for part in state)
        step = bounded_step(hessian + damp * majorant, gradient, low - here, high - here)
        trial = np.clip(here + step, low, high)
        promised = -(gradient * step).sum(axis=1) - np.einsum("bj,bjk,bk->b", step, hessian, step) / 2
        new = huber(form, z, trial, delta, weight[live])
        better = new[0] < loss
        for part, value in zip((theta, *state), (trial, *new), strict=True):
            part[live[better]] = value[better]
        good = better & (loss - new[0] > promised / 2)
        damping[live] *= np.where(good, 0.1, np.where(better, 2, 10))
        least = 1e-12 * loss + rounding * np.sqrt(2 * z.size * loss) + z.size * rounding**2
        done = (damp[:, 0, 0] <= 1) & (np.abs(promised) <= least)
        converged[live[done]] = True
        live = live[~done & (damping[live] < 1e12)]
    return theta, state[0], converged
