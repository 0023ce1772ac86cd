"""Intrinsic dimension: known manifolds, closed forms, brute force, and what must not change an estimate."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.spatial.distance import cdist

import geomkit
from geomkit.core.errors import ConfigError, DataError
from geomkit.measures import intrinsic_dimension as module
from geomkit.measures.intrinsic_dimension import (
    FEWEST,
    dealt,
    decimated,
    dimensions,
    estimated,
    interval_of_quarters,
    intrinsic_dimension,
    nearest_neighbours,
    smooth_step,
)
from geomkit.measures.nulls import gaussian_with_covariance, random_frame


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(0)


def sphere(draw: np.random.Generator, n: int, d: int, width: int = 20) -> np.ndarray:
    """Rows uniform on a sphere of dimension d, turned at random in more dimensions."""
    rows = draw.standard_normal((n, d + 1))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ np.linalg.qr(draw.standard_normal((width, d + 1)))[0].T


def swiss_roll(draw: np.random.Generator, n: int) -> np.ndarray:
    angle = 1.5 * np.pi * (1 + 2 * draw.random(n))
    return np.stack([angle * np.cos(angle), 21 * draw.random(n), angle * np.sin(angle)], axis=1)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_sphere_has_its_dimension_at_every_scale(draw, d):
    found = intrinsic_dimension(sphere(draw, 2000, d))
    assert found["twonn"].value == pytest.approx(d, rel=0.1)
    assert found["gride"].scales == [2, 4, 8, 16, 32, 64, 128]
    assert found["gride"].value[:5] == pytest.approx(d, rel=0.1)


def test_a_swiss_roll_has_two_dimensions_near_by(draw):
    found = intrinsic_dimension(swiss_roll(draw, 3000))
    assert found["twonn"].value == pytest.approx(2, rel=0.06)
    assert found["gride"].value[:4] == pytest.approx(2, rel=0.06)


@pytest.mark.parametrize("d", [2, 4, 8])
def test_gaussian_rows_have_the_dimension_of_their_covariance_as_rows_get_many(draw, d):
    rows = draw.standard_normal((1500, d)) @ draw.standard_normal((d, 30))
    found = intrinsic_dimension(rows)
    assert found["twonn"].value == pytest.approx(d, rel=0.12)
    assert found["gride"].value[:3] == pytest.approx(d, rel=0.15)


def test_noise_is_seen_near_by_and_the_roll_from_further_away(draw):
    rows = np.hstack([swiss_roll(draw, 2500), np.zeros((2500, 5))])
    gride = intrinsic_dimension(rows + 0.3 * draw.standard_normal(rows.shape))["gride"].value
    assert gride[0] > 4
    assert min(gride) < 2.5


@pytest.mark.parametrize("block", [70, 2048])
def test_neighbours_are_those_of_brute_force_also_in_quarters(draw, block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    rows, documents = draw.standard_normal((260, 6)) + 1e3, draw.integers(0, 31, 260)
    rows[100], rows[200] = rows[3], rows[3] * (1 + 1e-13)
    found = nearest_neighbours(rows, documents)
    assert (found.repeated, found.documents, found.n) == (2, 31, 258)
    assert found.distinct.tolist() == [one for one in range(260) if one not in (100, 200)]
    kept, own = rows[found.distinct], documents[found.distinct]
    distances, ranks = cdist(kept, kept), [1, 2, 4, 8, 16, 32]
    assert found.distances == pytest.approx(np.sort(distances, axis=1)[:, ranks], rel=1e-7)
    for part, quarter in zip(dealt(31), found.quarters, strict=True):
        inside = np.isin(own, part)
        expected = np.sort(distances[np.ix_(inside, inside)], axis=1)[:, ranks]
        assert quarter[: inside.sum()] == pytest.approx(expected, rel=1e-7)
        assert np.isnan(quarter[inside.sum() :]).all()


def test_documents_are_dealt_to_quarters_that_are_disjoint():
    for documents in (8, 13, 40):
        deals = [dealt(documents)[place : place + 4] for place in range(0, 32, 4)]
        for deal in deals:
            assert sorted(np.concatenate(deal).tolist()) == list(range(documents))
            assert max(map(len, deal)) - min(map(len, deal)) <= 1
        assert len({tuple(deal[0].tolist()) for deal in deals}) > 4
    assert dealt(7) == []


def test_small_distances_far_from_the_origin_keep_their_digits(draw):
    rows = draw.standard_normal((100, 40)) * 1e3
    rows[1] = rows[0] + 1e-4 * draw.standard_normal(40)
    found = nearest_neighbours(rows).distances[:2, 0]
    assert found == pytest.approx(np.linalg.norm(rows[1] - rows[0]), rel=1e-9)


def test_estimates_do_not_change_where_rows_are_turned_moved_and_scaled(draw):
    rows = sphere(draw, 400, 4)
    turn = np.linalg.qr(draw.standard_normal((20, 20)))[0]
    changed = intrinsic_dimension(3e-5 * (rows @ turn) + 0.01)
    for name, one in intrinsic_dimension(rows).items():
        assert changed[name].value == pytest.approx(one.value, rel=1e-7)


def test_gride_at_scale_two_is_the_maximum_likelihood_of_twonn(draw):
    rows = sphere(draw, 300, 3)
    distances = np.sort(cdist(rows, rows), axis=1)
    ratios = np.log(distances[:, 2] / distances[:, 1])
    assert intrinsic_dimension(rows, ["gride"])["gride"].value[0] == pytest.approx(299 / ratios.sum(), rel=1e-9)


def test_gride_solves_its_score_equation(draw):
    rows = sphere(draw, 300, 7)
    distances = np.sort(cdist(rows, rows), axis=1)
    found = intrinsic_dimension(rows)["gride"]
    for scale, value in zip(found.scales, found.value, strict=True):
        n1 = scale // 2
        x = np.log(distances[:, scale] / distances[:, n1])

        def score(d, x=x, n1=n1, n2=scale):  # of d^(n - 1) prod (mu^d - 1)^(n2 - n1 - 1) / mu^((n2 - 1) d + 1)
            return 299 / d + ((n2 - n1 - 1) * x / -np.expm1(-d * x)).sum() - (n2 - 1) * x.sum()

        assert value == pytest.approx(brentq(score, 1e-3, 1e3, xtol=1e-12), rel=1e-9)


def test_gride_finds_the_dimension_of_ratios_of_its_own_law(draw):
    """mu^-d of ratios of neighbours n1 and n2 is a Beta(n1, n2 - n1) variable: also where no cloud is."""
    for n1, d in ((1, 3.0), (4, 12.0), (32, 50.0)):
        ratios = -np.log(draw.beta(n1, n1, 20000)) / d
        assert module.ratio_likelihood(ratios, n1) == pytest.approx(d, rel=4 / np.sqrt(20000))


def test_the_step_and_its_slope_are_smooth_at_zero():
    x = np.array([0.0, 1e-7, 9e-6, 1.1e-5, 1e-3, 0.5, 3.0, 50.0, 800.0])
    value, slope = smooth_step(x)
    assert value[0] == 1
    assert slope[0] == 0.5
    assert value[4:] == pytest.approx(x[4:] / (1 - np.exp(-x[4:])), rel=1e-12)
    step = 1e-6
    numeric = (smooth_step(x[4:] + step)[0] - smooth_step(x[4:] - step)[0]) / (2 * step)
    assert slope[4:] == pytest.approx(numeric, abs=1e-6)
    assert np.abs(np.diff(slope[:5])).max() < 1e-3


def test_twonn_is_the_published_fit(draw):
    rows = sphere(draw, 300, 3)
    distances = np.sort(cdist(rows, rows), axis=1)
    x = np.sort(np.log(distances[:, 2] / distances[:, 1]))[:240]
    y = -np.log(1 - np.arange(1, 241) / 300)
    slope = np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
    assert intrinsic_dimension(rows, ["twonn"], discarded=0.2)["twonn"].value == pytest.approx(slope, rel=1e-9)


def test_twonn_of_halves_and_quarters_is_that_of_a_further_scale(draw):
    rows = np.hstack([swiss_roll(draw, 2500), np.zeros((2500, 5))]) + 0.3 * draw.standard_normal((2500, 8))
    found = decimated(rows, draw)
    assert found.scales == [2, 4, 8, 16, 32, 64, 128]
    assert found.value[0] == pytest.approx(intrinsic_dimension(rows)["twonn"].value[0])
    assert found.value[0] > 4
    assert found.value[:6] == pytest.approx(intrinsic_dimension(rows)["gride"].value[:6], rel=0.25)


def test_rows_that_recur_count_once(draw):
    rows = sphere(draw, 200, 3).astype(np.float32)
    again = np.concatenate([rows, rows[draw.integers(0, 200, 300)] * np.float32(1 + 5e-7)])
    found = intrinsic_dimension(again)["gride"]
    assert (found.n, found.repeated) == (200, 300)
    assert found.value == pytest.approx(intrinsic_dimension(rows)["gride"].value)
    assert nearest_neighbours(again.astype(np.float64)).repeated < 300  # in float64 they would differ
    assert nearest_neighbours(again.astype(np.float64), dtype="float32").repeated == 300


def test_of_a_lattice_all_neighbours_are_equally_far_and_it_has_no_dimension_near_by():
    lattice = np.stack(np.meshgrid(*[np.arange(8.0)] * 3), axis=-1).reshape(-1, 3)
    found = intrinsic_dimension(np.tile(lattice, (3, 1)))
    assert found["gride"].repeated == 2 * 512
    assert np.isnan(found["gride"].value[0])  # r_1 = r_2 for each
    assert np.isnan(found["twonn"].value).all()
    assert found["gride"].value[-2:].mean() == pytest.approx(3, rel=0.2)


def test_too_few_distinct_rows_are_refused_with_their_number(draw):
    rows = np.tile(draw.standard_normal((FEWEST - 1, 4)), (10, 1))
    with pytest.raises(DataError, match=f"{FEWEST - 1} distinct rows of {10 * (FEWEST - 1)}, .* needs {FEWEST}"):
        intrinsic_dimension(rows)
    assert intrinsic_dimension(np.concatenate([rows, [[9.0] * 4]]))["gride"].scales == [2, 4]
    with pytest.raises(DataError, match="0 distinct rows of 0"):
        intrinsic_dimension(np.zeros((0, 3)))


def test_bad_input_is_one_line(draw):
    rows = draw.standard_normal((40, 3))
    with pytest.raises(DataError, match="1 of 40 rows are not finite"):
        intrinsic_dimension(np.where(np.arange(40)[:, None] == 3, np.nan, rows))
    with pytest.raises(DataError, match=r"found shape \(2, 20, 3\)"):
        intrinsic_dimension(rows.reshape(2, 20, 3))
    with pytest.raises(DataError, match="39 documents for 40 rows"):
        intrinsic_dimension(rows, documents=range(39))
    with pytest.raises(ConfigError, match="unknown estimator of intrinsic dimension 'mle'; known: twonn, gride"):
        intrinsic_dimension(rows, ["mle"])
    with pytest.raises(ConfigError, match=r"a list such as \['twonn'\]"):
        intrinsic_dimension(rows, "twonn")
    with pytest.raises(ConfigError, match="no estimator has the parameter 'discard'; known: discarded"):
        intrinsic_dimension(rows, discard=0.2)
    with pytest.raises(ConfigError, match="between 0 and 1, found 0"):
        intrinsic_dimension(rows, discarded=0)


def test_tensors_and_lists_are_rows_too(draw):
    import torch

    rows = draw.standard_normal((64, 5)).astype(np.float32)
    expected = intrinsic_dimension(rows)["gride"].value
    assert intrinsic_dimension(torch.tensor(rows))["gride"].value == pytest.approx(expected)
    assert geomkit.intrinsic_dimension(rows.tolist())["gride"].value == pytest.approx(expected)
    half = torch.tensor(rows).bfloat16()
    assert nearest_neighbours(torch.cat([half, half])).repeated == 64


def test_each_estimator_keeps_axes_and_leaves_out_rows_that_are_not_there(draw):
    found = nearest_neighbours(draw.standard_normal((170, 4)), np.arange(170) // 5)
    whole = estimated(found)
    for number, quarter in enumerate(found.quarters):
        alone = quarter[np.isfinite(quarter[:, 0])]
        for name, function in dimensions.items():
            values = np.array(list(function(alone).values()))
            assert values == pytest.approx(whole[name].quarters[number], rel=1e-10)


def test_no_interval_of_few_documents_or_of_one_that_has_most_rows(draw):
    rows = draw.standard_normal((80, 4))
    for documents in (None, np.zeros(80), np.arange(80) % 7, np.maximum(np.arange(80) - 70, 0)):
        low, high = intrinsic_dimension(rows, documents=documents)["gride"].interval
        assert np.isnan([*low, *high]).all()
    assert np.isfinite(intrinsic_dimension(rows, documents=np.arange(80) % 8)["gride"].interval).all()


def test_the_interval_of_a_mean_is_its_t_interval():
    from scipy import stats

    reaches, expected = [], []
    for number in range(300):
        values = np.random.default_rng(number).standard_normal((40, 1))
        quarters = np.stack([values[part].mean(axis=0) for part in dealt(40)])
        low, high = interval_of_quarters(values.mean(axis=0), quarters, 40)
        assert (low + high) / 2 == pytest.approx(values.mean(axis=0))
        reaches.append((high - low) ** 2 / 4)
        expected.append((stats.t.ppf(0.975, 39) * stats.sem(values)) ** 2)
    assert np.mean(reaches) == pytest.approx(np.mean(expected), rel=0.05)


@pytest.mark.slow
def test_intervals_cover_the_expected_estimate_of_clustered_rows():
    """Tokens of a document share its direction. The mean over many clouds is what an interval is meant to contain."""

    def cloud(draw):
        documents = np.repeat(np.arange(24), 8)
        rows = 0.7 * draw.standard_normal((24, 6))[documents] + draw.standard_normal((192, 6))
        return intrinsic_dimension(rows @ np.eye(6, 12), documents=documents)["gride"]

    found = [cloud(np.random.default_rng([1, number])) for number in range(200)]
    values = np.stack([one.value for one in found])
    ends = np.stack([one.interval for one in found])
    inside = ((ends[:, 0] <= values.mean(axis=0)) & (values.mean(axis=0) <= ends[:, 1])).mean(axis=0)
    assert found[0].scales == [2, 4, 8, 16]
    assert inside.min() > 0.9
    assert 0.94 < inside.mean() < 0.995


# The null of the same covariance


@pytest.mark.parametrize(("n", "d"), [(120, 20), (60, 200)])
def test_gaussian_rows_have_the_covariance_of_the_cloud(draw, n, d):
    rows = draw.standard_normal((n, d)) * np.linspace(0.1, 3, d) + 5
    null = gaussian_with_covariance(rows, random_frame(n, min(n - 1, d), draw))
    own = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[: min(n - 1, d)]
    assert null.mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert np.linalg.svd(null, compute_uv=False) == pytest.approx(own, rel=1e-8)


def test_a_gaussian_cloud_is_no_lower_than_the_null_and_a_sphere_with_noise_is():
    """Few rows for many directions: rows drawn from the covariance as if it were the true one would have a lower dimension."""
    ours, plain, curved = [], [], []
    for number in range(30):
        draw = np.random.default_rng([2, number])
        rows = draw.standard_normal((150, 80))
        frame = random_frame(150, 80, draw)
        centred = rows - rows.mean(axis=0)
        naive = draw.standard_normal((150, 80)) @ np.linalg.cholesky(centred.T @ centred / 150).T
        bent = sphere(draw, 150, 3, 80) + 0.01 * draw.standard_normal((150, 80))

        def at_eight(cloud):
            return np.log(intrinsic_dimension(cloud, ["gride"])["gride"].value[2])

        own = at_eight(rows)
        ours.append(at_eight(gaussian_with_covariance(rows, frame)) - own)
        plain.append(at_eight(naive) - own)
        curved.append(at_eight(gaussian_with_covariance(bent, frame)) - at_eight(bent))
    error = np.std(ours) / np.sqrt(30)
    assert abs(np.mean(ours)) < 3 * error
    assert np.mean(plain) < -5 * error
    assert min(curved) > 0.1
