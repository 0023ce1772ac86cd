"""Regression on several measures of a model: planted effects come back, collinear designs are refused by name."""

import math

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.laws.differences import Difference, slope_of
from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.regression import CONDITION, condition_number, on_line, regress, through_origin

SHAPES = {16: 2, 24: 3, 32: 4, 48: 4, 64: 5, 96: 6, 128: 8}
CELLS = [(width, depth, 4) for width, depth in SHAPES.items()]
CELLS += [(16, 4, 4), (16, 8, 4), (32, 2, 4), (32, 8, 4), (64, 2, 4), (16, 2, 16), (32, 4, 16)]


def size(width: int, depth: int, mlp: int) -> int:
    return depth * ((4 + 2 * mlp) * width**2 + (9 + mlp) * width) + 2 * width


def columns(cells):
    width, depth, _ = np.log(np.array(cells, dtype=float)).T
    return {"width": width, "depth": depth, "N": np.log([size(*cell) for cell in cells])}


def planted(cells, effects, noise=0.0, seeds=3, rng=None):
    table = columns(cells)
    rng = rng or np.random.default_rng(0)
    level = np.ones(len(cells)) + sum(effects[name] * table[name] for name in effects)
    return [value + noise * rng.standard_normal(seeds) for value in level]


def pick(cells, *names):
    return {name: column for name, column in columns(cells).items() if name in names}


def test_planted_effects_come_back():
    effects = {"width": 0.7, "depth": -0.2, "N": 0.05}
    found = regress(columns(CELLS), planted(CELLS, effects))
    assert {name: one.value for name, one in found.coefficients.items()} == pytest.approx(effects, abs=1e-9)
    assert found.condition == pytest.approx(8.4, abs=0.05)
    noisy = regress(columns(CELLS), planted(CELLS, effects, noise=0.01))
    for name, one in noisy.coefficients.items():
        low, high = one.interval()
        assert low < effects[name] < high
        assert one.freedom == len(CELLS) - 4


@pytest.mark.parametrize(
    ("cells", "names", "condition"),
    [(CELLS[:7], ("width", "N"), 40.6), (CELLS[:12], ("width", "depth", "N"), 549)],
    ids=["the ladder alone does not part width and N", "without a wide MLP N is width and depth"],
)
def test_a_collinear_design_is_refused_by_name(cells, names, condition):
    assert condition_number(pick(cells, *names)) == pytest.approx(condition, rel=0.01)
    assert condition > CONDITION
    with pytest.raises(DataError, match=rf"{', '.join(names)} are collinear in these {len(cells)} cells: condition number"):
        regress(pick(cells, *names), planted(cells, {"width": 1.0}))


def test_what_does_not_vary_or_is_a_sum_of_others_is_refused():
    x, y = np.arange(6.0), np.array([0.0, 1, 0, 2, 0, 1])
    assert condition_number({"a": x, "b": y, "c": x + y}) == math.inf
    assert condition_number({"a": x, "b": np.ones(6)}) == math.inf
    with pytest.raises(DataError, match="a, b are collinear"):
        regress({"a": x, "b": np.ones(6)}, list(x))
    with pytest.raises(DataError, match="2 cells are too few for a regression on a"):
        regress({"a": x[:2]}, list(x[:2]))
    with pytest.raises(DataError, match="there is no value"):
        regress({"a": x}, [*x[:5], np.nan])


def test_one_column_is_the_slope_of_verdicts():
    rng = np.random.default_rng(1)
    sizes, seeds = np.geomspace(1e3, 1e6, 7), [rng.standard_normal(k) for k in (3, 3, 3, 2, 2, 1, 1)]
    drawn = np.array([values.mean() for values in seeds])[:, None] + 0.1 * rng.standard_normal((7, 200))
    own = regress({"N": np.log(sizes)}, seeds, drawn).coefficients["N"]
    known = slope_of(Difference(sizes, seeds, drawn), separate=True)
    for name in ("value", "scatter", "pure", "documents", "freedom", "error", "detectable"):
        assert getattr(own, name) == pytest.approx(getattr(known, name), rel=1e-9)
    assert own.interval(0.9) == pytest.approx(known.interval(0.9))


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        seeds = planted(CELLS, {"width": 0.3, "N": 0.0}, noise=0.02, seeds=1, rng=rng)
        low, high = regress(pick(CELLS, "width", "N"), seeds).coefficients["N"].interval()
        held += low < 0 < high
    assert held == pytest.approx(380, abs=15)


def test_scatter_of_seeds_rejects_what_is_no_power_law():
    bent = [values + 0.05 * (np.log(cell[0]) - 3.5) ** 2 for cell, values in zip(CELLS, planted(CELLS, {}, 0.002), strict=True)]
    assert regress(pick(CELLS, "width", "N"), bent).lack.kind is Fitness.REJECTED
    assert regress(pick(CELLS, "width", "N"), planted(CELLS, {}, 0.002)).lack.kind is Fitness.NOT_REJECTED


def test_a_slope_through_the_origin():
    found = through_origin([1.0, 2, 3], [2.0, 4, 6])
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))
    x, y = np.array([1.0, 2, 4]), np.array([0.9, 2.2, 3.9])
    found = through_origin(x, y)
    error = math.sqrt(((y - found.value * x) ** 2).sum() / 2 / (x @ x))
    assert found.high - found.value == pytest.approx(4.3027 * error, rel=1e-4)
    with pytest.raises(DataError, match="through the origin"):
        through_origin([1.0], [1.0])


def test_lines_between_points_and_beyond():
    assert on_line([0, 1, 3], [0, 2, 2], np.array([0.5, 2, -1, 5])).tolist() == [1, 2, -2, 2]
    with pytest.raises(DataError):
        on_line([1, 1], [0, 2], 1.0)
