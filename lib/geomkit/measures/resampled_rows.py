"""Measure a cloud of few rows in resamples of them, such as one with a row for each text."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from geomkit.core.arrays import Array
from geomkit.measures.entropy import Measurement, measure
from geomkit.measures.spectra import reweighted, row_spectrum


class Resampled(NamedTuple):
    """A metric's measurement, and its values in resamples (resamples,), whose mean is the measured value."""

    measured: Measurement
    drawn: Array


def resampled_metrics(
    Z: ArrayLike, weights: Array, centred: bool, names: Iterable[str] | None, parameters: Mapping[str, float]
) -> dict[str, Resampled]:
    """Measure rows Z (n, d), already normalised, and the same rows drawn as often as weights (resamples, n) say.

    A resample repeats rows, and has fewer different ones: where n is not far above d its ranks are lower than those of any n rows
    that could have been drawn. What it tells is how much values scatter. So the values of resamples are shifted, all by as much,
    so that their mean is that of the rows themselves. Limit: no shift where n is far above d.
    Source: Efron, Tibshirani 1993, section 10.2 (the bootstrap's estimate of bias).
    """
    whole = measure(row_spectrum(Z, centred), names, **parameters)
    again = measure(reweighted(Z, weights, centred), names, **parameters)
    drawn = {name: np.broadcast_to(np.asarray(result.value, dtype=float), len(weights)) for name, result in again.items()}
    return {
        name: Resampled(result, drawn[name] + (float(result.value) - np.nanmean(drawn[name])))
        for name, result in whole.items()
        if np.isfinite(result.value) and np.isfinite(drawn[name]).any()
    }
