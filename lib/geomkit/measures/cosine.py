"""How alike the tokens of a text are, pair by pair.

Null: rows of independent numbers, whose mean cosine is 0 on average. Portraits have it of the trained model alone.
"""

from collections.abc import Sequence

import numpy as np

from geomkit.core.arrays import Array, namespace
from geomkit.core.declarations import named
from geomkit.measures.spectra import normalise


@named(
    "mean_cosine",
    label="mean cosine of two tokens",
    unit="cosine",
    also=("anisotropy (Ethayarajh)",),
    use="To find a direction that all tokens share. Subtracting the mean removes it.",
)
def mean_cosines(rows: Array, sizes: Sequence[int]) -> list[float]:
    """Compute the mean cosine of two different tokens of each text, (n |m|^2 - 1) / (n - 1), m the mean of its unit rows.

    rows (tokens, d): texts one after another, of the given sizes. A text of one token has none: NaN. Limits: 1 for equal rows, 0
    for orthogonal ones, -1 / (n - 1) for rows of mean 0.
    """
    unit, stops = normalise(rows, "unit"), np.cumsum(sizes).tolist()
    means = [namespace(unit).mean(unit[stop - size : stop], axis=0) for stop, size in zip(stops, sizes, strict=True)]
    squares = [float(namespace(mean).linalg.vecdot(mean, mean)) for mean in means]
    return [(n * own - 1) / (n - 1) if n > 1 else np.nan for n, own in zip(sizes, squares, strict=True)]
