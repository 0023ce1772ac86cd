"""Detect attention sinks: the few tokens whose vectors are far longer than all others, and dominate a raw spectrum."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomkit.core.errors import DataError

THRESHOLD = 10.0
"""A sink's length at some layer, in medians of its text."""


def sinks(norms: ArrayLike, threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """Mark the tokens (T,) of one text that exceed `threshold` times the median length at any layer, from lengths (layers, T).

    They are to be left out at all layers: a rule by layer would make a profile over layers jump where a sink appears. A higher
    threshold finds a subset. Limits: none among tokens of equal length, and scaling a layer changes nothing. A layer whose median
    is 0, as where half of the vectors are zero, says nothing and makes no sink.
    Raises DataError for lengths that are negative or not finite, no layers or tokens, and a threshold below 1.
    Source: Sun, Chen, Kolter, Liu 2024, arXiv 2402.17762 (massive activations); Xiao et al. 2024, arXiv 2309.17453 (sinks).
    """
    lengths = np.asarray(norms, dtype=np.float64)
    if lengths.ndim != 2 or not lengths.size or not np.isfinite(lengths).all() or (lengths < 0).any():
        raise DataError(f"sinks are told by finite lengths of layers and tokens, found shape {lengths.shape}")
    if not threshold >= 1:
        raise DataError(f"a sink is longer than the median: threshold must be at least 1, found {threshold}")
    median = np.median(lengths, axis=1, keepdims=True)
    return np.asarray(((lengths > threshold * median) & (median > 0)).any(axis=0))
