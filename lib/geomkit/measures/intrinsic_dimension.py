"""Estimate the intrinsic dimension of rows: the dimension of a cloud at the distance of its rows' neighbours.

Where rows are dense and smooth, ratios of a row's distances to its neighbours follow a law that only the dimension enters. So
neighbours are found once, and every estimator reads their distances. A new estimator is one function here with
`@dimensions.register(name, label=..., unit=...)`, all literals: it takes distances (..., n, ranks) from each row to its
neighbours of ranks 1, 2, 4, .., NaN for rows that are not there, and parameters of its own, each by keyword and with a default.
It returns the dimension (...,) at each scale.

A scale is the rank n2 of the farther neighbour of a ratio: the larger, the more of the cloud is seen. Distances are Euclidean,
between rows as they are, as usual for hidden states (Valeriani et al. 2023, arXiv 2302.00294; Cheng et al. 2024, arXiv
2405.15471). Estimates do not change where rows are rotated, moved or scaled together. For rows of length 1 hand over
`normalise(Z, "unit")`. With few rows for their dimension all estimators are too low: compare clouds with equal numbers of rows.
Vectors of one token lie close together, so a cloud in which tokens recur has a low dimension at small scales, whatever a model
has learnt.

Intervals come from clouds of a quarter of the documents. Documents drawn with replacement would make rows equal, and a jackknife
is not consistent for neighbours: it is about 1.7 times too wide (tests/benchmarks/dimension.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from geomkit.core.arrays import Array, as_numpy, reals, rounding
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.provenance import rng
from geomkit.core.registry import Registry
from geomkit.measures.padding import token_rows

FEWEST = 32
"""Distinct rows that an estimate needs."""
FEWEST_DOCUMENTS = 8
"""Documents that an interval needs."""
DEALS = 8
"""Times that documents are dealt to four quarters."""
BLOCK = 2048
"""Rows whose distances to all others are in memory at a time."""
STEPS = 50
"""Newton's steps at most; five are usual."""
CANCELLED = 1e-6
"""Squared distances below this part of the squared lengths are computed anew, from differences."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Distances from each distinct row to its neighbours of ranks 1, 2, 4, ..

    distances: (n, ranks). quarters: (clouds, rows, ranks), the same in clouds of a quarter of the documents each, NaN for rows
    that are not there; no cloud where there are too few documents. documents: their number. distinct: (n,), the numbers of the
    distinct rows. repeated: how many others there were, each equal to an earlier one.
    """

    distances: Array
    quarters: Array
    documents: int
    distinct: np.ndarray
    repeated: int

    @property
    def n(self) -> int:
        """Number of distinct rows."""
        return len(self.distances)


@dataclass(frozen=True, eq=False)
class Dimension:
    """An intrinsic dimension at each scale, with its 95 % interval over documents.

    scales: the ranks n2. value: (scales,), NaN where all neighbours are equally far. quarters: (clouds, scales), of a quarter of
    the documents each. n: distinct rows; repeated: rows that equal an earlier one, and were left out.
    """

    scales: Sequence[int]
    value: Array
    quarters: Array
    documents: int
    n: int
    repeated: int

    @property
    def interval(self) -> tuple[Array, Array]:
        """Ends of the interval, each (scales,); NaN without documents."""
        low, high = interval_of_quarters(np.log(self.value), np.log(self.quarters), self.documents)
        return np.exp(low), np.exp(high)


def interval_of_quarters(value: Array, quarters: Array, documents: int, level: float = 0.95) -> tuple[Array, Array]:
    """Return the interval of a statistic (k,) from its values in clouds of a quarter of the documents (clouds, k).

    Its variance is p / (1 - p) times theirs, p = 1/4, which is exact for a mean, and t has documents - 1 degrees of freedom. Of
    neighbours it is up to 4/3 of the true variance. NaN without clouds. Source: Politis, Romano 1994.
    """
    if not len(quarters):
        return np.full_like(value, np.nan), np.full_like(value, np.nan)
    reach = stats.t.ppf((1 + level) / 2, documents - 1) * np.std(quarters, axis=0, ddof=1) / np.sqrt(3)
    return np.asarray(value - reach), np.asarray(value + reach)


dimensions: Registry[Callable[..., Mapping[int, Array]]] = Registry("estimator of intrinsic dimension")


def intrinsic_dimension(
    Z: ArrayLike,
    names: Iterable[str] | None = None,
    documents: ArrayLike | None = None,
    *,
    dtype: Any = None,
    **parameters: float,
) -> dict[str, Dimension]:
    """Estimate the intrinsic dimension of rows Z (n, d) by the named estimators, or by all, at scales 2, 4, .. up to n / 8.

    documents: (n,), the document of each row, for intervals. dtype: the type that the rows were computed in, where it has fewer
    digits than that of Z. Rows that are equal up to rounding count once. parameters: of the estimators, each goes to those that
    name it.

    Raises DataError for fewer than `FEWEST` distinct rows, and for what is no finite matrix; ConfigError for unknown names.
    """
    return estimated(nearest_neighbours(Z, documents, dtype=dtype), names, **parameters)


def estimated(neighbours: Neighbours, names: Iterable[str] | None = None, **parameters: float) -> dict[str, Dimension]:
    """Estimate the intrinsic dimension from neighbours that were found."""
    if isinstance(names, str) or not isinstance(names, Iterable | None):
        raise ConfigError(f"names of estimators are a list such as ['twonn'], found {names!r}")
    known = set[str]().union(*map(dimensions.keywords, dimensions))
    if unknown := parameters.keys() - known:
        raise ConfigError(f"no estimator has the parameter {min(unknown)!r}; known: {', '.join(sorted(known))}")
    found = {}
    for name in dimensions if names is None else names:
        function = dimensions[name]
        given = {key: value for key, value in parameters.items() if key in dimensions.keywords(name)}
        whole, quarters = (function(distances, **given) for distances in (neighbours.distances, neighbours.quarters))
        value, drawn = (
            np.stack([np.where(np.isfinite(one), one, np.nan) for one in of.values()], -1) for of in (whole, quarters)
        )
        found[name] = Dimension(list(whole), value, drawn, neighbours.documents, neighbours.n, neighbours.repeated)
    return found


@dimensions.register("twonn", label="TwoNN", unit="dimensions")
def twonn(distances: Array, *, discarded: float = 0.1) -> dict[int, Array]:
    """Compute TwoNN: the slope of -ln(1 - i / n) on ln mu_i through the origin, mu_i the i-th smallest ratio r_2 / r_1.

    The largest ratios, the part `discarded` of all, are left out, as published. Its maximum likelihood is `gride` at scale 2.
    Limits: d for rows that are uniform in d dimensions, as n grows. Raises ConfigError for a part that is not in 0 < part < 1.
    Source: Facco, d'Errico, Rodriguez, Laio 2017, Scientific Reports 7, 12140.
    """
    if not 0 < discarded < 1:
        raise ConfigError(f"discarded is a part of all ratios, between 0 and 1, found {discarded}")
    ratios = np.sort(log_ratios(distances, 0), axis=-1)  # NaN last
    count = np.isfinite(ratios).sum(axis=-1, keepdims=True)
    place = np.arange(1, ratios.shape[-1] + 1)
    used = place <= np.floor(count * (1 - discarded) + 1e-9)
    x = np.where(used, ratios, 0.0)
    y = -np.log1p(-np.where(used, place / np.maximum(count, 1), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {2: np.asarray((x * y).sum(axis=-1) / (x * x).sum(axis=-1))}


@dimensions.register("gride", label="Gride", unit="dimensions")
def gride(distances: Array) -> dict[int, Array]:
    """Compute Gride: the maximum-likelihood dimension from the ratios r_{n2} / r_{n1}, n2 = 2 n1, at scales n2 = 2, 4, 8, ..

    mu has the density d (mu^d - 1)^(n2 - n1 - 1) / (B(n2 - n1, n1) mu^((n2 - 1) d + 1)). At n2 = 2 it is TwoNN's maximum
    likelihood, (n - 1) / sum ln mu: n - 1 in place of n, at all scales, makes that one unbiased. Limits: as `twonn`.
    Source: Denti, Doimo, Laio, Mira 2022, Scientific Reports 12, 20005.
    """
    return {2 << place: ratio_likelihood(log_ratios(distances, place), 1 << place) for place in range(distances.shape[-1] - 1)}


def log_ratios(distances: Array, place: int) -> Array:
    """Return ln(r_{2 k} / r_k) of every row, k = 2^place: (..., n)."""
    return np.asarray(np.log(distances[..., place + 1] / distances[..., place]))


def ratio_likelihood(ratios: Array, n1: int) -> Array:
    """Maximise the likelihood of log ratios (..., n), n2 = 2 n1, NaN for none: (...,). Infinite where all are 0.

    With x_i = d ln mu_i, d times the score is g(d) = n - 1 + (n1 - 1) sum x / (1 - e^-x) - (2 n1 - 1) sum x. g falls and is
    convex, and x / (1 - e^-x) >= 1 + x / 2, which gives a start on the left of the root. So Newton's steps only rise, and end
    where rounding does.
    """
    known = np.isfinite(ratios)
    count, y = known.sum(axis=-1), np.where(known, ratios, 0.0)
    total, absent = y.sum(axis=-1), (~known).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = (count - 1 + (n1 - 1) * count) / (total * (1.5 * n1 - 0.5))
        for _ in range(STEPS if n1 > 1 else 0):
            value, slope = smooth_step(d[..., None] * y)
            g = count - 1 + (n1 - 1) * (value.sum(axis=-1) - absent) - (2 * n1 - 1) * d * total
            step = g / ((2 * n1 - 1) * total - (n1 - 1) * (slope * y).sum(axis=-1))
            d = d + np.maximum(step, 0.0)
            if not (step > 1e-12 * d).any():
                break
    return np.asarray(d)


def smooth_step(x: Array) -> tuple[Array, Array]:
    """Return x / (1 - e^-x) and its derivative for x >= 0: 1 and 1/2 at 0."""
    small = x < 1e-5
    safe = np.where(small, 1.0, x)
    rest = -np.expm1(-safe)
    value = safe / rest
    slope = (1 - value * (1 - rest)) / rest
    return np.where(small, 1 + x / 2, value), np.where(small, 0.5 + x / 6, slope)


def nearest_neighbours(Z: ArrayLike, documents: ArrayLike | None = None, *, dtype: Any = None) -> Neighbours:
    """Find the neighbours of ranks 1, 2, 4, .. up to n / 8 of each distinct row of Z (n, d), by Euclidean distance.

    Rows are equal where their distance is within rounding, `geomkit.core.arrays.rounding` of the longer one. The same documents
    are dealt to the same quarters, whatever the rows. For arguments and errors see `intrinsic_dimension`.
    """
    given = token_rows(Z)
    if given.ndim != 2:
        raise DataError(f"neighbours are found among rows (n, d), found shape {tuple(given.shape)}")
    rows, limit = as_numpy(reals(given)), rounding(given, dtype)
    if not np.isfinite(rows).all():
        raise DataError(f"{int((~np.isfinite(rows)).any(axis=1).sum())} of {len(rows)} rows are not finite")
    names, of_row = np.unique(np.zeros(len(rows)) if documents is None else np.asarray(documents), return_inverse=True)
    if len(of_row) != len(rows):
        raise DataError(f"{len(of_row)} documents for {len(rows)} rows")
    first = {row.tobytes(): number for number, row in reversed(list(enumerate(rows + 0.0)))}
    distinct = np.array(sorted(first.values()), dtype=int)
    own = rows[distinct]
    limits, centred = limit * np.linalg.norm(own, axis=1), own - own.sum(axis=0) / max(len(own), 1)
    whole = next(squared_distances(centred))[1] if 0 < len(own) <= BLOCK else None
    equal = equals_earlier(centred, limits, whole)
    n = int((~equal).sum())
    if n < FEWEST:
        raise DataError(f"{n} distinct rows of {len(rows)}, and an intrinsic dimension needs {FEWEST}")
    ranks = 2 ** np.arange(int(np.log2(n / 8)) + 1)
    kept, own_document = np.flatnonzero(~equal), of_row[distinct[~equal]]
    quarters = [kept[np.isin(own_document, part)] for part in dealt(len(names))]
    found = [at_ranks(centred, part, ranks, whole) for part in quarters]
    together = np.full((len(found), max(map(len, found), default=1), len(ranks)), np.nan)
    for place, one in enumerate(found):
        together[place, : len(one)] = one
    return Neighbours(at_ranks(centred, kept, ranks, whole), together, len(names), distinct[kept], len(rows) - n)


def dealt(documents: int) -> list[np.ndarray]:
    """Deal documents to four quarters, `DEALS` times: the documents of each. None of too few documents."""
    draw = rng(0, "quarters of documents", documents)
    deals = range(DEALS if documents >= FEWEST_DOCUMENTS else 0)
    return [part for _ in deals for part in np.array_split(draw.permutation(documents), 4)]


def at_ranks(rows: Array, chosen: np.ndarray, ranks: np.ndarray, whole: Array | None) -> Array:
    """Return distances (chosen, ranks) of chosen rows to neighbours among them; NaN at ranks that they are too few for.

    whole: squared distances of all rows, if they are in memory.
    """
    blocks: Iterable[Array] = (block for _, block in squared_distances(rows[chosen]))
    if whole is not None:
        blocks = [whole if len(chosen) == len(whole) else whole[np.ix_(chosen, chosen)]]
    there = ranks[ranks < len(chosen)]
    found = np.full((len(chosen), len(ranks)), np.nan)
    if len(there):
        nearest = [np.sort(np.partition(block, there[-1] - 1, axis=1)[:, : there[-1]], axis=1) for block in blocks]
        found[:, : len(there)] = np.sqrt(np.concatenate(nearest)[:, there - 1])
    return found


def squared_distances(rows: Array) -> Iterator[tuple[int, Array]]:
    """Yield (start, squared distances of a block of rows to all rows), infinite from a row to itself.

    They come from the Gram matrix, and small ones, of which it leaves nothing but rounding, from differences.
    """
    squares = np.einsum("ij,ij->i", rows, rows)
    for start in range(0, len(rows), BLOCK):
        own = slice(start, start + BLOCK)
        block = rows[own] @ rows.T
        block *= -2
        block += squares[own, None]
        block += squares
        np.fill_diagonal(block[:, start:], np.inf)
        small = block < CANCELLED * squares[own, None]
        for i in np.flatnonzero(small.any(axis=1)):
            near = np.flatnonzero(small[i])
            difference = rows[near] - rows[start + i]
            block[i, near] = np.einsum("ij,ij->i", difference, difference)
        yield start, block


def equals_earlier(rows: Array, limits: Array, whole: Array | None) -> np.ndarray:
    """Mark rows (n,) whose distance to an earlier row is within the limit of one of them."""
    equal = np.zeros(len(rows), dtype=bool)
    for start, block in squared_distances(rows) if whole is None else [(0, whole)]:
        for i in np.flatnonzero(block.min(axis=1, initial=np.inf) <= np.square(limits.max(initial=0))):
            earlier = slice(start + i)
            equal[start + i] = (block[i, earlier] <= np.square(np.maximum(limits[start + i], limits[earlier]))).any()
    return equal


def decimated(Z: ArrayLike, draw: np.random.Generator, *, discarded: float = 0.1, dtype: Any = None) -> Dimension:
    """Estimate TwoNN's dimension of all rows Z (n, d), and its mean over random halves, quarters, .. of the distinct rows.

    Each row is in one of the halves. Of parts of n / 2^k rows the scale is 2^(k + 1), for their second neighbours are about as
    far as neighbours of that rank. Parts have at least `FEWEST` rows. `gride` sees such scales without leaving rows out.
    Source: Facco et al. 2017. Raises DataError as `intrinsic_dimension`.
    """
    rows = reals(token_rows(Z))
    whole = nearest_neighbours(Z, dtype=dtype)
    values = {2: float(twonn(whole.distances, discarded=discarded)[2])}
    order, parts = draw.permutation(whole.distinct), 2
    while whole.n // parts >= FEWEST:  # of distinct rows, so that none of these parts is refused
        found = [nearest_neighbours(rows[part]) for part in np.array_split(order, parts)]
        values[2 * parts] = float(np.mean([twonn(one.distances, discarded=discarded)[2] for one in found]))
        parts *= 2
    return Dimension(list(values), np.array(list(values.values())), np.zeros((0, len(values))), 0, whole.n, whole.repeated)
