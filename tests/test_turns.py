"""Turns of curves over training."""

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.laws.turning_points import beside_phases, course

CURVE = np.array([0.0, -1, -2, -1, 1, 2, 1.5, 1])


def drawn(curve, noise=0.0, resamples=200):
    return curve + noise * np.random.default_rng(0).standard_normal((resamples, curve.size))


def test_without_noise_every_extreme_is_a_turn():
    found = course([CURVE, CURVE + 0.1], drawn(CURVE))
    assert [turn.at for turn in found.turns] == [2, 5]
    assert found.directions == ("fall", "rise", "fall")
    assert [(turn.low, turn.high) for turn in found.turns] == [(1, 3), (4, 6)]
    assert [leg.change for leg in found.legs] == pytest.approx([-2, 4, -1])


def test_a_monotone_curve_has_no_turn():
    found = course([np.arange(8.0)], drawn(np.arange(8.0)))
    assert not found.turns
    assert found.directions == ("rise",)


def test_a_turn_that_documents_can_undo_is_none():
    bumpy = np.arange(8.0) + np.array([0, 0, 0, 1.2, 0, 0, 0, 0])
    assert [turn.at for turn in course([bumpy], drawn(bumpy)).turns] == [3, 4]
    assert course([bumpy], drawn(bumpy, 0.5)).directions == ("rise",)


def test_a_turn_that_one_seed_lacks_is_none():
    other = CURVE.copy()
    other[6:] = [2.2, 2.4]
    found = course([CURVE, other], drawn(np.mean([CURVE, other], axis=0)))
    assert [turn.at for turn in found.turns] == [2]
    assert found.directions == ("fall", "rise")


def test_nothing_that_can_be_seen_has_no_direction():
    flat = np.array([0, 0.01, 0, 0.01, 0])
    found = course([flat], drawn(flat, 1.0))
    assert not found.turns
    assert found.directions == ()


def test_the_interval_of_a_turn_is_where_resamples_and_seeds_have_it():
    wide = np.array([0.0, 1, 2.9, 3.0, 2.9, 1, 0])
    early, late = wide.copy(), wide.copy()
    early[2] += 0.2
    found = course([early, late], drawn(wide, 0.02)).turns
    assert len(found) == 1
    assert (found[0].low, found[0].high) == (1, 4)


def test_curves_that_are_too_short_or_have_no_value_are_refused():
    with pytest.raises(DataError, match="three steps"):
        course([[1.0, 2]], np.ones((5, 2)))
    with pytest.raises(DataError, match="no value"):
        course([[1.0, np.nan, 2]], np.ones((5, 3)))


@pytest.mark.parametrize(
    ("legs", "told"),
    [
        (("fall", "rise", "fall"), "follows"),
        (("fall", "rise"), "in part"),
        (("rise", "fall"), "in part"),
        (("rise",), "differs"),
        (("rise", "fall", "rise"), "differs"),
        ((), "differs"),
    ],
)
def test_courses_beside_published_phases(legs, told):
    assert beside_phases(legs) == told
