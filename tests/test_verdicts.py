"""Verdicts: the parts of a slope's error by hand, both questions at their boundaries, Holm, lack of fit, and rates of error."""

import csv
import importlib.util
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.laws.differences import Difference, Slope, detectable, pure_error, slope_of, spread_of_donors
from geomkit.laws.lack_of_fit import Fitness, lack_of_fit
from geomkit.laws.statistics import holm, slope
from geomkit.laws.verdicts import MARGINS, Endpoint, Kind, decide, judge

BENCHMARK = Path(__file__).parent / "benchmarks/verdicts.py"
THREE = np.exp([0.0, 1.0, 2.0])
SEVEN = np.exp(np.arange(7.0))


def line(b: float, noise: float = 0.0, sizes=SEVEN, seeds: int = 2, label: str = "line") -> Difference:
    """b ln N with noise in every seed."""
    draw = rng(0, "verdicts", label)
    return Difference(sizes, [b * np.log(size) + noise * draw.standard_normal(seeds) for size in sizes])


def only(difference: Difference, margin: float | None = 0.02, **options):
    return judge({"": Endpoint({"widest": difference}, margin, **options)})[""]


def test_every_part_of_the_error_is_what_a_hand_finds():
    drawn = np.outer(np.log(THREE), [1.0, 2.0, 3.0]) * 0.1
    first = Difference(THREE, [np.array([0.0, 0.2]), np.array([1.0]), np.array([2.4, 2.0, 2.2])], drawn)
    second = Difference(np.append(THREE, 50.0), [np.array([b]) for b in (0.0, 0.5, 1.1, 99.0)])
    found = slope_of(first, [first, second])
    assert found.value == pytest.approx(1.05)
    assert found.scatter == pytest.approx(math.sqrt(0.015 / 1 * 0.5))
    assert found.pure == pytest.approx(math.sqrt(0.1 / 3 * (0.25 / 2 + 0.25 / 3)))
    assert found.documents == pytest.approx(0.1)
    assert found.donors == pytest.approx((1.05 - 0.55) / math.sqrt(2))
    assert found.error == pytest.approx(math.sqrt(0.0075 + 0.01 + 0.125))
    assert (found.freedom, found.flags) == (1, ())


def test_the_larger_of_seeds_and_sizes_is_taken():
    on_a_line = Difference(SEVEN, [b + np.array([-0.1, 0.1]) for b in np.log(SEVEN)])
    found = slope_of(on_a_line)
    assert found.scatter < 1e-12
    assert found.error == pytest.approx(math.sqrt(0.02 / 2 / 28))
    assert found.flags == ("documents not resampled", "no second donor")


def test_with_one_seed_and_one_donor_it_is_the_usual_t_test_and_says_what_it_lacks():
    y = rng(0, "one seed").standard_normal(7)
    found = slope_of(Difference(SEVEN, [np.array([value]) for value in y]))
    peer, estimate = stats.linregress(np.log(SEVEN), y), slope(np.log(SEVEN), y)
    assert (found.value, found.error, found.p) == pytest.approx((peer.slope, peer.stderr, peer.pvalue))
    assert found.interval() == pytest.approx(estimate[1:3])
    assert found.flags == ("no replicated seeds", "documents not resampled", "no second donor")


def test_donors_are_compared_on_sizes_that_all_share():
    bent = Difference(SEVEN, [np.array([np.log(size) ** 2]) for size in SEVEN])
    donors = [bent, bent.at(SEVEN[:6]), bent.at(SEVEN[:5])]
    assert spread_of_donors(donors) == pytest.approx(0.0, abs=1e-12)
    assert spread_of_donors([bent]) is None
    assert spread_of_donors([bent, bent.at(SEVEN[:2])]) is None


def test_pure_error_pools_sizes_by_their_degrees_of_freedom():
    found = pure_error([[1.0, 3.0], [5.0], [0.0, 0.0, 3.0]])
    assert (found.variance, found.freedom) == pytest.approx((8 / 3, 3))
    assert pure_error([[1.0], [2.0]]) is None


def exact(value: float, error: float) -> Slope:
    return Slope(value, 7, error, None, None, None)


@pytest.mark.parametrize(
    ("value", "error", "donors", "bracket", "kind"),
    [
        (0.05, 0.001, {}, {}, Kind.BEYOND),
        (-0.05, 0.001, {}, {}, Kind.BEYOND),
        (0.05, 0.001, {"b": 0.001}, {}, Kind.BEYOND),
        (0.05, 0.001, {"b": -0.001}, {}, Kind.DONOR_DEPENDENT),
        (-0.05, 0.001, {"b": 0.001}, {}, Kind.DONOR_DEPENDENT),
        (0.05, 0.001, {"b": 0.0}, {}, Kind.DONOR_DEPENDENT),
        (0.05, 0.001, {}, {"random-projection": -0.01, "stretched": 0.2}, Kind.RESCALED),
        (0.05, 0.001, {}, {"random-projection": 0.01, "stretched": 0.2}, Kind.BEYOND),
        (0.05, 0.001, {}, {"random-projection": -0.01, "stretched": -0.2}, Kind.BEYOND),
        (0.05, 0.001, {}, {"stretched": -0.2}, Kind.BEYOND),
        (0.05, 0.001, {"b": -0.1}, {"random-projection": -0.01, "stretched": 0.2}, Kind.DONOR_DEPENDENT),
        (0.001, 0.001, {}, {}, Kind.NESTED),
        (0.001, 0.001, {"b": -0.019}, {}, Kind.NESTED),
        (0.001, 0.001, {"b": -0.02}, {}, Kind.DONOR_DEPENDENT),
        (0.001, 0.001, {}, {"random-projection": -0.01, "stretched": 0.2}, Kind.NESTED),
        (0.01, 0.001, {}, {}, Kind.NEGLIGIBLE),
        (0.01, 0.001, {"b": -0.001}, {}, Kind.DONOR_DEPENDENT),
        (0.01, 0.001, {"b": 0.03}, {}, Kind.DONOR_DEPENDENT),
        (0.01, 0.02, {}, {}, Kind.UNDECIDED),
        (0.01, 0.02, {"b": -0.5}, {}, Kind.UNDECIDED),
        (0.019, 0.009, {}, {}, Kind.UNDECIDED),
    ],
)
def test_the_table_of_verdicts(value, error, donors, bracket, kind):
    found = exact(value, error)
    verdict = decide(found, found.p < 0.05, 0.02, {"widest": value} | donors, bracket)
    assert verdict.kind is kind
    assert f"{value:+.4f}" in verdict.reason
    assert str(verdict) == f"{kind.value}: {verdict.reason}"


def test_a_margin_that_the_interval_just_reaches_is_not_kept():
    found = exact(0.004, 0.005)
    end = found.interval(0.9)[1]
    assert end == pytest.approx(0.004 + stats.t.ppf(0.95, 5) * 0.005)
    assert not found.small(end)
    assert found.small(np.nextafter(end, 1))
    assert not exact(-0.004, 0.005).small(end)
    width = found.half_width(0.9)
    assert not found.attainable(width)
    assert found.attainable(np.nextafter(width, 1))


def test_more_precision_alone_makes_no_finding_of_nothing():
    """At no effect growing precision ends in nested, never in beyond; with too little it is undecided."""
    kinds = [decide(exact(0.0, error), False, 0.02, {}, {}).kind for error in (1.0, 0.1, 0.01, 0.001, 1e-6)]
    assert kinds == [Kind.UNDECIDED] * 3 + [Kind.NESTED] * 2


def test_the_smallest_detectable_difference_is_found_four_times_in_five():
    effect = detectable(5)
    draw = rng(0, "power")
    t = (effect + draw.standard_normal(20_000)) / np.sqrt(draw.chisquare(5, 20_000) / 5)
    assert np.mean(np.abs(t) > stats.t.ppf(0.975, 5)) == pytest.approx(0.8, abs=0.01)
    assert detectable(1e6) == pytest.approx(stats.norm.ppf(0.975) + stats.norm.ppf(0.8), abs=1e-4)
    assert detectable(1) > detectable(2) > detectable(5)
    assert exact(0.3, 0.01).detectable == pytest.approx(0.01 * effect)


def test_holm_by_hand_and_by_its_definition():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    draw = rng(0, "holm")
    for _ in range(50):
        p = draw.random(6) ** 3
        for level in (0.01, 0.05, 0.2):
            rejected, rest = set(), list(range(6))
            while rest and p[k := min(rest, key=lambda k: p[k])] <= level / len(rest):
                rejected.add(k)
                rest.remove(k)
            assert {k for k, value in enumerate(holm(p)) if value <= level} == rejected


def test_tests_that_are_one_are_counted_once():
    metric = line(0.03, 0.05, label="metric")
    shifted = Difference(SEVEN, [seeds + 0.7 for seeds in metric.seeds])
    other = line(0.02, 0.05, label="other")
    metrics = {"entropy": metric, "ratio": shifted, "rank": other}
    found = judge({name: Endpoint({"widest": one}, 0.02) for name, one in metrics.items()})
    raw = [found[name].slope.p for name in ("entropy", "rank")]
    assert [found[name].tests for name in metrics] == [2, 2, 2]
    assert [found[name].p for name in ("entropy", "rank")] == pytest.approx(holm(raw))
    assert found["ratio"].p == found["entropy"].p
    alone = judge({"entropy": Endpoint({"widest": metric}, 0.02), "rank": Endpoint({"widest": other}, 0.02, primary=False)})
    assert (alone["entropy"].p, alone["rank"].p) == pytest.approx(tuple(raw))
    assert (alone["entropy"].tests, alone["rank"].tests) == (1, None)


def test_a_difference_that_is_rounding_is_none():
    found = only(line(0.0, 1e-12))
    assert found.verdict.kind is Kind.NESTED
    assert not found.different


def test_donors_with_fewer_than_five_sizes_are_not_asked():
    widest, against = line(0.05, 0.01), line(-0.05, 0.01)
    for number, kind in ((5, Kind.DONOR_DEPENDENT), (4, Kind.BEYOND)):
        endpoint = Endpoint({"widest": widest, "other": against.at(SEVEN[:number])}, 0.2)
        slopes = judge({"": endpoint})[""].donors
        assert list(slopes) == (["widest", "other"] if number == 5 else ["widest"])
        verdict = decide(slope_of(widest), True, 0.02, slopes, {})
        assert verdict.kind is kind
        assert ("by other" in verdict.reason) == (number == 5)


def test_what_cannot_be_tested_says_why():
    spoiled = Difference(SEVEN, [np.array([np.nan, 1.0]), *line(0.1).seeds[1:]])
    cases = [
        (only(line(0.1).at(SEVEN[:2])), Kind.FAILED, "widest: 2 different sizes of 2; at least 3"),
        (only(spoiled), Kind.FAILED, "widest: at some size there is no value"),
        (only(Difference(SEVEN, [np.empty(0)] * 7)), Kind.FAILED, "widest: at some size there is no value"),
        (only(Difference(np.r_[SEVEN[:6], SEVEN[5]], line(0.1).seeds)), Kind.FAILED, "6 different sizes of 7"),
        (only(Difference(SEVEN, line(0.1).seeds[1:])), Kind.FAILED, "7 sizes do not match 6 groups"),
        (only(replace(line(0.1), drawn=np.full((7, 3), np.nan))), Kind.FAILED, "in some resample of documents"),
        (judge({"": Endpoint({}, 0.02, absent="no donor is wide enough")})[""], Kind.UNTESTED, "no donor is wide enough"),
    ]
    for found, kind, reason in cases:
        assert found.verdict.kind is kind
        assert reason in found.verdict.reason
        assert (found.slope, found.p, found.different, found.small, found.flags, found.by_size) == (None,) * 4 + ((), [])
        assert set(found.columns) == {"verdict", "reason", "primary"}
    with pytest.raises(DataError, match="at least 3"):
        slope_of(line(0.1).at(SEVEN[:2]))
    exploratory = only(line(0.1, 0.01), margin=None)
    assert exploratory.verdict.kind is Kind.UNTESTED
    assert exploratory.small is None
    assert exploratory.slope.value == pytest.approx(0.1, abs=0.02)


def test_one_that_cannot_be_tested_costs_the_others_nothing():
    good = Endpoint({"widest": line(0.03, 0.05)}, 0.02)
    found = judge({"good": good, "short": Endpoint({"widest": line(0.1).at(SEVEN[:2])}, 0.02), "none": Endpoint({}, 0.02)})
    assert found["good"].columns == judge({"good": good})["good"].columns


def lack_by_regression(size, seeds):
    """F of the line against a mean for each size, from the residuals of all seeds."""
    x, y = np.repeat(np.log(size), [len(values) for values in seeds]), np.concatenate(seeds)
    group = np.repeat(np.arange(len(seeds)), [len(values) for values in seeds])
    squares = []
    for design in (np.stack([np.ones_like(x), x], axis=1), np.eye(len(seeds))[group]):
        residuals = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        squares.append(residuals @ residuals)
    freedom = (len(seeds) - 2, y.size - len(seeds))
    statistic = (squares[0] - squares[1]) / freedom[0] / (squares[1] / freedom[1])
    return statistic, freedom, stats.f.sf(statistic, *freedom)


def test_lack_of_fit_is_the_f_test_of_the_line_against_a_mean_for_each_size():
    draw = rng(0, "lack")
    seeds = [0.3 * np.log(size) + 0.1 * draw.standard_normal(n) for size, n in zip(SEVEN, (3, 3, 3, 3, 3, 2, 1), strict=True)]
    statistic, freedom, p = lack_by_regression(SEVEN, seeds)
    found = lack_of_fit(SEVEN, seeds)
    assert (found.statistic, found.p) == pytest.approx((statistic, p))
    assert found.freedom == freedom == (5, 11)
    assert found.kind is Fitness.NOT_REJECTED
    seeds[3] = seeds[3] + 1.0
    found = lack_of_fit(SEVEN, seeds)
    assert (found.statistic, found.p) == pytest.approx(lack_by_regression(SEVEN, seeds)[::2])
    assert found.kind is Fitness.REJECTED
    assert found.at == SEVEN[3]
    assert 0.5 < found.misfit < 1.2


def test_lack_of_fit_needs_replicates_and_a_size_more_than_parameters():
    found = lack_of_fit(SEVEN, [[value] for value in (0.0, 1, 2, 3, 4, 5, 9)])
    assert (found.kind, found.reason, found.p) == (Fitness.UNTESTED, "no replicated seeds", None)
    assert found.at == SEVEN[6]
    assert lack_of_fit(THREE[:2], [[0.0, 1.0], [1.0, 2.0]]).kind is Fitness.UNTESTED
    assert lack_of_fit(SEVEN, [[np.nan, 1.0]] * 7).kind is Fitness.UNTESTED
    assert lack_of_fit(SEVEN, [[value, value] for value in np.log(SEVEN)]).kind is Fitness.NOT_REJECTED


def test_lack_of_fit_rejects_a_true_line_as_often_as_it_says():
    draw = rng(0, "size of the test")
    rejected = [
        lack_of_fit(SEVEN, [0.1 * draw.standard_normal(n) for n in (3, 3, 3, 3, 3, 2, 1)]).kind is Fitness.REJECTED
        for _ in range(600)
    ]
    assert 16 <= sum(rejected) <= 46


def test_a_line_that_is_rejected_leaves_the_verdict_as_it_is():
    bent = Difference(
        SEVEN, [seeds + 0.1 * (np.log(size) - 3) ** 2 for size, seeds in zip(SEVEN, line(0.5, 0.01).seeds, strict=True)]
    )
    found = only(bent)
    assert found.fit.kind is Fitness.REJECTED
    assert found.verdict.kind is decide(found.slope, found.p < 0.05, 0.02, {}, {}).kind is Kind.BEYOND
    assert [(size, seeds) for size, _, seeds in found.by_size] == [(size, 2) for size in SEVEN]
    assert [mean for _, mean, _ in found.by_size] == pytest.approx(bent.means)


def test_a_size_left_out_is_a_judgement_of_the_others():
    endpoints = {
        "a": Endpoint({"widest": line(0.03, 0.06, label="a"), "other": line(0.03, 0.06, SEVEN[:5], label="b")}, 0.02),
        "b": Endpoint({"widest": line(0.05, 0.06, SEVEN[:6], label="c")}, 0.02),
    }
    found = judge(endpoints)
    assert list(found["a"].without) == list(SEVEN)
    assert list(found["b"].without) == list(SEVEN[:6])
    size = SEVEN[5]
    rest = {name: endpoint.without(size) for name, endpoint in endpoints.items()}
    assert {name: one.without[size] for name, one in found.items()} == {
        name: one.verdict.kind for name, one in judge(rest).items()
    }


def test_a_verdict_that_rests_on_two_sizes_is_fragile():
    steady = only(line(0.1, 0.001))
    assert set(steady.without.values()) == {Kind.BEYOND}
    assert (steady.changes, steady.fragile) == (0, False)
    kinds = dict(zip(SEVEN, [Kind.BEYOND] * 6 + [Kind.UNDECIDED], strict=True))
    assert not replace(steady, without=kinds).fragile
    assert replace(steady, without=kinds | {SEVEN[0]: Kind.NESTED}).fragile
    assert "fragile" in replace(steady, without=kinds | {SEVEN[0]: Kind.NESTED}).flags
    assert "too few sizes to leave one out" in only(line(0.1, 0.001, THREE)).flags


def test_columns_hold_both_answers_and_all_that_they_rest_on():
    found = only(line(0.1, 0.01), bracket={"random-projection": line(0.2), "stretched": line(0.3)})
    columns = found.columns
    assert (columns["verdict"], columns["different"], columns["small"]) == ("beyond width", True, False)
    assert columns["low"] < columns["low_90"] < columns["difference"] < columns["high_90"] < columns["high"]
    assert columns["flags"] == "documents not resampled; no second donor"
    assert columns["detectable"] == pytest.approx(found.slope.error * detectable(5))
    assert columns["donors"] == f"widest {found.slope.value:+.4f}"


def test_the_bracket_is_taken_on_the_sizes_of_the_donor_and_needs_two_nulls():
    bent = Difference(SEVEN, [np.array([-np.log(size) if size < SEVEN[6] else 99.0]) for size in SEVEN])
    bracket = {"random-projection": line(0.3), "stretched": bent}
    found = only(line(0.1, 0.001).at(SEVEN[:6]), bracket=bracket)
    assert found.verdict.kind is Kind.RESCALED
    assert set(found.without.values()) == {Kind.RESCALED}
    assert only(line(0.1, 0.001), bracket=bracket).verdict.kind is Kind.BEYOND
    for other in ({}, {"stretched": bent}, {"random-projection": line(0.3).at(SEVEN[:4]), "stretched": bent}):
        unbracketed = only(line(0.1, 0.001).at(SEVEN[:6]), bracket=other)
        assert unbracketed.verdict.kind is Kind.BEYOND
        assert "no bracket" in unbracketed.flags


def test_separate_errors_have_the_quantile_of_the_part_that_dominates():
    def apart(donors, documents=0.0, number=2):
        return Slope(0.1, 7, 0.01, 0.005, documents, donors, 0.0, number, True)

    t = stats.t.ppf(0.975, [1, 2, 5])
    assert apart(None).half_width() == pytest.approx(t[2] * 0.01)
    assert apart(None).p == pytest.approx(exact(0.1, 0.01).p)
    assert apart(100.0).half_width() == pytest.approx(t[0] * 100)
    assert apart(100.0, number=3).half_width() == pytest.approx(t[1] * 100)
    found = apart(0.005, 0.02)
    parts = (t[2] * 0.01, stats.norm.ppf(0.975) * 0.02, t[0] * 0.005)
    assert found.half_width() == pytest.approx(math.hypot(*parts))
    assert found.half_width() > replace(found, separate=False).half_width()
    assert found.half_width(1 - found.p) == pytest.approx(found.value)
    assert found.detectable == pytest.approx(math.hypot(*parts) / t[2] * detectable(5))
    assert replace(found, value=0.0).p == 1
    assert replace(found, value=1e15).p == 1e-15


def benchmark():
    spec = importlib.util.spec_from_file_location("verdicts_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_few_of_no_effect_are_beyond_and_few_at_the_margin_are_small():
    module = benchmark()
    for case in module.CASES[:4]:
        for slope_, answer, low, high in ((0.0, "beyond width", 0, 4), (0.02, "small", 0, 4), (0.2, "beyond width", 18, 20)):
            draw = rng(1, case, slope_)
            endpoints = [module.simulated(case, 0.03, slope_, draw) for _ in range(20)]
            count = Counter(name for one in endpoints for name in module.answers(judge({"": one})[""], slope_))
            assert low <= count[answer] <= high, (case, slope_, count)


def test_the_committed_table_holds_every_case_and_adds_up():
    module = benchmark()
    with BENCHMARK.with_suffix(".csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert {(row["errors"], row["case"]) for row in table} == {
        (errors, case) for errors in module.ERRORS for case in module.CASES
    }
    for row in table:
        assert int(row["simulations"]) >= 400
        assert float(row["margin"]) == MARGINS["erank_covariance"]
        assert sum(int(row[kind.value]) for kind in Kind if kind.value in row) == int(row["simulations"])


def test_the_committed_table_keeps_the_rates_of_error_but_for_one_t_and_two_donors():
    module = benchmark()
    with BENCHMARK.with_suffix(".csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    over = {
        (row["errors"], row["case"])
        for row in table
        for name, slope_ in (("beyond width", 0.0), ("small", module.MARGIN))
        if float(row["slope"]) == slope_ and int(row[name]) > module.BOUND * int(row["simulations"]) / 400
    }
    assert over == {("together", "not nested, two donors"), ("together", "two donors far apart")}
