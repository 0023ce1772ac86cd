"""Measure how information about a token is spread over its past, by ridge regression on subsets of it.

A target z is explained by ridge regression on context tokens X (m, d), penalty 1/c, as the information gain is: rho(S) =
min_w |z - X_S^T w|^2 + |w|^2 / c for a set S of tokens. An order lists tokens by position in the context, most important first.
All sets that are the head of one order share one Cholesky factor, so no curve costs more than a single regression.

Noise gives curves and indices of its own: all of these stand beside `noise` of the same shape, and beside another document's
target. Redundant is not spread: of a fact stated eight times one statement is enough, and all eight must go before it is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import entr

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.measures.selection import Context, chooses_by, is_stepwise, selectors
from geomkit.measures.spectra import normalise

Positions = NDArray[np.int64]

FRACTIONS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
"""Parts of the context that are removed."""
DRAWS = 20
"""Orders of chance."""


@dataclass(frozen=True, eq=False)
class Explained:
    """Ridge problem of a target and its context, as inner products.

    gram: X X^T (m, m); products: X z (m,); square: |z|^2; c: 1 / penalty.

    Raises DataError for shapes that do not fit, values that are not finite, an empty context, a zero target, and c that is not
    positive.
    """

    gram: Array
    products: Array
    square: float
    c: float

    def __post_init__(self) -> None:
        gram, products = np.asarray(self.gram, dtype=np.float64), np.asarray(self.products, dtype=np.float64)
        if products.ndim != 1 or not products.size or gram.shape != (products.size, products.size):
            raise DataError(f"a context of one token or more has a square Gram matrix, found {gram.shape} and {products.shape}")
        if not (np.isfinite(gram).all() and np.isfinite(products).all() and np.isfinite(self.square) and self.square > 0):
            raise DataError("a target and its context must be finite, and the target not zero")
        if not 0 < self.c < np.inf:
            raise DataError(f"c must be positive, found {self.c}")
        object.__setattr__(self, "gram", gram)
        object.__setattr__(self, "products", products)

    @classmethod
    def of(cls, context: ArrayLike, target: ArrayLike, c: float) -> "Explained":
        """Build the problem from context rows (m, d) and a target (d,), taken as they are.

        The target may be that of another document.
        """
        X, z = np.asarray(context, dtype=np.float64), np.asarray(target, dtype=np.float64)
        if X.ndim != 2 or z.shape != X.shape[1:]:
            raise DataError(f"context rows of shape {X.shape} do not fit a target of shape {z.shape}")
        return cls(X @ X.T, X @ z, float(z @ z), c)

    @property
    def size(self) -> int:
        return len(self.products)


def noise(size: int, d: int, c: float, rng: np.random.Generator) -> Explained:
    """Draw a context of `size` tokens and a target of d columns, iid Gaussian rows at unit length: the null of no structure."""
    rows = noise_rows(size, d, rng)
    return Explained.of(rows[:-1], rows[-1], c)


class Heads(NamedTuple):
    """Residual and coding length of the first k tokens of an order, k from 0 to m: each (m + 1,).

    residual: rho over |z|^2, from 1 for none down. coding: ln det(I + c X X^T) of these tokens, in nats, from 0 up: times half
    of n + d it is their rate distortion at the n of c.
    """

    residual: Array
    coding: Array


def heads(problem: Explained, order: ArrayLike) -> Heads:
    """Compute residual and coding length of every head of an order of all m tokens, by one Cholesky factor.

    With L L^T = I + c X X^T in that order and L y = c X z, c rho_k = c |z|^2 - sum_{i <= k} y_i^2, and coding_k is the sum of
    2 ln L_ii: a longer head only adds rows. Neither curve can turn back. Raises DataError if the order is no permutation.
    """
    positions = _permutation(order, problem.size)
    factor = cholesky(np.eye(problem.size) + problem.c * problem.gram[np.ix_(positions, positions)], lower=True)
    taken = np.square(solve_triangular(factor, problem.c * problem.products[positions], lower=True))
    residual = 1 - np.concatenate([[0.0], np.cumsum(taken)]) / (problem.c * problem.square)
    return Heads(residual, np.concatenate([[0.0], np.cumsum(2 * np.log(np.diagonal(factor)))]))


def _permutation(order: ArrayLike, size: int) -> Positions:
    positions = np.asarray(order)
    if not np.array_equal(np.sort(positions), np.arange(size)):
        raise DataError(f"an order holds each of the {size} tokens of the context once")
    return positions.astype(np.int64)


def complete(chosen: ArrayLike, size: int, rng: np.random.Generator) -> Positions:
    """Complete an order: the tokens that a method chose, then the others in random order.

    Raises DataError for a token that is chosen twice or does not exist.
    """
    chosen = np.asarray(chosen, dtype=np.int64)
    if np.unique(chosen).size != chosen.size or ((chosen < 0) | (chosen >= size)).any():
        raise DataError(f"chosen tokens must be different ones among {size}")
    return np.concatenate([chosen, rng.permutation(np.setdiff1d(np.arange(size), chosen))])


def counts(fractions: ArrayLike, size: int) -> Positions:
    """Return the number of tokens in each fraction of a context, halves rounded up. Raises DataError for fractions outside 0 ..
    1."""
    parts = np.asarray(fractions, dtype=np.float64)
    if not ((parts >= 0) & (parts <= 1)).all():
        raise DataError(f"fractions of a context are between 0 and 1, found {parts.tolist()}")
    return np.floor(parts * size + 0.5).astype(np.int64)


class Removal(NamedTuple):
    """Residual and coding length, as in `Heads`, once fractions of the context are removed: each (fractions,)."""

    residual: Array
    coding: Array


def removal(problem: Explained, order: ArrayLike, fractions: Sequence[float] = FRACTIONS) -> Removal:
    """Compute the curves for removing the head of an order.

    A reversed order removes the least important tokens first.
    """
    kept = heads(problem, np.asarray(order)[::-1])
    left = problem.size - counts(fractions, problem.size)
    return Removal(kept.residual[left], kept.coding[left])


def keeping(problem: Explained, order: ArrayLike, fractions: Sequence[float] = FRACTIONS) -> Removal:
    """Compute the curves for keeping only the head of an order; fractions are what is kept."""
    kept, number = heads(problem, order), counts(fractions, problem.size)
    return Removal(kept.residual[number], kept.coding[number])


def random_removal(
    problem: Explained, rng: np.random.Generator, fractions: Sequence[float] = FRACTIONS, draws: int = DRAWS
) -> Removal:
    """Compute the curves of random orders, each (draws, fractions)."""
    curves = [removal(problem, rng.permutation(problem.size), fractions) for _ in range(draws)]
    return Removal(np.stack([each.residual for each in curves]), np.stack([each.coding for each in curves]))


def effective_rank(gram: ArrayLike, order: ArrayLike, fractions: Sequence[float] = FRACTIONS) -> Array:
    """Compute the effective rank of the remaining tokens (fractions,).

    It is exp(-sum p ln p), p the shares of their Gram matrix's eigenvalues.

    NaN where none is left or all are zero. It is `erank_covariance` of the rows that are left.
    """
    gram = np.asarray(gram, dtype=np.float64)
    positions = _permutation(order, len(gram))
    ranks = np.full(len(fractions), np.nan)
    for index, count in enumerate(counts(fractions, len(gram))):
        left = positions[count:]
        if left.size and np.trace(part := gram[np.ix_(left, left)]) > 0:
            values = np.linalg.eigvalsh(part)
            values = np.where(values > len(left) * np.finfo(np.float64).eps * values[-1], values, 0.0)
            ranks[index] = np.exp(entr(values / values.sum()).sum())
    return ranks


def area(curve: ArrayLike, random: ArrayLike, fractions: Sequence[float] = FRACTIONS) -> float:
    """Compute the area between a curve (fractions,) and the mean of random ones (draws, fractions).

    It is taken by the trapezoidal rule, in units of the curve. For a residual it is positive where the removed tokens explain
    more of the target than random tokens.
    """
    return float(np.trapezoid(np.asarray(curve, dtype=np.float64) - np.asarray(random, dtype=np.float64).mean(axis=0), fractions))


class Halves(NamedTuple):
    """Numbers of tokens of an order at which half of what the whole context explains is lost or reached.

    `deletion` of them have to be removed for half to be lost; `keeping` of them alone give half. Both are NaN where the context
    explains nothing.

    One token that tells all: 1 and 1. A fact stated r times: r and 1. Information spread evenly over m tokens: m/2 and m/2.
    """

    deletion: float
    keeping: float

    @property
    def redundancy(self) -> float:
        """deletion / keeping: 1 where no information is repeated, be it in one token or many; r where it is repeated r times."""
        return self.deletion / self.keeping


def halves(problem: Explained, order: ArrayLike) -> Halves:
    """Compute the `Halves` of an order, exact to one token. A set explains |z|^2 - rho(S)."""
    positions = np.asarray(order)
    kept, left = heads(problem, positions).residual, heads(problem, positions[::-1]).residual[::-1]
    half = (1 + kept[-1]) / 2
    if not 1 - kept[-1] > 1e-12:
        return Halves(np.nan, np.nan)
    slack = 1e-9 * (1 - half)  # equal pieces add up to exactly a half, but for rounding
    return Halves(float(np.argmax(left >= half - slack)), float(np.argmax(kept <= half + slack)))


def crossing(x: ArrayLike, share: ArrayLike, level: float = 0.5) -> float:
    """Interpolate where a curve (k,), measured at x (k,), first crosses a level; NaN if it never does.

    For a curve of a model's loss: share (loss - loss of none removed) / (loss of all removed - loss of none removed).
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(share, dtype=np.float64) - level
    if y[0] == 0:
        return float(x[0])
    after = np.flatnonzero(np.sign(y) != np.sign(y[0]))
    if not after.size or not np.isfinite(y[: after[0] + 1]).all():
        return float("nan")
    right = after[0]
    return float(x[right - 1] + (x[right] - x[right - 1]) * y[right - 1] / (y[right - 1] - y[right]))


def leave_one_out(problem: Explained) -> Array:
    """Compute the increase of the residual when a token is left out, rho(all but i) - rho(all) over |z|^2, of each token (m,).

    It is w_i^2 / (A^-1)_ii, A = X X^T + I / c and w = A^-1 X z.

    At least 0, up to rounding none. Next to 0 for each of two equal tokens: what is told twice is not missed once.
    Source: the formula of a deleted variable in least squares, as in Cook, Weisberg 1982, with a ridge.
    """
    lower = cholesky(problem.gram + np.eye(problem.size) / problem.c, lower=True)
    inverse = cho_solve((lower, True), np.eye(problem.size))
    return np.asarray(np.square(inverse @ problem.products) / np.diagonal(inverse) / problem.square)


def leave_one_out_coding(gram: ArrayLike, c: float) -> Array:
    """Compute how much each token adds to ln det(I + c X X^T) beyond all others (m,), in nats: -ln ((I + c X X^T)^-1)_ii."""
    gram = np.asarray(gram, dtype=np.float64)
    lower = cholesky(np.eye(len(gram)) + c * gram, lower=True)
    return np.asarray(-np.log(np.diagonal(cho_solve((lower, True), np.eye(len(gram))))))


def gini(values: ArrayLike) -> float:
    """Compute Gini's index of nonnegative values (m,): sum_i (2 i - m - 1) x_(i) / (m sum x).

    Limits: 0 for equal values, 1 - 1/m for a single one, and 2/pi = 0.637 for squares of independent Gaussians: noise alone looks
    concentrated. NaN for zeros. Raises DataError for negative values.
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    if not x.size or not (x >= 0).all():
        raise DataError("Gini's index takes values that are not negative")
    total = x.sum()
    return float((2 * np.arange(1, x.size + 1) - x.size - 1) @ x / (x.size * total)) if total > 0 else float("nan")


def effective_number(values: ArrayLike) -> float:
    """Compute the effective number of values (m,), (sum x)^2 / sum x^2.

    Limits: m for equal ones, 1 for a single one, m/3 for squares of Gaussians. NaN for zeros.
    """
    x = np.asarray(values, dtype=np.float64)
    squares = float(x @ x)
    return float(x.sum() ** 2 / squares) if squares > 0 else float("nan")


def takes_noise(method: str) -> bool:
    """Whether a method works on noise instead of a text: it needs the rows alone, or nothing."""
    return chooses_by(method) == "gram" or method == "recency"


def orders(
    rows: ArrayLike,
    methods: Sequence[str],
    *,
    budget: int,
    penalty: float,
    rng: np.random.Generator,
    norms: ArrayLike | None = None,
    scores: Mapping[str, Array] | None = None,
) -> dict[str, Positions]:
    """Order the tokens of a context by importance under each method: (m,) by name, for rows (m + 1, d) whose last is the target.

    budget: tokens that stepwise methods choose; the rest follow in random order. norms (m + 1,): lengths before normalising,
    which `norm` needs; scores: for a name (m,), which methods of a model's own need. Methods that lack theirs have no order;
    `random` is not made here.
    """
    Z = np.asarray(rows, dtype=np.float64)
    size = len(Z) - 1
    lengths = np.full(size + 1, np.nan) if norms is None else np.asarray(norms, dtype=np.float64)
    padded = {name: np.append(values, np.nan) for name, values in (scores or {}).items()}
    context = Context(Z @ Z.T, size, 0, penalty, lengths, padded, rng)
    completed: dict[str, Positions] = {}
    for method in methods:
        if method == "random" or (method == "norm" and norms is None):
            continue
        chosen = selectors[method](context, [min(budget, size) if is_stepwise(method) else size])
        if not isinstance(chosen, str):
            completed[method] = complete(chosen[-1], size, rng)
    return completed


def stretched(scores: ArrayLike, size: int) -> Array:
    """Map scores (m,) of another context to one of `size` tokens by relative position."""
    values = np.asarray(scores, dtype=np.float64)
    return values[np.arange(size) * len(values) // size]


def without(order: ArrayLike, left_out: NDArray[np.bool_]) -> Positions:
    """Drop the left-out tokens (m,) from an order, and renumber the others."""
    positions = np.asarray(order)
    numbers = np.cumsum(~left_out) - 1
    return np.asarray(numbers[positions[~left_out[positions]]], dtype=np.int64)


def noise_rows(size: int, d: int, rng: np.random.Generator) -> Array:
    """Draw a context of `size` tokens and its target, iid Gaussian rows at unit length: (size + 1, d)."""
    return normalise(rng.standard_normal((size + 1, d)), "unit")
