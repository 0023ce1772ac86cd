"""The null for width that acts on tokens: a wider model's rows projected on fewer of its own directions.

A donor's rows are projected on k of its directions, normalised again and measured at the same n, so that effects of n / k are
those of a model of width k. `projected` takes the leading directions, `random_projected` directions of chance. A model on its
own leading directions, at one k for a whole family, is the converse: models of different width compared at one dimension.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomkit.core.arrays import Array, rounding
from geomkit.core.declarations import variant
from geomkit.core.errors import DataError
from geomkit.measures.spectra import Spectrum, is_centred, is_unit, normalise, row_spectrum

BLOCK = 16
"""Texts whose rows are in memory in float64."""


@dataclass(frozen=True, eq=False)
class Projected:
    """Spectra (..., m) of rows in k dimensions, and the share (...) of the rows' squared length in these directions.

    The share is NaN for a matrix of zero rows.
    """

    spectrum: Spectrum
    kept: Array


@dataclass(frozen=True, eq=False)
class Directions:
    """Each fold's orthonormal basis, leading direction first: (folds, d, d), in columns; and the rank (folds,) of its rows.

    Beyond the rank, directions are arbitrary.
    """

    basis: Array
    rank: NDArray[np.int64]


def leading_directions(clouds: ArrayLike, mode: str, fold: NDArray[np.int64], dtype: Any = None) -> Directions:
    """Compute eigenvectors of the uncentred second moment of all rows outside a fold, the rows normalised as for the metric.

    clouds (texts, n, d), fold (texts,), dtype as `normalise` takes it. A text's own document, being in its fold, has no part in
    them. Directions of which other documents hold no more than rounding are beyond the rank.
    Raises DataError for a single fold.
    """
    clouds = np.asarray(clouds)
    count, d = int(fold.max()) + 1, clouds.shape[-1]
    least = max(d * np.finfo(np.float64).eps, rounding(clouds, dtype) ** 2 / d)
    if count < 2:
        raise DataError("directions of other documents take at least 2 folds of documents, found 1")
    sums = np.zeros((count, d, d))
    for part in range(count):
        for rows in _blocks(clouds[fold == part], mode, dtype):
            sums[part] += (flat := rows.reshape(-1, d)).T @ flat
    bases, ranks = np.empty_like(sums), np.empty(count, dtype=np.int64)
    for part in range(count):
        values, vectors = np.linalg.eigh(np.delete(sums, part, axis=0).sum(axis=0))
        bases[part] = vectors[:, ::-1]
        ranks[part] = np.count_nonzero(values > least * values[-1])
    return Directions(bases, ranks)


@variant(
    "projected",
    kind="tokens",
    label="a wider model on\nits leading directions",
    short="projected",
    marker="<",
    colour="#56B4E9",
    line=(0, (4, 1)),
)
@variant(
    "common-dimension",
    kind="tokens",
    label="every model on as many\nof its leading directions",
    short="one dimension",
    marker="P",
    colour="#000000",
    line=(0, (2, 1)),
)
def projected(
    clouds: ArrayLike,
    mode: str,
    fold: NDArray[np.int64],
    widths: Sequence[int],
    directions: Directions | None = None,
    dtype: Any = None,
) -> dict[int, Projected]:
    """Project each text's rows on the leading k directions of other documents, for every k of `widths`: spectra (texts, m).

    clouds (texts, n, d) as the model gave them; mode any but `raw`; fold (texts,) as `document_folds` gives it.
    Rows are normalised, projected and, where the mode scales rows, scaled to length 1 again, which for centred rows is the same
    as to project, to centre and to scale, for the projection is linear. Rows of `centre` keep the lengths that are left.
    `directions`: those of `leading_directions`, where they are at hand; dtype as `normalise` takes it. A row of which no more
    than rounding is left has no direction, and becomes zero.
    Limits: k = d gives the spectra of the clouds themselves; isotropic rows stay isotropic; rows within k dimensions, the same in
    all documents, lose nothing. No rotation of the donor's space changes anything.
    Raises DataError for a k that is not in 1 .. d, or that lies above the rank of other documents' rows (but for k = d), and
    for `raw`, which has no second normalisation.
    """
    clouds = _checked(clouds, mode, widths)
    bases = leading_directions(clouds, mode, fold, dtype) if directions is None else directions
    d, error = clouds.shape[-1], rounding(clouds, dtype)
    if beyond := [k for k in widths if bases.rank.min() < k < d]:
        raise DataError(f"{beyond[0]} directions cannot be found in rows of rank {bases.rank.min()} in other documents")
    results = {k: _empty(len(clouds), clouds.shape[1], k, mode) for k in widths}
    for part, basis in enumerate(bases.basis):
        texts = np.flatnonzero(fold == part)
        for block, rows in zip(_chunks(texts), _blocks(clouds[texts], mode, dtype), strict=True):
            whole = np.square(rows).sum(axis=-1)
            _store(results, block, _leading(rows @ basis[:, : max(widths)], whole, widths, mode, error))
    return results


@variant(
    "random-projection",
    kind="tokens",
    label="the widest model on\ndirections of chance",
    short="random directions",
    marker=">",
    colour="0.25",
    line=(0, (1, 2)),
)
def random_projected(
    clouds: ArrayLike, mode: str, widths: Sequence[int], draws: int, rng: np.random.Generator, dtype: Any = None
) -> dict[int, Projected]:
    """Project rows on k random orthonormal directions, `draws` times: spectra (draws, texts, m).

    The frames of one draw are nested: the first k columns of one rotation, distributed as Haar's measure. Metrics are to be
    averaged over draws, not spectra. Limits: k = d gives the spectra of the clouds themselves; isotropic rows stay isotropic;
    the share that is kept is k / d on average.
    Raises DataError for a k that is not in 1 .. d, for `raw` and for no draw.
    """
    clouds = _checked(clouds, mode, widths)
    if draws < 1:
        raise DataError(f"random projections take at least 1 draw, found {draws}")
    d, error = clouds.shape[-1], rounding(clouds, dtype)
    frames = [_frame(d, max(widths), rng) for _ in range(draws)]
    results = {k: _empty(draws * len(clouds), clouds.shape[1], k, mode) for k in widths}
    for block, rows in zip(_chunks(np.arange(len(clouds))), _blocks(clouds, mode, dtype), strict=True):
        whole = np.square(rows).sum(axis=-1)
        for draw, frame in enumerate(frames):
            _store(results, draw * len(clouds) + block, _leading(rows @ frame, whole, widths, mode, error))
    return {k: _unflatten(result, draws) for k, result in results.items()}


def _checked(clouds: ArrayLike, mode: str, widths: Sequence[int]) -> NDArray:
    clouds = np.asarray(clouds)
    if clouds.ndim != 3:
        raise DataError(f"token vectors must have shape (texts, n, d), found {clouds.shape}")
    if mode == "raw":
        raise DataError("projected rows are normalised again, which raw rows are not")
    if not widths or not all(1 <= k <= clouds.shape[-1] for k in widths):
        raise DataError(f"a projection keeps 1 .. {clouds.shape[-1]} directions, found {', '.join(map(str, widths)) or 'none'}")
    return clouds


def _chunks(texts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(texts), BLOCK):
        yield texts[start : start + BLOCK]


def _blocks(clouds: NDArray, mode: str, dtype: Any) -> Iterator[Array]:
    for start in range(0, len(clouds), BLOCK):
        yield normalise(clouds[start : start + BLOCK], mode, dtype=dtype)


def _frame(d: int, k: int, rng: np.random.Generator) -> Array:
    """Draw the first k columns of a random rotation (d, d).

    The signs of R's diagonal make QR's Q Haar-distributed (Mezzadri 2007).
    """
    q, r = np.linalg.qr(rng.standard_normal((d, k)))
    return q * np.sign(np.diagonal(r))


def _leading(rows: Array, whole: Array, widths: Sequence[int], mode: str, error: float) -> dict[int, Projected]:
    """Take the first k columns of rows (..., n, columns), scaled to length 1; whole (..., n): each row's total squared length."""
    results = {}
    for k in widths:
        part = rows[..., :k]
        squares = np.linalg.vecdot(part, part)
        # a row of which rounding alone is left has no direction
        scale = np.where(squares > error**2 * whole, squares if is_unit(mode) else 1.0, np.inf) ** -0.5
        with np.errstate(invalid="ignore"):
            kept = np.divide(squares.sum(axis=-1), whole.sum(axis=-1))
        results[k] = Projected(row_spectrum(part * scale[..., None], centred=is_centred(mode)), kept)
    return results


def _empty(texts: int, n: int, k: int, mode: str) -> Projected:
    """Allocate the spectra of n rows in k dimensions for that many texts."""
    return Projected(Spectrum(np.empty((texts, min(n - is_centred(mode), k))), n, k), np.empty(texts))


def _store(results: Mapping[int, Projected], texts: NDArray[np.int64], blocks: Mapping[int, Projected]) -> None:
    for k, block in blocks.items():
        results[k].spectrum.eigenvalues[texts] = block.spectrum.eigenvalues
        results[k].kept[texts] = block.kept


def _unflatten(result: Projected, draws: int) -> Projected:
    """Restore draws as the first axis."""
    eigenvalues = result.spectrum.eigenvalues.reshape(draws, -1, result.spectrum.m)
    return Projected(Spectrum(eigenvalues, result.spectrum.n, result.spectrum.d), result.kept.reshape(draws, -1))
