"""Select the k earlier tokens that best explain a token, by a Gram matrix or by scores from a model.

The candidates for a target t are tokens first .. t - 1; `first` is 1 to leave out the first token, on which attention rests, and
else 0. A new method is one function here with `@selectors.register(name, by=...)`, literals: it takes a Context and the budgets,
and returns for each budget k the positions of at most k candidates, most important first, or else a sentence that says why it has
none.

`by` is what it chooses by: `scores`, `norms`, `position`, or `gram`, which is meant where nothing is said. A method that chooses
by the Gram matrix has seen the coordinates on which a reconstruction is judged: there it chooses anew by the other half of them.
`stepwise=True` marks a method whose cost grows with the budget; it is asked for no more tokens than are needed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.registry import Registry

Positions = NDArray[np.int64]

TOLERANCE = 1e-6
"""The KKT gap up to which a Lasso solution counts as one."""


@dataclass(frozen=True, eq=False)
class LassoPath:
    """A target's Lasso solutions, one for each budget: min_w |z_t - sum_i w_i z_i|^2 / 2 + lambda |w|_1 over the candidates i.

    budgets: (budgets,). penalty: (budgets,), lambda. indices: (budgets, most), positions of the tokens with a weight in order of
    entry, then -1; weights: (budgets, most), theirs, then 0. gap: (budgets,), the KKT gap, computed afresh from the Gram matrix
    and the weights: with c = Z (z_t - Z^T w), less lambda_2 w for an elastic net, the largest of |c_i| - lambda over all
    candidates and |c_i - lambda sign(w_i)| over those with a weight, in parts of lambda_max = max |Z z_t|, the least penalty at
    which all weights are 0. The exact solution has gap 0; above `TOLERANCE` the weights are none and should not be shown as one.
    """

    budgets: Positions
    penalty: Array
    indices: Positions
    weights: Array
    gap: Array

    @property
    def size(self) -> Positions:
        """Number of selected tokens for each budget (budgets,): below the budget where the path never has as many."""
        return np.count_nonzero(self.indices >= 0, axis=1)

    @property
    def chosen(self) -> list[Positions]:
        """Return the tokens for each budget, largest weight first."""
        paths = zip(self.indices, self.weights, self.size, strict=True)
        return [indices[:size][np.argsort(-np.abs(weights[:size]), kind="stable")] for indices, weights, size in paths]


def lasso_path(gram: ArrayLike, target: int, first: int, budgets: Sequence[int], ridge: float = 0.0) -> LassoPath:
    """Compute `lasso_paths` of one target."""
    return lasso_paths(gram, [target], first, budgets, ridge)[0]


def lasso_paths(
    gram: ArrayLike, targets: Sequence[int], first: int, budgets: Sequence[int], ridge: float = 0.0
) -> list[LassoPath]:
    """Compute exact Lasso solutions of each target on its past, from the Gram matrix Z Z^T (T, T) of unit rows, by homotopy.

    The solution of a budget k is that in the middle of the first stretch of the path (penalties from lambda_max down) on which k
    tokens have a weight, so that they are told clearly from the others. Where ties let the path jump over k, it is that of the
    first stretch with the most tokens below k; where the path ends with fewer, that at its end, penalty 0: `size` tells.
    `ridge` > 0 is lambda_2 of the (naive) elastic net, whose objective has lambda_2 |w|^2 / 2 more.

    A token that depends linearly on those with a weight, such as a repeated token, is left out while they stay: the optimality
    conditions hold without it. Tokens closer than about 3e-8 are one within the rounding of the Gram matrix; the gap shows it.
    Limits: orthonormal rows give soft thresholding, w_i = sign(b_i) max(|b_i| - lambda, 0), b = Z z_t; a target orthogonal to all
    candidates, or zero, has no tokens.
    Raises DataError for what is no Gram matrix (square, finite, symmetric, no negative diagonal), a target without candidates,
    and budgets that are not whole numbers from 1 on.
    Source: Osborne, Presnell, Turlach 2000; Efron et al. 2004; Zou, Hastie 2005 for the elastic net.
    """
    from geomkit.measures.homotopy import follow_all

    gram, ends, sizes = np.asarray(gram, dtype=np.float64), _whole(targets, "targets"), _whole(budgets, "budgets")
    _check(gram, ends, first)
    if not sizes.size or sizes.min() < 1:
        raise DataError(f"budgets must be positive numbers of tokens, found {list(budgets)}")
    off = np.abs(gram - gram.T).max(initial=0.0)
    if off > 1e-6 * np.abs(gram).max(initial=0.0) or (np.diagonal(gram) < 0).any():
        raise DataError("a Gram matrix Z Z^T must be symmetric, and its diagonal must not be negative")
    shape, most = (ends.size, sizes.size), sizes.max()
    penalty, gap = np.empty(shape), np.empty(shape)
    indices, weights = np.empty((*shape, most), np.int64), np.empty((*shape, most))
    system = gram[first:, first:].copy()
    np.einsum("ii->i", system)[:] += ridge
    follow_all(system, ends - first, sizes, penalty, indices, weights, gap)
    indices[indices >= 0] += first
    return [LassoPath(sizes, *rows) for rows in zip(penalty, indices, weights, gap, strict=True)]


def _whole(numbers: ArrayLike, what: str) -> Positions:
    array = np.asarray(numbers)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DataError(f"{what} must be a list of whole numbers, found {numbers!r}")
    return array.astype(np.int64)


def _check(gram: Array, targets: Positions, first: int) -> None:
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise DataError(f"a Gram matrix must be square, found shape {gram.shape}")
    if not np.isfinite(gram).all():
        raise DataError(f"{np.count_nonzero(~np.isfinite(gram))} of {gram.size} entries of the Gram matrix are not finite")
    for target in targets:
        if not 0 <= first < target < len(gram):
            raise DataError(f"target {target} of {len(gram)} tokens has no candidates: they are tokens {first} to target - 1")


@dataclass(frozen=True, eq=False)
class Context:
    """Data from which a method selects tokens for one target in a text of T tokens.

    gram: (T, T), Z Z^T of the rows at unit length. penalty: lambda = 1/c of the ridge regression that the information gain is,
    and lambda_2 of the elastic net. norms: (T,), lengths of the raw rows. scores: importances (T,) that only a model run can
    tell, by the name of their method. rng: for `random`.
    Raises DataError for a Gram matrix that is not square or not finite, and for a target without candidates.
    """

    gram: Array
    target: int
    first: int
    penalty: float
    norms: Array
    scores: Mapping[str, Array]
    rng: np.random.Generator

    def __post_init__(self) -> None:
        _check(self.gram, np.array([self.target]), self.first)

    @property
    def candidates(self) -> Positions:
        return np.arange(self.first, self.target)


Selector = Callable[[Context, Sequence[int]], list[Positions] | str]

selectors: Registry[Selector] = Registry("selection method")


def method_of(name: str) -> str:
    """Return the method of a choice: `random` for each of its draws, `random-0`, `random-1`, ..; else the name itself."""
    return "random" if name.startswith("random-") else name


def chooses_by(method: str) -> str:
    """Return what a method selects by.

    A method that does not state it may have used the target's own coordinates: it counts as `gram`.
    """
    return str(selectors.facts[method].get("by", "gram"))


def is_stepwise(method: str) -> bool:
    return bool(selectors.facts[method].get("stepwise"))


def _heads(order: Positions, budgets: Sequence[int]) -> list[Positions]:
    return [order[:k] for k in budgets]


def _highest(context: Context, values: Array, budgets: Sequence[int]) -> list[Positions]:
    """Select the candidates of highest value (candidates,), the later of equal ones."""
    if np.isnan(values).any():
        raise DataError(f"{np.count_nonzero(np.isnan(values))} of {values.size} candidates have no importance (NaN)")
    return _heads(context.candidates[::-1][np.argsort(-values[::-1], kind="stable")], budgets)


@selectors.register("lasso", by="gram", stepwise=True)
def lasso(context: Context, budgets: Sequence[int]) -> list[Positions]:
    """Select the tokens of `lasso_path`, largest weight first."""
    return lasso_path(context.gram, context.target, context.first, budgets).chosen


@selectors.register("elastic_net", by="gram", stepwise=True)
def elastic_net(context: Context, budgets: Sequence[int]) -> list[Positions]:
    """Select the tokens of `lasso_path` with the context's penalty as its ridge, largest weight first."""
    return lasso_path(context.gram, context.target, context.first, budgets, ridge=context.penalty).chosen


@selectors.register("orthogonal_matching_pursuit", by="gram", stepwise=True)
def orthogonal_matching_pursuit(context: Context, budgets: Sequence[int]) -> list[Positions]:
    """Select one token after another, each the most correlated with the residual of least squares on those before.

    A Cholesky factor of the Gram matrix whose pivots are chosen so.

    A Cholesky factor of the Gram matrix whose pivots are chosen so. Ends early where nothing is left, or no candidate is linearly
    independent of the chosen. Source: Pati, Rezaiifar, Krishnaprasad 1993; with a Gram matrix, Rubinstein, Zibulevsky, Elad 2008.
    """
    past = slice(context.first, context.target)
    gram, correlation = context.gram[past, past], context.gram[context.target, past].copy()
    least = 1e-12 * np.sqrt(context.gram[context.target, context.target])
    distance, columns, order = np.diag(gram).copy(), np.empty((0, len(gram))), []
    for _ in range(min(max(budgets), len(gram))):
        left = np.where(distance > 1e-12 * np.diag(gram), np.abs(correlation), 0)
        token = len(left) - 1 - np.argmax(left[::-1])
        if left[token] <= least:
            break
        column = (gram[token] - columns[:, token] @ columns) / np.sqrt(distance[token])
        correlation -= correlation[token] / column[token] * column
        distance -= column**2
        columns = np.vstack([columns, column])
        order.append(token)
    return _heads(context.first + np.array(order, dtype=np.int64), budgets)


@selectors.register("ridge", by="gram")
def ridge(context: Context, budgets: Sequence[int]) -> list[Positions]:
    """Select by the largest weights |w| of the ridge regression that the information gain is.

    min_w |z_t - sum_i w_i z_i|^2 + lambda |w|^2, w = (G + lambda I)^-1 G_t.
    """
    past = slice(context.first, context.target)
    gram = context.gram[past, past] + context.penalty * np.eye(context.target - context.first)
    return _highest(context, np.abs(np.linalg.solve(gram, context.gram[past, context.target])), budgets)


def _by_score(name: str, context: Context, budgets: Sequence[int]) -> list[Positions] | str:
    if name not in context.scores:
        return f"{name} was not measured"
    return _highest(context, context.scores[name][context.first : context.target], budgets)


@selectors.register("attention_mean", by="scores")
def attention_mean(context: Context, budgets: Sequence[int]) -> list[Positions] | str:
    """Select by attention from the target, the mean over heads."""
    return _by_score("attention_mean", context, budgets)


@selectors.register("attention_best_head", by="scores")
def attention_best_head(context: Context, budgets: Sequence[int]) -> list[Positions] | str:
    """Select by attention in one head, which is chosen on other texts."""
    return _by_score("attention_best_head", context, budgets)


@selectors.register("attention_value_norm", by="scores")
def attention_value_norm(context: Context, budgets: Sequence[int]) -> list[Positions] | str:
    """Select by attention, each head's weight times the length of the value that it moves."""
    return _by_score("attention_value_norm", context, budgets)


@selectors.register("attention_rollout", by="scores")
def attention_rollout(context: Context, budgets: Sequence[int]) -> list[Positions] | str:
    """Select by attention traced through all layers."""
    return _by_score("attention_rollout", context, budgets)


@selectors.register("gradient_input", by="scores")
def gradient_input(context: Context, budgets: Sequence[int]) -> list[Positions] | str:
    """Select by the gradient of the prediction times the input."""
    return _by_score("gradient_input", context, budgets)


@selectors.register("leave_one_out", by="scores")
def leave_one_out(context: Context, budgets: Sequence[int]) -> list[Positions] | str:
    """Select the tokens whose removal changes the prediction most."""
    return _by_score("leave_one_out", context, budgets)


@selectors.register("recency", by="position")
def recency(context: Context, budgets: Sequence[int]) -> list[Positions]:
    """Select the latest tokens."""
    return _heads(context.candidates[::-1], budgets)


@selectors.register("first_recency", by="position")
def first_recency(context: Context, budgets: Sequence[int]) -> list[Positions] | str:
    """Select the first token of the text and the latest k - 1 others."""
    if context.first > 0:
        return "the first token is no candidate"
    return _heads(np.concatenate([context.candidates[:1], context.candidates[:0:-1]]), budgets)


@selectors.register("norm", by="norms")
def norm(context: Context, budgets: Sequence[int]) -> list[Positions]:
    """Select the tokens whose raw rows are longest."""
    return _highest(context, context.norms[context.first : context.target], budgets)


@selectors.register("random", by="position")
def random(context: Context, budgets: Sequence[int]) -> list[Positions]:
    """Select the head of one random order: a smaller budget's tokens are among those of a larger one."""
    return _heads(context.rng.permutation(context.candidates), budgets)


def jaccard(a: ArrayLike, b: ArrayLike) -> float:
    """Compute the Jaccard overlap |A and B| / |A or B| of two sets of positions.

    Limits: 1 for equal sets, 0 for disjoint ones, NaN for two empty ones.
    """
    union = np.union1d(a, b).size
    return np.intersect1d(a, b).size / union if union else float("nan")
