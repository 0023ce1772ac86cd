"""Measure what a model's own head makes of hidden states: predictions through it, and the directions that it reads most."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from geomkit.core.arrays import Array, as_numpy, indices, namespace, reals
from geomkit.core.errors import DataError

ROWS = 8
"""Predictions that are scored at once: so many fit a processor's cache."""


class Lens(NamedTuple):
    """Scores of predictions, each (tokens,), in nats.

    entropy: of a prediction. divergence: KL(final prediction || prediction). loss: -ln p of the token to be predicted.
    """

    entropy: np.ndarray
    divergence: np.ndarray
    loss: np.ndarray


def log_probabilities(logits: ArrayLike) -> Array:
    """Compute ln p (tokens, vocabulary) in float64 from logits; a logit of minus infinity is that of a token never predicted."""
    own = reals(logits)
    xp = namespace(own)
    own = own - xp.max(own, axis=-1, keepdims=True)
    log_p: Array = own - xp.log(xp.sum(xp.exp(own), axis=-1, keepdims=True))
    return log_p


def logit_lens(logits: Any, final: Any, targets: ArrayLike) -> Lens:
    """Score predictions of an intermediate state by their entropy, their divergence from the final ones, and their loss.

    logits: (tokens, vocabulary), of any float type; sums are in float64. final: (tokens, vocabulary), ln p of the final
    predictions. targets: (tokens,), ids of the tokens to be predicted. Limits: equal logits have an entropy and a loss of
    ln(vocabulary), and a divergence of ln(vocabulary) minus the final entropy; the final logits themselves have a divergence of
    0; a constant that is added to all logits of a row changes nothing. Source: nostalgebraist 2020 (logit lens); the direction of
    the divergence is that of Belrose et al. 2023, arXiv 2303.08112, equation 4.
    """
    parts = []
    for start in range(0, len(logits), ROWS):
        taken = slice(start, start + ROWS)
        log_q, log_p = log_probabilities(logits[taken]), final[taken]
        xp = namespace(log_q)
        q, p = xp.exp(log_q), xp.exp(log_p)
        zero = xp.zeros_like(q)
        with np.errstate(invalid="ignore"):  # of tokens that are never predicted
            entropy = -xp.sum(xp.where(q > 0, q * log_q, zero), axis=1)
            divergence = xp.sum(xp.where(p > 0, p * (log_p - log_q), zero), axis=1)
        own = indices(np.asarray(targets)[taken], like=log_q)
        loss = -xp.take_along_axis(log_q, own[:, None], axis=1)[:, 0]
        parts.append((as_numpy(entropy), np.maximum(as_numpy(divergence), 0), as_numpy(loss)))  # rounding may be below 0
    return Lens(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def leading_directions(covariance: ArrayLike, k: int) -> tuple[Array, Array]:
    """Compute eigenvalues of a covariance (d,), the largest first, and the k leading eigenvectors (d, k)."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, dtype=np.float64))
    return np.maximum(values[::-1], 0), np.ascontiguousarray(vectors[:, ::-1][:, :k])


def share_inside(rows: ArrayLike, directions: ArrayLike, groups: ArrayLike, counts: ArrayLike) -> Array:
    """Compute the share of the variance of rows (n, d) that lies inside a subspace, in each resample of groups: (resamples,).

    directions: (d, k), an orthonormal basis. groups: (n,), the number of each row's group; counts: (resamples, groups), how often
    each group is drawn. The mean is that of the resample. NaN where rows do not vary. Limits: 1 for k = d; p_1 + .. + p_k for the
    rows' own leading directions, p their relative spectrum.
    """
    z, group, drawn = np.asarray(rows, dtype=np.float64), np.asarray(groups), np.asarray(counts, dtype=np.float64)
    inside = z @ np.asarray(directions, dtype=np.float64)
    columns = np.column_stack([np.ones(len(z)), np.square(z).sum(axis=1), np.square(inside).sum(axis=1), z, inside])
    totals = np.zeros((drawn.shape[1], columns.shape[1]))
    np.add.at(totals, group, columns)
    sums = drawn @ totals
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums[:, 1:] / sums[:, :1]
        whole = means[:, 0] - np.square(means[:, 2 : 2 + z.shape[1]]).sum(axis=1)
        within = means[:, 1] - np.square(means[:, 2 + z.shape[1] :]).sum(axis=1)
        return np.asarray(np.where(whole > 1e-12 * means[:, 0], within / whole, np.nan))


def share_in_random_subspace(shares: ArrayLike, k: int, level: float = 0.95) -> tuple[float, float, float]:
    """Return the mean share of the variance inside a random subspace of k dimensions, and the ends that `level` of them are in.

    shares: (d,), a relative spectrum. A subspace is drawn uniformly. Mean k / d and variance 2 k (d - k) (d sum p^2 - 1) /
    (d^2 (d + 2) (d - 1)) are exact; the ends are those of a beta distribution with these moments. Limits: for a single direction
    that has all of the variance it is Beta(k / 2, (d - k) / 2), exactly; for a flat spectrum, and for k = d, there is no spread.
    Raises DataError for k that is no number from 1 to d.
    """
    p = np.asarray(shares, dtype=np.float64)
    d = len(p)
    if not 1 <= k <= d:
        raise DataError(f"a subspace of {d} dimensions has from 1 to {d}, found {k}")
    mean = k / d
    variance = 2 * k * (d - k) * (d * float(np.square(p).sum()) - 1) / (d**2 * (d + 2) * max(d - 1, 1))
    if variance <= 1e-15:
        return mean, mean, mean
    concentration = mean * (1 - mean) / variance - 1
    low, high = stats.beta.ppf([(1 - level) / 2, (1 + level) / 2], mean * concentration, (1 - mean) * concentration)
    return mean, float(low), float(high)
