"""How choices of tokens are compared, against hand-made truth."""

import numpy as np
import pytest

from geomkit.laws.resampling import Documents
from geomkit.studies.tokens.selection import HIGHER, Scored, averaged, compared, overlaps

BUDGETS = [2]
NAMES = ["a", "b"]


def scored(method: str, chosen: list[list[int]], **scores: list[float]) -> Scored:
    blank = {name: np.full((2, 1), np.nan) for name in HIGHER}
    given = {name: np.array(values, dtype=float)[:, None] for name, values in scores.items()}
    return Scored(2, 0, method, [np.array(chosen)[:, None]], blank | given)


def rows(*methods: Scored) -> dict[tuple[str, str], dict]:
    documents = Documents.draw(NAMES, 20, np.random.default_rng(0))
    found = [row for one in methods for row in compared(one, methods, BUDGETS, documents)]
    return {(row["method"], row["metric"]): row for row in found}


def test_draws_of_chance_are_one_method_whose_scores_are_their_mean():
    draws = [scored(f"random-{k}", [[k, 5], [k, 6]], divergence=[k, 4 * k]) for k in range(3)]
    (found,) = averaged(draws)
    assert found.method == "random"
    np.testing.assert_array_equal(found.scores["divergence"], [[1], [4]])
    assert len(found.chosen) == 3


def test_overlap_with_random_sets_is_the_mean_over_draws():
    lasso = scored("lasso", [[0, 1], [0, 1]], divergence=[0, 0])
    draws = [scored(f"random-{k}", [chosen, chosen], divergence=[1, 1]) for k, chosen in enumerate([[0, 1], [0, 2], [3, 4]])]
    found = rows(*averaged([lasso, *draws]))
    assert found["random", "jaccard"]["value"] == pytest.approx((1 + 1 / 3 + 0) / 3)


def test_sets_are_compared_without_their_padding():
    np.testing.assert_array_equal(overlaps(np.array([[3, -1, -1]]), np.array([[3, 4, -1]])), [0.5])


@pytest.mark.parametrize("name", HIGHER)
def test_lasso_wins_where_its_score_is_the_better(name):
    better, worse = ([0.9, 0.9], [0.1, 0.1]) if HIGHER[name] else ([0.1, 0.1], [0.9, 0.9])
    chosen = [[0, 1], [0, 1]]
    found = rows(scored("lasso", chosen, **{name: better}), scored("recency", chosen, **{name: worse}))
    assert found["recency", f"{name}_win"]["value"] == 1
    assert found["recency", f"{name}_lasso_minus"]["value"] == pytest.approx(0.8 if HIGHER[name] else -0.8)
    found = rows(scored("lasso", chosen, **{name: worse}), scored("recency", chosen, **{name: better}))
    assert found["recency", f"{name}_win"]["value"] == 0


def test_less_divergence_and_more_reconstruction_are_better():
    assert {name for name, higher in HIGHER.items() if not higher} == {"divergence", "removed_divergence"}
