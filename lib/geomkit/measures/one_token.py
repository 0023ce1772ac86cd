"""Predict what one long token vector among others does to every spectral metric, from lengths alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.measures.spectra import Spectrum, is_centred, is_unit, modes, normalise, row_spectrum


@dataclass(frozen=True)
class TokenShare:
    """Share of the variance along one token's direction, after normalisation.

    expected: if the other rows are orthogonal to that direction. least: whatever the other rows are. trace: mean squared length
    of the normalised rows, with the token among them.
    """

    expected: float
    least: float
    trace: float


def token_share(length: float, others: ArrayLike, mode: str) -> TokenShare:
    """Compute the share of the variance along one token's direction from lengths.

    length: of the token's row; others (n - 1,): of the other rows. Under a mode that subtracts the mean, all are lengths of
    rows from which the mean of the *others* was subtracted. With lengths from zero in their place the others seem longer than
    they are, and the share smaller.

    With R the length, x_t the others', n rows in all and r_t = R / (n x_t):
    `raw`: R^2 / (R^2 + sum x_t^2), a rank-one update. `unit`: 1 / n, whatever R. `centre`: the same as `raw` with (n - 1) / n
    R^2 in place of R^2. `centre-unit`: the mean moves by R / n, so every row gets a part along the token before it is scaled:
    (1 + sum r_t^2 / (1 + r_t^2)) / n, and at least (1 + sum max(0, 1 - 1 / r_t^2)) / n. So a token collapses a centred cloud
    where R exceeds n times the others' length.
    Limits: 1 / n under `unit`; 1 for R to infinity under the other modes; 0, or 1 / n under `centre-unit`, for R to 0.
    Raises DataError for lengths that are negative or not finite, and for no other row; ConfigError for an unknown mode.
    """
    rows = np.asarray(others, dtype=np.float64)
    if rows.ndim != 1 or not rows.size or not np.isfinite([length, *rows]).all() or min(length, *rows) < 0:
        raise DataError(f"a token's share takes lengths that are finite and not negative, found {length} and shape {rows.shape}")
    modes[mode]  # an unknown one is refused
    n = len(rows) + 1
    if not is_unit(mode):
        square = length**2 * ((n - 1) / n if is_centred(mode) else 1.0)
        total = square + float(np.sum(rows**2))
        share = square / total if total else np.nan
        return TokenShare(share, share, total / n)
    if not is_centred(mode):
        return TokenShare(1 / n, 1 / n, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(length > 0, np.square(n * rows / length), np.inf)
    return TokenShare(float(1 + np.sum(1 / (1 + inverse))) / n, float(1 + np.sum(np.maximum(0, 1 - inverse))) / n, 1.0)


def with_token(others: Spectrum, share: TokenShare) -> Spectrum:
    """Predict the spectrum of a cloud with one more token, from the spectrum without it and the token's share.

    others: one spectrum (m,) or several (..., m) of n - 1 rows. The token's direction is taken to be orthogonal to the others,
    which keep their relative spectrum. Every metric of the registry then applies. Exact for a token orthogonal to all other
    rows under `raw` and `unit`.
    Limits: a share of 1 gives rank 1; of 0 the spectrum as it was, with the trace of `share`, if the others leave a direction
    free (others.m < d). Where they do not, their smallest eigenvalue gives way to the token. NaN where all others are zero.
    """
    values = np.asarray(others.eigenvalues)
    m = min(others.m + 1, others.d)
    rest = values[..., : m - 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = rest / rest.sum(axis=-1, keepdims=True) * (1 - share.expected)
    own = np.full((*values.shape[:-1], 1), share.expected)
    together = share.trace * np.concatenate([own, rest], axis=-1)
    return Spectrum(-np.sort(-together, axis=-1), others.n + 1, others.d)


def effective_rank_bounds(share: float, others: float) -> tuple[float, float]:
    """Bound the effective rank of a cloud by the share a of one direction and the effective rank of what is orthogonal to it.

    With E the latter: E^(1 - a) and e^h(a) E^(1 - a), h(a) = -a ln a - (1 - a) ln(1 - a). The lower bound holds since measuring
    a density matrix lowers its mean entropy, the upper one since dephasing raises the entropy (Nielsen, Chuang 2010, sections
    11.3 and 12.1). Limits: both are E for a = 0, and 1 for a = 1.
    """
    low = others ** (1 - share)
    return low, float(np.exp(entr(share) + entr(1 - share))) * low


def most_directions(share: float, m: int) -> float:
    """Compute the highest effective rank of any cloud of rank m, of whose variance one direction has at least this share.

    e^h(a) (m - 1)^(1 - a) for a share a of 1 / m or more, and m below. Raises DataError for a share outside 0 .. 1.
    """
    if not 0 <= share <= 1 or m < 1:
        raise DataError(f"a share lies between 0 and 1 and a rank is at least 1, found {share} and {m}")
    return float(m) if share * m <= 1 else effective_rank_bounds(share, float(m - 1))[1]


def most_effective_rank(length: float, others: ArrayLike, mode: str, d: int) -> float:
    """Compute the highest effective rank that a cloud of width d can have beside one token, from lengths alone.

    Where a published valley is no deeper than this, or a Diff-eRank no larger than the untrained effective rank minus this, one
    token is enough to make it. Lengths and modes are those of `token_share`, which says what is raised.
    Limits: the rank of the shape for a short token; 1 for a token of infinite length, except under `unit`.
    """
    share = token_share(length, others, mode)
    return most_directions(min(share.least, 1.0), min(np.size(others) + 1 - is_centred(mode), d))


def exact_spectrum(gram: ArrayLike, products: ArrayLike, square: float, mode: str) -> Spectrum:
    """Compute the spectrum of a cloud with one more token, from products of rows alone.

    gram (n - 1, n - 1): products of the other rows; products (n - 1,): theirs with the token; square: its squared length. Modes
    that subtract the mean change every product, since the mean has a part of the token. So no function of lengths alone is exact
    there. The width is not known, and counts as n.
    """
    whole = np.block([[np.asarray(gram, float), np.asarray(products, float)[:, None]], [np.asarray(products, float), square]])
    values, vectors = np.linalg.eigh(whole)
    return row_spectrum(normalise(vectors * np.sqrt(np.maximum(values, 0)), mode), is_centred(mode))


def rank_one_update(eigenvalues: ArrayLike, coefficients: ArrayLike) -> Array:
    """Compute the eigenvalues of diag(eigenvalues) + z z^T, descending, z given by its coefficients in the eigenvectors' basis.

    Under `raw` n times a covariance gets z z^T from one more row z. Limits: the eigenvalues for z = 0; one of them plus |z|^2
    for a z along its eigenvector.
    """
    z = np.asarray(coefficients, dtype=np.float64)
    return np.asarray(np.linalg.eigvalsh(np.diag(np.asarray(eigenvalues, dtype=np.float64)) + np.outer(z, z))[::-1])
