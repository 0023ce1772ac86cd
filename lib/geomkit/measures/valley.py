"""The compression valley of a measure over layers.

Null: the valley of untrained twins (`untrained`), which is the architecture's, and of shuffled text (`shuffled`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomkit.core.arrays import Array
from geomkit.core.declarations import named
from geomkit.core.errors import DataError


class Valley(NamedTuple):
    """Depth of a valley, and the layer where it is deepest, of one profile or of many."""

    depth: Array
    layer: NDArray[np.int64]


@named(
    "valley_depth",
    label="depth of the valley over layers",
    unit="ratio",
    also=("compression valley", "mid-layer compression"),
    use="With the effective rank. The lowest of many layers also lies below the ends by chance.",
)
@named(
    "valley_layer",
    label="layer of the valley",
    unit="layer",
)
def valley(profiles: ArrayLike) -> Valley:
    """Compute the depth 1 - v / e of a valley, and its layer: v is the lowest value of the inner layers, e that of the lower end.

    profiles (..., layers): positive values. The ends are the first, of the embedding, and the last, of the last block's output.
    Limits: 0 for a flat profile, near 1 where v is near 0, negative where every inner layer lies above the lower end.
    Raises DataError for fewer than three layers. Source: arXiv 2510.06477, whose term it is.
    """
    values = np.asarray(profiles, dtype=float)
    if values.shape[-1] < 3:
        raise DataError(f"a valley lies between the ends of at least 3 layers, found {values.shape[-1]}")
    inner = values[..., 1:-1]
    lowest = np.asarray(np.argmin(inner, axis=-1))
    least = np.take_along_axis(inner, lowest[..., None], axis=-1)[..., 0]
    return Valley(np.asarray(1 - least / np.minimum(values[..., 0], values[..., -1])), lowest + 1)
