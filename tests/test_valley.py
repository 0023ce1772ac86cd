"""Valleys over layers: closed forms, limits, and what is planted in a portrait's profiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from geomkit.core.errors import DataError
from geomkit.measures.cosine import mean_cosines
from geomkit.measures.valley import valley


def test_depth_is_the_share_below_the_lower_end():
    assert valley([10.0, 4, 3, 5, 6]) == (pytest.approx(0.5), 2)
    assert valley([4.0, 4, 4]) == (0, 1)
    assert valley([1.0, 2, 4, 1]) == (pytest.approx(-1), 1)
    assert valley([1.0, 1e-9, 1]).depth == pytest.approx(1)
    depths, layers = valley([[[8.0, 2, 4], [8, 4, 8]], [[2, 2, 8], [9, 6, 3]]])
    np.testing.assert_allclose(depths, [[0.5, 0.5], [0, -1]])
    np.testing.assert_array_equal(layers, np.ones((2, 2)))
    with pytest.raises(DataError, match="at least 3 layers, found 2"):
        valley([1.0, 2])


@given(arrays.arrays(float, st.tuples(st.integers(1, 4), st.integers(3, 9)), elements=st.floats(0.1, 100)), st.floats(0.1, 10))
def test_a_factor_and_a_reversal_change_no_depth(profiles, factor):
    depth = valley(profiles).depth
    np.testing.assert_allclose(valley(factor * profiles).depth, depth, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(valley(profiles[:, ::-1]).depth, depth, rtol=1e-9, atol=1e-9)
    by_hand = [1 - min(one[1:-1]) / min(one[0], one[-1]) for one in profiles.tolist()]
    np.testing.assert_allclose(depth, by_hand)


def test_mean_cosine_is_that_of_all_pairs():
    rows = np.random.default_rng(0).standard_normal((7, 5))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [float(unit[i] @ unit[j]) for i in range(4) for j in range(4) if i != j]
    found = mean_cosines(rows, [4, 2, 1])
    assert found[:2] == pytest.approx([np.mean(pairs), float(unit[4] @ unit[5])])
    assert np.isnan(found[2])
    assert mean_cosines(np.ones((3, 2)), [3]) == pytest.approx([1])
    assert mean_cosines(np.eye(3), [3]) == pytest.approx([0])
    assert mean_cosines(np.array([[1.0, 0], [-1, 0]]), [2]) == pytest.approx([-1])
