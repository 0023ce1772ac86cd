"""Lasso paths against brute force, closed forms, scikit-learn's solvers and the optimality conditions themselves."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geomkit.core.errors import DataError
from geomkit.measures.selection import TOLERANCE, LassoPath, lasso_path, lasso_paths
from geomkit.measures.spectra import normalise

LIBRARY = Path(__file__).parents[1] / "lib"
BUDGETS = (1, 2, 4, 8, 16, 32)


def tokens(seed: int, count: int, d: int, correlation: float = 0.5) -> np.ndarray:
    """Unit rows with a common direction, each correlated with the one before."""
    draw = np.random.default_rng(seed)
    noise = draw.standard_normal((count, d))
    Z = np.empty_like(noise)
    Z[0] = noise[0]
    for t in range(1, count):
        Z[t] = correlation * Z[t - 1] + np.sqrt(1 - correlation**2) * noise[t]
    return normalise((Z + 0.5 * draw.standard_normal(d)) * np.arange(1, d + 1) ** -0.3, "unit")


def gaps(gram: np.ndarray, target: int, first: int, path: LassoPath) -> np.ndarray:
    """KKT gaps by the definition, over weights of all candidates."""
    b = gram[target, first:target]
    found = []
    for level, indices, weights in zip(path.penalty, path.indices, path.weights, strict=True):
        w = np.zeros(len(gram))
        w[indices[indices >= 0]] = weights[indices >= 0]
        c = b - gram[first:target] @ w
        w = w[first:target]
        found.append(np.where(w != 0, np.abs(c - level * np.sign(w)), np.abs(c) - level).max())
    return np.maximum(found, 0) / (np.abs(b).max() or 1)


def check(gram: np.ndarray, target: int, first: int, path: LassoPath, gap: float = 1e-9) -> None:
    """What holds of every path."""
    assert (path.gap <= gap).all(), path.gap
    np.testing.assert_allclose(path.gap, gaps(gram, target, first, path), atol=1e-12)
    assert (path.size <= path.budgets).all()
    for k, size in enumerate(path.size):
        assert (path.indices[k, size:] == -1).all()
        assert (path.weights[k, size:] == 0).all()
        assert (path.weights[k, :size] != 0).all()
        held = path.indices[k, :size]
        assert len(set(held.tolist())) == size
        assert ((held >= first) & (held < target)).all()


def brute_force(gram: np.ndarray, b: np.ndarray, level: float) -> np.ndarray:
    """The best of the solutions that each support and each choice of signs would have."""
    best, solution = 0.0, np.zeros(b.size)
    for size in range(1, b.size + 1):
        for support in map(list, itertools.combinations(range(b.size), size)):
            for signs in itertools.product((-1, 1), repeat=size):
                w = np.linalg.solve(gram[np.ix_(support, support)], b[support] - level * np.array(signs))
                value = w @ gram[np.ix_(support, support)] @ w / 2 - b[support] @ w + level * np.abs(w).sum()
                if value < best:
                    best, solution = value, np.zeros(b.size)
                    solution[support] = w
    return solution


# against other solvers


@pytest.mark.parametrize("seed", range(10))
def test_against_brute_force_over_supports_and_signs(seed):
    Z = tokens(seed, 7, 9)
    gram = Z @ Z.T
    path = lasso_path(gram, 6, 0, [1, 2, 3, 4])
    check(gram, 6, 0, path)
    for level, indices, weights in zip(path.penalty, path.indices, path.weights, strict=True):
        w = np.zeros(7)
        w[indices] = weights  # the padding, -1, is the target's place
        np.testing.assert_allclose(w[:6], brute_force(gram[:6, :6], gram[6, :6], level), atol=1e-12)


@pytest.mark.parametrize(("d", "correlation"), [(200, 0.0), (40, 0.5), (40, 0.9), (12, 0.5)])
def test_stretches_are_those_of_the_least_angle_path(d, correlation):
    from sklearn.linear_model import lars_path_gram

    gram = (Z := tokens(1, 61, d, correlation)) @ Z.T
    path = lasso_path(gram, 60, 0, range(1, 11))
    check(gram, 60, 0, path)
    knots, _, coefficients = lars_path_gram(gram[60, :60], gram[:60, :60], n_samples=1, method="lasso", return_path=True)
    middles, solutions = (knots[:-1] + knots[1:]) / 2, (coefficients[:, :-1] + coefficients[:, 1:]) / 2
    sizes = np.count_nonzero(solutions, axis=0)
    for k in range(10):
        stretch = np.flatnonzero(sizes == k + 1)[0]
        assert path.penalty[k] == pytest.approx(middles[stretch], rel=1e-9)
        w = np.zeros(60)
        w[path.indices[k, : k + 1]] = path.weights[k, : k + 1]
        np.testing.assert_allclose(w, solutions[:, stretch], atol=1e-9)


def test_against_coordinate_descent():
    from sklearn.linear_model import Lasso

    Z = tokens(2, 41, 30, 0.8)
    path = lasso_path(Z @ Z.T, 40, 0, BUDGETS[:5])
    for level, indices, weights in zip(path.penalty, path.indices, path.weights, strict=True):
        peer = Lasso(alpha=level / 30, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(Z[:40].T, Z[40]).coef_
        w = np.zeros(41)
        w[indices] = weights
        np.testing.assert_allclose(w[:40], peer, atol=1e-6)


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_elastic_net_is_a_lasso_on_longer_rows_and_that_of_scikit_learn(ridge):
    from sklearn.linear_model import ElasticNet

    Z = tokens(3, 41, 30, 0.8)
    path = lasso_path(Z @ Z.T, 40, 0, [4, 16], ridge=ridge)
    longer = np.hstack([Z, np.sqrt(ridge) * np.eye(41)])
    longer[40, 70] = 0
    same = lasso_path(longer @ longer.T, 40, 0, [4, 16])
    np.testing.assert_array_equal(path.indices, same.indices)
    np.testing.assert_allclose(path.weights, same.weights, atol=1e-12)
    for level, indices, weights in zip(path.penalty, path.indices, path.weights, strict=True):
        alpha = (level + ridge) / 30
        peer = ElasticNet(alpha=alpha, l1_ratio=level / (level + ridge), fit_intercept=False, tol=1e-14, max_iter=100_000)
        w = np.zeros(41)
        w[indices] = weights
        np.testing.assert_allclose(w[:40], peer.fit(Z[:40].T, Z[40]).coef_, atol=1e-6)


# closed forms


@pytest.mark.parametrize("seed", range(5))
def test_orthonormal_rows_give_soft_thresholding(seed):
    draw = np.random.default_rng(seed)
    b = draw.standard_normal(12)
    Z = np.vstack([np.eye(12), b])
    path = lasso_path(Z @ Z.T, 12, 0, range(1, 13))
    order = np.argsort(-np.abs(b))
    level = np.append(np.abs(b[order]), 0)
    np.testing.assert_allclose(path.penalty, (level[:-1] + level[1:]) / 2)
    for k in range(12):
        np.testing.assert_array_equal(path.indices[k, : k + 1], order[: k + 1])
        soft = np.sign(b) * np.maximum(np.abs(b) - path.penalty[k], 0)
        np.testing.assert_allclose(path.weights[k, : k + 1], soft[order[: k + 1]], rtol=1e-12)


def test_ties_are_jumped_over():
    Z = np.vstack([np.eye(4), [1, -1, 0.5, 0.5]])
    path = lasso_path(Z @ Z.T, 4, 0, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(path.size, [0, 2, 2, 4, 4])
    np.testing.assert_allclose(path.penalty, [1, 0.75, 0.75, 0.25, 0])
    np.testing.assert_allclose(np.sort(path.weights[1, :2]), [-0.25, 0.25])
    np.testing.assert_allclose(np.sort(path.weights[4]), [-1, 0, 0.5, 0.5, 1])
    check(Z @ Z.T, 4, 0, path)


def test_a_token_in_the_target_s_own_direction_is_all_that_it_takes():
    Z = tokens(4, 20, 50)
    Z[19] = Z[7]
    path = lasso_path(Z @ Z.T, 19, 0, [1, 2])
    np.testing.assert_array_equal(path.indices, [[7, -1], [7, -1]])
    np.testing.assert_allclose(path.weights, [[0.5, 0], [1, 0]], rtol=1e-12)
    np.testing.assert_allclose(path.penalty, [0.5, 0], atol=1e-15)


# certificates


@pytest.mark.parametrize("correlation", [0, 0.9, 0.999, 0.999999])
@pytest.mark.parametrize("d", [300, 64, 20])
def test_gap_of_correlated_tokens(d, correlation):
    gram = (Z := tokens(5, 200, d, correlation)) @ Z.T
    targets = [40, 100, 199]
    for target, path in zip(targets, lasso_paths(gram, targets, 0, BUDGETS), strict=True):
        check(gram, target, 0, path)
        np.testing.assert_array_equal(path.size, np.minimum(BUDGETS, d))


@pytest.mark.parametrize("distance", [1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
@pytest.mark.parametrize("seed", range(5))
def test_gap_of_near_duplicates(seed, distance):
    draw = np.random.default_rng(seed)
    Z = tokens(seed, 30, 64)[draw.integers(30, size=101)]
    gram = (Z := normalise(Z + distance / 8 * draw.standard_normal(Z.shape), "unit")) @ Z.T
    check(gram, 100, 0, lasso_path(gram, 100, 0, BUDGETS[:5]))


@pytest.mark.parametrize("distance", [1e-7, 1e-8, 1e-9])
@pytest.mark.parametrize("seed", range(5))
def test_gap_of_duplicates_within_rounding_is_below_the_tolerance(seed, distance):
    draw = np.random.default_rng(seed)
    Z = tokens(seed, 30, 64)[draw.integers(30, size=101)]
    gram = (Z := normalise(Z + distance / 8 * draw.standard_normal(Z.shape), "unit")) @ Z.T
    check(gram, 100, 0, lasso_path(gram, 100, 0, BUDGETS[:4]), TOLERANCE)


def test_gap_of_wrong_weights_is_their_violation():
    from geomkit.measures.homotopy import violation

    gram = (Z := tokens(6, 31, 40)) @ Z.T
    path = lasso_path(gram, 30, 0, [4])
    for change in ([1e-3, 0, 0, 0], [0, 0, -0.1, 0], -2 * path.weights[0]):
        wrong = LassoPath(path.budgets, path.penalty, path.indices, path.weights + change, path.gap)
        found = violation(gram, 30, path.penalty[0], path.indices[0], wrong.weights[0])
        assert found > 1e-4
        assert found == pytest.approx(gaps(gram, 30, 0, wrong)[0], rel=1e-12)


# drops, repeated tokens, and too little of something


def test_tokens_leave_the_path():
    gram = (Z := tokens(7, 151, 40, 0.95)) @ Z.T
    path = lasso_path(gram, 150, 0, BUDGETS)
    check(gram, 150, 0, path)
    held = [set(path.indices[k, : path.size[k]].tolist()) for k in range(len(BUDGETS))]
    assert any(not small <= large for small, large in itertools.pairwise(held))


@pytest.mark.parametrize("rounding", [0, 1e-16])
def test_of_repeated_tokens_the_latest_is_taken(rounding):
    Z = tokens(8, 21, 30)
    Z = np.vstack([Z[:20], Z[:20], Z[20:]])
    noise = rounding * np.random.default_rng(0).standard_normal((41, 41))
    gram, once = Z @ Z.T + noise + noise.T, Z[20:] @ Z[20:].T
    path, single = lasso_path(gram, 40, 0, BUDGETS[:5]), lasso_path(once, 20, 0, BUDGETS[:5])
    check(gram, 40, 0, path)
    np.testing.assert_array_equal(path.indices, np.where(single.indices >= 0, single.indices + 20, -1))
    np.testing.assert_allclose(path.weights, single.weights, atol=1e-11)
    np.testing.assert_allclose(path.penalty, single.penalty, rtol=1e-11)


def test_repeated_tokens_up_to_rounding_leave_every_stretch_as_it_is():
    for seed in range(100):
        Z = tokens(seed, 20, 4, 0.99)
        noise = 1e-16 * np.random.default_rng(seed).standard_normal((39, 39))
        gram = (twice := np.vstack([Z[:19], Z])) @ twice.T + noise + noise.T
        path, single = lasso_path(gram, 38, 0, [1, 2, 3, 4]), lasso_path(gram[19:, 19:], 19, 0, [1, 2, 3, 4])
        np.testing.assert_allclose(path.penalty, single.penalty, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("distance", [1e-8, 1e-9, 1e-10, 1e-11])
def test_repeated_tokens_up_to_rounding_leave_the_end_of_the_path_as_it_is(distance):
    for seed in range(100):
        draw = np.random.default_rng(seed)
        Z = draw.standard_normal((10, 6))[draw.integers(10, size=31)]
        Z = normalise(Z + distance * draw.standard_normal(Z.shape), "unit")
        check(Z @ Z.T, 30, 0, lasso_path(Z @ Z.T, 30, 0, [4, 16]), TOLERANCE)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_with_few_dimensions_the_path_ends_in_the_least_sum_of_weights(d):
    Z = np.random.default_rng(d).standard_normal((31, d))
    gram = Z @ Z.T
    path = lasso_path(gram, 30, 0, [1, 8])
    check(gram, 30, 0, path)
    assert (path.size[1], path.penalty[1]) == (d, 0)
    held = path.indices[1, :d]
    np.testing.assert_allclose(path.weights[1, :d] @ Z[held], Z[30], atol=1e-10)
    least = scipy.optimize.linprog(np.ones(60), A_eq=np.hstack([Z[:30].T, -Z[:30].T]), b_eq=Z[30]).fun
    assert np.abs(path.weights[1]).sum() == pytest.approx(least)


def test_with_few_candidates_the_path_ends_in_least_squares():
    Z = tokens(9, 6, 20)
    path = lasso_path(Z @ Z.T, 5, 0, [32])
    check(Z @ Z.T, 5, 0, path)
    assert (path.size[0], path.penalty[0]) == (5, 0)
    solution = np.linalg.lstsq(Z[:5].T, Z[5])[0]
    np.testing.assert_allclose(path.weights[0, :5], solution[path.indices[0, :5]], rtol=1e-10)


@pytest.mark.parametrize("target", [np.zeros(20), np.eye(20)[19], np.eye(20)[19] + 1e-17 * np.eye(20)[0]])
def test_a_target_that_no_candidate_helps_has_no_tokens(target):
    Z = np.vstack([tokens(10, 9, 19) @ np.eye(19, 20), target])
    path = lasso_path(Z @ Z.T, 9, 0, [1, 4])
    np.testing.assert_array_equal(path.indices, -1)
    np.testing.assert_array_equal(path.gap, 0)


def test_zero_tokens_are_never_taken():
    Z = tokens(11, 21, 50)
    Z[::3] = 0
    Z[20] = Z[19]
    Z[19] = Z[1]
    gram = Z @ Z.T
    path = lasso_path(gram, 20, 0, [4, 13, 20])
    check(gram, 20, 0, path)
    assert not set(path.indices.ravel().tolist()) & set(range(0, 21, 3))


@given(
    arrays(np.float64, st.tuples(st.integers(3, 14), st.integers(1, 6)), elements=st.integers(-2, 2)),
    st.booleans(),
    st.sampled_from([0.0, 0.5]),
)
@settings(max_examples=300, deadline=None)
def test_gap_where_everything_ties(Z, unit, ridge):
    """Small whole numbers: repeated, opposite, zero and dependent tokens, and events at one penalty."""
    rows = normalise(Z, "unit" if unit else "raw")
    gram, target = rows @ rows.T, len(rows) - 1
    path = lasso_path(gram, target, 0, [1, 2, 3, 4, 8], ridge)
    check(gram + ridge * np.eye(target + 1), target, 0, path)
    if not ridge:
        for held in path.chosen:
            assert np.linalg.matrix_rank(rows[held]) == held.size


# many targets, and the first token


def test_candidates_start_at_the_first():
    gram = (Z := tokens(12, 40, 30)) @ Z.T
    whole, part = lasso_path(gram, 39, 5, BUDGETS[:4]), lasso_path(gram[5:, 5:], 34, 0, BUDGETS[:4])
    np.testing.assert_array_equal(whole.indices, np.where(part.indices >= 0, part.indices + 5, -1))
    np.testing.assert_array_equal(whole.weights, part.weights)


def test_many_targets_are_each_alone():
    gram = (Z := tokens(13, 40, 30)) @ Z.T
    before = gram.copy()
    paths = lasso_paths(gram, [2, 20, 39], 1, [8, 2])
    np.testing.assert_array_equal(gram, before)
    for target, path in zip([2, 20, 39], paths, strict=True):
        alone = lasso_path(gram, target, 1, [8, 2])
        for name in ("budgets", "penalty", "indices", "weights", "gap"):
            np.testing.assert_array_equal(getattr(path, name), getattr(alone, name))
    assert lasso_paths(gram, [], 0, [1]) == []


def test_chosen_tokens_come_largest_weight_first():
    gram = (Z := tokens(14, 40, 30)) @ Z.T
    path = lasso_path(gram, 39, 0, [3, 32])
    for k, chosen in enumerate(path.chosen):
        weight = dict(zip(path.indices[k].tolist(), np.abs(path.weights[k]), strict=True))
        sizes = [weight[token] for token in chosen.tolist()]
        assert sizes == sorted(sizes, reverse=True)
        assert set(chosen.tolist()) == set(path.indices[k, : path.size[k]].tolist())


# errors


def test_what_makes_no_path_is_an_error():
    gram = np.eye(5)
    spoilt = np.where(gram == 1, np.nan, gram)
    with pytest.raises(DataError, match="5 of 25 entries"):
        lasso_path(spoilt, 4, 0, [1])
    with pytest.raises(DataError, match=r"shape \(4, 5\)"):
        lasso_path(gram[:4], 3, 0, [1])
    for target, first in [(0, 0), (1, 1), (5, 0), (3, -1)]:
        with pytest.raises(DataError, match=f"target {target} of 5 tokens"):
            lasso_path(gram, target, first, [1])
    for budgets in ([0], [], [2, -1]):
        with pytest.raises(DataError, match="budgets must be positive"):
            lasso_path(gram, 4, 0, budgets)


@pytest.mark.slow
def test_solver_does_without_a_folder_to_cache_in(tmp_path):
    shutil.copy(LIBRARY / "geomkit/measures/homotopy.py", tmp_path)
    (tmp_path / "__pycache__").touch()
    nowhere = {"HOME": os.devnull, "XDG_CACHE_HOME": f"{os.devnull}/x", "PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
    done = subprocess.run(
        [sys.executable, "-Bc", "import homotopy, numpy; homotopy.forward(2 * numpy.eye(1), x := numpy.ones(1)); print(x)"],
        env={key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"} | nowhere,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("[0.5]\n", 0), done.stderr
