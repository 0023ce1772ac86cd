"""Removal curves against one regression for each set; information that is concentrated, redundant or spread by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomkit.core.errors import DataError
from geomkit.measures.ablation import (
    FRACTIONS,
    Explained,
    area,
    complete,
    counts,
    crossing,
    effective_number,
    effective_rank,
    gini,
    halves,
    heads,
    keeping,
    leave_one_out,
    leave_one_out_coding,
    noise,
    noise_rows,
    orders,
    random_removal,
    removal,
    stretched,
    without,
)
from geomkit.measures.entropy import measure
from geomkit.measures.gain import information_gain
from geomkit.measures.spectra import normalise, spectrum

C = 40.0


def cloud(seed=0, m=20, d=15):
    draw = np.random.default_rng(seed)
    rows = normalise(draw.standard_normal((m + 1, d)) * np.geomspace(1, 0.1, d) + 0.3, "unit")
    return rows[:-1], rows[-1]


def rho(X, z, c=C):
    """By scikit-learn."""
    from sklearn.linear_model import Ridge

    if not len(X):
        return 1.0
    w = Ridge(1 / c, fit_intercept=False, solver="svd").fit(X.T, z).coef_
    return (np.square(z - X.T @ w).sum() + w @ w / c) / (z @ z)


def axes(weights, d=400):
    """Orthonormal context tokens, and a target that is a sum of them with weights, at unit length."""
    z = np.zeros(d)
    z[: len(weights)] = weights
    return np.eye(d)[: len(weights)], z / np.linalg.norm(z)


def test_curves_are_those_of_one_regression_for_each_set():
    X, z = cloud()
    order = np.random.default_rng(1).permutation(20)
    problem = Explained.of(X, z, C)
    found, kept = removal(problem, order), keeping(problem, order)
    for index, count in enumerate(counts(FRACTIONS, 20)):
        assert found.residual[index] == pytest.approx(rho(X[order[count:]], z), rel=1e-10)
        assert kept.residual[index] == pytest.approx(rho(X[order[:count]], z), rel=1e-10)
        left = X[order[count:]]
        assert found.coding[index] == pytest.approx(np.linalg.slogdet(np.eye(len(left)) + C * left @ left.T)[1], rel=1e-10)


def test_the_whole_context_is_what_the_information_gain_says():
    X, z = cloud()
    c = 15 / (21 * 0.5)
    gain = information_gain(np.vstack([X, z]), eps2=0.5)[-1]
    assert removal(Explained.of(X, z, c), np.arange(20)).residual[0] == pytest.approx(np.expm1(gain) / c, rel=1e-10)


@given(st.integers(0, 1000), st.integers(1, 30))
def test_more_tokens_never_explain_less(seed, m):
    X, z = cloud(seed, m)
    found = heads(Explained.of(X, z, C), np.random.default_rng(seed).permutation(m))
    assert found.residual[0] == 1
    assert (np.diff(found.residual) <= 1e-12).all()
    assert (np.diff(found.coding) >= 0).all()
    assert found.residual[-1] > 0


def test_effective_rank_is_that_of_the_rows_that_are_left():
    X, _ = cloud()
    order = np.random.default_rng(2).permutation(20)
    expected = [measure(spectrum(X[order[count:]]))["erank_covariance"].value for count in counts(FRACTIONS, 20)]
    np.testing.assert_allclose(effective_rank(X @ X.T, order), expected, rtol=1e-9)
    assert np.isnan(effective_rank(X @ X.T, order, [1.0])).all()


def test_leaving_one_out_is_a_difference_of_two_regressions():
    X, z = cloud()
    expected = [rho(np.delete(X, i, axis=0), z) - rho(X, z) for i in range(20)]
    np.testing.assert_allclose(leave_one_out(Explained.of(X, z, C)), expected, atol=1e-12)
    whole = np.linalg.slogdet(np.eye(20) + C * X @ X.T)[1]
    rest = [np.linalg.slogdet(np.eye(19) + C * np.delete(X, i, 0) @ np.delete(X, i, 0).T)[1] for i in range(20)]
    np.testing.assert_allclose(leave_one_out_coding(X @ X.T, C), whole - np.array(rest), rtol=1e-10)


# concentrated, redundant, spread


def test_one_token_that_tells_all_is_concentrated():
    X, z = axes([1, *[0] * 49])
    problem = Explained.of(X, z, C)
    found = halves(problem, np.arange(50))
    assert (found.deletion, found.keeping, found.redundancy) == (1, 1, 1)
    gains = leave_one_out(problem)
    assert gini(gains) == pytest.approx(1 - 1 / 50)
    assert effective_number(gains) == pytest.approx(1)


def test_a_fact_that_is_stated_eight_times_is_redundant_and_not_spread():
    X, z = axes([1, *[0] * 49])
    problem = Explained.of(np.vstack([np.tile(X[0], (8, 1)), X[1:43]]), z, C)
    found = halves(problem, np.arange(50))
    assert (found.deletion, found.keeping, found.redundancy) == (8, 1, 8)
    # Deletion of one loses little, and its leave-one-out gains look as if nothing told the target.
    assert removal(problem, np.arange(50), [0.02]).residual[0] < 0.01
    assert leave_one_out(problem).max() < 0.01
    assert effective_number(leave_one_out(problem)) == pytest.approx(8)


def test_information_that_is_spread_evenly_needs_half_of_the_tokens_both_ways():
    X, z = axes(np.ones(50))
    problem = Explained.of(X, z, C)
    found = halves(problem, np.random.default_rng(0).permutation(50))
    assert (found.deletion, found.keeping, found.redundancy) == (25, 25, 1)
    gains = leave_one_out(problem)
    assert gini(gains) == pytest.approx(0, abs=1e-12)
    assert effective_number(gains) == pytest.approx(50)
    drawn = random_removal(problem, np.random.default_rng(1))
    assert area(removal(problem, np.arange(50)).residual, drawn.residual) == pytest.approx(0, abs=1e-12)
    # Each token takes 1/50 of the c / (1 + c) that ridge takes of an orthonormal direction.
    np.testing.assert_allclose(1 - drawn.residual[0], (50 - counts(FRACTIONS, 50)) / 50 * C / (1 + C))


def test_the_area_of_a_needle_has_a_closed_form():
    """Highest first its loss is complete from the first removed token on; lowest first there is none. At random it is linear."""
    X, z = axes([1, *[0] * 99])
    problem, grid = Explained.of(X, z, C), np.linspace(0, 0.9, 91)
    drawn = random_removal(problem, np.random.default_rng(0), grid, 1000)
    jump = C / (1 + C)
    highest = area(removal(problem, np.arange(100), grid).residual, drawn.residual, grid)
    lowest = area(removal(problem, np.arange(100)[::-1], grid).residual, drawn.residual, grid)
    assert highest == pytest.approx(jump * (0.9 - 0.005 - 0.9**2 / 2), rel=0.05)
    assert lowest == pytest.approx(-jump * 0.9**2 / 2, rel=0.05)


def test_nothing_that_is_explained_has_no_half():
    X, z = axes([0, 0, 0, 1])
    assert np.isnan(halves(Explained.of(X[:3], z, C), [0, 1, 2])).all()


def test_noise_alone_has_a_gini_of_two_over_pi():
    draw = np.random.default_rng(0)
    assert gini(draw.standard_normal(100_000) ** 2) == pytest.approx(2 / np.pi, abs=0.005)
    found = [leave_one_out(noise(100, 300, C, draw)) for _ in range(20)]
    assert np.mean([gini(gains) for gains in found]) == pytest.approx(2 / np.pi, abs=0.02)
    assert np.mean([effective_number(gains) for gains in found]) == pytest.approx(100 / 3, rel=0.1)


def test_noise_is_of_unit_length():
    problem = noise(30, 12, C, np.random.default_rng(0))
    np.testing.assert_allclose(np.diagonal(problem.gram), 1)
    assert problem.square == pytest.approx(1)
    assert np.linalg.matrix_rank(problem.gram) == 12


def test_gini_and_effective_number_in_their_limits():
    assert gini([3, 3, 3]) == pytest.approx(0, abs=1e-15)
    assert gini([0, 0, 0, 7]) == pytest.approx(3 / 4)
    assert gini([1, 3]) == pytest.approx(1 / 4)
    assert effective_number([2, 2, 2]) == pytest.approx(3)
    assert np.isnan(gini([0, 0]))
    assert np.isnan(effective_number([0, 0]))
    with pytest.raises(DataError):
        gini([-1, 2])


def test_crossing_is_linear_between_points():
    assert crossing([0, 0.2, 0.4], [0, 0.2, 1]) == pytest.approx(0.275)
    assert crossing([0, 0.5, 1], [1, 0.75, 0.25]) == pytest.approx(0.75)
    assert np.isnan(crossing([0, 1], [0, 0.4]))
    assert crossing([0, 1], [0, 0.5]) == 1


def test_orders_are_completed_and_checked():
    found = complete([4, 1], 6, np.random.default_rng(0))
    assert found[:2].tolist() == [4, 1]
    assert sorted(found) == list(range(6))
    with pytest.raises(DataError, match="different ones"):
        complete([4, 4], 6, np.random.default_rng(0))
    problem = noise(5, 4, C, np.random.default_rng(0))
    with pytest.raises(DataError, match="each of the 5 tokens"):
        heads(problem, [0, 1, 2, 3, 3])
    with pytest.raises(DataError, match="not zero"):
        Explained.of(np.eye(3), np.zeros(3), C)
    with pytest.raises(DataError, match="between 0 and 1"):
        counts([1.5], 3)


# orders of importance


def test_ridge_puts_the_token_that_is_the_target_first_and_recency_the_latest():
    rows = noise_rows(12, 40, np.random.default_rng(0))
    rows[-1] = rows[4]
    found = orders(rows, ["ridge", "lasso", "recency", "norm", "attention_mean", "random"], budget=3, penalty=0.1,
                   rng=np.random.default_rng(1))  # fmt: skip
    assert set(found) == {"ridge", "lasso", "recency"}
    assert found["ridge"][0] == found["lasso"][0] == 4
    np.testing.assert_array_equal(found["recency"], np.arange(12)[::-1])
    for order in found.values():
        np.testing.assert_array_equal(np.sort(order), np.arange(12))


def test_scores_and_lengths_order_what_they_are_given_for():
    rows, scores = noise_rows(5, 8, np.random.default_rng(0)), np.array([0.1, 0.5, 0.2, 0.9, 0.3])
    lengths = np.array([5.0, 1, 2, 3, 4, 99])
    found = orders(rows, ["gradient_input", "norm"], budget=2, penalty=1.0, rng=np.random.default_rng(0), norms=lengths,
                   scores={"gradient_input": scores})  # fmt: skip
    np.testing.assert_array_equal(found["gradient_input"], [3, 1, 4, 2, 0])
    np.testing.assert_array_equal(found["norm"], [0, 4, 3, 2, 1])


def test_scores_of_another_context_keep_their_relative_places():
    np.testing.assert_array_equal(stretched([1.0, 2, 3], 6), [1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(stretched([1.0, 2, 3, 4], 2), [1, 3])


def test_an_order_without_some_tokens_counts_the_others_anew():
    left_out = np.array([True, False, False, True, False])
    np.testing.assert_array_equal(without([3, 4, 0, 1, 2], left_out), [2, 0, 1])
