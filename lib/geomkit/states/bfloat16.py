"""Convert between float32 and bfloat16, stored as 16-bit words, since numpy and HDF5 have no such type.

A word is the upper half of a float32.
"""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint16]


def to_words(values: NDArray[np.float32]) -> Words:
    """Round each float32 to the nearest bfloat16, ties to even; from 3.396e38 on to infinity. NaN stays NaN."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(values), np.uint32(0x7FC0), rounded).astype(np.uint16)


def from_words(words: Words) -> NDArray[np.float32]:
    """Convert words to float32, exactly."""
    return (words.astype(np.uint32) << np.uint32(16)).view(np.float32)
