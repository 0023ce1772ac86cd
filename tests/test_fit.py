"""Scaling fits against closed forms, peers, published losses and data that determine no law."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from geomkit.core.errors import ConfigError, DataError
from geomkit.laws.fit import NoFit, bootstrap, fit, profile, size_means, solve
from geomkit.laws.forms import Form, forms
from geomkit.laws.huber import huber, minimise

ROOT = Path(__file__).parents[1]
SIZES = np.geomspace(1.9e7, 1.1e10, 7)
PAIRS = np.stack(np.meshgrid(SIZES, np.geomspace(1e9, 3e11, 6), indexing="ij")).reshape(2, -1)
TRUTH = {
    "power": (SIZES, {"a": 8.07, "b": -0.0713}),
    "log_linear": (SIZES, {"a": 4.65, "b": -0.1346}),
    "offset_power": (SIZES, {"E": 1.151, "A": 27.0, "alpha": 0.179}),
    "chinchilla": (PAIRS, {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}),
    "kaplan": (PAIRS, {"N_c": 6.4e13, "alpha": 0.076, "D_c": 1.8e13, "beta": 0.103}),
}


def exact(form):
    x, truth = TRUTH[form]
    return x, forms[form].formula(truth, np.atleast_2d(x)), truth


def scattered(form, scatter, seed=0):
    x, y, truth = exact(form)
    return x, y * np.exp(scatter * np.random.default_rng(seed).standard_normal(y.size)), truth


def losses(family, size="params_nonembedding"):
    with (ROOT / "workflow/resources/published/losses.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["family"] == family]
    return tuple(np.array([float(row[name]) for row in rows]) for name in (size, "value"))


def rmse(law, x, y):
    return float(np.sqrt(np.mean(np.log(law.predict(x) / y) ** 2)))


@pytest.mark.parametrize("form", TRUTH)
class TestEveryForm:
    def test_recovers_the_law_without_scatter(self, form):
        x, y, truth = exact(form)
        law = fit(form, x, y)
        assert law.status == "converged"
        assert law.params == pytest.approx(truth, rel=1e-6)
        assert law.predict(x) == pytest.approx(y, rel=1e-10)
        assert law.heldout_error == pytest.approx(0, abs=1e-9)

    def test_intervals_hold_the_truth_and_the_estimate(self, form):
        x, y, truth = scattered(form, 0.003, seed=1)
        law = fit(form, x, y)
        assert set(law.interval) == set(forms[form].intervals)
        for name, (low, high) in law.interval.items():
            assert low < law.params[name] < high
            assert low < truth[name] < high

    def test_units_of_x_and_y_change_only_what_carries_units(self, form):
        x, y, _ = scattered(form, 0.003)
        law, scaled = fit(form, x, y), fit(form, x * 1e-3, y * 1e6)
        for name in {"b", "alpha", "beta"} & set(law.params) if form != "log_linear" else ():
            assert scaled.params[name] == pytest.approx(law.params[name], rel=1e-6)
        assert scaled.predict(x * 1e-3) == pytest.approx(1e6 * law.predict(x), rel=1e-8)
        assert scaled.objective == pytest.approx(law.objective, rel=1e-8)

    def test_derivatives_are_those_of_finite_differences(self, form):
        x, y, _ = scattered(form, 0.01)
        law = forms[form](np.log(np.atleast_2d(x)))
        z, weight = np.log(y), np.random.default_rng(0).integers(0, 4, (1, y.size)).astype(float)
        theta = law.starts(z)[0] * 1.05
        step = np.finfo(float).eps ** (1 / 3)
        for delta in (0.03, 1.0):
            _, gradient, hessian, _ = huber(law, z, theta[None], delta, weight)
            sides = theta + step * np.vstack([np.eye(theta.size), -np.eye(theta.size)])
            loss, slopes, _, _ = huber(law, z, sides, delta, np.repeat(weight, len(sides), axis=0))
            ahead, behind = np.split(np.arange(len(sides)), 2)
            assert (loss[ahead] - loss[behind]) / (2 * step) == pytest.approx(gradient[0], rel=1e-5, abs=1e-6)
            assert (slopes[ahead] - slopes[behind]) / (2 * step) == pytest.approx(hessian[0], rel=1e-4, abs=1e-4)

    def test_the_formula_is_the_model(self, form):
        x, y, _ = scattered(form, 0.01)
        found = solve(form, x, y)
        sizes, means = size_means(x, y)
        assert np.log(means) - found.residuals == pytest.approx(np.log(found.form.formula(found.params, sizes)), abs=1e-12)

    def test_seeds_of_a_size_count_as_one(self, form):
        x, y, _ = scattered(form, 0.003)
        x = np.atleast_2d(x)
        spread = np.array([0.99, 1.0, 1 / 0.99])
        seeds = fit(form, np.hstack([np.repeat(x[:, :4], 3, axis=1), x[:, 4:]]), np.r_[np.outer(y[:4], spread).ravel(), y[4:]])
        assert seeds.n == y.size
        assert seeds.params == pytest.approx(fit(form, x, y).params, rel=1e-6)

    def test_degenerate_numbers_give_a_failed_fit(self, form):
        x, y, _ = exact(form)
        few = np.arange(2)
        holed, negative, zero = y.copy(), y.copy(), np.array(x)
        holed[1], negative[1], zero[..., 1] = np.nan, -1.0, 0.0
        cases = {
            "flat": (x, np.full_like(y, 2.0)),
            "sizes": (x[..., few], y[few]),
            "not finite": (x, holed),
            "not positive": (x, negative),
            "is not positive": (zero, y),
            "and": (x[..., :0], y[:0]),
        }
        for reason, (bad_x, bad_y) in cases.items():
            law = fit(form, bad_x, bad_y)
            assert law.failed
            assert reason in law.reason
            assert (law.params, law.interval) == ({}, {})
            assert {law.residual_sd, law.aicc, law.heldout_error, law.objective} == {None}
            assert json.loads(json.dumps(law.as_dict(), allow_nan=False))["status"] == law.status
            with pytest.raises(NoFit, match=f"{form} predicts nothing: "):
                law.predict(x)

    def test_shapes_that_do_not_match_are_an_error(self, form):
        x, y, _ = exact(form)
        for bad_x, bad_y in ((x, y[:-1]), (np.stack([SIZES] * 3), y[:7]), (x, y[None])):
            with pytest.raises(DataError, match=form):
                fit(form, bad_x, bad_y)


def test_kaplans_law_is_a_power_of_what_limits_and_a_sum_where_beta_is_one():
    params, size, data = {"N_c": 50.0, "alpha": 0.3, "D_c": 70.0, "beta": 0.2}, SIZES, np.full(7, 1e9)
    law = forms["kaplan"].formula
    assert law(params, np.array([size, np.full(7, 1e290)])) == pytest.approx((50 / size) ** 0.3)
    assert law(params, np.array([np.full(7, 1e290), size])) == pytest.approx((70 / size) ** 0.2)
    terms = [50 / size, 70 / data]
    assert law(params | {"alpha": 1.0, "beta": 1.0}, np.array([size, data])) == pytest.approx(sum(terms))


def test_an_unknown_form_is_an_error_that_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"power.*chinchilla"):
        fit("quadratic", SIZES, SIZES)


def test_a_new_form_is_one_decorated_class(monkeypatch):
    monkeypatch.setattr(forms, "_functions", dict(forms._functions))

    @forms.register("square_root")
    class SquareRoot(Form):
        """y = a sqrt(x)."""

        names, lower, upper, intervals, linear = ("a",), (-np.inf,), (np.inf,), (), True

        def model(self, theta):
            shape = (len(theta), self.l.shape[1])
            return theta + self.l[0] / 2, np.ones((*shape, 1)), lambda c: np.zeros((len(theta), 1, 1))

        def starts(self, z):
            return z[:1, None]

        def params(self, theta):
            return {"a": np.exp(theta[..., 0] - self.centre[0] / 2)}

        @staticmethod
        def formula(params, x):
            return params["a"] * np.sqrt(x[0])

    assert fit("square_root", SIZES, 3 * np.sqrt(SIZES)).params == pytest.approx({"a": 3})


class TestPower:
    def test_clean_data_get_the_least_squares_line_and_its_t_interval(self):
        x, y, _ = scattered("power", 0.02)
        law, line = fit("power", x, y), stats.linregress(np.log(x), np.log(y))
        assert np.abs(np.log(law.predict(x) / y)).max() < law.delta
        width = stats.t.ppf(0.975, 5) * line.stderr
        assert law.params["b"] == pytest.approx(line.slope, rel=1e-9)
        assert law.params["a"] == pytest.approx(math.exp(line.intercept), rel=1e-9)
        assert law.interval["b"] == pytest.approx((line.slope - width, line.slope + width), rel=1e-9)

    def test_profile_f_of_a_linear_form_is_the_t_interval(self):
        x, y, _ = scattered("power", 0.02)
        ends = profile("power", x, y, {"b": fit("power", x, y).interval["b"]})
        assert ends.statistic == pytest.approx([ends.limit] * 2, rel=1e-6)

    def test_residual_spread_and_aicc(self):
        x, y, _ = scattered("power", 0.02)
        law = fit("power", x, y)
        squares = float(np.sum(np.log(y / law.predict(x)) ** 2))
        assert law.residual_sd == pytest.approx(math.sqrt(squares / 5))
        assert law.aicc == pytest.approx(7 * math.log(squares / 7) + 6 + 24 / 3)
        assert fit("power", x[:4], y[:4]).aicc is None

    def test_heldout_error_is_that_of_the_law_fitted_without_the_largest(self):
        x, y, _ = scattered("power", 0.02)
        for held_out in (1, 2):
            rest = fit("power", x[:-held_out], y[:-held_out])
            expected = np.mean(np.log(rest.predict(x[-held_out:]) / y[-held_out:]))
            assert fit("power", x, y, held_out=held_out).heldout_error == pytest.approx(expected)
        assert fit("power", x, y, held_out=0).heldout_error is None
        assert fit("power", x[:3], y[:3]).heldout_error is None

    def test_an_outlier_bends_it_less_than_least_squares(self):
        x, y, truth = scattered("power", 0.005)
        y[-1] *= 1.3
        error = abs(fit("power", x, y).params["b"] - truth["b"])
        assert error < abs(stats.linregress(np.log(x), np.log(y)).slope - truth["b"]) / 4


class TestOffsetPower:
    def test_a_power_law_is_a_bound_hit_with_an_interval_from_zero(self):
        x, y, _ = scattered("power", 0.001)
        y *= np.exp(-0.002 * (np.log(x) - np.log(x).mean()) ** 2)
        law = fit("offset_power", x, y)
        assert (law.status, law.params["E"], law.interval["E"][0]) == ("bound hit", 0.0, 0.0)
        assert law.params["alpha"] == pytest.approx(-fit("power", x, y).params["b"], rel=1e-3)
        assert law.interval["alpha"][0] < law.params["alpha"] < law.interval["alpha"][1]

    def test_a_rising_law_fails(self):
        assert fit("offset_power", SIZES, SIZES**0.1).reason == "A is 0: y does not fall"

    def test_an_interval_that_nothing_closes_is_open_and_null_in_json(self):
        y = np.array([2.0, 1.0, 1.001, 0.999, 1.0005, 0.9995, 1.0])
        law = fit("offset_power", SIZES, y)
        assert law.interval["alpha"][1] == math.inf
        assert json.loads(json.dumps(law.as_dict(), allow_nan=False))["interval"]["alpha"][1] is None

    def test_its_loss_is_at_most_that_of_scipy(self):
        x, y = losses("pythia-deduped")
        law = fit("offset_power", x, y)

        def residuals(theta):
            return np.logaddexp(theta[0], theta[1] - theta[2] * np.log(x)) - np.log(y)

        peers = [
            optimize.least_squares(
                residuals, (math.log(e), math.log(30), a), loss="huber", f_scale=law.delta, x_scale="jac", xtol=1e-15
            )
            for e in (0.5, 1.0, 1.5)
            for a in (0.1, 0.2, 0.4)
        ]
        assert law.objective <= min(peer.cost for peer in peers) * (1 + 1e-9)

    def test_profile_grid_is_zero_at_the_fit_and_at_its_limit_at_interval_ends(self):
        x, y, _ = scattered("offset_power", 0.003)
        law = fit("offset_power", x, y)
        for name, ends in law.interval.items():
            line = profile("offset_power", x, y, {name: ends})
            assert line.statistic == pytest.approx([line.limit] * 2, rel=1e-3)
        grid = {"E": np.linspace(0.9, 1.3, 5), "alpha": [0.12, law.params["alpha"], 0.25]}
        both = profile("offset_power", x, y, {**grid, "E": [*grid["E"], law.params["E"]]})
        assert both.statistic.shape == (6, 3)
        assert both.statistic[5, 1] == pytest.approx(0, abs=1e-8)
        assert (both.statistic[:5] > 0).all()
        assert both.limit == pytest.approx(stats.f.ppf(0.95, 2, 4))

    def test_profile_names_what_it_can_pin(self):
        with pytest.raises(ConfigError, match="E, alpha"):
            profile("offset_power", SIZES, SIZES**-0.1, {"A": [1.0]})

    def test_no_profile_without_scatter(self):
        with pytest.raises(NoFit, match="scatter"):
            profile("offset_power", *exact("offset_power")[:2], {"E": [1.0]})


class TestPublishedLosses:
    def test_pythia_has_the_known_offset_and_power(self):
        x, y = losses("pythia")
        offset, power = fit("offset_power", x, y), fit("power", x, y)
        assert offset.params["E"] == pytest.approx(1.151, abs=1e-3)
        assert offset.params["alpha"] == pytest.approx(0.179, abs=1e-3)
        assert rmse(offset, x, y) == pytest.approx(0.0014, abs=1e-4)
        assert power.params["b"] == pytest.approx(-0.0713, abs=1e-4)
        assert rmse(power, x, y) == pytest.approx(0.0150, abs=1e-4)
        assert abs(offset.heldout_error) < abs(power.heldout_error) / 10

    def test_the_deduplicated_outlier_bends_huber_less_than_least_squares(self):
        x, y = losses("pythia-deduped")
        (outlier,) = np.flatnonzero(np.diff(y) > 0) + 1
        assert y[outlier] == 1.889
        law = forms["offset_power"](np.log(x)[None])
        theta, loss, _ = minimise(law, np.log(y), law.starts(np.log(y)), delta=np.inf)
        least_squares = law.params(theta[loss.argmin()])
        without, robust = fit("offset_power", np.delete(x, outlier), np.delete(y, outlier)), fit("offset_power", x, y)
        for name in ("E", "alpha"):
            miss = abs(robust.params[name] - without.params[name])
            assert miss < abs(least_squares[name] - without.params[name]) / 3
            assert robust.interval[name][0] < without.params[name] < robust.interval[name][1]

    def test_cerebras_law_lies_within_the_intervals_of_its_losses(self):
        flops, y = losses("cerebras-gpt", "training_flops")
        law = fit("offset_power", flops, y)
        published = {"E": 0.5066, "alpha": 0.0737}
        for name, value in published.items():
            assert law.interval[name][0] < value < law.interval[name][1]
        assert (flops / 5.984e22) ** -0.0737 + 0.5066 == pytest.approx(law.predict(flops), rel=0.01)
        assert rmse(law, flops, y) < rmse(fit("power", flops, y), flops, y)


class TestChinchilla:
    def test_its_loss_is_at_most_that_of_lbfgs(self):
        x, y, _ = scattered("chinchilla", 0.01)
        law = fit("chinchilla", x, y)
        assert law.delta == 1e-3
        n, d = np.log(x)

        def loss(theta):
            e, a, alpha, b, beta = theta
            r = np.abs(np.log(y) - np.logaddexp(np.logaddexp(e, a - alpha * n), b - beta * d))
            return 1e3 * np.where(r <= 1e-3, r * r / 2, 1e-3 * (r - 5e-4)).sum()

        starts = [(0.5, a, alpha, b, alpha) for a in (5, 10) for b in (5, 10) for alpha in (0.3, 0.6)]
        assert law.objective <= min(optimize.minimize(loss, start).fun for start in starts) / 1e3 * (1 + 1e-9)

    def test_it_needs_three_values_of_each_variable(self):
        x = np.stack(np.meshgrid(SIZES, [1e9, 1e10], indexing="ij")).reshape(2, -1)
        assert "at least 3 values" in fit("chinchilla", x, forms["chinchilla"].formula(TRUTH["chinchilla"][1], x)).reason


class TestBootstrap:
    def test_every_refit_reaches_the_least_loss_of_many_starts(self):
        x, y, _ = scattered("chinchilla", 0.01)
        draws = bootstrap("chinchilla", x, y, 40, np.random.default_rng(0))
        found = solve("chinchilla", x, y)
        for k in range(5):
            starts = found.form.starts(found.z)
            many = minimise(found.form, found.z, starts, found.delta, np.tile(draws.counts[k], (len(starts), 1)))[1]
            assert draws.objective[k] <= many.min() * (1 + 1e-9)
        residuals = found.z - np.log(
            found.form.formula({name: draw[0] for name, draw in draws.params.items()}, size_means(x, y)[0])
        )
        size = np.abs(residuals)
        loss = np.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 5e-4))
        assert draws.counts[0] @ loss == pytest.approx(draws.objective[0], rel=1e-9)

    def test_draws_are_whole_seeded_and_spread_like_the_interval(self):
        x, y, _ = scattered("chinchilla", 0.01)
        draws, again = (bootstrap("chinchilla", x, y, 600, np.random.default_rng(4)) for _ in range(2))
        assert (draws.counts.sum(axis=1) == y.size).all()
        assert all(np.array_equal(draws.params[name], again.params[name]) for name in draws.params)
        low, high = fit("chinchilla", x, y).interval["alpha"]
        assert 0.6 < np.std(draws.params["alpha"]) / ((high - low) / 2 / stats.t.ppf(0.975, y.size - 5)) < 1.6

    def test_a_resample_without_a_law_is_nan(self):
        x, y, _ = scattered("offset_power", 0.003)
        draws = bootstrap("offset_power", x, y, 300, np.random.default_rng(0))
        too_few = (draws.counts > 0).sum(axis=1) <= 3
        assert too_few.any()
        assert np.isnan(draws.params["alpha"][too_few]).all()
        assert np.isfinite(draws.params["alpha"]).mean() > 0.9


def test_the_committed_table_of_coverage_holds_every_form():
    with (ROOT / "tests/benchmarks/coverage.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["form"], row["parameter"]) for row in rows} == {
        (name, k) for name, form in forms.items() for k in form.intervals
    }
    assert all(int(row["simulations"]) >= 400 and 0.92 <= float(row["coverage"]) <= 0.98 for row in rows)
