"""Exponents of frequency tables against tables drawn from a law, and against the package powerlaw."""

from functools import cache

import numpy as np
import powerlaw
import pytest
from scipy import special

from geomkit.core.errors import DataError
from geomkit.theory.frequencies import frequency_exponent, ks_distance, likeliest, rank_exponent
from geomkit.theory.skills import SkillGraph


@cache
def below(g, xmin):
    """Distribution function at xmin, xmin + 1, ..."""
    return 1 - special.zeta(g, np.arange(xmin, xmin + 200_000) + 1) / special.zeta(g, xmin)


def drawn(g, types, xmin=1, seed=0):
    """Counts from p(x) = x^-g / zeta(g, xmin), x >= xmin, by the inverse of the distribution function."""
    law = below(g, xmin)
    return xmin + np.minimum(np.searchsorted(law, np.random.default_rng(seed).random(types)), law.size - 1)


@pytest.mark.parametrize("g", [1.7, 2.0, 2.6])
def test_the_exponent_of_a_law_is_found(g):
    found = frequency_exponent(drawn(g, 20000), xmin=1)
    assert found.g_interval[0] <= g <= found.g_interval[1]
    assert found.g == pytest.approx(g, abs=0.03)
    assert found.a == pytest.approx(1 / (found.g - 1) - 1)
    assert found.a_interval == (
        pytest.approx(rank_exponent(found.g_interval[1])),
        pytest.approx(rank_exponent(found.g_interval[0])),
    )
    assert found.status == {1.7: "law", 2.0: "undecided", 2.6: "no asymptotic law"}[g]


def test_intervals_cover_as_often_as_they_say():
    covered = sum(
        low <= 2.2 <= high for low, high in (frequency_exponent(drawn(2.2, 400, seed=s), xmin=1).g_interval for s in range(200))
    )
    assert 180 <= covered <= 199


@pytest.mark.parametrize(("g", "xmin"), [(1.8, 1), (2.3, 4), (3.0, 2)])
def test_likelihood_and_distance_are_those_of_powerlaw(g, xmin):
    counts = drawn(g, 3000, xmin, seed=2)
    peer = powerlaw.Fit(counts, discrete=True, xmin=xmin, estimate_discrete=False, verbose=0)
    found = frequency_exponent(counts, xmin=xmin)
    assert found.g == pytest.approx(peer.power_law.alpha, abs=2e-3)
    assert found.types == 3000


def test_xmin_is_where_the_law_begins():
    rng = np.random.default_rng(4)
    counts = np.concatenate([rng.integers(1, 10, 3000), drawn(2.2, 3000, 10, seed=5)])
    found = frequency_exponent(counts)
    assert 8 <= found.xmin <= 16
    assert found.g == pytest.approx(2.2, abs=0.1)
    peer = powerlaw.Fit(counts, discrete=True, estimate_discrete=False, verbose=0)
    assert found.xmin == pytest.approx(peer.power_law.xmin, rel=0.5)
    assert found.g == pytest.approx(peer.power_law.alpha, abs=0.05)


def test_xmin_has_the_least_distance_of_all():
    counts = drawn(2.1, 1500, 3, seed=6)
    counts = np.concatenate([counts, np.full(300, 1)])
    found = frequency_exponent(counts)
    values, number = (part.astype(float) for part in np.unique(counts, return_counts=True))
    for xmin in values:
        tail = values >= xmin
        if number[tail].sum() >= 100:
            g = likeliest(values[tail], number[tail], xmin)
            assert found.distance <= ks_distance(values[tail], number[tail], g, xmin) + 1e-12


def test_distance_written_out_over_all_whole_numbers():
    counts = np.repeat([2, 3, 7], [5, 3, 2])
    x = np.arange(2, 5000)
    law = np.cumsum(x**-2.5 / special.zeta(2.5, 2))
    written = np.abs(law - np.array([(counts <= at).mean() for at in x])).max()
    values, number = np.unique(counts, return_counts=True)
    assert ks_distance(values.astype(float), number.astype(float), 2.5, 2) == pytest.approx(written, abs=1e-6)


@pytest.mark.parametrize("a", [0.5, 1.0])
def test_the_exponent_of_skills_is_found_in_their_counts(a):
    """Counts of skills in texts: the route from the table back to a, at counts high enough that chance does not bend them."""
    graph = SkillGraph.power_law(20000, a)
    counts = np.random.default_rng(1).multinomial(20_000_000, graph.probability)
    found = frequency_exponent(counts[counts > 0], xmin=200)
    assert found.a_interval[0] <= a <= found.a_interval[1]
    assert found.a == pytest.approx(a, rel=0.15)


def test_a_table_that_tells_nothing_is_named():
    with pytest.raises(DataError, match="at least 100 types; found 99"):
        frequency_exponent(np.arange(1, 100))
    with pytest.raises(DataError, match="xmin = 950: 51 types"):
        frequency_exponent(np.arange(1, 1001), xmin=950)
    with pytest.raises(DataError, match="one count alone"):
        frequency_exponent(np.full(200, 3))
    with pytest.raises(DataError, match="not whole or below 1"):
        frequency_exponent(np.zeros(200))
