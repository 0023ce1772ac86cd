"""Sums in fixed point: the same bits whatever the order and the grouping, and close to sums in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geomkit.core.errors import DataError
from geomkit.measures import spectra
from geomkit.measures.fixed_point import FixedPointSum
from geomkit.measures.spectra import CovarianceAccumulator, FixedPointCovariance, is_centred, is_unit, modes, normalise, spectrum

HERE = np.zeros(1)


def contributions(seed: int, count: int, bound: float) -> np.ndarray:
    """Of many sizes, and together within the bound."""
    draw = np.random.default_rng(seed)
    values = draw.standard_normal((count, 3, 4)) * 10.0 ** draw.integers(-12, 1, (count, 1, 1))
    return values * (bound / np.abs(values).sum(axis=0).max())


def summed(values: np.ndarray, bound: float, cuts: list[int]) -> FixedPointSum:
    """In parts that end at the cuts, which are merged."""
    total = FixedPointSum.zeros(values.shape[1:], bound, HERE)
    for part in np.split(values, sorted(cuts)):
        own = FixedPointSum.zeros(values.shape[1:], bound, HERE)
        for one in part:
            own += one
        total.merge(own)
    return total


@given(
    st.integers(0, 10**6),
    st.sampled_from([1.0, 3.0, 51200.0, 1e-9, 1e30]),
    st.lists(st.integers(0, 40), max_size=7),
    st.randoms(use_true_random=False),
)
def test_any_order_and_any_parts_give_the_same_bits(seed, bound, cuts, random):
    values = contributions(seed, 40, bound)
    one = summed(values, bound, [])
    order = list(range(40))
    random.shuffle(order)
    np.testing.assert_array_equal(summed(values[order], bound, cuts).units, one.units)
    # each contribution is off by half a unit at most, and both sums are rounded once
    exact = np.apply_along_axis(math.fsum, 0, values)
    assert np.abs(one.value - exact).max() <= 40 * bound * 2.0**-62 + bound * 2.0**-52


def test_floats_would_not_do():
    """What the test above holds is false of float64, so it can fail."""
    values = contributions(0, 40, 1.0)
    assert np.any(sum(values) != sum(values[::-1]))


def test_whole_numbers_are_summed_exactly():
    total = FixedPointSum.zeros((), 100.0, HERE)
    for one in range(10):
        total += np.asarray(float(one))
    assert total.value == 45.0
    assert FixedPointSum.zeros((2,), 0.0, HERE).value.tolist() == [0.0, 0.0]


def test_sums_of_other_units_are_refused():
    with pytest.raises(DataError, match=r"units of 2\^-61 and 2\^-58 cannot be merged"):
        FixedPointSum.zeros((), 1.0, HERE).merge(FixedPointSum.zeros((), 10.0, HERE))


# covariances


def rows(n: int = 300, d: int = 8) -> np.ndarray:
    draw = np.random.default_rng(5)
    return (draw.standard_normal((n, d)) + 1) * np.geomspace(30, 0.01, d)


def bound_of(Z: np.ndarray, mode: str) -> float:
    return float(len(Z)) if is_unit(mode) else 2 * float(np.square(Z).sum())


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("mode", list(modes))
def test_a_covariance_is_that_of_float64_whatever_its_parts(mode, wide, monkeypatch):
    if wide:
        monkeypatch.setattr(spectra, "WIDE", 3)
        monkeypatch.setattr(spectra, "STRIP", 2)
    Z = rows()
    unit = normalise(Z, mode, Z.mean(axis=0))
    chunks = np.split(unit, [20, 21, 150, 220])
    plain = CovarianceAccumulator(8)
    one = FixedPointCovariance(8, bound_of(Z, mode), HERE)
    for chunk in chunks:
        plain.update(chunk)
        one.update(chunk)
    trace = np.trace(plain.total)
    np.testing.assert_allclose(one.total, plain.total, rtol=0, atol=1e-13 * trace)
    np.testing.assert_allclose(one.spectrum().eigenvalues, plain.spectrum().eigenvalues, rtol=0, atol=1e-13 * trace / len(Z))
    expected = spectrum(unit, is_centred(mode))
    np.testing.assert_allclose(one.spectrum(is_centred(mode)).eigenvalues, expected.eigenvalues, rtol=1e-9)
    other = [FixedPointCovariance(8, bound_of(Z, mode), HERE) for _ in range(2)]
    for number, chunk in enumerate(reversed(chunks)):
        own = CovarianceAccumulator(8)  # a document's sum, which counts as one contribution
        other[number % 2].merge(own.update(chunk))
    assert sum(part.n for part in other) == one.n == len(Z)
    merged = other[0].sum.merge(other[1].sum)
    np.testing.assert_array_equal(merged.units, one.sum.units)


def test_a_tensor_has_the_units_of_numpy():
    Z = normalise(rows(), "unit")
    found = FixedPointCovariance(8, 300, torch.zeros(1, dtype=torch.float64)).update(torch.tensor(Z))
    expected = FixedPointCovariance(8, 300, HERE).update(Z)
    assert isinstance(found.sum.units, torch.Tensor)
    # products may round in another way
    np.testing.assert_allclose(found.total.numpy(), expected.total, rtol=0, atol=300 * 2.0**-52)
    assert found.spectrum().eigenvalues.dtype == torch.float64


def test_rows_above_the_bound_are_refused():
    own = FixedPointCovariance(3, 10, HERE).update(np.eye(3))
    with pytest.raises(DataError, match=r"squared lengths of 11 in sum, above the bound of 10"):
        own.update(np.ones((2, 3)) * (4 / 3) ** 0.5)
    with pytest.raises(DataError, match=r"must have shape \(rows, 3\)"):
        own.update(np.eye(2))
    with pytest.raises(DataError, match="of 3 and 2 columns cannot be merged"):
        own.merge(CovarianceAccumulator(2))
