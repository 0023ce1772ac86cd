"""Metrics of a corpus with one row for each text, at every state of one model and of its nulls."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from geomkit.core.arrays import as_numpy
from geomkit.core.provenance import rng
from geomkit.core.variants import TRAINED
from geomkit.laws.resampling import Documents, percentile_interval
from geomkit.measures.entropy import measure
from geomkit.measures.nulls import null_rows
from geomkit.measures.resampled_rows import resampled_metrics
from geomkit.measures.spectra import is_centred, normalise, row_spectrum
from geomkit.states.spectra import Spectra
from geomkit.states.stream import states_type
from geomkit.studies.portrait.profiles import DRAWS, GAUSSIAN, Profiles, at

RESAMPLES = 200
"""Resamples of documents, each of which takes an eigendecomposition of its own."""


def pooled_rows(
    file: Spectra,
    own: Profiles,
    documents: Documents,
    metrics: Sequence[str],
    parameters: Mapping[str, float],
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield rows of section `depth` whose scope is `last` or `mean`: the trained model's with an interval over documents.

    All are of the texts that every variant has read, since an effective rank depends on how many rows there are.
    Gaussian rows are as many, and of the width of the state; the mean over draws.
    """
    read = [set(file.measured_texts(variant).tolist()) for variant in own.variants]
    shared = sorted(set.intersection(*read))
    texts, several = len(shared), len({own.documents[text] for text in shared})
    weights = documents.draws.T[:RESAMPLES, shared]
    weights = weights[weights.any(axis=1)]
    dtype = states_type(file.attributes)

    @cache
    def drawn(d: int, mode: str) -> dict[str, float]:
        clouds = np.stack([null_rows(GAUSSIAN, texts, d, rng(seed, GAUSSIAN, "texts", d, draw)) for draw in range(DRAWS)])
        spectrum = row_spectrum(normalise(clouds, mode), is_centred(mode))
        measured = measure(spectrum, metrics, **parameters)
        return {name: float(np.mean(as_numpy(np.asarray(one.value)))) for name, one in measured.items()}

    for variant in own.variants:
        for kind, state in file.pooled_rows(variant):
            for mode in own.modes:
                if texts <= is_centred(mode) or state not in own.widths:
                    continue
                rows = file.pooled(variant, state, kind)[np.isin(file.measured_texts(variant), shared)]
                cloud = normalise(rows, mode, dtype=dtype)
                common = {"section": "depth", **at(own, state), "normalise": mode, "scope": kind, "n": texts, "sinks": "with"}
                common |= {"texts": texts}
                if variant == TRAINED:
                    for name, one in resampled_metrics(cloud, weights, is_centred(mode), metrics, parameters).items():
                        low, high = percentile_interval(one.drawn) if several > 1 else (None, None)
                        bound = None if one.measured.bound is None else float(one.measured.bound)
                        columns = {"low": low, "high": high, "bound": bound, "documents": several}
                        yield {**common, "variant": variant, "metric": name, "value": float(one.measured.value), **columns}
                    for name, value in drawn(own.widths[state], mode).items():
                        yield {**common, "variant": GAUSSIAN, "metric": name, "value": value}
                    continue
                for name, result in measure(row_spectrum(cloud, is_centred(mode)), metrics, **parameters).items():
                    if np.isfinite(result.value):
                        yield {**common, "variant": variant, "metric": name, "value": float(result.value)}
