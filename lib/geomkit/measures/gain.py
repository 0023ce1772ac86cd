"""Information that each token adds to the tokens before it, in nats, also with a kernel, and the ridge regression behind it.

Tokens are in their order in the text. All gains of a text, and so those of all its prefixes, come from one Cholesky factor.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg.lapack import dpotrf

from geomkit.core.arrays import Array, epsilon, highest, indices, namespace, reals, slack
from geomkit.core.errors import DataError
from geomkit.measures.spectra import normalise

PENALTIES = np.logspace(-4, 4, 33)
"""Penalties of ridges, over that of the information gain, 1 / c."""


def information_gain(Z: ArrayLike, eps2: float = 0.5, n: int | None = None) -> Array:
    """Compute each token's information gain over the tokens before it: (..., T), in nats, for Z (..., T, d).

    gain_t = 2 ln L_tt, L L^T = I + c Z Z^T, c = d / (n eps2).

    Rows are taken as they are. eps2 is the squared distortion, in squared units of the rows; n, the number of tokens in c, is
    T unless given. Gains compare between texts, or between a text and its prefix, only for one n.

    (exp(gain_t) - 1) / c = min_w |z_t - Z_{<t}^T w|^2 + |w|^2 / c: the ridge of a token on its past. The gains sum to
    ln det(I + c Z Z^T), and (n + d)/2 times that sum is `rate_distortion` where n = T.
    Limits, for rows of unit length: ln(1 + c) for a row at right angles to its past, ln(1 + c / (1 + r c)) for one that the
    past holds r times and that is at right angles to the rest of it. 0 for a zero row; between 0 and ln(1 + c |z_t|^2) for all.
    Rounding is about the machine epsilon times 1 + c |z|^2, z the longest row.

    Raises DataError for values that are not finite, no tokens, eps2 that is not positive, n below T, and c |z_t|^2 above 1e12.
    Source: Tan, Li, Huang 2024, arXiv 2402.03471, by the chain rule on the coding length of Ma, Derksen, Hong, Wright 2007.
    """
    rows = _tokens(Z)
    tokens, d = rows.shape[-2:]
    if not eps2 > 0:
        raise DataError(f"eps2 must be positive, found {eps2}")
    if n is None:
        n = tokens
    if n < tokens:
        raise DataError(f"n must be at least the number of tokens, {tokens}, found {n}")
    with np.errstate(over="ignore"):
        rows *= float(np.sqrt(d / (n * eps2)))
        _check_noise(namespace(rows).linalg.vecdot(rows, rows))
    # One T x T factor takes T^3 / 3 steps and blocks a few times T d^2: as measured, they pay from about here on.
    return _gains(rows @ rows.mT) if tokens <= 4 * d else namespace(rows).concat(list(_blocks(rows)), axis=-1)


def kernel_information_gain(K: ArrayLike, noise: float) -> Array:
    """Compute each token's information gain with a kernel: (..., T), in nats, for K (..., T, T), tokens in order.

    It is ln(1 + v_t / noise).

    v_t = k_tt - k_t^T (K_{<t} + noise I)^-1 k_t is the variance at token t of a Gaussian process that has seen the earlier
    tokens with that noise, and the value is twice the information that seeing token t then gives about the process.
    Limits: `information_gain` for K = Z Z^T and noise = 1/c; ln(1 + k_tt / noise) for a token of no covariance with its past.

    Raises DataError for noise that is not positive, or below 1e-12 of a k_tt, for K that is not finite, square and symmetric,
    and for a v_t below 0, which no positive semi-definite K has.
    Source: Rasmussen, Williams 2006, eq. 2.26; Srinivas et al. 2010, arXiv 0912.3995, lemma 5.3.
    """
    K = reals(K)
    xp = namespace(K)
    if K.ndim < 2 or K.shape[-1] != K.shape[-2] or K.shape[-1] < 1:
        raise DataError(f"a kernel matrix must be square with at least one token, found shape {tuple(K.shape)}")
    if not noise > 0:
        raise DataError(f"noise must be positive, found {noise}")
    if not xp.all(xp.isfinite(K)):
        raise DataError("the kernel matrix is not finite")
    if xp.any(xp.abs(K - K.mT) > slack(K) * highest(xp.reshape(xp.abs(K), (-1,)), axis=0)):
        raise DataError("the kernel matrix is not symmetric")
    _check_noise(xp.linalg.diagonal(K) / noise)
    return _gains(K / noise)


def rbf_kernel(Z: ArrayLike, length_scale: float) -> Array:
    """Compute the RBF kernel of rows Z (..., T, d): (..., T, T).

    It is exp(-|z_s - z_t|^2 / (2 length_scale^2)), length_scale in units of the rows.

    Limits: the identity for a short length scale and rows that differ, ones for a long one.
    Raises DataError for values that are not finite, no tokens, and a length scale that is not positive.
    """
    rows = _tokens(Z)
    if not length_scale > 0:
        raise DataError(f"length_scale must be positive, found {length_scale}")
    xp = namespace(rows)
    rows -= xp.mean(rows, axis=-2, keepdims=True)  # distances stay, and lose less to rounding
    gram = rows @ rows.mT
    squares = xp.linalg.diagonal(gram)
    distances = squares[..., :, None] + squares[..., None, :] - 2 * gram
    distances = xp.where(distances > 0, distances, 0.0)
    return xp.exp(-distances / (2 * length_scale**2))


@dataclass(frozen=True, eq=False)
class RidgePath:
    """Ridge regression of a token on its past at each of several penalties.

    penalties: (P,), in squared units of the rows.
    error: (..., P), |z - X^T w|^2 / |z|^2. NaN for a zero token, as gcv is.
    freedom: (..., P), effective degrees of freedom tr(K (K + penalty I)^-1), K the past's Gram matrix.
    gcv: (..., P), generalised cross-validation d |z - X^T w|^2 / (d - freedom)^2 over |z|^2. NaN where freedom reaches d.
    """

    penalties: Array
    error: Array
    freedom: Array
    gcv: Array

    @property
    def best(self) -> Array:
        """Return the penalty of lowest gcv, shape (...), ignoring NaN; NaN if all are."""
        xp = namespace(self.gcv)
        undefined = xp.isnan(self.gcv)
        lowest = xp.argmin(xp.where(undefined, np.inf, self.gcv), axis=-1)
        return xp.where(xp.all(undefined, axis=-1), np.nan, self.penalties[lowest])


def ridge_path(Z: ArrayLike, penalties: ArrayLike) -> RidgePath:
    """Regress the last row z of Z (..., T, d) on the rows X before it by ridge, without intercept, at penalties (P,).

    min_w |z - X^T w|^2 + penalty |w|^2: the d coordinates are the observations, the T - 1 earlier tokens the features. With
    X^T = U S V^T the residual is the part of z outside U, and in U penalty / (S^2 + penalty) of it: one eigendecomposition of
    the smaller Gram matrix of X serves all penalties. Squares S^2 up to max(T - 1, d) times the machine epsilon of the largest
    are rounding, and are set to 0, so repeated tokens are no exception.
    Limits: as the penalty grows, error 1 and freedom 0; as it goes to 0, least squares and the rank of X, and 0 itself gives
    that limit. Without a past, error 1 and freedom 0.

    Raises DataError for values that are not finite, no tokens, and penalties that are not finite and at least 0.
    Source: Golub, Heath, Wahba 1979 (cross-validation); Hastie, Tibshirani, Friedman 2009, eq. 3.50 (degrees of freedom).
    """
    rows = _tokens(Z)
    xp, grid = namespace(rows), reals(penalties, like=rows, copy=True)
    if grid.ndim != 1 or not len(grid) or not xp.all(xp.isfinite(grid)) or xp.any(grid < 0):
        raise DataError(f"penalties must be a list of finite numbers of at least 0, found {penalties!r}")
    squares, inside, outside = _components(rows[..., :-1, :], rows[..., -1, :])
    d, m = rows.shape[-1], squares.shape[-1]
    total = squares[..., None, :] + grid[:, None]
    kept = _ratio(squares[..., None, :], total, 0.0)
    lost = _ratio(grid[:, None], total, 1.0)
    residual = outside[..., None] + xp.sum(inside[..., None, :] * lost**2, axis=-1)
    with np.errstate(invalid="ignore"):
        error = residual / (outside + xp.sum(inside, axis=-1))[..., None]
    left = xp.square(d - m + xp.sum(lost, axis=-1))  # (d - freedom)^2 without the loss of digits near 0
    return RidgePath(grid, error, xp.sum(kept, axis=-1), _ratio(d * error, left, np.nan))


def _ratio(above: Array, below: Array, otherwise: float) -> Array:
    where = namespace(below).where
    return where(below > 0, above / where(below > 0, below, 1.0), otherwise)


def _components(past: Array, token: Array) -> tuple[Array, Array, Array]:
    """Decompose a token along the singular directions of its past.

    For past (..., t, d) and m = min(t, d): squared singular values (..., m), squared coordinates of the token (..., d) along the
    singular directions (..., m), and its squared length outside of them (...).
    """
    t, d = past.shape[-2:]
    xp = namespace(past)
    squares, vectors = xp.linalg.eigh(past @ past.mT if t < d else past.mT @ past)
    rounding = max(t, d) * epsilon(squares) * (squares[..., -1:] if squares.shape[-1] else 0.0)
    squares = xp.where(squares > rounding, squares, 0.0)
    if t >= d:
        along = xp.square(token[..., None, :] @ vectors)[..., 0, :]
        return squares, along, xp.zeros_like(token[..., 0])
    directions = past.mT @ vectors / xp.sqrt(xp.where(squares > 0, squares, np.inf))[..., None, :]
    along = directions.mT @ token[..., None]
    rest = token[..., None] - directions @ along
    return squares, xp.square(along)[..., 0], xp.sum(xp.square(rest), axis=(-2, -1))


def _tokens(Z: ArrayLike) -> Array:
    rows = normalise(Z, "raw")
    if not all(rows.shape[-2:]):
        raise DataError(f"token vectors must be at least 1 row of 1 column, found shape {tuple(rows.shape)}")
    return rows


def _check_noise(signal: Array) -> None:
    """Check that rounding does not hide the noise beside variances over the noise (..., T); raise DataError otherwise."""
    xp, limit = namespace(signal), "1e12" if epsilon(signal) < 1e-12 else "1e4"
    if not xp.all(signal <= float(limit)):
        raise DataError(f"a token's variance must be at most {limit} times the noise, found {float(xp.max(signal)):.3g}")


def _gains(signal: Array) -> Array:
    """Compute 2 ln L_tt, L L^T = I + signal (..., T, T), which may be overwritten."""
    xp, i = namespace(signal), indices(np.arange(signal.shape[-1]), like=signal)
    signal[..., i, i] += 1
    least = 1 - slack(signal) * signal[..., i, i]
    factor, failed = _factor(signal)
    if failed or xp.any(factor**2 < least):
        raise DataError("the covariance of the tokens is not positive semi-definite: it leaves a token a negative variance")
    return 2 * xp.log(xp.where(factor < 1, 1.0, factor))


def _factor(signal: Array) -> tuple[Array, bool]:
    """Return the diagonals (..., T) of Cholesky factors, and whether any factor does not exist."""
    if not isinstance(signal, np.ndarray):
        linalg = namespace(signal).linalg
        try:
            return linalg.diagonal(linalg.cholesky(signal)), False
        except linalg.LinAlgError:
            return linalg.diagonal(signal), True
    factor, failed = np.empty(signal.shape[:-1]), 0
    for index in np.ndindex(signal.shape[:-2]):  # in place, in half the time of numpy's
        upper, failure = dpotrf(signal[index].T, clean=False, overwrite_a=True)
        factor[index] = np.diagonal(upper)
        failed |= failure
    return factor, bool(failed)


def _blocks(rows: Array) -> Iterator[Array]:
    """Yield the gains block by block.

    Given its past P, a block B has covariance B (I + P^T P)^-1 B^T, and P^T P is d x d.
    """
    tokens, d = rows.shape[-2:]
    xp, past, step = namespace(rows), reals(np.eye(d), like=rows), max(d, 32)
    for start in range(0, tokens, step):
        block = rows[..., start : start + step, :]
        half = xp.linalg.solve(xp.linalg.cholesky(past), block.mT)
        yield _gains(half.mT @ half)
        past = past + block.mT @ block
