"""Nulls that need no model: random rows in place of tokens, and spectra derived from a family's, for width alone.

A null for width alone is what a metric would be if the shape of the spectrum did not change with the model at all. There are two,
since "the same spectrum at another width" has two meanings. Where texts are longer than models are wide, the slopes of an entropy
over its maximum have opposite signs under them. Where no text is longer than the narrowest model is wide, every model has as many
eigenvalues, and the two are one. Both act on spectra of samples, so effects of n/d enter them: they are all that published tables
have, and weaker than projections of tokens (`geomkit.measures.projection`).
"""

from collections.abc import Sequence

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.declarations import variant
from geomkit.core.errors import DataError
from geomkit.core.variants import VARIANTS, by_kind
from geomkit.measures.spectra import Spectrum, row_spectrum


def relative(spectrum: Spectrum) -> Array:
    """Divide eigenvalues by their sum (..., m). Raises DataError for zero rows, which have no shape."""
    if not (spectrum.trace > 0).all():
        raise DataError("a null for width takes spectra of rows that are not all zero")
    return spectrum.eigenvalues / spectrum.trace[..., None]


@variant(
    "fixed-spectrum",
    kind="family",
    width=True,
    label="width alone, the\nwidest model's spectrum, cut",
    short="cut",
    marker="v",
    colour="#D55E00",
    line="--",
)
def fixed_spectrum(family: Sequence[Spectrum], like: Spectrum) -> Spectrum:
    """Cut the widest model's relative spectrum to the first m of another model's shape (n, d), scaled to that model's trace.

    The relative spectra of several widest models (seeds) are averaged. Entropy and effective rank then hardly depend on d, so a
    ratio to the maximum falls. Limit: a flat spectrum stays flat.
    Raises DataError if the widest have fewer eigenvalues than `like`.
    """
    width = max(spectrum.d for spectrum in family)
    common = np.mean([relative(spectrum) for spectrum in family if spectrum.d == width], axis=0)
    if common.shape[-1] < like.m:
        raise DataError(f"fixed-spectrum: {common.shape[-1]} eigenvalues cannot be cut to {like.m}")
    cut = (common / common.sum(axis=-1, keepdims=True))[..., : like.m]
    return Spectrum(cut / cut.sum(axis=-1, keepdims=True) * like.trace[..., None], like.n, like.d)


@variant(
    "stretched",
    kind="family",
    width=True,
    label="width alone, one\nspectrum, stretched",
    short="stretched",
    marker="^",
    colour="#E69F00",
    line=(0, (1, 1)),
)
def stretched(family: Sequence[Spectrum], like: Spectrum) -> Spectrum:
    """Stretch the family's mean cumulative relative spectrum F to another m: p_i = F(i/m) - F((i - 1)/m).

    Entropy then grows as ln m, effective rank as m, and a ratio of effective rank to m stays. Limits: a flat family stays flat;
    a family of one model gives that model back at its own m.
    """
    u = np.arange(like.m + 1) / like.m
    mean = np.mean([cumulative(spectrum, u) for spectrum in family], axis=0)
    return Spectrum(np.diff(mean, axis=-1) * like.trace[..., None], like.n, like.d)


def cumulative(spectrum: Spectrum, u: Array) -> Array:
    """Compute the share of the trace in the first fraction u (k,) of the directions (..., k), linear between eigenvalues."""
    total = np.concatenate([np.zeros((*spectrum.trace.shape, 1)), np.cumsum(relative(spectrum), axis=-1)], axis=-1)
    place = u * spectrum.m
    left = np.minimum(place.astype(int), spectrum.m - 1)
    return total[..., left] + (place - left) * np.diff(total, axis=-1)[..., left]


@variant("gaussian", kind="rows", label="independent Gaussian rows", short="Gaussian", marker="D", colour="0.45", line=":")
def gaussian(n: int, d: int, rng: np.random.Generator) -> Array:
    """Draw independent standard normal rows (n, d)."""
    return rng.standard_normal((n, d))


def null_rows(name: str, n: int, d: int, rng: np.random.Generator) -> Array:
    """Draw rows (n, d) of a null by its name."""
    rows: Array = VARIANTS[name].make(n, d, rng)
    return rows


def width_nulls(family: Sequence[Spectrum], size: Sequence[int]) -> list[dict[str, Spectrum]]:
    """Derive every null of a family's spectra, by name, for each member.

    size: of each member; seeds of one size are averaged first, so that every size counts once. Raises DataError for what is no
    spectrum, and for another number of sizes.
    """
    if len(size) != len(family) or not all(isinstance(one, Spectrum) for one in family):
        raise DataError(
            f"a family is a list of spectra (geomkit.spectrum) with a size for each; found {len(family)} and {len(size)}"
        )
    members = list(zip(size, family, strict=True))
    sizes = [averaged([spectrum for own, spectrum in members if own == one]) for one in dict.fromkeys(size)]
    return [{null.name: null.make(sizes, like) for null in by_kind("family")} for like in family]


def averaged(seeds: Sequence[Spectrum]) -> Spectrum:
    """Average relative spectra to a spectrum of trace 1. Raises DataError for several numbers of directions."""
    if len({one.m for one in seeds}) > 1:
        raise DataError(f"seeds of one size have {' and '.join(str(one.m) for one in seeds)} directions")
    return Spectrum(np.mean([relative(one) for one in seeds], axis=0), seeds[0].n, seeds[0].d)


def table_nulls(entropy: Array, width: Array) -> dict[str, Array]:
    """Compute both nulls of H (models,), in nats, for a table that gives only widths d (models,), for texts longer than d.

    fixed-spectrum: the family's mean H. stretched: ln d + mean(H - ln d), which is what stretching does to the entropy of a
    spectrum with many directions.
    """
    log_width = np.log(width)
    return {"fixed-spectrum": np.full(entropy.shape, entropy.mean()), "stretched": log_width + (entropy - log_width).mean()}


def table_nulls_of_rank(rank: Array, width: Array) -> dict[str, Array]:
    """Compute both nulls of an effective rank, or of a difference of two (models,), from the widths d (models,) of a table.

    fixed-spectrum: the family's mean. stretched: the mean of rank over width, times the width, for texts longer than d; shorter
    ones leave less to stretch, so that there it is the most that width could give.
    """
    return {"fixed-spectrum": np.full(rank.shape, rank.mean()), "stretched": width * (rank / width).mean()}


def random_frame(n: int, m: int, rng: np.random.Generator) -> Array:
    """Draw m orthonormal columns of n numbers each, uniform among those whose every column sums to 0: (n, m), m < n."""
    draw = rng.standard_normal((n, m))
    frame, triangle = np.linalg.qr(draw - draw.mean(axis=0))
    return np.asarray(frame * np.sign(np.diag(triangle)))


def gaussian_with_covariance(Z: Array, frame: Array) -> Array:
    """Draw Gaussian rows that have the covariance of Z (n, d) exactly: (n, m), on its principal axes, with mean 0.

    frame: `random_frame` of n and m = min(n - 1, d). Given their mean and covariance, n independent Gaussian rows are this frame
    on these axes. So if the rows Z are Gaussian, distances between these rows have the distribution of those between rows of Z,
    also where n is small for d. Rows drawn from the covariance as if it were the true one would have fewer directions.
    """
    return frame * np.sqrt(len(Z) * row_spectrum(Z - Z.mean(axis=0), True).eigenvalues)
