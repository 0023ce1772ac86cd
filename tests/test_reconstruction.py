"""Whitening against known covariances, and held-out R^2 against brute force, closed forms and its limits."""

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.measures.reconstruction import (
    Reconstruction,
    Whitening,
    coordinate_splits,
    least_squares,
    raw_r2,
    shrinkage,
)
from geomkit.measures.spectra import normalise


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def rotation(d: int) -> np.ndarray:
    return np.linalg.qr(gaussian(d, d, d))[0]


def splits(d: int, count: int = 10) -> np.ndarray:
    return coordinate_splits(d, count, np.random.default_rng(0))


# whitening


@pytest.mark.parametrize("zeros", [0, 7])
def test_a_whitening_of_unit_rows_is_told_by_their_sums(zeros):
    rows = gaussian(1, 300, 12) * np.geomspace(1, 0.1, 12) + 0.2
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[:zeros] = 0
    found, expected = Whitening.of_unit_rows(rows.T @ rows, rows.sum(axis=0), len(rows)), Whitening.estimate(rows)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.root, expected.root, atol=1e-11 * np.abs(expected.root).max())


@pytest.mark.parametrize(("n", "d"), [(5, 30), (30, 30), (400, 30), (10, 1)])
def test_shrinkage_is_that_of_scikit_learn(n, d):
    from sklearn.covariance import ledoit_wolf_shrinkage

    rows = gaussian(n, n, d) * np.geomspace(1, 0.1, d)
    rows -= rows.mean(axis=0)
    fourth = np.mean(np.sum(rows**2, axis=1) ** 2)
    assert shrinkage(fourth, rows.T @ rows / n, n) == pytest.approx(ledoit_wolf_shrinkage(rows, assume_centered=True), rel=1e-12)


@pytest.mark.parametrize("n", [8, 400])
def test_root_whitens_the_shrunk_covariance(n):
    from sklearn.covariance import ledoit_wolf

    rows = gaussian(0, n, 20) @ gaussian(1, 20, 20) + 3
    found = Whitening.estimate(rows)
    covariance, _ = ledoit_wolf(rows)
    np.testing.assert_allclose(found.root @ covariance @ found.root, np.eye(20), atol=1e-9)
    np.testing.assert_allclose(found.root, found.root.T, atol=1e-12)
    np.testing.assert_allclose(found.apply(rows).mean(axis=0), 0, atol=1e-10)


def test_whitening_of_a_known_covariance():
    scale = np.geomspace(1, 0.05, 12)
    turn = rotation(12)
    found = Whitening.estimate(gaussian(2, 200_000, 12) * scale @ turn + 7)
    np.testing.assert_allclose(found.root @ (turn.T * scale), turn.T, atol=0.02)  # C^-1/2 C^1/2 R = R
    fresh = found.apply(gaussian(3, 100_000, 12) * scale @ turn + 7)
    np.testing.assert_allclose(fresh.T @ fresh / 100_000, np.eye(12), atol=0.02)


def test_rotation_before_whitening_rotates_the_result():
    rows, Z, turn = gaussian(4, 50, 20) * np.geomspace(1, 0.1, 20), gaussian(5, 9, 20), rotation(20)
    still, turned = Whitening.estimate(rows).apply(Z), Whitening.estimate(rows @ turn).apply(Z @ turn)
    np.testing.assert_allclose(turned, still @ turn, atol=1e-10)
    np.testing.assert_allclose(raw_r2(turned @ turned.T, 8, [[1, 2, 3]]), raw_r2(still @ still.T, 8, [[1, 2, 3]]))


def test_scale_before_whitening_does_not_matter():
    rows, Z = gaussian(6, 50, 20) * np.geomspace(1, 0.1, 20), gaussian(7, 9, 20)
    np.testing.assert_allclose(Whitening.estimate(100 * rows).apply(100 * Z), Whitening.estimate(rows).apply(Z), rtol=1e-9)


def test_a_batch_is_whitened_row_by_row():
    found, Z = Whitening.estimate(gaussian(8, 50, 6)), gaussian(9, 2, 3, 6)
    np.testing.assert_allclose(found.apply(Z)[1, 2], found.apply(Z[1, 2]), rtol=1e-12)


def test_rows_that_give_no_whitening():
    with pytest.raises(DataError, match="covariance of 5 rows of 3 columns is singular"):
        Whitening.estimate(np.ones((5, 3)))
    with pytest.raises(DataError, match="1 rows"):
        Whitening.estimate(gaussian(10, 1, 3))
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        Whitening.estimate(np.ones(3))
    with pytest.raises(DataError, match="finite"):
        Whitening.estimate([[1.0, np.nan], [0.0, 1.0]])


# splits


@pytest.mark.parametrize("d", [2, 7, 64])
def test_splits_are_random_halves(d):
    found = coordinate_splits(d, 200, np.random.default_rng(1))
    assert found.shape == (200, d)
    assert (found.sum(axis=1) == d // 2).all()
    assert len(np.unique(found, axis=0)) > (1 if d == 2 else 20)
    np.testing.assert_allclose(found.mean(axis=0), (d // 2) / d, atol=0.15)
    np.testing.assert_array_equal(found, coordinate_splits(d, 200, np.random.default_rng(1)))
    with pytest.raises(DataError, match="1 coordinate"):
        coordinate_splits(1, 10, np.random.default_rng(1))


# held-out R^2


def brute_force(Z: np.ndarray, y: np.ndarray, chosen: np.ndarray, masks: np.ndarray) -> float:
    from sklearn.linear_model import LinearRegression

    scores = []
    for mask in masks:
        fit = LinearRegression(fit_intercept=False).fit(Z[chosen][:, mask].T, y[mask])
        scores.append(1 - ((y[~mask] - fit.predict(Z[chosen][:, ~mask].T)) ** 2).sum() / (y[~mask] ** 2).sum())
    return float(np.mean(scores))


@pytest.mark.parametrize("d", [41, 80])
def test_against_linear_regression(d):
    Z, control, masks = gaussian(11, 30, d) @ rotation(d) + 0.3 * gaussian(12, d), gaussian(13, d), splits(d, 4)
    draw = np.random.default_rng(14)
    chosen = [draw.permutation(29)[:k] for k in (1, 8, 3, 8, 17, 1)]
    found = Reconstruction(Z, masks).r2(29, chosen, control)
    for row, positions in zip(found, chosen, strict=True):
        assert row[0] == pytest.approx(brute_force(Z, Z[29], positions, masks), rel=1e-9)
        assert row[1] == pytest.approx(brute_force(Z, control, positions, masks), rel=1e-9)


def test_the_control_s_column_is_that_of_the_control_as_target():
    Z, chosen, masks = gaussian(15, 20, 60), [[1, 2], [3, 4, 5], [7, 8]], splits(60)
    control = gaussian(16, 60)
    found = Reconstruction(Z, masks).r2(19, chosen, control)
    swapped = Reconstruction(np.vstack([Z[:19], control]), masks).r2(19, chosen, Z[19])
    np.testing.assert_allclose(swapped, found[:, ::-1], rtol=1e-9)


def test_a_target_in_the_span_of_the_chosen_is_rebuilt():
    Z = gaussian(17, 20, 60)
    Z[19] = 2 * Z[3] - Z[5] + 0.1 * Z[11]
    found = Reconstruction(Z, splits(60)).r2(19, [[3, 5, 11], [11, 2, 3, 5], [3, 5], []], gaussian(18, 60))
    np.testing.assert_allclose(found[:2, 0], 1, atol=1e-12)
    assert found[2, 0] < 1 - 1e-4
    np.testing.assert_array_equal(found[3], 0)


@pytest.mark.parametrize("k", [1, 4, 16])
def test_independent_rows_lose_what_the_closed_form_says(k):
    d, sets = 80, 60
    found = np.concatenate(
        [Reconstruction(Z, splits(d, 1)).r2(k, [range(k)], Z[-1]) for Z in gaussian(19 + k, 20 * sets, k + 2, d)]
    ).ravel()
    expected = -40 / 38 * k / (40 - k - 1)
    assert found.mean() == pytest.approx(expected, abs=4 * found.std() / np.sqrt(found.size / 2))
    assert found.std() / np.sqrt(found.size / 2) < 0.1 * abs(expected)


def test_repeated_tokens_count_once():
    Z, control = gaussian(21, 12, 40), gaussian(22, 40)
    Z[4] = Z[5] = Z[3]
    Z[6] = Z[1] + Z[2]
    Z[7] = 0
    sets = [[1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, 7]]
    once, thrice, zero = Reconstruction(Z, splits(40)).r2(11, sets, control)
    np.testing.assert_allclose(thrice, once, rtol=1e-9)
    np.testing.assert_allclose(zero, once, rtol=1e-9)
    np.testing.assert_allclose(*Reconstruction(Z, splits(40)).r2(11, [[1, 2, 6], [1, 6]], control), rtol=1e-9)
    np.testing.assert_allclose(*raw_r2(Z @ Z.T, 11, sets[:2]), rtol=1e-9)


def test_singular_systems_have_the_solution_of_least_norm():
    X = gaussian(23, 6, 5, 9)
    X[1, 3] = X[1, 0]
    X[2] = 0
    X[4, 4] = X[4, 0] - 2 * X[4, 1]
    Y = gaussian(24, 6, 9, 2)
    for weights, x, y in zip(least_squares(X @ X.mT, X @ Y), X, Y, strict=True):
        np.testing.assert_allclose(weights, np.linalg.lstsq(x.T, y)[0], atol=1e-9)


def test_absent_where_a_half_has_no_more_coordinates_than_tokens():
    Z = gaussian(25, 20, 17)
    found = Reconstruction(Z, splits(17)).r2(19, [range(7), range(8), range(9), [0]], gaussian(26, 17))
    np.testing.assert_array_equal(np.isnan(found), np.array([False, True, True, False])[:, None].repeat(2, axis=1))


def test_a_zero_target_is_absent():
    Z = gaussian(27, 5, 20)
    Z[4] = 0
    found = Reconstruction(Z, splits(20)).r2(4, [[0, 1]], np.zeros(20))
    assert np.isnan(found).all()
    assert np.isnan(raw_r2(Z @ Z.T, 4, [[0, 1]])).all()


def test_one_text_s_gram_matrices_serve_all_targets():
    Z, control, masks = gaussian(28, 20, 30), gaussian(29, 30), splits(30)
    text = Reconstruction(Z, masks)
    for target in (5, 19):
        chosen = [range(3), [1]]
        np.testing.assert_array_equal(text.r2(target, chosen, control), Reconstruction(Z, masks).r2(target, chosen, control))


def test_no_sets():
    assert Reconstruction(gaussian(30, 5, 20), splits(20)).r2(4, [], np.ones(20)).shape == (0, 2)
    assert raw_r2(np.eye(5), 4, []).shape == (0,)


# raw R^2


def test_raw_r2_against_least_squares():
    Z = normalise(gaussian(31, 20, 30) + 1, "unit")
    chosen = [[0], [3, 4, 5], range(19), []]
    for score, positions in zip(raw_r2(Z @ Z.T, 19, chosen), chosen, strict=True):
        residual = Z[19] - np.linalg.lstsq(Z[list(positions)].T, Z[19])[0] @ Z[list(positions)]
        assert score == pytest.approx(1 - residual @ residual, abs=1e-12)


def test_raw_r2_of_the_span_and_of_growing_sets():
    Z = gaussian(32, 20, 30)
    Z[19] = Z[0] - Z[2]
    gram = Z @ Z.T
    assert raw_r2(gram, 19, [[0, 2]])[0] == pytest.approx(1)
    scores = raw_r2(gram, 19, [range(1, k) for k in range(1, 19)])
    assert scores[0] == 0
    assert (np.diff(scores) >= -1e-12).all()


# errors


def test_what_cannot_be_rebuilt_is_an_error():
    Z = gaussian(33, 5, 20)
    for positions in ([4], [0, -1], [5]):
        with pytest.raises(DataError, match="other than target 4"):
            raw_r2(Z @ Z.T, 4, [positions])
        with pytest.raises(DataError, match="other than target 4"):
            Reconstruction(Z, splits(20)).r2(4, [[1], positions], Z[0])
    with pytest.raises(DataError, match=r"\(5, 20\) do not fit splits of shape \(10, 19\)"):
        Reconstruction(Z, splits(19))


def test_one_split_alone_is_its_part_of_the_mean():
    Z, masks = gaussian(31, 20, 40), splits(40)
    whole, control = Reconstruction(Z, masks), gaussian(32, 40)
    alone = [whole.only(split).r2(19, [[1, 4], [2]], control) for split in range(len(masks))]
    np.testing.assert_allclose(whole.r2(19, [[1, 4], [2]], control), np.mean(alone, axis=0), rtol=1e-12)
    assert len(whole.splits) == len(masks)
