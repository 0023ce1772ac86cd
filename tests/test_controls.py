"""Folds, strangers and wins against hand-made truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomkit.core.errors import DataError
from geomkit.measures.controls import document_folds, strangers, wins

NAMES = st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=30).filter(lambda names: len(set(names)) > 1)


def test_documents_are_dealt_out_in_turn():
    assert document_folds(["a", "a", "b", "c", "c", "d"], 3).tolist() == [0, 0, 1, 2, 2, 0]


@given(NAMES, st.integers(1, 5))
def test_no_document_is_in_two_folds(names, folds):
    found = document_folds(names, folds)
    assert len(set(zip(names, found.tolist(), strict=True))) == len(set(names))
    assert set(found.tolist()) <= set(range(folds))


@given(NAMES)
def test_folds_differ_by_one_document_at_most(names):
    found = dict(zip(names, document_folds(names, 3).tolist(), strict=True))
    assert np.ptp(np.bincount(list(found.values()), minlength=3)) <= 1


def test_a_stranger_is_the_next_target_of_another_document():
    assert strangers(["a", "a", "b", "c", "c"]).tolist() == [2, 2, 3, 0, 0]


@given(NAMES)
def test_a_stranger_is_never_of_the_same_document(names):
    assert all(names[other] != names[own] for own, other in enumerate(strangers(names)))


def test_one_document_has_no_strangers():
    with pytest.raises(DataError, match="two documents"):
        strangers(["a", "a"])


@pytest.mark.parametrize(("higher_is_better", "expected"), [(True, [1, 0, 0.5, np.nan]), (False, [0, 1, 0.5, np.nan])])
def test_a_win_is_a_difference_in_the_direction_that_is_better(higher_is_better, expected):
    np.testing.assert_array_equal(wins(np.array([0.3, -2.0, 0.0, np.nan]), higher_is_better), expected)


def test_scores_that_rounding_alone_parts_are_a_draw():
    difference = np.array([1e-12, -1e-12, 1e-6, -1e-6, np.nan])
    np.testing.assert_array_equal(wins(difference, True), [0.5, 0.5, 1, 0, np.nan])
    np.testing.assert_array_equal(wins(difference, False), [0.5, 0.5, 0, 1, np.nan])
