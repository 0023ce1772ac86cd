"""Similarity of clouds of the same tokens: of two states of one model, or of states of two models.

A measure is one function here with `@similarities.register(name, label=..., unit=...)`, all literals. It takes two `Clouds`, each
with the rows of the same n tokens at some states, and returns the `Similarity` of every state of the first with every state of
the second. What is demanded of it: 1 for a rotated, shifted and scaled copy, and no change where the tokens of both are permuted.

The null is exact, and draws nothing. It is the mean of the measure over all exchanges of the second cloud's documents: rows of
one document go to the place of rows of another one, so that pairs of tokens of one document stay such pairs, and pairs of
tokens of different documents become any other such pair. Documents may differ in size, for pairs are exchanged, not documents
whole. So what two clouds share only because tokens of one text are alike in each of them counts as 0.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from geomkit.core.arrays import Array, as_numpy, rounding
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.registry import Registry

LEVEL = 0.95
MOST_TOKENS, MOST_ENTRIES = 2048, 2**28
"""Tokens, and entries of all Gram matrices, that are kept together; beyond, sums of products of columns take their place."""
BLOCK = 512
"""Rows whose neighbours are sought together."""
TIES = 1e-10
"""Differences of squared distances, in parts of the mean squared length, up to which two rows are equally near."""


@dataclass(frozen=True, eq=False)
class Similarity:
    """How alike states are: arrays (states of the first cloud, states of the second), or numbers for one state of each.

    raw: the measure. null: its mean where documents are exchanged. value: (raw - null) / (1 - null), which is 1 for equal clouds
    and 0 for what exchanged documents give. low, high: its 95 % interval over documents, from a jackknife that leaves out one
    document at a time and a t quantile, cut at 1. NaN where it is undefined: for a cloud of equal rows, for documents that cannot
    be exchanged, and ends with fewer than three documents.
    """

    value: Array
    low: Array
    high: Array
    raw: Array
    null: Array

    def at(self, first: int, second: int) -> "Similarity":
        """Return the similarity of two states."""
        return Similarity(*(getattr(self, name)[first, second] for name in self.__dataclass_fields__))


similarities: Registry[Callable[..., Similarity]] = Registry("measure of similarity")


def similarity(
    X: ArrayLike, Y: ArrayLike, documents: ArrayLike | None = None, names: Iterable[str] | None = None, *, k: int = 10
) -> dict[str, Similarity]:
    """Compare two clouds of the same tokens, each measure calibrated by its null and with its interval over documents.

    X (n, d1), Y (n, d2): rows of the same n tokens, in the same order. documents (n,): the document of each token; without them
    every row is a document of its own. names: measures, all by default. k: nearest neighbours. Scale rows to length 1 beforehand
    where a few long ones must not decide: `geomkit.normalise(X, "unit")`.
    Raises DataError for what is no pair of finite matrices with equally many rows, at least four, and where fewer than k rows
    belong to other documents; ConfigError for an unknown name.
    """
    if np.shape(X)[:1] != np.shape(Y)[:1]:
        raise DataError(f"similarity takes matrices (n, d) with rows of the same tokens, found {np.shape(X)} and {np.shape(Y)}")
    first, second = Clouds([X], documents), Clouds([Y], documents)
    parameters = {"k": k}
    return {
        name: similarities[name](
            first, second, **{key: value for key, value in parameters.items() if key in similarities.keywords(name)}
        ).at(0, 0)
        for name in (similarities if names is None else names)
    }


class Clouds:
    """Rows of the same n tokens at several states, (n, d) of each, and the document of each token (n,).

    Rows are centred, and tokens are sorted by document. Of a row that is equal to the mean up to the rounding of its type nothing
    is left. Raises DataError as `similarity` does.
    """

    def __init__(self, states: Sequence[ArrayLike], documents: ArrayLike | None = None):
        sizes = {tuple(np.shape(rows)) for rows in states}
        tokens = {shape[0] for shape in sizes if len(shape) == 2 and shape[1]}
        if len(tokens) != 1 or any(len(shape) != 2 or not shape[1] for shape in sizes):
            raise DataError(f"similarity takes matrices (n, d) with rows of the same tokens, found shapes {sorted(sizes)}")
        (self.n,) = tokens
        names = np.arange(self.n) if documents is None else np.asarray(documents)
        if names.shape != (self.n,) or self.n < 4:
            raise DataError(f"similarity takes four tokens or more, each with its document: {self.n} and {names.shape}")
        index = np.unique(names, return_inverse=True)[1]
        order = np.argsort(index, kind="stable")
        self.document: NDArray[np.int64] = index[order]
        self.sizes = np.bincount(index)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.rows = [centred(rows)[order] for rows in states]

    @property
    def slices(self) -> list[slice]:
        """The rows of each document."""
        return [slice(start, start + size) for start, size in zip(self.starts.tolist(), self.sizes.tolist(), strict=True)]

    @property
    def others(self) -> NDArray[np.int64]:
        """How many tokens belong to other documents than each token (n,)."""
        return self.n - self.sizes[self.document]

    @cached_property
    def sums(self) -> "list[StateSums]":
        """What is needed of each state alone."""
        return [StateSums(rows, self) for rows in self.rows]

    @cached_property
    def grams(self) -> Array | None:
        """Gram matrix of every state, without its diagonal (states, n, n); None where it is too large."""
        if self.n > MOST_TOKENS or len(self.rows) * self.n**2 > MOST_ENTRIES:
            return None
        kernels = np.empty((len(self.rows), self.n, self.n))
        for kernel, rows in zip(kernels, self.rows, strict=True):
            np.matmul(rows, rows.T, out=kernel)
            np.fill_diagonal(kernel, 0)
        return kernels

    @cached_property
    def norms(self) -> Array:
        """Sum of squares of every state's Gram matrix, centred without bias: (states, 1 + documents) as in `StateSums`."""
        return np.stack([aligned(one, one)[0, 0] for one in self.each()])

    def each(self) -> "Iterator[Clouds]":
        """Yield every state as a cloud of its own, which shares what has been computed."""
        for number, rows in enumerate(self.rows):
            one = object.__new__(Clouds)
            vars(one).update(vars(self) | {"rows": [rows]})
            if "sums" in vars(self):
                vars(one)["sums"] = [self.sums[number]]
            if self.grams is not None:
                vars(one)["grams"] = self.grams[number : number + 1]
            yield one

    def by_document(self, values: Array) -> Array:
        """Sum values (n, ...) over each document: (documents, ...)."""
        return np.add.reduceat(values, self.starts, axis=0)


def centred(rows: ArrayLike) -> Array:
    """Subtract the mean row; rows of which nothing but rounding is left become zero. Raises DataError for values not finite."""
    error, own = rounding(rows), np.asarray(as_numpy(rows), dtype=np.float64)
    if not np.isfinite(own).all():
        raise DataError("similarity takes finite rows")
    left = own - own.mean(axis=0)
    left[np.linalg.norm(left, axis=1) <= error * np.linalg.norm(own, axis=1)] = 0
    return left


# Centred kernel alignment


class StateSums:
    """Sums of the Gram matrix K of one state, its diagonal 0: of all tokens, and then without each document (1 + documents,).

    total: of all entries. together: of the entries whose tokens share a document, with K centred without bias, times
    (1 / pairs of one document + 1 / pairs of two)^(1/2): its product for two states is the null of the sum of their products.
    """

    def __init__(self, rows: Array, cloud: Clouds):
        sizes, document, sums = cloud.sizes, cloud.document, cloud.by_document
        self.squares = np.square(rows).sum(axis=1)
        self.of_documents = sums(rows)
        self.across = np.einsum("ij,ij->i", rows, self.of_documents[document])
        """Product of each row with the sum of its document's rows (n,)."""
        self.row_sums = rows @ rows.sum(axis=0) - self.squares
        inside = self.across - self.squares
        self.inside = inside
        """Sum of K over the other tokens of each token's document (n,)."""
        total = self.row_sums.sum() - 2 * sums(self.row_sums) + sums(inside)
        self.total = np.concatenate([[self.row_sums.sum()], total])
        mates = sizes[document] - 1
        weighted = mates @ self.row_sums
        beside = self.of_documents @ (mates @ rows) - sums(mates * self.across)
        weighted = np.concatenate([[weighted], weighted - sums(mates * self.row_sums) - beside])
        own = np.concatenate([[inside.sum()], inside.sum() - sums(inside)])
        left, pairs = leave_one_out(cloud)
        with np.errstate(divide="ignore", invalid="ignore"):
            sharing = own - 2 * weighted / (left - 2) + pairs * self.total / ((left - 1) * (left - 2))
            apart = left * (left - 1) - pairs
            scale = np.where(pairs > 0, np.sqrt(1 / pairs + 1 / np.where(apart > 0, apart, np.nan)), 0)
            self.together = np.where(pairs > 0, sharing, 0) * scale


def leave_one_out(cloud: Clouds) -> tuple[Array, Array]:
    """Count tokens, and ordered pairs of tokens of one document: of all, and without each document (1 + documents,).

    Tokens are NaN where fewer than four are left.
    """
    pairs = cloud.sizes * (cloud.sizes - 1)
    left = np.concatenate([[cloud.n], cloud.n - cloud.sizes]).astype(float)
    return np.where(left > 3, left, np.nan), np.concatenate([[pairs.sum()], pairs.sum() - pairs]).astype(float)


@similarities.register("cka", label="CKA (debiased, linear)", unit="ratio")
def cka(first: Clouds, second: Clouds) -> Similarity:
    """Compute debiased linear centred kernel alignment: the cosine of two Gram matrices that are centred without bias.

    CKA = HSIC(X, Y) / (HSIC(X, X) HSIC(Y, Y))^(1/2), HSIC the unbiased estimator with linear kernels, in -1 .. 1. Its mean is 0
    for independent rows of any width, and it does not grow with width as the biased one does. Null: the product of both Gram
    matrices' cosines with the matrix that says which tokens share a document. Costs O(n d1 d2) without a matrix n x n where
    Gram matrices would be large. Limits: 1 for a rotated, shifted and scaled copy, 0 on average for independent clouds.
    Source: Song et al. 2012 (JMLR 13, equation 5); Kornblith et al. 2019 (arXiv 1905.00414).
    """
    products = aligned(first, second)
    together = [np.stack([one.together for one in cloud.sums]) for cloud in (first, second)]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 / np.sqrt(first.norms[:, None] * second.norms)
        raw, null = products * scale, together[0][:, None] * together[1] * scale
        value = calibrated(raw, null)
    left_out, count = value[..., 1:], len(first.sizes)
    spread = np.square(left_out - left_out.mean(axis=-1, keepdims=True)).sum(axis=-1)
    return with_interval(raw[..., 0], null[..., 0], np.sqrt((count - 1) / count * spread), count)


def aligned(first: Clouds, second: Clouds) -> Array:
    """Sum the products of unbiasedly centred Gram matrices, n (n - 3) HSIC: (states, states, 1 + documents) as in `StateSums`."""
    kept = first.grams is not None and second.grams is not None
    entries, rows = of_grams(first, second) if kept else of_columns(first, second)
    left, _ = leave_one_out(first)
    totals = np.stack([one.total for one in first.sums])[:, None] * np.stack([one.total for one in second.sums])
    return entries + totals / ((left - 1) * (left - 2)) - 2 * rows / (left - 2)


def of_grams(first: Clouds, second: Clouds) -> tuple[Array, Array]:
    """Sum the products of all entries, and of all row sums, of Gram matrices: each (states, states, 1 + documents)."""
    kernels = [cloud.grams for cloud in (first, second)]
    row_sums = [np.stack([one.row_sums for one in cloud.sums]) for cloud in (first, second)]
    entries = np.zeros((2, len(first.rows), len(second.rows), len(first.sizes)))
    rows = [row_sums[0] @ row_sums[1].T]
    for number, own in enumerate(first.slices):
        bands = [kernel[:, own] for kernel in kernels if kernel is not None]
        squares = [band[:, :, own] for band in bands]
        for place, parts in enumerate((bands, squares)):
            one, other = (part.reshape(len(part), -1) for part in parts)
            entries[place, :, :, number] = one @ other.T
        left = [total - band.sum(axis=1) for total, band in zip(row_sums, bands, strict=True)]
        for values in left:
            values[:, own] = 0
        rows.append(left[0] @ left[1].T)
    return without_each(*entries), np.stack(rows, axis=-1)


def of_columns(first: Clouds, second: Clouds) -> tuple[Array, Array]:
    """Compute what `of_grams` does from products of columns, d1 x d2 numbers for each pair of states."""
    shape = (len(first.rows), len(second.rows), 1 + len(first.sizes))
    entries, rows = np.empty(shape), np.empty(shape)
    for place in np.ndindex(shape[:2]):
        X, Y = first.rows[place[0]], second.rows[place[1]]
        x, y = first.sums[place[0]], second.sums[place[1]]
        sums, product = first.by_document, X.T @ Y
        diagonal = x.squares * y.squares
        bands = sums(np.einsum("ij,ij->i", X @ product, Y) - diagonal)
        entries[place] = without_each(bands, squares_of(X, Y, first) - sums(diagonal))
        with_x = y.of_documents @ (Y.T @ x.row_sums) - sums(x.row_sums * y.squares)
        with_y = x.of_documents @ (X.T @ y.row_sums) - sums(y.row_sums * x.squares)
        both = np.einsum("ij,ij->i", x.of_documents @ product, y.of_documents)
        both -= sums(x.across * y.squares + x.squares * y.across - diagonal)
        inside = sums((x.row_sums - x.inside) * (y.row_sums - y.inside))
        whole = x.row_sums @ y.row_sums
        rows[place] = np.concatenate([[whole], whole - with_x - with_y + both - inside])
    return entries, rows


def squares_of(X: Array, Y: Array, cloud: Clouds) -> Array:
    """Sum the products of all entries of Gram matrices inside each document, with their diagonals: (documents,)."""
    sums = []
    for own in cloud.slices:
        x, y = X[own], Y[own]
        sums.append(np.sum((x @ x.T) * (y @ y.T)) if len(x) <= min(x.shape[1], y.shape[1]) else np.sum(np.square(x.T @ y)))
    return np.array(sums)


def without_each(bands: Array, squares: Array) -> Array:
    """Sum over all tokens, and without each document, from documents' rows and diagonal blocks (..., documents)."""
    whole = bands.sum(axis=-1, keepdims=True)
    return np.concatenate([whole, whole - 2 * bands + squares], axis=-1)


# Mutual nearest neighbours


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of other documents, as keys (row times n plus neighbour), in order; all that are as near as the k-th.

    sizes: how many each row has (n,), more than k where rows are equally near. edge: the keys of those that are farthest, and
    edge_sizes how many each row has (n,).
    """

    n: int
    keys: NDArray[np.int64]
    edge: NDArray[np.int64]
    sizes: NDArray[np.int64] = field(init=False)
    edge_sizes: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        for name, keys in (("sizes", self.keys), ("edge_sizes", self.edge)):
            object.__setattr__(self, name, np.bincount(keys // self.n, minlength=self.n))


@similarities.register("mutual_neighbours", label="shared nearest neighbours", unit="ratio")
def mutual_neighbours(first: Clouds, second: Clouds, *, k: int = 10) -> Similarity:
    """Compute the mean overlap of each token's k nearest neighbours in two clouds, among tokens of other documents.

    Tokens of one document share their context, so that their vectors are alike in any cloud, which says little: they are no
    neighbours here. Distances are Euclidean; of unit rows the order is that of cosines. All rows that are as near as the k-th
    count, as equal tokens do at an embedding, and the overlap is |A and B| / max(|A|, |B|). Null: min(|A|, |B|) divided by the
    number of tokens of other documents. Interval: a linearised jackknife over documents, whose tokens are tokens and neighbours,
    and leave their place to the next ones; it is wide rather than narrow. Limits: 1 for a rotated, shifted and scaled copy, the
    null on average for independent clouds. Raises ConfigError for k < 1, DataError where a token has fewer than k of other
    documents.
    Source: Huh et al. 2024 (arXiv 2405.07987), whose neighbours are of all other rows.
    """
    if k < 1:
        raise ConfigError(f"k must be a number of neighbours, found {k}")
    if first.others.min() < k:
        raise DataError(f"{k} neighbours are sought among tokens of other documents, of which a token has {first.others.min()}")
    found = [[neighbours(one, k) for one in cloud.each()] for cloud in ((first,) if first is second else (first, second))]
    shape = (len(first.rows), len(second.rows))
    raw, null, error = np.empty(shape), np.empty(shape), np.empty(shape)
    for i, j in np.ndindex(shape):
        if first is second and i > j:
            raw[i, j], null[i, j], error[i, j] = raw[j, i], null[j, i], error[j, i]
        else:
            raw[i, j], null[i, j], error[i, j] = overlap(found[0][i], found[-1][j], first)
    with np.errstate(divide="ignore", invalid="ignore"):
        return with_interval(raw, null, error / (1 - null), len(first.sizes))


def neighbours(cloud: Clouds, k: int) -> Neighbours:
    """Find the k nearest rows of other documents of each row of one state."""
    (rows,), n = cloud.rows, cloud.n
    squares = np.square(rows).sum(axis=1)
    slack = TIES * float(squares.mean())
    keys: list[list[NDArray[np.int64]]] = [[], []]
    for start in range(0, n, BLOCK):
        own = slice(start, min(start + BLOCK, n))
        near = 2 * (rows[own] @ rows.T if cloud.grams is None else cloud.grams[0, own]) - squares
        near[cloud.document[own, None] == cloud.document] = -np.inf
        least = np.partition(near, n - k, axis=1)[:, n - k, None]
        near -= least
        for place, inside in enumerate((near >= -slack, np.abs(near) <= slack)):
            row, column = np.nonzero(inside)
            keys[place].append((row + start) * n + column)
    return Neighbours(n, *(np.concatenate(one) for one in keys))


def overlap(one: Neighbours, other: Neighbours, cloud: Clouds) -> tuple[float, float, float]:
    """Compute the mean overlap of two states' neighbours, its null, and its standard error over documents."""
    n, sizes, document, others = cloud.n, cloud.sizes, cloud.document, cloud.others
    larger = np.maximum(one.sizes, other.sizes)
    shared = one.keys[among(one.keys, other.keys)]
    weights = 1 / larger[shared // n]
    as_token = np.bincount(document[shared // n], weights, len(sizes))
    as_neighbour = np.bincount(document[shared % n], weights, len(sizes))
    raw = float(weights.sum() / n)
    # without a neighbour the next one comes in its place: how often the one at the edge is shared
    edges = [among(state.edge, of.keys) for state, of in ((one, other), (other, one))]
    edge_shared = [np.sum(hit / state.edge_sizes[state.edge // n]) / n for hit, state in zip(edges, (one, other), strict=True)]
    at_both = one.edge[among(one.edge, other.edge)]
    both = np.sum(1 / np.maximum(one.edge_sizes, other.edge_sizes)[at_both // n]) / n
    moved = as_neighbour * (1 + both)
    for state, rate in zip((one, other), edge_shared, strict=True):
        moved = moved - rate * np.bincount(document[state.keys % n], 1 / state.sizes[state.keys // n], len(sizes))
    expected = moved.sum() / n * sizes * (np.sum(1 / others) - sizes / (n - sizes))
    influence = (as_token - raw * sizes + moved - expected) / n
    error = np.sqrt(np.square(influence).sum() * len(sizes) / max(len(sizes) - 1, 1))
    return raw, float(np.mean(np.minimum(one.sizes, other.sizes) / others)), float(error)


def among(keys: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each key is among the others, both in order."""
    return others[np.minimum(np.searchsorted(others, keys), len(others) - 1)] == keys


# Calibration


def calibrated(raw: Array, null: Array) -> Array:
    """Return (raw - null) / (1 - null), NaN where the null is 1 already. Source: arXiv 2602.14486, with the null's mean."""
    return np.where(null < 1 - 1e-9, (raw - null) / np.where(null < 1 - 1e-9, 1 - null, 1), np.nan)


def with_interval(raw: Array, null: Array, error: Array, documents: int) -> Similarity:
    """Return a similarity with its interval, from the standard error of its calibrated value."""
    value = calibrated(raw, null)
    reach = stats.t.ppf((1 + LEVEL) / 2, documents - 1) * error if documents > 2 else np.full_like(value, np.nan)
    return Similarity(value, value - reach, np.minimum(value + reach, 1), raw, null)
