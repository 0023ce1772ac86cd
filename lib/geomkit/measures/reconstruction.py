"""Score how well chosen earlier tokens reconstruct a token, on held-out whitened coordinates, against a control token.

Raw coordinates are dominated by a few, and R^2 on the coordinates of the fit is what the Lasso itself maximises. So rows are
whitened by what other documents say, weights are fitted on one half of the coordinates and judged on the other, and a target
from another document tells how much of the score any target would get. A set that was chosen by the target's own coordinates has
seen those that are held out: `Reconstruction.only` serves to choose anew on each split's coordinates of the fit.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError

Positions = NDArray[np.int64]

SINGULAR = 1e-12
"""Eigenvalues of a Gram matrix below this part of the largest are 0."""


@dataclass(frozen=True, eq=False)
class Whitening:
    """Whitening z -> (z - mean) C^-1/2, C a shrunk covariance. mean: (d,). root: (d, d), the symmetric C^-1/2."""

    mean: Array
    root: Array

    @classmethod
    def estimate(cls, rows: ArrayLike) -> Self:
        """Estimate a shrunk covariance from rows (n, d) of other documents.

        C = (1 - a) S + a (tr S / d) I, S the rows' covariance (over n), a `shrinkage`.

        Limit: C = S as n grows. Raises DataError for rows that are not finite, and where C is singular, as for equal rows.
        Source: Ledoit, Wolf 2004, A well-conditioned estimator for large-dimensional covariance matrices.
        """
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim != 2 or not rows.size:
            raise DataError(f"a whitening takes a matrix of token vectors, found shape {rows.shape}")
        if not np.isfinite(rows).all():
            raise DataError("a whitening takes token vectors that are finite")
        mean = rows.mean(axis=0)
        centred = rows - mean
        fourth = float(np.mean(np.sum(centred**2, axis=1) ** 2))
        return cls._shrunk(mean, centred.T @ centred / len(rows), fourth, len(rows))

    @classmethod
    def of_unit_rows(cls, moment: ArrayLike, total: ArrayLike, n: int) -> Self:
        """Estimate as in `estimate`, from the sums of z z^T (d, d) and of z (d,) over n rows z of length 1 or 0.

        |z|^2 is 1 or 0, so that with m the mean, t = tr(sum z z^T) / n and q = |m|^2, the mean of |z - m|^4 is
        t + 4 m^T (sum z z^T / n) m + q^2 - 4 q + 2 q t - 4 q^2.
        """
        mean, second = np.asarray(total, dtype=np.float64) / n, np.asarray(moment, dtype=np.float64) / n
        size, t = float(mean @ mean), float(np.trace(second))
        fourth = t + 4 * float(mean @ second @ mean) - 3 * size**2 - 4 * size + 2 * size * t
        return cls._shrunk(mean, second - np.outer(mean, mean), fourth, n)

    @classmethod
    def _shrunk(cls, mean: Array, covariance: Array, fourth: float, n: int) -> Self:
        """Shrink a covariance; fourth is the mean of |z - mean|^4."""
        values, vectors = np.linalg.eigh(covariance)
        values += shrinkage(fourth, covariance, n) * (values.mean() - values)
        if not values[0] > SINGULAR * values[-1]:
            raise DataError(f"the shrunk covariance of {n} rows of {len(mean)} columns is singular")
        return cls(mean, vectors / np.sqrt(values) @ vectors.T)

    def apply(self, Z: ArrayLike) -> Array:
        """Whiten rows (..., d). A rotation of all rows before the estimate rotates them."""
        return (np.asarray(Z, dtype=np.float64) - self.mean) @ self.root


def shrinkage(fourth: float, covariance: Array, n: int) -> float:
    """Compute Ledoit and Wolf's a = min(b^2, s^2) / s^2 of n centred rows x, from their mean |x|^4 and covariance S (d, d).

    In Frobenius' norm, s^2 = |S - (tr S / d) I|^2, and b^2 = (mean |x|^4 - |S|^2) / n estimates S's error. 0 where S is a
    multiple of I.
    """
    total = np.sum(covariance**2)
    spread = total - np.trace(covariance) ** 2 / len(covariance)
    return float(np.clip((fourth - total) / (n * spread), 0, 1)) if spread > 0 else 0.0


def coordinate_splits(d: int, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw random halves of d coordinates (count, d): True for the d // 2 on which weights are fitted.

    Raises DataError for d < 2.
    """
    if d < 2:
        raise DataError(f"{d} coordinate cannot be split into two halves")
    return rng.permuted(np.tile(np.arange(d) < d // 2, (count, 1)), axis=1)


class Reconstruction:
    """A text's whitened rows (T, d) and, for each split of the coordinates (splits, d), the Gram matrices of both halves.

    Raises DataError for shapes that do not fit, and for a split that leaves one half empty.
    """

    def __init__(self, whitened: ArrayLike, splits: ArrayLike):
        self.whitened = np.asarray(whitened, dtype=np.float64)
        self.splits = np.asarray(splits, dtype=bool)
        if self.whitened.ndim != 2 or self.splits.ndim != 2 or self.whitened.shape[1] != self.splits.shape[1]:
            raise DataError(f"rows of shape {self.whitened.shape} do not fit splits of shape {self.splits.shape}")
        self.fitted = np.stack([half @ half.T for half in (self.whitened[:, split] for split in self.splits)])
        self.held_out = np.stack([half @ half.T for half in (self.whitened[:, ~split] for split in self.splits)])

    def only(self, split: int) -> "Reconstruction":
        """Restrict to one split, for sets that were chosen on its fitting coordinates alone."""
        one = copy(self)
        one.splits, one.fitted, one.held_out = self.splits[[split]], self.fitted[[split]], self.held_out[[split]]
        return one

    def r2(self, target: int, chosen: Sequence[ArrayLike], control: ArrayLike) -> Array:
        """Compute R^2 (sets, 2) of the target and of a control (d,), a whitened target of another document, from each chosen set.

        Weights by least squares on a split's coordinates, 1 - SSE / SST on the others, SST about 0, where whitened coordinates
        have their mean; the mean over the splits. The score is the first column minus the second. Linearly dependent tokens get
        the weights of least norm.

        Limits: 1 for a target in the span of the chosen tokens, 0 for no tokens, and for iid normal rows in the mean
        -m / (m - 2) k / (n - k - 1), for k tokens, n coordinates of the fit and m held out. NaN where n <= k, since as many
        tokens fit anything, and for a target that is 0 on the held-out coordinates.
        Raises DataError for a chosen token that is not in the text or is the target.
        """
        control = np.asarray(control, dtype=np.float64)
        scores = np.full((len(chosen), 2), np.nan)
        fit = np.stack([self.fitted[:, target], (self.splits * control) @ self.whitened.T], axis=-1)
        test = np.stack([self.held_out[:, target], (~self.splits * control) @ self.whitened.T], axis=-1)
        total = np.stack([self.held_out[:, target, target], ~self.splits @ control**2], axis=-1)
        for places, sets in _by_size(chosen, target, len(self.whitened)):
            if sets.shape[1] < self.splits.sum(axis=1).min():
                weights = least_squares(_blocks(self.fitted, sets), fit[:, sets])
                scores[places] = _explained(_blocks(self.held_out, sets), test[:, sets], weights, total[:, None]).mean(axis=0)
        return scores


def raw_r2(gram: Array, target: int, chosen: Sequence[ArrayLike]) -> Array:
    """Compute R^2 (sets,) of a target from each chosen set on all coordinates, by the Gram matrix (T, T).

    It is 1 - |residual|^2 / |z_t|^2.

    Limits: 1 for a target in the span of the chosen tokens, 0 for no tokens; it never falls as tokens are added. NaN for a zero
    target. Raises DataError for a chosen token that is not in the text or is the target.
    """
    scores = np.empty(len(chosen))
    for places, sets in _by_size(chosen, target, len(gram)):
        system, moment = _blocks(gram, sets), gram[target][sets][..., None]
        scores[places] = _explained(system, moment, least_squares(system, moment), gram[target, target])[:, 0]
    return scores


def least_squares(gram: Array, moment: Array) -> Array:
    """Solve G w = b for w (..., k, m) of least norm, for G = X X^T (..., k, k) and b = X y (..., k, m).

    The pseudo-inverse of G is used where it is singular (condition above 1 / `SINGULAR`), else its factors.
    """
    if not gram.size:
        return moment
    singular = np.linalg.cond(gram, 1) > 1 / SINGULAR
    regular = np.where(singular[..., None, None], np.eye(gram.shape[-1]), gram)
    weights = np.asarray(np.linalg.solve(regular, moment), dtype=np.float64)
    weights[singular] = np.linalg.pinv(gram[singular], SINGULAR, hermitian=True) @ moment[singular]
    return weights


def _explained(gram: Array, moment: Array, weights: Array, total: Array) -> Array:
    """Compute 1 - |y - X^T w|^2 / |y|^2 = w^T (2 b - G w) / |y|^2."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights * (2 * moment - gram @ weights)).sum(axis=-2) / total


def _blocks(grams: Array, sets: Positions) -> Array:
    """Gather Gram matrices (..., sets, k, k) of the tokens of each set (sets, k)."""
    return grams[..., sets[:, :, None], sets[:, None, :]]


def _by_size(chosen: Sequence[ArrayLike], target: int, tokens: int) -> Iterator[tuple[Positions, Positions]]:
    """Group sets by size: their places (sets,) among the chosen, and their tokens (sets, k)."""
    sets = [np.asarray(positions, dtype=np.int64) for positions in chosen]
    for positions in sets:
        if ((positions < 0) | (positions >= tokens) | (positions == target)).any():
            raise DataError(f"tokens 0 to {tokens - 1} other than target {target} can rebuild it, found {positions.tolist()}")
    sizes = np.array([positions.size for positions in sets])
    for size in np.unique(sizes):
        places = np.flatnonzero(sizes == size)
        yield places, np.stack([sets[place] for place in places])
