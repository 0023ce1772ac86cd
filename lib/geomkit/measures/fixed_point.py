"""Fixed-point sums, whose bits do not depend on the order or grouping of additions.

Additions of floating-point numbers round, so that parts of a sum, added up, give other bits than the whole. Here each
contribution is rounded to the unit once, and whole numbers are added without error.
"""

import math
from typing import Any, Self

import numpy as np

from geomkit.core.arrays import Array, indices, namespace, reals
from geomkit.core.errors import DataError

BITS = 62
"""Bits of a whole number, beside its sign and one that rounding may need."""


class FixedPointSum:
    """A sum of arrays of one shape, as multiples of 2^exponent in 64-bit integers, which take the memory of float64.

    bound: what no entry of any sum of contributions exceeds; the unit 2^exponent is the power of two above it over 2^62. `like`:
    an array of the kind and on the device that the sum is to have. Each contribution is rounded to the nearest multiple, so k of
    them are off by at most k bound 2^-62 in an entry; a sum in float64 is off by up to k bound 2^-53.
    Limits: contributions that are multiples of the unit are summed exactly; any order and any grouping give the same bits.

    Source: pre-rounded summation, Demmel, Nguyen 2015 (IEEE Transactions on Computers 64, 2060), with whole numbers for the bins
    and one bin, for the bound is known.
    """

    def __init__(self, units: Any, exponent: int):
        self.units, self.exponent = units, exponent

    @classmethod
    def zeros(cls, shape: tuple[int, ...], bound: float, like: Array) -> Self:
        """Start an empty sum."""
        return cls(indices(np.zeros(shape, np.int64), like=like), math.frexp(bound)[1] - BITS)

    def in_units(self, values: Array) -> Any:
        """Round values to the nearest multiples of the unit, as integers."""
        xp = namespace(values)
        return xp.astype(xp.round(values * 2.0**-self.exponent), xp.int64)

    def __iadd__(self, values: Array) -> Self:
        """Add one contribution, rounded."""
        self.units += self.in_units(values)
        return self

    def merge(self, other: "FixedPointSum") -> Self:
        """Add another sum of the same unit. Raises DataError for another unit."""
        if other.exponent != self.exponent:
            raise DataError(f"sums in units of 2^{self.exponent} and 2^{other.exponent} cannot be merged")
        self.units += other.units
        return self

    @property
    def value(self) -> Array:
        """Return the sum in float64, or in the widest type of the device."""
        return reals(self.units, like=self.units) * 2.0**self.exponent
