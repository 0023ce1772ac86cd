"""Rank correlations of few observations: values of a peer, limits, and coverage."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from geomkit.core.errors import DataError
from geomkit.laws.rank_correlation import rank_correlation, sampled, spearman_of


def test_the_value_is_scipys_with_ties_too():
    x, y = np.random.default_rng(0).integers(0, 5, (2, 12)).astype(float)
    assert rank_correlation(x, y).value == pytest.approx(stats.spearmanr(x, y).statistic)


def test_independence_has_the_probability_that_all_permutations_give():
    x, y = np.arange(5.0), np.array([1.0, 0, 2, 4, 3])
    observed = stats.spearmanr(x, y).statistic
    every = [stats.spearmanr(x, np.array(order)).statistic for order in permutations(range(5))]
    assert rank_correlation(x, y).p == pytest.approx(2 * np.mean(np.array(every) >= observed - 1e-9), abs=0.01)


def test_a_monotone_change_changes_nothing_and_a_falling_one_the_sign():
    x, y = np.random.default_rng(1).standard_normal((2, 6))
    plain, falling = rank_correlation(x, y), rank_correlation(x, -np.exp(y))
    assert rank_correlation(np.exp(x), y**3) == plain
    assert falling.value == pytest.approx(-plain.value)
    assert (falling.low, falling.high) == pytest.approx((-plain.high, -plain.low), abs=0.03)


@pytest.mark.parametrize(("number", "low"), [(4, -0.2), (5, 0.33), (10, 0.95)])
def test_ranks_in_perfect_order_leave_an_interval_that_narrows_with_their_number(number, low):
    found = rank_correlation(np.arange(number), np.arange(number))
    assert (found.value, found.high) == pytest.approx((1, 1))
    assert found.low == pytest.approx(low, abs=0.03)


def test_the_interval_holds_0_where_independence_is_not_refused():
    draw = np.random.default_rng(2)
    for shift in np.linspace(0, 3, 25):
        x, noise = draw.standard_normal((2, 6))
        found = rank_correlation(x, shift * x + noise)
        assert (found.low <= 0 <= found.high) == (found.p >= 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "r"), [(4, 0.9), (6, 0.5), (12, 0.0), (12, 0.9)])
def test_intervals_cover_the_truth_as_often_as_they_say(number, r):
    draw, hits, trials = np.random.default_rng(3), 0, 400
    for _ in range(trials):
        x, noise = draw.standard_normal((2, number))
        found = rank_correlation(x, r * x + np.sqrt(1 - r * r) * noise)
        hits += found.low <= spearman_of(r) <= found.high
    assert stats.binom.cdf(hits, trials, 0.95) > 0.001


def test_many_observations_have_the_interval_of_fishers_z():
    x, noise = np.random.default_rng(4).standard_normal((2, 60))
    found = rank_correlation(x, x + noise)
    reach = 1.96 * np.sqrt((1 + found.value**2 / 2) / 57)
    assert (found.low, found.high) == pytest.approx(np.tanh(np.arctanh(found.value) + np.array([-reach, reach])), abs=0.03)


def test_the_same_observations_have_the_same_interval_every_time():
    first = rank_correlation([1, 2, 3, 5, 4], [2, 1, 3, 4, 5])
    sampled.cache_clear()
    assert rank_correlation([1, 2, 3, 5, 4], [2, 1, 3, 4, 5]) == first


@pytest.mark.parametrize("y", [[1.0, 2, 3], [1.0, 1, 1, 1], [1.0, 2, 3, np.nan], [[1.0, 2, 3, 4]]])
def test_too_few_observations_or_none_that_vary_are_refused(y):
    with pytest.raises(DataError, match="a rank correlation takes"):
        rank_correlation(np.arange(np.size(y)), y)
