"""Metrics of a corpus with one row for each text, at every state of one model and of its nulls."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from geomkit.core.arrays import Array, as_numpy
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.core.variants import TRAINED
from geomkit.laws.resampling import Documents, band_of, percentile_interval
from geomkit.measures.entropy import measure
from geomkit.measures.nulls import null_rows
from geomkit.measures.resampled_rows import Resampled, resampled_metrics
from geomkit.measures.spectra import is_centred, normalise, row_spectrum
from geomkit.states.spectra import Spectra
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
    shared = shared_texts((file, variant) for variant in own.variants)
    texts, several = len(shared), len({own.documents[text] for text in shared})
    weights = weights_of(documents, shared)

    @cache
    def drawn(d: int, mode: str) -> dict[str, float]:
        clouds = np.stack([null_rows(GAUSSIAN, texts, d, rng(seed, GAUSSIAN, "texts", d, draw)) for draw in range(DRAWS)])
        spectrum = row_spectrum(normalise(clouds, mode), is_centred(mode))
        measured = measure(spectrum, metrics, **parameters)
        return {name: float(np.mean(as_numpy(np.asarray(one.value)))) for name, one in measured.items()}

    for variant in own.variants:
        for kind, state in file.pooled_rows(variant):
            for mode in own.modes:
                rows = file.cloud(variant, mode, state, kind, shared) if state in own.widths else None
                if rows is None:
                    continue
                common = {"section": "depth", **at(own, state), "normalise": mode, "scope": kind, "n": texts, "sinks": "with"}
                common |= {"texts": texts}
                if variant == TRAINED:
                    for name, one in resampled_metrics(rows, weights, is_centred(mode), metrics, parameters).items():
                        yield {**common, **resampled_row(name, one, several)}
                    for name, value in drawn(own.widths[state], mode).items():
                        yield {**common, "variant": GAUSSIAN, "metric": name, "value": value}
                    continue
                for name, result in measure(row_spectrum(rows, is_centred(mode)), metrics, **parameters).items():
                    if np.isfinite(result.value):
                        yield {**common, "variant": variant, "metric": name, "value": float(result.value)}


def compared_clouds(
    files: Sequence[Spectra],
    profiles: Sequence[Profiles],
    models: Sequence[str],
    pairs: Mapping[State, State],
    documents: Documents,
    metrics: Sequence[str],
    parameters: Mapping[str, float],
) -> Iterator[dict[str, Any]]:
    """Yield the same of two models, and the second minus the first, with an interval over documents and a band over states.

    pairs: the second model's state for each of the first one's. All are of the texts that both have read, in the same resamples.
    """
    shared = shared_texts((file, TRAINED) for file in files)
    texts, several = len(shared), len({profiles[0].documents[text] for text in shared})
    weights = weights_of(documents, shared)
    kinds = list(dict.fromkeys(kind for kind, _ in files[0].pooled_rows(TRAINED)))
    for kind, mode in product(kinds, profiles[0].modes):
        common = {"normalise": mode, "scope": kind, "n": texts, "texts": texts}
        measured: list[dict[State, dict[str, Resampled]]] = [{}, {}]
        for model, file, profile, found in zip(models, files, profiles, measured, strict=True):
            for own, state in file.pooled_rows(TRAINED):
                rows = file.cloud(TRAINED, mode, state, kind, shared) if own == kind and state in profile.widths else None
                if rows is None:
                    continue
                found[state] = resampled_metrics(rows, weights, is_centred(mode), metrics, parameters)
                where = {"model": model, "section": "depth", **common, "sinks": "with", **at(profile, state)}
                for name, one in found[state].items():
                    yield {**where, **resampled_row(name, one, several)}
        both = [
            (own, measured[0][own], measured[1][other])
            for own, other in pairs.items()
            if own in measured[0] and other in measured[1]
        ]
        for name in dict.fromkeys(name for _, one, two in both for name in one.keys() & two.keys()):
            states = [(own, one[name], two[name]) for own, one, two in both if name in one and name in two]
            value = np.array([float(two.measured.value) - float(one.measured.value) for _, one, two in states])
            band = band_of(value, np.stack([two.drawn - one.drawn for _, one, two in states], axis=1))
            ends = [("low", band.low), ("high", band.high), ("band_low", band.band_low), ("band_high", band.band_high)]
            for place, (state, _, _) in enumerate(states):
                columns = {column: float(end[place]) for column, end in ends} if several > 1 else {}
                row = {"section": "difference", **common, **at(profiles[0], state), "metric": name, "value": float(value[place])}
                yield {"model": f"{models[1]} minus {models[0]}", **row, **columns, "documents": several}


def shared_texts(read: Iterable[tuple[Spectra, str]]) -> list[int]:
    """Return the texts that were measured in each variant of each file."""
    return sorted(set.intersection(*(set(file.measured_texts(variant).tolist()) for file, variant in read)))


def weights_of(documents: Documents, texts: Sequence[int]) -> Array:
    """Return how often each text was drawn (resamples, texts), without resamples that drew none."""
    weights = documents.draws.T[:RESAMPLES, texts]
    return np.asarray(weights[weights.any(axis=1)])


def resampled_row(name: str, one: Resampled, documents: int) -> dict[str, Any]:
    """Return the columns of a trained model's metric, with an interval where there is more than one document."""
    low, high = percentile_interval(one.drawn) if documents > 1 else (None, None)
    bound = None if one.measured.bound is None else float(one.measured.bound)
    columns = {"low": low, "high": high, "bound": bound, "documents": documents}
    return {"variant": TRAINED, "metric": name, "value": float(one.measured.value), **columns}
