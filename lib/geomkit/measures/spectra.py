"""Compute spectra of token vectors: every spectral metric depends on the covariance's eigenvalues and the shape (n, d) alone.

Arrays are numpy's or torch's. Tensors are computed with where they are, and without a gradient; results are of the same kind, in
float64 where the device has it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, overload

import numpy as np
from numpy.typing import ArrayLike

from geomkit.core.arrays import Array, as_numpy, epsilon, highest, namespace, reals, rounding, slack
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.registry import Registry
from geomkit.measures.fixed_point import FixedPointSum
from geomkit.measures.padding import token_rows, tokens_of, warn_of_padding

WIDE = 2048
"""Columns of a covariance that are computed at a time."""
STRIP = 256
"""Rows of them that are added at a time."""

TOGETHER = 1 << 20
"""Numbers in resampled sums that are decomposed in one call."""

Normalise = Callable[[Array, Array, ArrayLike | None, float], Array]

modes: Registry[Normalise] = Registry("mode of normalisation")
"""Registry of normalisations. A new one is one function here with `@modes.register(name)`, a literal: it takes rows (..., n,
d) that it may change, their lengths (..., n, 1), the mean row (d,) to subtract or None for each matrix's own, and the part of
a length that may be rounding (`geomkit.core.arrays.rounding`), and returns the rows. `centred=True` says that it subtracts
the mean row, so that there are at most n - 1 directions; `unit_rows=True` that no row is longer than 1 afterwards. One
without it must not raise the sum of all rows' squared lengths."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues of Z^T Z / n, for a matrix Z of n rows and d columns or for a batch of matrices of that one shape.

    eigenvalues: (..., m), descending, not negative, in squared units of Z. m is the highest rank that Z can have.
    """

    eigenvalues: Array
    n: int
    d: int

    @property
    def m(self) -> int:
        return self.eigenvalues.shape[-1]

    @property
    def trace(self) -> Array:
        """Mean squared length of the rows, shape (...): 1 where every row has unit length."""
        return self.eigenvalues.sum(axis=-1)


def normalise(Z: ArrayLike, mode: str, mean: ArrayLike | None = None, dtype: Any = None) -> Array:
    """Normalise the rows of Z (..., n, d) in a new array.

    `unit` scales each to length 1, `centre-unit` subtracts the mean row first, `centre` subtracts it and keeps the lengths that
    are left, `raw` changes nothing.

    The mean is that of each matrix, or `mean` (d,), for rows that are a part of a larger corpus; only centring modes use it.
    dtype: the type that the rows were computed or stored in, where it has fewer digits than that of Z, such as "bfloat16".
    A zero row stays zero. After centring, a row is zero of which nothing but rounding is left: up to
    `geomkit.core.arrays.rounding` of its coordinates before, in the type that it was computed in, or 1e-12 of the longest row of
    its matrix. So rows that are equal up to rounding become zero, and a spectrum of them has no shape.

    Raises ConfigError for an unknown mode or dtype, DataError for values that are not finite or whose squares are not, and for
    what is no array of real numbers with at least two axes.
    Source: `unit` is Tan, Li, Huang 2024 (arXiv 2402.03471), `centre-unit` Wei et al. 2024 (arXiv 2401.17139), `centre` the
    covariance of Li et al. 2025 (arXiv 2509.23024).
    """
    change, Z = modes[mode], token_rows(Z)
    rows = reals(Z, copy=True)
    return change(rows, _row_lengths(rows), mean, rounding(Z, dtype))


@modes.register("unit", unit_rows=True)
def _unit(rows: Array, lengths: Array, mean: ArrayLike | None, error: float) -> Array:
    rows /= namespace(rows).where(lengths > 0, lengths, np.inf)
    return rows


@modes.register("centre-unit", centred=True, unit_rows=True)
def _centre_unit(rows: Array, lengths: Array, mean: ArrayLike | None, error: float) -> Array:
    left = _centred_lengths(rows, lengths, mean, error)
    rows /= namespace(rows).where(left > 0, left, np.inf)
    return rows


@modes.register("centre", centred=True)
def _centre_alone(rows: Array, lengths: Array, mean: ArrayLike | None, error: float) -> Array:
    left = _centred_lengths(rows, lengths, mean, error)
    rows[(left == 0)[..., 0]] = 0.0
    return rows


def _centred_lengths(rows: Array, lengths: Array, mean: ArrayLike | None, error: float) -> Array:
    """Subtract the mean row, and return the lengths that are left (..., n, 1), 0 where nothing but rounding is."""
    xp = namespace(rows)
    shift = _centre(rows, mean)
    left = _row_lengths(rows)
    # of a row whose coordinates are all within rounding no more than this is left
    small = (left <= error * rows.shape[-1] ** 0.5 * lengths)[..., 0]
    if xp.any(small):
        left[small] *= _beyond_rounding(rows[small], xp.broadcast_to(shift, rows.shape)[small], error)
    return xp.where(left > 1e-12 * highest(lengths, axis=-2), left, 0.0)


def _beyond_rounding(centred: Array, shift: Array, error: float) -> Array:
    """Return 1 for rows (k, d) of which centring left more than rounding, else 0: (k, 1).

    Each coordinate is compared with its own size before, or with the row's middling one where that is larger: a coordinate that
    is large in all rows, as in many language models, has the others' rounding no larger.
    """
    xp = namespace(centred)
    size = xp.abs(centred + shift)
    size = xp.maximum(size, xp.sort(size, axis=-1)[..., size.shape[-1] // 2, None])
    part = xp.where(size > 0, xp.abs(centred) / xp.where(size > 0, size, 1.0), xp.where(centred == 0, 0.0, np.inf))
    return xp.astype(xp.mean(part**2, axis=-1, keepdims=True) > error**2, centred.dtype)


@modes.register("raw")
def _raw(rows: Array, lengths: Array, mean: ArrayLike | None, error: float) -> Array:
    return rows


def is_centred(mode: str) -> bool:
    """Whether a mode subtracts the mean row, so that there are at most n - 1 directions."""
    return bool(modes.facts[mode].get("centred"))


def is_unit(mode: str) -> bool:
    """Whether no row is longer than 1 in a mode, so that no entry of the sum of z z^T over n rows exceeds n."""
    return bool(modes.facts[mode].get("unit_rows"))


def _row_lengths(Z: Array) -> Array:
    xp = namespace(Z)
    with np.errstate(over="ignore"):
        lengths = xp.sqrt(xp.linalg.vecdot(Z, Z))[..., None]
    finite = xp.isfinite(lengths)
    if not xp.all(finite):
        count = math.prod(lengths.shape)
        raise DataError(f"{count - int(xp.count_nonzero(finite))} of {count} token vectors are not finite or overflow")
    gone = (lengths == 0)[..., 0]
    if xp.any(gone) and xp.any(Z[gone] != 0):  # squares vanish below 1e-154
        largest = highest(xp.abs(Z[gone]), axis=-1)
        scaled = Z[gone] / xp.where(largest > 0, largest, 1.0)
        lengths[gone] = largest * xp.sqrt(xp.linalg.vecdot(scaled, scaled))[..., None]
    return lengths


def _centre(rows: Array, mean: ArrayLike | None) -> Array:
    """Subtract the mean from rows, and return it: (d,), or (..., 1, d)."""
    if mean is not None:
        own = reals(mean, like=rows)
        if tuple(own.shape) != (rows.shape[-1],):
            raise DataError(f"the mean row of vectors of {rows.shape[-1]} numbers has shape {tuple(own.shape)}")
        rows -= own
        return own
    # Twice, for the rounding error of the mean: unit scaling would blow it up in rows that hardly differ.
    first = namespace(rows).mean(rows, axis=-2, keepdims=True)
    rows -= first
    second = namespace(rows).mean(rows, axis=-2, keepdims=True)
    rows -= second
    return first + second


@overload
def spectrum(
    Z: ArrayLike, mode: str | bool | None = None, mask: None = None, *, centred: bool | None = None, dtype: Any = None
) -> Spectrum: ...
@overload
def spectrum(
    Z: ArrayLike, mode: str | bool | None, mask: ArrayLike, *, centred: bool | None = None, dtype: Any = None
) -> Spectrum | list[Spectrum]: ...
def spectrum(
    Z: ArrayLike,
    mode: str | bool | None = None,
    mask: ArrayLike | None = None,
    *,
    centred: bool | None = None,
    dtype: Any = None,
) -> Spectrum | list[Spectrum]:
    """Compute the spectrum of token vectors Z (tokens, d), or of a batch (texts, tokens, d), normalised by `normalise`.

    mask: (tokens,) or (texts, tokens), 1 for tokens and 0 for padding, as the attention mask of `transformers`. Padding is left
    out before anything is computed. Texts then have as many rows as they have tokens, so a batch gives a list with the
    spectrum of each text, which `measure` takes as it takes a spectrum. Without a mask all rows are tokens, and a warning says
    where they look like padding.
    dtype: the type that the rows were computed in, where Z has another: see `normalise`.

    Without a mode, rows are taken as they are, such as those that `normalise` has returned. `centred` says whether their own mean
    row was subtracted before, so that m = min(n - 1, d) instead of min(n, d). With a mode it need be said of no rows but those
    that were centred elsewhere. Rows that show it, and of which nobody said it, are refused.

    Raises DataError for values that are not finite, for fewer than 1 row (2 centred), for rows that were centred and of which
    `centred` does not say so, and the reverse, for a mask that does not fit, and for what is no array of real numbers;
    ConfigError for an unknown mode or dtype, and for a mask without a mode.
    Limits: equal rows z give |z|^2, 0, .., and zeros once they are centred; n <= d orthonormal rows give 1/n, n times; iid
    standard normal rows tend to 1, d times, as n grows.
    """
    if isinstance(mode, bool):  # `centred` stood here
        mode, centred = None, mode
    if mode is not None and mode not in list(modes):
        raise ConfigError(f"unknown {modes.kind} {mode!r}; known: {', '.join(modes)}")
    rows = token_rows(Z)
    if mask is not None:
        if mode is None:
            raise ConfigError(f"a mask leaves rows out before they are normalised, so it needs a mode: {', '.join(modes)}")
        texts = tokens_of(rows, mask, 1 + is_centred(mode))
        spectra = [_of_tokens(text, mode, centred, dtype) for text in texts]
        return spectra[0] if rows.ndim == 2 else spectra
    result = _of_tokens(rows, mode, centred, dtype)
    if mode is not None or rows.ndim > 2:
        warn_of_padding(rows)
    return result


def _of_tokens(Z: Array, mode: str | None, centred: bool | None, dtype: Any) -> Spectrum:
    """Compute the spectrum of rows none of which is padding."""
    error = max(rounding(Z, dtype), 1e-9)
    if mode is None:
        result = row_spectrum(Z, bool(centred))
    elif is_centred(mode):
        if centred is False:
            raise ConfigError(f"centred=False, but {mode} subtracts the mean row; leave centred out, or choose another mode")
        if centred is None and _was_centred(Z, error, True):
            raise DataError(
                f"these rows were centred and scaled before, and {mode} would do it again: hand over the rows themselves, or "
                "these with no mode and centred=True"
            )
        return row_spectrum(normalise(Z, mode, dtype=dtype), True)
    else:
        result = row_spectrum(normalise(Z, mode, dtype=dtype), bool(centred))
    if centred is None and _was_centred(Z, error, False):
        raise DataError(
            "these rows had their mean row subtracted, and their spectrum has one direction less: hand over the rows themselves, "
            "geomkit.spectrum(Z, 'centre-unit'), or say centred=True; centred=False if they only look so"
        )
    return result


def _was_centred(Z: Array, error: float, scaled: bool) -> bool:
    """Whether rows have been centred.

    Then a weighted mean of them, weights positive, is zero, and distinct rows have lost no other direction. However each row is
    scaled afterwards, this stays. Where n > d nothing shows it, and no value or bound depends on it.

    However each row is scaled afterwards, this stays. Where n > d nothing shows it, and no value or bound depends on it.

    `scaled`: whether rows of length 1 alone count, and only if their plain mean is not zero. Of a batch the first text that is
    not zero is looked at.
    """
    n, d = Z.shape[-2:]
    if not 1 < n <= d:
        return False
    texts = namespace(Z).reshape(Z, (-1, n, d))
    rows = as_numpy(next((cloud for text in texts if (cloud := reals(text)).any()), np.zeros((1, d))))
    lengths = np.linalg.norm(rows, axis=1)
    rows, lengths = rows[lengths > 0], lengths[lengths > 0]
    if scaled and (np.abs(lengths - 1).max(initial=0) > error or np.linalg.norm(rows.sum(axis=0)) <= error * len(rows)):
        return False
    unit = rows / lengths[:, None]
    gram = unit @ unit.T
    if (gram.sum(axis=1) > error).all():  # the mean row is at an acute angle to all: no positive weights make it zero
        return False
    distinct = ~np.triu(gram > 1 - error, 1).any(axis=0)
    if distinct.sum() < min(n, 3):
        return False
    values, vectors = np.linalg.eigh(gram[np.ix_(distinct, distinct)])
    weights, least = vectors[:, 0] * np.sign(vectors[:, 0].sum()), n * max(error**2, n * 2.0**-52)
    return bool(values[0] <= least < values[1] and (weights > error).all())


def row_spectrum(Z: ArrayLike, centred: bool = False) -> Spectrum:
    """Compute the spectrum of rows Z (..., n, d), taken as they are, from the smaller of Z^T Z and Z Z^T (one nonzero spectrum).

    `centred` says that the rows had their own mean subtracted, so m = min(n - 1, d) instead of min(n, d). Scaling the rows
    afterwards leaves that rank: with D diagonal and C = I - 1 1^T / n, rank(D C Z) <= rank(C) = n - 1.
    Eigenvalues up to d times the machine epsilon of the largest are rounding of either sign, and are set to 0.

    Raises DataError for values that are not finite, for fewer than 1 row (2 centred) and for `centred` rows that were not.
    """
    lost, Z = rounding(Z) ** 2, reals(Z)
    n, d = Z.shape[-2:]
    return _decompose(Z @ Z.mT if n <= d else Z.mT @ Z, n, d, centred, lost)


def _decompose(gram: Array, n: int, d: int, centred: bool, lost: float = 0.0) -> Spectrum:
    """Decompose Z^T Z or Z Z^T of Z (n x d); lost: the part of the trace that may be rounding of Z."""
    m = min(n - centred, d)
    if m < 1:
        raise DataError(f"a spectrum takes at least {1 + centred} rows and 1 column, found {n} x {d}")
    xp = namespace(gram)
    if not xp.all(xp.isfinite(gram)):
        raise DataError("the covariance of token vectors is not finite")
    values = xp.flip(xp.linalg.eigvalsh(gram), axis=-1) / n
    error = max(slack(gram), lost) / n * xp.linalg.trace(gram)[..., None]
    if xp.any(values < -error):
        raise DataError(f"not a covariance: it has the negative eigenvalue {float(xp.min(values)):.3g}")
    if xp.any(values[..., m:] > error):
        raise DataError(f"rank above {m} from {n} rows{': they were not centred' if centred else ''}")
    rounding = d * epsilon(gram) * values[..., :1]
    values = values[..., :m]
    return Spectrum(xp.where(values > rounding, values, 0.0), n, d)


class CovarianceAccumulator:
    """The sum of z z^T over rows that arrive in chunks, and their number: memory is d x d, whatever the corpus.

    `total` (d, d) and `n` continue a stored sum. Sums add up, so a bootstrap of documents starts from the sum of the
    drawn documents' totals and counts. `like`: an array of the kind and on the device that a new sum is to have.
    Above WIDE columns a chunk is added block by block, so that beside the sum there are at most WIDE x d numbers.
    Raises DataError for shapes that do not fit d.
    """

    def __init__(self, d: int, total: ArrayLike | None = None, n: int = 0, like: ArrayLike | None = None):
        self.d = d
        self.n = n
        self.total: Array = reals(np.zeros((d, d)), like=like) if total is None else reals(total, copy=True)
        if tuple(self.total.shape) != (d, d):
            raise DataError(f"a covariance of {d} columns must have shape {(d, d)}, found {tuple(self.total.shape)}")

    def update(self, Z: ArrayLike) -> Self:
        """Add the rows of Z (rows, d), already normalised (with the corpus mean where they are to be centred)."""
        Z = reals(Z, like=self.total)
        if Z.ndim != 2 or Z.shape[1] != self.d:
            raise DataError(f"token vectors must have shape (rows, {self.d}), found {tuple(Z.shape)}")
        add_products(self.total, Z)
        self.n += len(Z)
        return self

    def merge(self, other: "CovarianceAccumulator") -> Self:
        """Add the rows of another accumulator."""
        if other.d != self.d:
            raise DataError(f"covariances of {self.d} and {other.d} columns cannot be merged")
        self.total += other.total
        self.n += other.n
        return self

    def spectrum(self, centred: bool = False) -> Spectrum:
        """Compute the spectrum of all rows, as `row_spectrum` would at once."""
        return _decompose(self.total, self.n, self.d, centred)


class FixedPointCovariance:
    """A `CovarianceAccumulator` whose bits do not depend on the order or the grouping of chunks.

    Parts of a corpus, summed in several jobs and merged, give what one job gives. A chunk itself is not to be parted.

    bound: what the squared lengths of all rows, those of other jobs included, do not exceed in sum, and so no entry of the sum
    of z z^T: the number of rows if their length is 1. See `FixedPointSum` for the unit and the error that follow.
    Raises DataError for shapes that do not fit d, and for rows that are longer than the bound allows.
    """

    def __init__(self, d: int, bound: float, like: Array):
        self.d, self.n, self.bound, self.squares = d, 0, bound, 0.0
        self.sum = FixedPointSum.zeros((d, d), bound, like)

    def update(self, Z: ArrayLike) -> Self:
        """Add the rows of Z (rows, d) as one contribution."""
        Z = reals(Z, like=self.sum.units)
        if Z.ndim != 2 or Z.shape[1] != self.d:
            raise DataError(f"token vectors must have shape (rows, {self.d}), found {tuple(Z.shape)}")
        self._check(float(squared_length(Z)))
        add_products(self.sum.units, Z, self.sum.in_units)
        self.n += len(Z)
        return self

    def merge(self, other: CovarianceAccumulator) -> Self:
        """Add the rows of an accumulator in float64 as one contribution."""
        if other.d != self.d:
            raise DataError(f"covariances of {self.d} and {other.d} columns cannot be merged")
        self._check(float(namespace(other.total).linalg.trace(other.total)))
        self.sum += other.total
        self.n += other.n
        return self

    def _check(self, squares: float) -> None:
        self.squares += squares
        if not self.squares <= self.bound * (1 + 1e-9):
            raise DataError(f"rows have squared lengths of {self.squares:.9g} in sum, above the bound of {self.bound:.9g}")

    @property
    def total(self) -> Array:
        """Sum of z z^T (d, d)."""
        return self.sum.value

    def spectrum(self, centred: bool = False) -> Spectrum:
        """Compute the spectrum of all rows, as `row_spectrum` would at once."""
        # eigenvalues are taken from the lower triangle: of the transpose it is the upper one, which files hold
        return _decompose(self.total.mT, self.n, self.d, centred)


def squared_length(Z: Array) -> Array:
    """Sum the squared lengths of rows (n, d)."""
    xp = namespace(Z)
    return xp.sum(xp.linalg.vecdot(Z, Z))


def add_products(total: Any, Z: Array, change: Callable[[Array], Any] = lambda part: part) -> None:
    """Add Z^T Z (d, d), transformed entry by entry by a function, to an array in place.

    Above WIDE columns the lower triangle is computed block by block, and what is off the diagonal is mirrored.
    """
    d = Z.shape[1]
    if d <= WIDE:
        total += change(Z.T @ Z)
        return
    for start in range(0, d, WIDE):
        stop = min(start + WIDE, d)
        part = Z[:, start:stop].T @ Z[:, :stop]
        for row in range(start, stop, STRIP):
            strip = change(part[row - start : row - start + STRIP])
            total[row : row + len(strip), :stop] += strip
            total[:start, row : row + len(strip)] += strip[:, :start].T


def redrawn(documents: Sequence[CovarianceAccumulator], counts: Array, centred: bool) -> Spectrum:
    """Compute spectra of resampled corpora (resamples, m); counts (resamples, documents): how often each document is drawn."""
    d, tokens = documents[0].d, np.array([document.n for document in documents])
    sums = np.stack([document.total.ravel() for document in documents])
    spectra, step = [], max(1, TOGETHER // d**2)
    for start in range(0, len(counts), step):
        totals = [(count @ sums).reshape(d, d) * (tokens.sum() / (count @ tokens)) for count in counts[start : start + step]]
        spectra.append(_decompose(np.stack(totals), int(tokens.sum()), d, centred))
    return replace(spectra[0], eigenvalues=np.concatenate([spectrum.eigenvalues for spectrum in spectra]))
