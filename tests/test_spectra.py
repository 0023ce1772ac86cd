"""Normalisation and spectra against numpy's SVD, closed forms and their own symmetries."""

import numpy as np
import pytest

from geomkit.core.errors import ConfigError, DataError
from geomkit.measures.spectra import CovarianceAccumulator, Spectrum, modes, normalise, spectrum

SHAPES = [(1, 1), (1, 7), (2, 5), (9, 9), (9, 40), (40, 9), (64, 96)]


def cloud(seed: int, *shape: int) -> np.ndarray:
    """Anisotropic rows with a common offset, as hidden states have."""
    draw = np.random.default_rng(seed)
    return (draw.standard_normal(shape) + 2 * draw.standard_normal(shape[-1])) * np.geomspace(1, 0.05, shape[-1])


def rotation(d: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(d).standard_normal((d, d)))[0]


# normalise


def test_unit_rows_have_length_one_and_keep_their_direction():
    Z = cloud(0, 6, 4)
    unit = normalise(Z, "unit")
    np.testing.assert_allclose((unit**2).sum(1), 1, rtol=1e-14)
    np.testing.assert_allclose(unit * np.linalg.norm(Z, axis=1, keepdims=True), Z, rtol=1e-14)


def test_centre_unit_is_unit_of_the_deviations_from_the_mean_row():
    Z = cloud(1, 6, 4)
    np.testing.assert_allclose(normalise(Z, "centre-unit"), normalise(Z - Z.mean(0), "unit"), atol=1e-14)


def test_centre_subtracts_the_mean_row_and_keeps_the_lengths_that_are_left():
    Z = cloud(1, 6, 4)
    np.testing.assert_allclose(normalise(Z, "centre"), Z - Z.mean(0), atol=1e-14)
    mean = cloud(2, 1, 4)[0]
    np.testing.assert_allclose(normalise(Z, "centre", mean), Z - mean, atol=1e-14)


@pytest.mark.parametrize(("n", "d"), [(40, 6), (5, 9), (2, 3)])
def test_the_spectrum_of_centred_rows_is_that_of_the_covariance(n, d):
    """By numpy's covariance; m = min(n - 1, d), the trace is the variance, and no scale changes an effective rank."""
    Z = cloud(8, n, d)
    found = spectrum(Z, "centre")
    expected = np.linalg.eigvalsh(np.cov(Z.T, bias=True))[::-1][: min(n - 1, d)]
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=1e-9, atol=1e-12 * expected[0])
    assert found.m == min(n - 1, d)
    assert found.trace == pytest.approx(Z.var(axis=0).sum())
    np.testing.assert_allclose(spectrum(3 * Z + 7, "centre").eigenvalues, 9 * found.eigenvalues, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("mode", list(modes))
def test_float32_becomes_float64_and_the_input_stays(mode):
    Z = cloud(2, 5, 3).astype(np.float32)
    before = Z.copy()
    assert normalise(Z, mode).dtype == np.float64
    np.testing.assert_array_equal(Z, before)


def test_raw_changes_nothing():
    Z = cloud(3, 5, 3)
    np.testing.assert_array_equal(normalise(Z, "raw"), Z)


def test_zero_rows_stay_zero():
    Z = cloud(4, 5, 3)
    Z[2] = 0
    unit = normalise(Z, "unit")
    np.testing.assert_array_equal(unit[2], 0)
    np.testing.assert_array_equal(normalise(np.zeros((3, 2)), "unit"), 0)


@pytest.mark.parametrize("scale", [1e-20, 1, 1e20])
def test_centred_rows_of_rounding_size_are_zero_at_any_scale(scale):
    Z = scale * np.tile(cloud(5, 1, 8), (6, 1))
    for mode in ("centre-unit", "centre"):
        np.testing.assert_array_equal(normalise(Z, mode), 0)
    Z[0] *= 1 + 1e-13
    for mode in ("centre-unit", "centre"):
        np.testing.assert_array_equal(normalise(Z, mode), 0)
    Z[0] *= 1 + 1e-9
    assert normalise(Z, "centre").any()
    np.testing.assert_allclose((normalise(Z, "centre-unit") ** 2).sum(1), 1)


def test_centring_is_by_the_rows_own_mean_even_where_they_hardly_differ():
    common, deviations = 1e4 * cloud(6, 1, 12), 1e-6 * cloud(7, 8, 12)
    Z = common + deviations
    exact = Z - Z[0]  # exact by Sterbenz, so that only small numbers are averaged
    np.testing.assert_allclose(normalise(Z, "centre-unit"), normalise(exact, "centre-unit"), atol=1e-12)
    assert spectrum(normalise(Z, "centre-unit"), centred=True).m == 7


def test_batch_is_a_loop_of_matrices():
    Z = cloud(8, 2, 3, 5, 4)
    for mode in modes:
        batch = normalise(Z, mode)
        for i, j in np.ndindex(2, 3):
            np.testing.assert_allclose(batch[i, j], normalise(Z[i, j], mode), rtol=1e-13, atol=1e-15)


def test_a_given_mean_takes_the_place_of_the_rows_own():
    corpus = cloud(9, 30, 4)
    whole = normalise(corpus, "centre-unit")
    parts = [normalise(part, "centre-unit", mean=corpus.mean(0)) for part in np.split(corpus, [7, 8, 20])]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-13)
    np.testing.assert_array_equal(normalise(corpus, "unit", mean=corpus.mean(0)), normalise(corpus, "unit"))
    with pytest.raises(DataError, match="30 of 30"):
        normalise(corpus, "centre-unit", mean=np.full(4, np.nan))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
@pytest.mark.parametrize("mode", list(modes))
def test_values_that_are_not_finite_are_refused(mode, value):
    Z = cloud(10, 5, 3)
    Z[1, 2] = value
    with pytest.raises(DataError, match="1 of 5 token vectors"):
        normalise(Z, mode)


def test_unknown_mode_and_wrong_dimension_are_refused():
    with pytest.raises(ConfigError, match=r"'center'.*centre-unit"):
        normalise(np.eye(2), "center")
    with pytest.raises(DataError, match="shape"):
        normalise(np.ones(3), "unit")


# spectrum


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_eigenvalues_are_squared_singular_values_over_n(n, d):
    Z = normalise(cloud(n + d, n, d), "unit")
    found = spectrum(Z)
    assert (found.n, found.d, found.m) == (n, d, min(n, d))
    np.testing.assert_allclose(found.eigenvalues, np.linalg.svd(Z, compute_uv=False) ** 2 / n, rtol=1e-10, atol=1e-15)
    assert (np.diff(found.eigenvalues) <= 0).all()
    np.testing.assert_allclose(found.trace, 1, rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), [shape for shape in SHAPES if shape[0] > 1])
def test_centring_then_unit_scaling_leaves_rank_n_minus_one(n, d):
    Z = normalise(cloud(n + d, n, d), "centre-unit")
    found = spectrum(Z, centred=True)
    assert found.m == min(n - 1, d)
    np.testing.assert_allclose(found.eigenvalues, np.linalg.svd(Z, compute_uv=False)[: found.m] ** 2 / n, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found.trace, (Z**2).sum() / n, rtol=1e-12)


def test_centred_with_a_zero_row_has_rank_n_minus_one_at_most():
    Z = cloud(11, 6, 30)
    Z[3] = (Z.sum(0) - Z[3]) / 5
    assert spectrum(normalise(Z, "centre-unit"), centred=True).m == 5


def test_both_gram_sides_agree():
    Z = cloud(12, 20, 33)
    tall, wide = spectrum(Z), spectrum(Z.T)
    np.testing.assert_allclose(20 * tall.eigenvalues, 33 * wide.eigenvalues, rtol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(12, 30), (30, 12)])
def test_rotations_and_row_permutations_do_not_matter(n, d):
    Z = cloud(13, n, d)
    before = spectrum(Z).eigenvalues
    np.testing.assert_allclose(spectrum(Z @ rotation(d)).eigenvalues, before, rtol=1e-9)
    np.testing.assert_allclose(spectrum(Z[np.random.default_rng(0).permutation(n)]).eigenvalues, before, rtol=1e-9)


@pytest.mark.parametrize("centred", [False, True])
def test_batch_of_spectra_is_a_loop(centred):
    Z = normalise(cloud(14, 2, 3, 8, 20), "centre-unit")
    batch = spectrum(Z, centred)
    assert batch.eigenvalues.shape == (2, 3, batch.m)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(batch.eigenvalues[i, j], spectrum(Z[i, j], centred).eigenvalues, rtol=1e-12)


def test_limits_equal_rows_orthonormal_rows_and_gaussian_rows():
    z = cloud(15, 1, 30)
    equal = spectrum(np.tile(z, (10, 1))).eigenvalues
    np.testing.assert_allclose(equal[0], (z**2).sum(), rtol=1e-12)
    np.testing.assert_array_equal(equal[1:], 0)
    np.testing.assert_allclose(spectrum(rotation(9)[:4]).eigenvalues, np.full(4, 1 / 4), rtol=1e-12)
    gaussian = spectrum(np.random.default_rng(0).standard_normal((40_000, 4))).eigenvalues
    np.testing.assert_allclose(gaussian, 1, atol=0.05)


@pytest.mark.parametrize(("n", "d"), [(60, 400), (400, 60), (256, 256)])
@pytest.mark.parametrize("rank", [1, 3, 20])
def test_rounding_is_no_rank(n, d, rank):
    draw = np.random.default_rng(rank)
    Z = normalise(draw.standard_normal((n, rank)) @ draw.standard_normal((rank, d)), "unit")
    assert np.count_nonzero(spectrum(Z).eigenvalues) == rank


def test_small_eigenvalues_above_rounding_are_kept():
    Z = np.diag([1.0, 1e-3, 1e-7])
    np.testing.assert_allclose(spectrum(Z).eigenvalues, np.array([1, 1e-6, 1e-14]) / 3, rtol=1e-12)


def test_zero_rows_have_a_zero_spectrum():
    np.testing.assert_array_equal(spectrum(np.zeros((3, 5))).eigenvalues, 0)


@pytest.mark.parametrize(("shape", "centred"), [((0, 4), False), ((1, 4), True), ((4, 0), False), ((2, 0, 4), False)])
def test_too_few_rows_are_refused(shape, centred):
    with pytest.raises(DataError, match="at least"):
        spectrum(np.zeros(shape), centred)


def test_rows_that_are_not_centred_are_refused():
    with pytest.raises(DataError, match="not centred"):
        spectrum(cloud(16, 6, 20), centred=True)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_spectrum_refuses_values_that_are_not_finite(value):
    Z = np.eye(3)
    Z[0, 0] = value
    with pytest.raises(DataError, match="not finite"), np.errstate(all="ignore"):
        spectrum(Z)
    with pytest.raises(DataError, match="shape"):
        spectrum(np.ones(3))


def test_spectrum_is_read_only():
    with pytest.raises(AttributeError):
        Spectrum(np.ones(2), 2, 2).n = 3


# streaming


def streamed(Z: np.ndarray, *cuts: int) -> CovarianceAccumulator:
    accumulator = CovarianceAccumulator(Z.shape[1])
    for chunk in np.split(Z, cuts):
        accumulator.update(chunk)
    return accumulator


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize(("n", "d"), [(50, 8), (8, 50), (20, 20)])
def test_streaming_is_batch(n, d, centred):
    Z = normalise(cloud(17, n, d), "centre-unit" if centred else "unit")
    batch, stream = spectrum(Z, centred), streamed(Z, 1, 1, 5, 7).spectrum(centred)
    assert (stream.n, stream.d, stream.m) == (batch.n, batch.d, batch.m)
    np.testing.assert_allclose(stream.eigenvalues, batch.eigenvalues, rtol=1e-9, atol=1e-14)


def test_merges_commute_and_associate():
    parts = np.split(normalise(cloud(18, 40, 6), "unit"), [3, 17, 30])

    def merged(order):
        accumulator = CovarianceAccumulator(6)
        for i in order:
            accumulator.merge(streamed(parts[i]))
        return accumulator.spectrum().eigenvalues

    halves = streamed(parts[0]).merge(streamed(parts[1])).merge(streamed(parts[2]).merge(streamed(parts[3])))
    np.testing.assert_allclose(merged([2, 0, 3, 1]), merged([0, 1, 2, 3]), rtol=1e-12)
    np.testing.assert_allclose(halves.spectrum().eigenvalues, merged([0, 1, 2, 3]), rtol=1e-12)


def test_stored_sums_resample_documents():
    documents = [normalise(cloud(19 + i, n, 5), "unit") for i, n in enumerate([4, 9, 6])]
    totals = np.array([streamed(Z).total for Z in documents])
    drawn = np.array([2, 0, 1])
    resampled = CovarianceAccumulator(5, total=np.tensordot(drawn, totals, 1), n=int(drawn @ [4, 9, 6]))
    rows = np.concatenate([documents[0], documents[0], documents[2]])
    np.testing.assert_allclose(resampled.spectrum().eigenvalues, spectrum(rows).eigenvalues, rtol=1e-10)


def test_a_stored_sum_is_continued_and_not_written_to():
    first, second = np.split(cloud(22, 12, 4), 2)
    stored = first.T @ first
    before = stored.copy()
    continued = CovarianceAccumulator(4, total=stored, n=6).update(second)
    np.testing.assert_array_equal(stored, before)
    np.testing.assert_allclose(continued.spectrum().eigenvalues, streamed(np.concatenate([first, second])).spectrum().eigenvalues)


def test_float32_chunks_are_summed_in_float64():
    Z = normalise(cloud(23, 3000, 4), "unit").astype(np.float32)
    np.testing.assert_allclose(streamed(Z, 1000).spectrum().eigenvalues, spectrum(Z).eigenvalues, rtol=1e-12)


def test_sums_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="negative eigenvalue"):
        CovarianceAccumulator(2, total=np.diag([1.0, -1e-8]), n=5).spectrum()
    rounding = CovarianceAccumulator(2, total=np.diag([1.0, -1e-10]), n=5).spectrum()
    np.testing.assert_array_equal(rounding.eigenvalues, [0.2, 0])
    with pytest.raises(DataError, match="rank above 1 from 1 rows"):
        CovarianceAccumulator(2, total=np.eye(2), n=1).spectrum()
    with pytest.raises(DataError, match="at least 2 rows"):
        streamed(np.ones((1, 3))).spectrum(centred=True)
    with pytest.raises(DataError, match=r"\(3, 3\)"):
        CovarianceAccumulator(3, total=np.eye(2), n=2)
    with pytest.raises(DataError, match=r"\(rows, 3\)"):
        CovarianceAccumulator(3).update(np.ones((2, 4)))
    with pytest.raises(DataError, match="3 and 4"):
        CovarianceAccumulator(3).merge(CovarianceAccumulator(4))


@pytest.mark.parametrize("scale", [1e-170, 1e-300, 1e150])
@pytest.mark.parametrize("mode", ["unit", "centre-unit"])
def test_rows_whose_squares_vanish_have_a_direction(mode, scale):
    rows = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_allclose(normalise(rows * scale, mode), normalise(rows, mode), atol=1e-7)
    assert not normalise(np.zeros((3, 4)), mode).any()


def test_a_mode_is_named_by_a_word():
    with pytest.raises(ConfigError, match=r"unknown mode of normalisation \['unit'\]; known: unit"):
        normalise(np.eye(3), ["unit"])
