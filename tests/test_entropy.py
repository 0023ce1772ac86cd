"""Metrics against closed forms and peers, and the range of each on random and adversarial rows."""

import numpy as np
import pytest
import scipy.stats

from geomkit.core.errors import ConfigError, DataError
from geomkit.measures.entropy import Measurement, absent, diff_erank, marchenko_pastur_edge, measure, metrics
from geomkit.measures.spectra import Spectrum, is_centred, modes, normalise, spectrum

NAMES = list(metrics)
RANKS = ["erank_covariance", "erank_singular", "participation_ratio", "stable_rank"]
ENTROPIES = ["matrix_entropy", "renyi_2"]
SHAPES = [(1, 1), (2, 1), (1, 9), (5, 5), (16, 64), (64, 16), (40, 100), (100, 40)]


def cloud(seed: int, *shape: int) -> np.ndarray:
    """Anisotropic rows with a common offset, as hidden states have."""
    draw = np.random.default_rng(seed)
    return (draw.standard_normal(shape) + 2 * draw.standard_normal(shape[-1])) * np.geomspace(1, 0.05, shape[-1])


def orthonormal(n: int, d: int) -> np.ndarray:
    """Rows of unit length with a flat spectrum: orthonormal rows if n <= d, else n/d copies of a basis."""
    if n <= d:
        return np.linalg.qr(np.random.default_rng(n).standard_normal((d, n)))[0].T
    assert n % d == 0
    return np.tile(np.linalg.qr(np.random.default_rng(n).standard_normal((d, d)))[0], (n // d, 1))


def values(Z: np.ndarray, centred: bool = False, **options) -> dict[str, float]:
    return {name: result.value for name, result in measure(spectrum(Z, centred), **options).items()}


def test_names_are_in_the_order_of_the_tables():
    assert NAMES[:3] == ["rate_distortion", "rate_distortion_ratio", "rate_distortion_paper"]
    assert list(measure(spectrum(cloud(0, 20, 30)))) == NAMES


# closed forms


@pytest.mark.parametrize(("n", "d"), [(20, 50), (50, 20)])
def test_rank_one(n, d):
    direction = cloud(1, 1, d)
    Z = normalise(np.random.default_rng(0).standard_normal((n, 1)) * direction, "unit")
    found = values(Z, eps2=0.3)
    for name in RANKS:
        assert found[name] == pytest.approx(1, abs=1e-12)
    for name in ENTROPIES:
        assert found[name] == pytest.approx(0, abs=1e-12)
    assert found["nuclear_norm"] == pytest.approx(np.sqrt(n))
    assert found["rate_distortion"] == pytest.approx((n + d) / 2 * np.log(1 + d / 0.3))


@pytest.mark.parametrize(("n", "d"), [(20, 50), (60, 20), (20, 20), (1, 8)])
def test_flat_spectrum_reaches_every_bound(n, d):
    m = min(n, d)
    measured = measure(spectrum(orthonormal(n, d)), eps2=0.3)
    for name, result in measured.items():
        if result.bound is not None:
            assert result.value == pytest.approx(result.bound), name
    assert measured["rate_distortion"].value == pytest.approx((n + d) / 2 * m * np.log(1 + d / (m * 0.3)))
    assert measured["rate_distortion_ratio"].bound == 1
    assert measured["matrix_entropy"].value == pytest.approx(np.log(m))
    assert measured["renyi_2"].value == pytest.approx(np.log(m))
    assert measured["nuclear_norm"].value == pytest.approx(np.sqrt(n * m))
    for name in RANKS:
        assert measured[name].value == pytest.approx(m)
    if m >= 16:
        assert measured["alpha_req"].value == pytest.approx(0, abs=1e-12)


def test_two_directions_with_equal_weight():
    Z = np.repeat(orthonormal(2, 30), 10, axis=0)
    found = values(Z)
    for name in RANKS:
        assert found[name] == pytest.approx(2)
    for name in ENTROPIES:
        assert found[name] == pytest.approx(np.log(2))
    assert found["rate_distortion"] == pytest.approx(25 * 2 * np.log(1 + 30))
    assert found["nuclear_norm"] == pytest.approx(2 * np.sqrt(10))
    assert np.isnan(found["alpha_req"])


def test_two_directions_with_weights_three_to_one():
    Z = np.repeat(orthonormal(2, 5), [3, 1], axis=0)
    found = values(Z)
    entropy = np.log(4) - 0.75 * np.log(3)
    assert found["matrix_entropy"] == pytest.approx(entropy)
    assert found["erank_covariance"] == pytest.approx(np.exp(entropy))
    assert found["renyi_2"] == pytest.approx(np.log(1.6))
    assert found["participation_ratio"] == pytest.approx(1.6)
    assert found["stable_rank"] == pytest.approx(4 / 3)
    assert found["nuclear_norm"] == pytest.approx(np.sqrt(3) + 1)
    q = np.sqrt([0.75, 0.25]) / np.sqrt([0.75, 0.25]).sum()
    assert found["erank_singular"] == pytest.approx(np.exp(-q @ np.log(q)))


@pytest.mark.parametrize("decay", [0.5, 1.0, 2.3])
@pytest.mark.parametrize("m", [16, 20, 23, 300])
def test_alpha_req_finds_the_exponent_of_a_power_law(m, decay):
    law = Spectrum(np.arange(1, m + 1) ** -decay, m, m)
    assert measure(law)["alpha_req"].value == pytest.approx(decay, rel=1e-12)
    assert measure(law)["alpha_req"].bound is None


def test_alpha_req_sees_five_to_fifty_percent_of_the_spectrum():
    law = np.arange(1.0, 41) ** -1.5
    law[[0, *range(20, 40)]] = [100, *np.zeros(20)]
    assert measure(Spectrum(law, 40, 40))["alpha_req"].value == pytest.approx(1.5)
    for edge in (1, 19):
        with_zero = law.copy()
        with_zero[edge] = 0
        assert np.isnan(measure(Spectrum(with_zero, 40, 40))["alpha_req"].value)


@pytest.mark.parametrize(("first", "last", "weight"), [(12, 100, 1), (3, 20, 0.5), (0.1, 0.9, 0), (5, 0.25, 2)])
def test_alpha_req_has_a_window_and_weights(first, last, weight):
    """By numpy's weighted polynomial fit, whose weights are those of residuals and not of their squares."""
    values = np.sort(np.random.default_rng(5).gamma(0.5, size=(2, 120)))[:, ::-1]
    rank = np.arange(1, 121)
    low, high = (end if end >= 1 else end * 120 for end in (first, last))
    inside = (rank >= low) & (rank <= high)
    fits = np.polyfit(np.log(rank[inside]), np.log(values[:, inside]).T, 1, w=rank[inside] ** (-weight / 2))
    window = {"alpha_first": first, "alpha_last": last, "alpha_weight": weight}
    found = measure(Spectrum(values, 500, 120), ["alpha_req"], **window)["alpha_req"]
    assert found.value == pytest.approx(-fits[0])
    assert found.parameters == window
    law = Spectrum(rank**-1.3, 500, 120)
    assert measure(law, ["alpha_req"], **window)["alpha_req"].value == pytest.approx(1.3)


def test_a_window_that_a_spectrum_does_not_have_is_absent_and_one_that_is_none_is_refused():
    short = Spectrum(np.ones(60), 500, 60)
    assert absent(short, ["alpha_req"], alpha_first=12, alpha_last=100) == {"alpha_req": "ranks up to 100 of m = 60"}
    assert absent(short, ["alpha_req"], alpha_first=5, alpha_last=11)["alpha_req"].startswith(
        "fewer than 8 eigenvalues between rank 5"
    )
    for first, last in ((0, 0.5), (0.5, 0.5), (20, 10), (-1, 5)):
        with pytest.raises(DataError, match="must be a range above 0"):
            measure(short, ["alpha_req"], alpha_first=first, alpha_last=last)


def test_shares_and_numbers_of_leading_directions():
    law = Spectrum(np.array([0.5, 0.3, 0.1, 0.05, 0.05]), 40, 5)
    found = measure(law)
    assert found["top_1_share"].value == pytest.approx(0.5)
    assert found["top_5_share"].value == pytest.approx(1)
    assert "top_10_share" not in found
    assert "10 directions" in absent(law)["top_10_share"]
    assert [found[f"directions_{share}"].value for share in (90, 95, 99)] == [3, 4, 5]
    assert [found[f"directions_{share}"].bound for share in (90, 95, 99)] == [5, 5, 5]


@pytest.mark.parametrize(("n", "d"), [(400, 100), (100, 400)])
def test_marchenko_pastur_edge_separates_noise_from_a_planted_direction(n, d):
    draws = np.random.default_rng(n)
    noise = draws.standard_normal((n, d))
    planted = noise + 4 * draws.standard_normal((n, 1)) * orthonormal(1, d)
    edge = marchenko_pastur_edge(n, d, 1.0)
    assert np.linalg.svd(noise / np.sqrt(n * d), compute_uv=False)[0] ** 2 == pytest.approx(edge, rel=0.05)
    assert values(noise)["beyond_edge"] <= 1
    assert values(planted)["beyond_edge"] == 1
    own = spectrum(planted).eigenvalues
    assert values(planted)["beyond_edge_share"] == pytest.approx(own[0] / own.sum())
    assert values(orthonormal(20, 20))["beyond_edge"] == 0


# peers


@pytest.mark.parametrize(("n", "d"), [(16, 64), (64, 16), (30, 30)])
def test_against_definitions_on_the_full_matrix(n, d):
    Z = cloud(2, n, d)
    found = values(Z, eps2=0.7)
    covariance, s = Z.T @ Z / n, np.linalg.svd(Z, compute_uv=False)
    log_det = np.linalg.slogdet(np.eye(d) + d / 0.7 * covariance)[1]
    assert found["rate_distortion"] == pytest.approx((n + d) / 2 * log_det)
    assert found["rate_distortion_paper"] == pytest.approx(log_det / (d * np.log(1 + 1 / 0.7)))
    assert found["matrix_entropy"] == pytest.approx(scipy.stats.entropy(s**2))
    assert found["erank_covariance"] == pytest.approx(np.exp(scipy.stats.entropy(s**2)))
    assert found["erank_singular"] == pytest.approx(np.exp(scipy.stats.entropy(s)))
    assert found["renyi_2"] == pytest.approx(-np.log(np.trace(covariance @ covariance) / np.trace(covariance) ** 2))
    assert found["participation_ratio"] == pytest.approx(np.trace(covariance) ** 2 / np.trace(covariance @ covariance))
    assert found["stable_rank"] == pytest.approx(np.linalg.norm(Z) ** 2 / np.linalg.norm(Z, 2) ** 2)
    assert found["nuclear_norm"] == pytest.approx(np.linalg.norm(Z, "nuc"))
    m = min(n, d)
    span = np.arange(np.ceil(0.05 * m), np.floor(0.5 * m) + 1)
    if len(span) >= 8:
        slope = scipy.stats.linregress(np.log(span), np.log(s[span.astype(int) - 1] ** 2)).slope
        assert found["alpha_req"] == pytest.approx(-slope)


def test_erank_singular_is_rankme_up_to_its_epsilon():
    Z = cloud(3, 50, 20)
    s = np.linalg.svd(Z, compute_uv=False)
    p = s / s.sum() + 1e-7
    assert values(Z)["erank_singular"] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-5)


# relations and symmetries


@pytest.mark.parametrize(("n", "d"), [(64, 16), (30, 30), (31, 30)])
def test_with_enough_rows_the_two_ratios_are_one_number(n, d):
    found = values(normalise(cloud(4, n, d), "unit"))
    assert found["rate_distortion_ratio"] == pytest.approx(found["rate_distortion_paper"], rel=1e-12)


def test_with_few_rows_the_ratio_of_the_paper_is_bounded_by_the_shape():
    for n, d in [(16, 64), (16, 1024)]:
        measured = measure(spectrum(orthonormal(n, d)))
        assert measured["rate_distortion_ratio"].value == pytest.approx(1)
        paper = measured["rate_distortion_paper"]
        assert paper.value == pytest.approx(n / d * np.log(1 + 2 * d / n) / np.log(3))
        assert paper.bound == pytest.approx(paper.value)


def test_ratio_is_one_for_orthonormal_rows_that_are_centred():
    simplex = normalise(np.eye(9, 20), "centre-unit")
    measured = measure(spectrum(simplex, centred=True))
    assert measured["rate_distortion_ratio"].value == pytest.approx(1)
    assert measured["matrix_entropy"].value == pytest.approx(np.log(8))
    assert measured["erank_covariance"].bound == 8


@pytest.mark.parametrize("seed", range(20))
def test_order_of_entropies_and_ranks(seed):
    draw = np.random.default_rng(seed)
    found = values(draw.standard_normal((12, 40)) * draw.lognormal(sigma=2, size=40))
    assert found["renyi_2"] <= found["matrix_entropy"]
    assert 1 <= found["stable_rank"] <= found["participation_ratio"] <= found["erank_covariance"] <= found["erank_singular"] <= 12


@pytest.mark.parametrize(("n", "d"), [(16, 40), (40, 16)])
def test_rotations_and_row_permutations_do_not_matter(n, d):
    Z = cloud(5, n, d)
    before = values(Z)
    rotated = values(Z @ orthonormal(d, d))
    permuted = values(Z[np.random.default_rng(0).permutation(n)])
    for name, value in before.items():
        assert rotated[name] == pytest.approx(value, rel=1e-9), name
        assert permuted[name] == pytest.approx(value, rel=1e-9), name


def test_scale_moves_only_what_has_a_unit():
    Z = cloud(6, 20, 40)
    before, after = values(Z, eps2=0.5), values(10 * Z, eps2=50)
    for name in set(NAMES) - {"nuclear_norm", "rate_distortion_paper"}:
        assert after[name] == pytest.approx(before[name]), name
    assert after["nuclear_norm"] == pytest.approx(10 * before["nuclear_norm"])


def test_rate_distortion_falls_as_more_distortion_is_allowed():
    codes = [values(cloud(7, 10, 20), eps2=eps2)["rate_distortion"] for eps2 in (0.01, 0.5, 10, 1e6)]
    assert codes == sorted(codes, reverse=True)
    assert codes[-1] == pytest.approx(0, abs=0.1)


# batches


@pytest.mark.parametrize("mode", list(modes))
def test_batch_is_a_loop(mode):
    Z = normalise(cloud(8, 2, 3, 20, 40), mode)
    centred = is_centred(mode)
    batch = measure(spectrum(Z, centred))
    for i, j in np.ndindex(2, 3):
        single = measure(spectrum(Z[i, j], centred))
        assert list(single) == list(batch)
        for name, result in single.items():
            assert isinstance(result.value, float)
            assert batch[name].value[i, j] == pytest.approx(result.value, rel=1e-10), name
            if result.bound is not None:
                assert isinstance(result.bound, float)
                assert np.broadcast_to(batch[name].bound, (2, 3))[i, j] == pytest.approx(result.bound), name


def test_zero_rows_are_undefined_alone_and_in_a_batch():
    Z = np.stack([np.zeros((20, 30)), normalise(cloud(9, 20, 30), "unit")])
    batch = values(Z)
    single = values(Z[0])
    for name in NAMES:
        if name in ("rate_distortion", "rate_distortion_paper", "nuclear_norm"):
            assert single[name] == batch[name][0] == 0
        else:
            assert np.isnan(single[name]), name
            assert np.isnan(batch[name][0]), name
        assert np.isfinite(batch[name][1]), name


def test_a_batch_without_matrices_has_no_values():
    for result in measure(spectrum(np.zeros((0, 20, 30)))).values():
        assert result.value.shape == (0,)


# ranges


def adversaries(n: int, d: int) -> list[np.ndarray]:
    draw = np.random.default_rng(n * d)
    gaussian = draw.standard_normal((n, d))
    outlier = gaussian.copy()
    outlier[0] *= 1e6
    dominant = gaussian.copy()
    dominant[:, 0] += 1e5
    half = gaussian.copy()
    half[n // 2 :] = 0
    return [
        gaussian,
        1e-30 * gaussian,
        1e30 * gaussian,
        outlier,
        dominant,
        half,
        np.eye(n, d),
        np.ones((n, d)),
        np.repeat(gaussian[: (n + 1) // 2], 2, axis=0)[:n],
        draw.standard_cauchy((n, d)),
        draw.lognormal(sigma=5, size=(n, d)),
        np.vander(np.linspace(0, 1, n), d),
        np.sign(gaussian),
    ]


@pytest.mark.parametrize("mode", list(modes))
@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.filterwarnings("error")
def test_every_value_is_in_its_range(n, d, mode):
    centred = is_centred(mode) and n > 1
    for case, Z in enumerate(adversaries(n, d)):
        for eps2 in (1e-6, 0.5, 100):
            found = spectrum(normalise(Z, mode), centred)
            for name, result in measure(found, eps2=eps2).items():
                if result.bound is not None and found.trace > 0:
                    assert -1e-9 <= result.value <= result.bound * (1 + 1e-9), (case, name)


def test_a_value_outside_its_range_is_an_error():
    with pytest.raises(DataError, match=r"matrix_entropy.*4 rows of 3 columns"):
        measure(Spectrum(np.array([1.0, -0.1, 0.0]), 4, 3), ["matrix_entropy"])
    with pytest.raises(DataError, match="nuclear_norm"), np.errstate(invalid="ignore"):
        measure(Spectrum(np.array([1.0, -0.1, 0.0]), 4, 3), ["nuclear_norm"])
    with pytest.raises(DataError, match="stable_rank"):
        measure(Spectrum(np.array([[1.0, 0.5], [0.1, 0.9]]), 4, 2), ["stable_rank"])
    with pytest.raises(DataError, match="erank_covariance"):
        measure(Spectrum(np.array([1.0, np.nan]), 4, 2), ["erank_covariance"])


# choice of metrics


def test_measure_gives_the_named_metrics_in_the_order_asked():
    found = spectrum(cloud(10, 5, 6))
    assert list(measure(found, ["stable_rank", "renyi_2"])) == ["stable_rank", "renyi_2"]
    with pytest.raises(ConfigError, match="entropi"):
        measure(found, ["entropi"])


def test_alpha_req_is_absent_with_a_reason_where_the_spectrum_is_short():
    short, enough = Spectrum(np.ones(15), 15, 40), Spectrum(np.ones(16), 16, 40)
    assert "alpha_req" not in measure(short)
    assert list(absent(short)) == ["alpha_req"]
    assert "m = 15" in absent(short, ["alpha_req"])["alpha_req"]
    assert absent(short, ["stable_rank"]) == {}
    assert "alpha_req" in measure(enough)
    assert absent(enough) == {}


@pytest.mark.parametrize("eps2", [0, -1, np.nan])
@pytest.mark.parametrize("name", NAMES[:3])
def test_distortion_must_be_positive(name, eps2):
    with pytest.raises(DataError, match="eps2"):
        measure(Spectrum(np.ones(2), 2, 2), [name], eps2=eps2)


def test_one_function_makes_a_new_metric(monkeypatch):
    monkeypatch.setattr(metrics, "_functions", dict(metrics._functions))

    @metrics.register("power_sum")
    def power_sum(spectrum, *, power=1.0):
        return Measurement((spectrum.eigenvalues**power).sum(axis=-1), None)

    cloud = spectrum(2 * np.eye(2))
    assert measure(cloud)["power_sum"].value == pytest.approx(4)
    found = measure(cloud, power=2.0, eps2=0.3)
    assert found["power_sum"].value == pytest.approx(8)
    assert found["rate_distortion"].value == measure(cloud, eps2=0.3)["rate_distortion"].value


def test_a_parameter_that_no_metric_has_is_named_with_the_known_ones():
    known = "alpha_first, alpha_last, alpha_weight, eps2"
    with pytest.raises(ConfigError, match=f"no metric has the parameter 'esp2'; known: {known}"):
        measure(spectrum(np.eye(2)), ["stable_rank"], esp2=0.5)


# Diff-eRank


def test_diff_erank():
    flat, rank_one = np.log([8.0, 8.0]), np.zeros(2)
    assert diff_erank(rank_one, flat) == pytest.approx(7)
    assert diff_erank(flat, rank_one) == pytest.approx(-7)
    assert diff_erank(flat, flat) == 0
    twins = np.log([[4.0, 9.0], [2.0, 2.0]])
    np.testing.assert_allclose(diff_erank(rank_one, twins), [6 - 1, 2 - 1])
