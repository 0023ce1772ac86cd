"""Nulls for width: limits that their docstrings name, and what they do to an entropy over its maximum."""

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.measures.entropy import measure
from geomkit.measures.nulls import cumulative, fixed_spectrum, relative, stretched, table_nulls, table_nulls_of_rank, width_nulls
from geomkit.measures.spectra import Spectrum, normalise, spectrum


def power_spectrum(m: int, exponent: float = 1.2, n: int = 4000) -> Spectrum:
    p = np.arange(1.0, m + 1) ** -exponent
    return Spectrum(p / p.sum(), n, m)


def clouds(n: int, d: int, texts: int = 3) -> Spectrum:
    scale = np.arange(1, d + 1) ** -0.7
    return spectrum(normalise(rng(0, n, d).standard_normal((texts, n, d)) * scale, "unit"))


@pytest.mark.parametrize(
    "null", [lambda wide, like: fixed_spectrum([wide], like), lambda wide, like: stretched([wide, wide], like)]
)
@pytest.mark.parametrize("m", [5, 32])
def test_a_flat_spectrum_stays_flat_and_the_trace_is_the_models(null, m):
    wide, like = Spectrum(np.full((2, 32), 1 / 32), 100, 32), Spectrum(np.full((2, m), 3.0), 100, m)
    result = null(wide, like)
    assert (result.n, result.d, result.m) == (100, m, m)
    np.testing.assert_allclose(result.eigenvalues, 3.0, rtol=1e-12)


def test_each_null_gives_a_model_back_at_its_own_width():
    own = clouds(40, 12)
    np.testing.assert_allclose(fixed_spectrum([own], own).eigenvalues, own.eigenvalues, rtol=1e-12)
    np.testing.assert_allclose(stretched([own], own).eigenvalues, own.eigenvalues, rtol=1e-9, atol=1e-15)


def test_fixed_spectrum_is_the_head_of_the_widest():
    wide, like = clouds(40, 30), clouds(40, 10)
    head = wide.eigenvalues[:, :10]
    np.testing.assert_allclose(fixed_spectrum([wide], like).eigenvalues, head / head.sum(axis=1, keepdims=True), rtol=1e-12)


def test_cumulative_against_interpolation():
    cloud, u = clouds(40, 12), np.linspace(0, 1, 29)
    for row, result in zip(cloud.eigenvalues, cumulative(cloud, u), strict=True):
        knots = np.concatenate([[0], np.cumsum(row / row.sum())])
        np.testing.assert_allclose(result, np.interp(u, np.arange(13) / 12, knots), rtol=1e-12, atol=1e-15)


def test_stretched_spectra_descend_and_keep_their_trace():
    family = [clouds(200, d) for d in (8, 20, 33)]
    for like in family:
        result = stretched(family, like)
        assert (np.diff(result.eigenvalues, axis=-1) <= 1e-15).all()
        np.testing.assert_allclose(result.trace, like.trace, rtol=1e-12)


def test_the_nulls_have_slopes_of_opposite_signs_for_entropy_over_its_maximum():
    family = [power_spectrum(m) for m in (32, 64, 128, 256)]
    ratio = {"fixed-spectrum": [], "stretched": []}
    for like in family:
        for name, null in (("fixed-spectrum", fixed_spectrum([family[-1]], like)), ("stretched", stretched(family, like))):
            ratio[name].append(measure(null, ["matrix_entropy"])["matrix_entropy"].value / np.log(like.m))
    assert (np.diff(ratio["fixed-spectrum"]) < 0).all()
    assert (np.diff(ratio["stretched"]) > 0).all()


def test_nulls_of_a_table_are_those_of_spectra_in_the_limit():
    width = np.array([64, 256, 1024])
    family = [power_spectrum(m, 0.5) for m in width]
    entropy = np.array([measure(member, ["matrix_entropy"])["matrix_entropy"].value for member in family])
    from_spectra = [measure(stretched(family, like), ["matrix_entropy"])["matrix_entropy"].value for like in family]
    np.testing.assert_allclose(table_nulls(entropy, width)["stretched"], from_spectra, atol=0.02)
    assert np.ptp(table_nulls(entropy, width)["fixed-spectrum"]) == 0


def test_nulls_of_a_tables_ranks_are_constant_and_as_wide_as_the_models():
    width = np.array([64.0, 256.0, 1024.0])
    nulls = table_nulls_of_rank(0.3 * width, width)
    np.testing.assert_allclose(nulls["stretched"], 0.3 * width)
    np.testing.assert_allclose(nulls["fixed-spectrum"], 0.3 * width.mean())
    assert table_nulls_of_rank(-width, width)["stretched"][0] == -64


def test_a_family_with_seeds_has_the_mean_of_its_widest_spectra_cut_and_every_size_stretched_once():
    family = [clouds(200, 8), clouds(200, 20), clouds(210, 20)]
    nulls = width_nulls(family, [1, 2, 2])
    wide = [relative(spectrum) for spectrum in family[1:]]
    for like, found in zip(family, nulls, strict=True):
        assert list(found) == ["fixed-spectrum", "stretched"]
        common = Spectrum((wide[0] + wide[1]) / 2, 200, 20)
        once = stretched([family[0], common], like).eigenvalues
        np.testing.assert_allclose(found["stretched"].eigenvalues, once, rtol=1e-9, atol=1e-15)
        assert not np.allclose(once, stretched(family, like).eigenvalues, rtol=1e-3)
        np.testing.assert_allclose(found["fixed-spectrum"].eigenvalues, fixed_spectrum([common], like).eigenvalues, rtol=1e-12)


def test_what_has_no_null_is_refused():
    with pytest.raises(DataError, match="cannot be cut"):
        fixed_spectrum([power_spectrum(4)], power_spectrum(8))
    with pytest.raises(DataError, match="seeds of one size have 8 and 20 directions"):
        width_nulls([clouds(40, 8), clouds(40, 20)], [1, 1])
    with pytest.raises(DataError, match="not all zero"):
        stretched([Spectrum(np.zeros(4), 8, 4)], power_spectrum(4))
