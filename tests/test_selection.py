"""Selection methods against scikit-learn, brute force and the order that each one's definition gives."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geomkit.core.errors import ConfigError, DataError
from geomkit.measures.selection import Context, chooses_by, jaccard, lasso_path, lasso_paths, method_of, selectors
from geomkit.measures.spectra import normalise

LIBRARY = Path(__file__).parents[1] / "lib"
SCORES = (
    *("attention_mean", "attention_best_head", "attention_value_norm", "attention_rollout"),
    *("gradient_input", "leave_one_out"),
)
BUDGETS = [1, 2, 4, 8, 16, 64]


def rows(seed: int, count: int = 40, d: int = 30) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return normalise(draw.standard_normal((count, d)) + 0.5 * draw.standard_normal(d), "unit")


def context(Z: np.ndarray, first: int = 0, **changes: object) -> Context:
    draw = np.random.default_rng(len(Z))
    scores = {name: draw.standard_normal(len(Z)) for name in SCORES}
    return replace(Context(Z @ Z.T, len(Z) - 1, first, 0.5, draw.lognormal(size=len(Z)), scores, draw), **changes)


def lists(chosen: list[np.ndarray]) -> list[list[int]]:
    return [positions.tolist() for positions in chosen]


# every method


def test_names():
    assert {*SCORES, "lasso", "ridge", "recency", "random"} <= set(selectors)
    with pytest.raises(ConfigError, match="unknown selection method 'lassoo'; known: lasso, elastic_net"):
        selectors["lassoo"]


@pytest.mark.parametrize("first", [0, 1, 5])
@pytest.mark.parametrize("name", list(selectors))
def test_at_most_k_different_candidates_for_each_budget(name, first):
    chosen = selectors[name](context(rows(0), first), BUDGETS)
    if name == "first_recency" and first:
        assert chosen == "the first token is no candidate"
        return
    sizes = [positions.size for positions in chosen]
    assert sizes[:-1] == BUDGETS[:-1]
    assert sizes[-1] == (min(39 - first, 30) if name in ("lasso", "orthogonal_matching_pursuit") else 39 - first)
    for positions in chosen:
        assert positions.dtype == np.int64
        assert len(set(positions.tolist())) == positions.size
        assert ((positions >= first) & (positions < 39)).all()


@pytest.mark.parametrize("name", list(selectors))
def test_one_candidate(name):
    chosen = selectors[name](context(rows(1, 2)), [1, 4])
    assert lists(chosen) == [[0], [0]]


@pytest.mark.parametrize("name", list(selectors))
def test_tokens_after_the_target_do_not_matter(name):
    before = context(rows(2))
    longer = context(rows(2), target=20)
    cut = replace(before, gram=before.gram[:21, :21], target=20)
    assert lists(selectors[name](replace(longer, rng=np.random.default_rng(0)), BUDGETS)) == lists(
        selectors[name](replace(cut, rng=np.random.default_rng(0)), BUDGETS)
    )


# each method


@pytest.mark.parametrize(("name", "ridge"), [("lasso", 0.0), ("elastic_net", 0.5)])
def test_lasso_and_elastic_net_are_paths_ordered_by_weight(name, ridge):
    case = context(rows(3))
    path = lasso_path(case.gram, 39, 0, BUDGETS, ridge)
    assert (path.gap < 1e-12).all()
    assert lists(selectors[name](case, BUDGETS)) == lists(path.chosen)
    assert path.chosen[3].tolist() == path.indices[3][np.argsort(-np.abs(path.weights[3]), kind="stable")][:8].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_orthogonal_matching_pursuit_against_scikit_learn(seed):
    from sklearn.linear_model import orthogonal_mp_gram

    case = context(rows(seed, 60, 50))
    chosen = selectors["orthogonal_matching_pursuit"](case, BUDGETS[:5])
    for k, positions in zip(BUDGETS[:5], chosen, strict=True):
        peer = orthogonal_mp_gram(case.gram[:59, :59], case.gram[59, :59], n_nonzero_coefs=k)
        assert set(positions.tolist()) == set(np.flatnonzero(peer).tolist())


def test_orthogonal_matching_pursuit_is_greedy_least_squares():
    Z = rows(4)
    order: list[int] = []
    for _ in range(16):
        weights = np.linalg.lstsq(Z[order].T, Z[39])[0]
        order.append(int(np.argmax(np.abs(Z[:39] @ (Z[39] - weights @ Z[order])))))
    assert lists(selectors["orthogonal_matching_pursuit"](context(Z), [16])) == [order]


def test_orthogonal_matching_pursuit_ends_where_nothing_is_left():
    Z = rows(5)
    pursuit = selectors["orthogonal_matching_pursuit"]
    Z[39] = normalise((2 * Z[[3]] + Z[[30]]), "unit")[0]
    assert set(pursuit(context(Z), [30])[0].tolist()) >= {3, 30}
    Z[39] = Z[3]
    assert lists(pursuit(context(Z), [1, 30])) == [[3], [3]]
    Z[39] = 0
    assert lists(pursuit(context(Z), [30])) == [[]]


def test_orthogonal_matching_pursuit_takes_no_token_twice():
    Z = rows(6, 10, 4)
    Z = np.vstack([Z[:9], np.zeros((1, 4)), Z])
    chosen = selectors["orthogonal_matching_pursuit"](context(Z), [19])[0]
    assert np.linalg.matrix_rank(Z[chosen]) == chosen.size == 4
    assert (chosen >= 10).all()


def test_ridge_against_scikit_learn():
    from sklearn.linear_model import Ridge

    Z = rows(7)
    peer = Ridge(alpha=0.5, fit_intercept=False).fit(Z[:39].T, Z[39]).coef_
    assert lists(selectors["ridge"](context(Z), [39])) == [np.argsort(-np.abs(peer)).tolist()]


@pytest.mark.parametrize("name", [*SCORES, "norm"])
def test_highest_scores_and_of_equal_ones_the_later(name):
    values = np.array([9.0, 3, -np.inf, 5, 3, -1, 3, 8, 7])
    case = context(rows(8, 9), target=7, norms=values, scores={name: values})
    assert lists(selectors[name](case, [1, 4, 9])) == [[0], [0, 3, 6, 4], [0, 3, 6, 4, 1, 5, 2]]
    assert lists(selectors[name](replace(case, first=1), [2])) == [[3, 6]]


@pytest.mark.parametrize("name", SCORES)
def test_scores_that_are_not_there(name):
    assert selectors[name](context(rows(9), scores={}), [1]) == f"{name} was not measured"
    spoilt = np.where(np.arange(40) % 13 == 0, np.nan, 1.0)
    with pytest.raises(DataError, match="2 of 38 candidates"):
        selectors[name](context(rows(9), first=1, scores={name: spoilt}), [1])


def test_recency_with_and_without_the_first_token():
    case = context(rows(10), target=6)
    assert lists(selectors["recency"](case, [1, 3, 9])) == [[5], [5, 4, 3], [5, 4, 3, 2, 1, 0]]
    assert lists(selectors["recency"](replace(case, first=2), [9])) == [[5, 4, 3, 2]]
    assert lists(selectors["first_recency"](case, [1, 3, 9])) == [[0], [0, 5, 4], [0, 5, 4, 3, 2, 1]]


def test_random_is_the_generators():
    draws = [lists(selectors["random"](context(rows(11), rng=np.random.default_rng(seed)), [2, 20])) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    small, large = draws[0]
    assert large[:2] == small
    first = [selectors["random"](context(rows(11, 6), rng=np.random.default_rng(seed)), [1])[0][0] for seed in range(300)]
    assert np.bincount(first, minlength=5).min() > 30


# overlap


def test_jaccard():
    assert jaccard([1, 2, 3], [3, 2, 1]) == 1
    assert jaccard([1, 2], [3]) == jaccard([], [1]) == 0
    assert jaccard(np.array([1, 2, 3]), np.array([2, 3, 4, 5])) == pytest.approx(2 / 5)
    assert np.isnan(jaccard([], []))


# errors and imports


def test_a_context_is_checked():
    Z = rows(12, 5)
    with pytest.raises(DataError, match="target 0 of 5 tokens has no candidates"):
        context(Z, target=0)
    with pytest.raises(DataError, match="tokens 4 to target - 1"):
        context(Z, first=4)
    with pytest.raises(DataError, match="25 of 25 entries"):
        context(np.nan * Z)
    with pytest.raises(DataError, match="square"):
        context(Z, gram=np.ones(5))


def test_names_are_known_without_loading_a_compiler():
    code = "import json, sys, geomkit.measures.selection; print(json.dumps(list(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not {"numba", "sklearn", "torch"} & set(json.loads(done.stdout))


@pytest.mark.parametrize("method", list(selectors))
def test_a_method_chooses_by_the_gram_matrix_where_it_says_so_or_says_nothing(method):
    draw = np.random.default_rng(4)
    scores = {method: draw.random(30)}
    chosen = []
    for _ in range(5):
        rows = normalise(draw.standard_normal((30, 40)), "unit")
        context = Context(rows @ rows.T, 29, 0, 1.0, np.arange(30.0), scores, np.random.default_rng(0))
        (found,) = selectors[method](context, [5])
        chosen.append(tuple(found))
    assert (len(set(chosen)) > 1) == (chooses_by(method) == "gram")


def test_the_draws_of_random_are_of_one_method():
    assert [method_of(name) for name in ("random-0", "random-12", "random", "recency")] == [
        "random",
        "random",
        "random",
        "recency",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budgets": [1.5]}, "budgets must be a list of whole numbers"),
        ({"targets": 5}, "targets must be a list of whole numbers"),
        ({"gram": np.triu(np.ones((6, 6)))}, "must be symmetric"),
        ({"gram": -np.eye(6)}, "must not be negative"),
    ],
)
def test_what_is_no_gram_matrix_or_no_budget_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        lasso_paths(**{"gram": np.eye(6), "targets": [5], "first": 0, "budgets": [1], **change})
