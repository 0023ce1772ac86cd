"""Estimate the intrinsic dimension of rows: how many dimensions a cloud has at the distance of its rows' neighbours.

Where rows are dense and smooth, ratios of a row's distances to its neighbours follow a law that only the dimension enters. So
neighbours are found once, and every estimator reads their distances. A new estimator is one function here with
`@dimensions.register(name, label=..., unit=...)`, all literals: it takes Neighbours, and parameters of its own, each by keyword
and with a default, and returns the dimension (...,) at each scale. Leading axes of the distances stay.

A scale is the rank n2 of the farther neighbour of a ratio: the larger, the more of the cloud is seen. Distances are Euclidean,
between rows as they are, as usual for hidden states (Valeriani et al. 2023, arXiv 2302.00294; Cheng et al. 2024, arXiv
2405.15471). Estimates do not change where rows are rotated, moved or scaled together. For rows of length 1 hand over
`normalise(Z, "unit")`. With few rows for their dimension all estimators are too low: compare clouds of as many rows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from geomkit.core.arrays import Array, as_numpy, reals, rounding
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.registry import Registry
from geomkit.measures.padding import token_rows

FEWEST = 32
"""Distinct rows that an estimate needs."""
GROUPS = 20
"""Groups of documents, each of which is left out once."""
BLOCK = 2048
"""Rows whose distances to all others are in memory at a time."""
STEPS = 50
"""Newton's steps at most; five are usual."""
TOGETHER = 1 << 20
"""Neighbours that are counted at a time, over rows and groups."""
CANCELLED = 1e-6
"""Squared distances below this part of the squared lengths are computed anew, from differences."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Distances from each distinct row to its neighbours of ranks 1, 2, 4, ..

    distances: (1 + groups, n, ranks); the first of all rows, each other without one group of documents, whose own rows are NaN.
    distinct: (n,), the numbers of those rows. repeated: how many others there were, each equal to an earlier one.
    """

    distances: Array
    distinct: np.ndarray
    repeated: int

    @property
    def n(self) -> int:
        """Number of distinct rows."""
        return self.distances.shape[-2]

    @property
    def ranks(self) -> list[int]:
        """Ranks of the neighbours, doubling."""
        return [2**power for power in range(self.distances.shape[-1])]


@dataclass(frozen=True, eq=False)
class Dimension:
    """An intrinsic dimension at each scale, with its 95 % interval over documents.

    scales: the ranks n2. value: (scales,), NaN where all neighbours are equally far. left_out: (groups, scales), without one
    group of documents each. n: distinct rows; repeated: rows that equal an earlier one, and were removed.
    """

    scales: Sequence[int]
    value: Array
    left_out: Array
    n: int
    repeated: int

    @property
    def interval(self) -> tuple[Array, Array]:
        """Ends of the interval, each (scales,); NaN without documents."""
        low, high = jackknife_interval(np.log(self.value), np.log(self.left_out))
        return np.exp(low), np.exp(high)


def jackknife_interval(value: Array, left_out: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Return the interval of a statistic (k,) from its values without one group each (groups, k), as t on groups - 1 degrees.

    Groups are of documents: a document's tokens are one cluster, and drawing documents with replacement would make rows equal.
    NaN for fewer than two groups. Source: Tukey 1958; Efron, Stein 1981.
    """
    groups = len(left_out)
    if groups < 2:
        return np.full_like(value, np.nan), np.full_like(value, np.nan)
    error = np.sqrt((groups - 1) * np.var(left_out, axis=0))
    reach = float(stats.t.ppf((1 + level) / 2, groups - 1)) * error
    return value - reach, value + reach


dimensions: Registry[Callable[..., Mapping[int, Array]]] = Registry("estimator of intrinsic dimension")


def intrinsic_dimension(
    Z: ArrayLike,
    names: Iterable[str] | None = None,
    documents: ArrayLike | None = None,
    *,
    dtype: Any = None,
    **parameters: float,
) -> dict[str, Dimension]:
    """Estimate the intrinsic dimension of rows Z (n, d) by the named estimators, or by all, at scales 2, 4, .. up to n / 4.

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
        values = function(neighbours, **given)
        every = np.stack([np.where(np.isfinite(value), value, np.nan) for value in values.values()], axis=-1)
        found[name] = Dimension(list(values), every[0], every[1:], neighbours.n, neighbours.repeated)
    return found


@dimensions.register("twonn", label="TwoNN dimension", unit="dimensions")
def twonn(neighbours: Neighbours, *, discarded: float = 0.1) -> dict[int, Array]:
    """TwoNN: the slope of -ln(1 - i / n) on ln mu_i through the origin, mu_i the i-th smallest ratio r_2 / r_1.

    The largest ratios, the part `discarded` of all, are left out, as published. Its maximum likelihood is `gride` at scale 2.
    Limits: d for rows that are uniform in d dimensions, as n grows. Raises ConfigError for a part that is not in 0 < part < 1.
    Source: Facco, d'Errico, Rodriguez, Laio 2017, Scientific Reports 7, 12140.
    """
    if not 0 < discarded < 1:
        raise ConfigError(f"discarded is a part of all ratios, between 0 and 1, found {discarded}")
    ratios = np.sort(log_ratios(neighbours, 0), axis=-1)  # NaN last
    count = np.isfinite(ratios).sum(axis=-1, keepdims=True)
    place = np.arange(1, neighbours.n + 1)
    used = place <= np.floor(count * (1 - discarded) + 1e-9)
    x = np.where(used, ratios, 0.0)
    y = -np.log1p(-np.where(used, place / count, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {2: np.asarray((x * y).sum(axis=-1) / (x * x).sum(axis=-1))}


@dimensions.register("gride", label="Gride dimension", unit="dimensions")
def gride(neighbours: Neighbours) -> dict[int, Array]:
    """Gride: the maximum likelihood of the ratios r_{n2} / r_{n1}, n2 = 2 n1, at scales n2 = 2, 4, 8, ..

    mu has the density d (mu^d - 1)^(n2 - n1 - 1) / (B(n2 - n1, n1) mu^((n2 - 1) d + 1)). At n2 = 2 it is TwoNN's maximum
    likelihood, (n - 1) / sum ln mu: n - 1 in place of n, at all scales, makes that one unbiased. Limits: as `twonn`.
    Source: Denti, Doimo, Laio, Mira 2022, Scientific Reports 12, 20005.
    """
    return {2 * n1: ratio_likelihood(log_ratios(neighbours, place), n1) for place, n1 in enumerate(neighbours.ranks[:-1])}


def log_ratios(neighbours: Neighbours, place: int) -> Array:
    """Return ln(r_{2 k} / r_k) of every row, k the rank at a place: (1 + groups, n)."""
    distances = neighbours.distances
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
    """Find the neighbours of ranks 1, 2, 4, .. up to n / 4 of each distinct row of Z (n, d), by Euclidean distance.

    Rows are equal where their distance is within rounding, `geomkit.core.arrays.rounding` of the longer one. Documents are
    dealt to at most `GROUPS` groups in the order in which they occur. Nothing is left out where less than half of the rows would
    remain. For arguments and errors see `intrinsic_dimension`.
    """
    Z = token_rows(Z)
    if Z.ndim != 2:
        raise DataError(f"neighbours are found among rows (n, d), found shape {tuple(Z.shape)}")
    rows, limit = as_numpy(reals(Z)), rounding(Z, dtype)
    if not np.isfinite(rows).all():
        raise DataError(f"{int((~np.isfinite(rows)).any(axis=1).sum())} of {len(rows)} rows are not finite")
    first = {row.tobytes(): number for number, row in reversed(list(enumerate(rows + 0.0)))}
    distinct = np.array(sorted(first.values()), dtype=int)
    own = rows[distinct]
    limits, centred = limit * np.linalg.norm(own, axis=1), own - own.sum(axis=0) / max(len(own), 1)
    whole = list(squared_distances(centred)) if len(own) <= BLOCK else None
    equal = [equals_earlier(block, start, limits) for start, block in whole or squared_distances(centred)]
    kept = ~np.concatenate([np.zeros(0, dtype=bool), *equal])
    n = int(kept.sum())
    if n < FEWEST:
        raise DataError(f"{n} distinct rows of {len(rows)}, and an intrinsic dimension needs {FEWEST}")
    groups = np.zeros(n, dtype=int) if documents is None else dealt(np.asarray(documents)[distinct][kept])
    sizes = np.bincount(groups)
    if sizes.max() > n / 2:
        sizes = sizes[:0]
    blocks = (
        squared_distances(centred[kept])
        if whole is None
        else [(0, whole[0][1] if kept.all() else whole[0][1][np.ix_(kept, kept)])]
    )
    highest = 2 ** int(np.log2(n / 4))
    found = [ranked(block, start, highest, groups, sizes) for start, block in blocks]
    return Neighbours(np.concatenate(found, axis=1), distinct[kept], len(rows) - n)


def dealt(documents: Array) -> np.ndarray:
    """Deal documents to groups in the order in which they occur: the group of each row, (n,)."""
    number = {name: place % GROUPS for place, name in enumerate(dict.fromkeys(documents.tolist()))}
    return np.array([number[name] for name in documents.tolist()])


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


def equals_earlier(block: Array, start: int, limits: Array) -> np.ndarray:
    """Mark rows of a block whose distance to an earlier row is within the limit of one of them."""
    equal = np.zeros(len(block), dtype=bool)
    for i in np.flatnonzero(block.min(axis=1, initial=np.inf) <= np.square(limits.max(initial=0))):
        earlier = slice(start + i)
        equal[i] = (block[i, earlier] <= np.square(np.maximum(limits[start + i], limits[earlier]))).any()
    return equal


def ranked(block: Array, start: int, highest: int, groups: np.ndarray, sizes: np.ndarray) -> Array:
    """Return distances of ranks 1, 2, 4, .., `highest` of a block of rows, and without each group: (1 + groups, b, ranks)."""
    count = min(highest + int(sizes.max(initial=0)), block.shape[1] - 1)
    nearest = np.argpartition(block, count - 1, axis=1)[:, :count]
    squared = np.take_along_axis(block, nearest, axis=1)
    order = np.argsort(squared, axis=1)
    distances = np.sqrt(np.take_along_axis(squared, order, axis=1))
    labels = groups[np.take_along_axis(nearest, order, axis=1)]
    together = max(1, TOGETHER // (count * max(len(sizes), 1)))
    parts = [slice(at, at + together) for at in range(0, len(block), together)]
    own = groups[start : start + len(block)]
    found = [without_groups(distances[part], labels[part], own[part], highest, len(sizes)) for part in parts]
    return np.concatenate(found, axis=1)


def without_groups(distances: Array, labels: np.ndarray, own: np.ndarray, highest: int, groups: int) -> Array:
    """Return distances of ranks 1, 2, 4, .., of all and without each group: (1 + groups, b, ranks).

    distances, labels: (b, count), of the nearest rows in order, with their groups. own: (b,), the group of each row.
    """
    number, ranks = np.arange(groups)[:, None], 2 ** np.arange(int(np.log2(highest)) + 1)
    left_out = np.cumsum(labels[:, None] == number, axis=2, dtype=np.int32)
    begin = np.arange(left_out.size // max(labels.shape[1], 1)).reshape(*left_out.shape[:2], 1) * labels.shape[1]
    place = np.broadcast_to(ranks, (*left_out.shape[:2], len(ranks)))
    while True:  # up to the first place with as many neighbours of other groups
        further = ranks + left_out.ravel()[begin + place - 1]
        if np.array_equal(further, place):
            break
        place = further
    without = np.take_along_axis(distances[:, None], place - 1, axis=2)
    without[own[:, None] == number.T] = np.nan
    return np.concatenate([distances[None, :, ranks - 1], without.transpose(1, 0, 2)])


def decimated(Z: ArrayLike, rng: np.random.Generator, *, discarded: float = 0.1, dtype: Any = None) -> Dimension:
    """Estimate TwoNN's dimension of all rows Z (n, d), and its mean over random halves, quarters, .. of the distinct rows.

    Each row is in one of the halves. Of parts of n / 2^k rows the scale is 2^(k + 1), for their second neighbours are about as
    far as neighbours of that rank. Parts have at least `FEWEST` rows. `gride` sees such scales without leaving rows out.
    Source: Facco et al. 2017. Raises DataError as `intrinsic_dimension`.
    """
    rows = reals(token_rows(Z))
    whole = nearest_neighbours(Z, dtype=dtype)
    values = {2: float(twonn(whole, discarded=discarded)[2][0])}
    order, parts = rng.permutation(whole.distinct), 2
    while whole.n // parts >= FEWEST:
        found = [nearest_neighbours(rows[part]) for part in np.array_split(order, parts)]
        values[2 * parts] = float(np.mean([twonn(one, discarded=discarded)[2][0] for one in found]))
        parts *= 2
    return Dimension(list(values), np.array(list(values.values())), np.zeros((0, len(values))), whole.n, whole.repeated)
