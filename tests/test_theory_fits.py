"""The theory's curve and its relation of exponents on losses whose truth is known."""

import itertools

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.laws.fit import NoFit
from geomkit.laws.forms import forms
from geomkit.theory.curves import errors_left_out, fit_curve
from geomkit.theory.exponents import covers, relation
from geomkit.theory.skills import SkillGraph

TRUTH = {"c": 0.02, "E": 2.0, "h": 4.0, "tau": 3.0}
SIZE, DATA = (axis.ravel() for axis in np.meshgrid(np.geomspace(6e3, 1.5e6, 6), np.geomspace(5e4, 1.6e6, 5)))


@pytest.fixture(scope="module")
def graph():
    """A table of 50,000 types."""
    expected = SkillGraph.power_law(50_000, 0.4).probability * 1e6
    return SkillGraph.of_counts(np.ceil(expected))


def losses(graph, scatter=0.0, seed=0, truth=TRUTH):
    exact = truth["E"] + truth["h"] * graph.gap(truth["c"] * SIZE, DATA, truth["tau"])
    return exact * np.exp(scatter * np.random.default_rng(seed).standard_normal(SIZE.size))


@pytest.mark.slow
def test_losses_made_by_the_curve_are_met(graph):
    found = fit_curve(graph, SIZE, DATA, losses(graph))
    assert found.status == "converged"
    assert found.params == {name: pytest.approx(value, rel=1e-3) for name, value in TRUTH.items()}
    assert found.residual_sd < 1e-6
    np.testing.assert_allclose(found.predict(graph, SIZE, DATA), losses(graph), rtol=1e-6)
    assert np.abs(errors_left_out(graph, SIZE, DATA, losses(graph))).max() < 1e-4


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say(graph):
    """8 samples of scatter 1 %: 32 intervals of 95 %, at least 26 of which hold (binomial, 0.2 % to fail)."""
    hits = 0
    for seed in range(8):
        found = fit_curve(graph, SIZE, DATA, losses(graph, 0.01, seed))
        hits += sum(found.interval[name][0] <= value <= found.interval[name][1] for name, value in TRUTH.items())
        assert all(low <= found.params[name] <= high for name, (low, high) in found.interval.items())
        assert found.residual_sd == pytest.approx(0.01, rel=0.5)
    assert 26 <= hits <= 32


def test_interval_ends_are_those_of_a_refit_with_the_parameter_held(graph):
    """E held at an end of its interval: least squares over the other three reach the F limit there."""
    from scipy import optimize, stats

    y = losses(graph, 0.01, 3)
    found = fit_curve(graph, SIZE, DATA, y)
    least = found.residual_sd**2 * (y.size - 4)
    limit = least * (1 + stats.f.ppf(0.95, 1, y.size - 4) / (y.size - 4))

    for end in found.interval["E"]:

        def squares(at, end=end):
            gap = graph.gap(np.minimum(np.exp(at[0]) * SIZE, graph.skills), DATA, np.exp(at[1])) / y
            rest = 1 - end / y
            return float(((gap * (gap @ rest) / (gap @ gap) - rest) ** 2).sum())

        start = np.log([found.params["c"], found.params["tau"]])
        held = optimize.minimize(squares, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-14, "maxiter": 2000})
        assert held.fun == pytest.approx(limit, rel=0.02)


def test_entropies_that_differ_are_the_curve_of_their_own_table():
    counts = np.ceil(SkillGraph.power_law(5000, 0.4).probability * 1e6)
    entropy = np.linspace(0.2, 2, 5000)
    own, alike = SkillGraph.of_counts(counts, entropy), SkillGraph.of_counts(counts)
    y = 1 + own.gap(0.002 * SIZE, DATA / 10, 2)
    assert fit_curve(own, SIZE, DATA / 10, y).residual_sd < 1e-6
    assert fit_curve(alike, SIZE, DATA / 10, y).residual_sd > 1e-4


def test_losses_that_do_not_tell_give_open_ends(graph):
    """Models that all have room for every skill: c has no upper end, and the fit still knows tau."""
    y = 2 + 4 * graph.gap(graph.skills, DATA, 3) * np.exp(0.005 * np.random.default_rng(0).standard_normal(DATA.size))
    found = fit_curve(graph, SIZE, DATA, y)
    assert found.interval["c"][1] == np.inf
    assert found.interval["tau"][0] < 3 < found.interval["tau"][1]


def test_losses_without_a_curve_say_why(graph):
    y = losses(graph)
    assert fit_curve(graph, SIZE[:4], DATA[:4], y[:4]).status == "failed: 4 cells, and the curve needs at least 5"
    assert fit_curve(graph, SIZE, DATA, np.full(SIZE.size, 3.0)).status == "failed: the losses are flat"
    assert "at least 3 sizes" in fit_curve(graph, np.where(SIZE > 1e5, 1e6, 1e4), DATA, y).status
    assert "not finite and positive" in fit_curve(graph, SIZE, DATA, np.where(SIZE > 1e6, np.nan, y)).status
    rising = fit_curve(graph, SIZE, DATA, 1 + SIZE**0.1 + DATA**0.1)
    assert rising.status.startswith("failed: h is 0")
    with pytest.raises(NoFit, match="predicts nothing"):
        rising.predict(graph, SIZE, DATA)
    with pytest.raises(DataError, match="must be alike"):
        fit_curve(graph, SIZE, DATA[:5], y)


LAW = {"E": 1.5, "A": 60.0, "alpha": 0.5, "B": 90.0, "beta": 1 / 3}


def law_losses(scatter, seed=0, **changed):
    exact = forms["chinchilla"].formula(LAW | changed, np.array([SIZE, DATA]))
    return exact * np.exp(scatter * np.random.default_rng(seed).standard_normal(SIZE.size))


@pytest.mark.parametrize(("beta", "status"), [(1 / 3, "theory"), (0.5, "rival"), (0.8, "neither")])
def test_a_law_is_told_from_its_rival(beta, status):
    found = relation(
        "chinchilla", SIZE, DATA, law_losses(0.0005, beta=beta, B=90 * 2e5 ** (beta - 1 / 3)), 100, np.random.default_rng(0)
    )
    assert found.status == status
    assert found.theory == pytest.approx(beta - 1 / 3, abs=0.03)
    assert found.theory_interval[0] <= found.theory <= found.theory_interval[1]
    assert found.theory_interval[1] - found.theory_interval[0] < 0.15
    low, high = found.theory_bootstrap
    assert low < high


@pytest.mark.slow
def test_much_scatter_leaves_it_undecided():
    assert (
        relation("chinchilla", SIZE, DATA, law_losses(0.1, seed=4), 20, np.random.default_rng(0), points=21).status == "undecided"
    )


def test_profile_interval_is_that_of_the_linearised_fit_when_scatter_is_small():
    """Least squares: on Kaplan's form, whose threshold is above the residuals, the region is an ellipse."""
    truth = {"N_c": 1e9, "alpha": 0.3, "D_c": 1e8, "beta": 0.4}
    x = np.array([SIZE, DATA])
    y = forms["kaplan"].formula(truth, x) * np.exp(1e-3 * np.random.default_rng(1).standard_normal(SIZE.size))
    found = relation("kaplan", SIZE, DATA, y, 400, np.random.default_rng(0))

    def log_model(theta):
        a, alpha, d, beta = theta
        return np.log(forms["kaplan"].formula({"N_c": np.exp(a), "alpha": alpha, "D_c": np.exp(d), "beta": beta}, x))

    from scipy import optimize, stats

    best = optimize.least_squares(
        lambda theta: log_model(theta) - np.log(y), [np.log(1e9), 0.3, np.log(1e8), 0.4], x_scale=[1, 0.1, 1, 0.1]
    )
    freedom = y.size - 4
    covariance = np.linalg.inv(best.jac.T @ best.jac) * 2 * best.cost / freedom
    gradient = np.array([0, -1 / (1 + best.x[1]) ** 2, 0, 1])
    half = stats.t.ppf(0.975, freedom) * np.sqrt(gradient @ covariance @ gradient)
    assert found.theory == pytest.approx(best.x[3] - best.x[1] / (1 + best.x[1]), rel=1e-3)
    assert found.theory_interval == pytest.approx((found.theory - half, found.theory + half), abs=0.03 * half)
    assert found.theory_bootstrap == pytest.approx((found.theory - half, found.theory + half), abs=0.5 * half)


def test_an_exponent_without_an_upper_end_opens_the_intervals():
    """Only the smallest size is worse than the others: alpha may be as large as one likes, and alpha / (1 + alpha) up to 1."""
    y = 2 + 30 * DATA ** -(1 / 3) + 0.3 * (SIZE.min() == SIZE)
    y *= np.exp(2e-3 * np.random.default_rng(5).standard_normal(y.size))
    found = relation("chinchilla", SIZE, DATA, y, 20, np.random.default_rng(0))
    assert found.rival_interval[0] == -np.inf
    assert found.theory_interval[0] < found.beta - 1
    assert found.law.startswith(("converged", "bound hit"))
    assert relation("chinchilla", SIZE, DATA, law_losses(0.0005), 20, np.random.default_rng(0)).law == "converged"


def test_a_law_without_scatter_and_one_that_fails():
    exact = relation("chinchilla", SIZE, DATA, law_losses(0.0), 10, np.random.default_rng(0))
    assert exact.theory == pytest.approx(0, abs=1e-6)
    failed = relation("chinchilla", SIZE, DATA, np.full(SIZE.size, 2.0), 10, np.random.default_rng(0))
    assert failed.status == "failed: y is flat"
    assert np.isnan(failed.theory)


def test_an_interval_over_both_is_undecided():
    values = [covers(interval, 0.2, 0.5) for interval in ((0.1, 0.6), (0.1, 0.3), (0.4, 0.6), (0.3, 0.4))]
    assert values == ["undecided", "theory", "rival", "neither"]
    assert [covers(ends, 1.0, 1.0) for ends in itertools.product((0.0,), (0.5, 2.0))] == ["neither", "undecided"]
