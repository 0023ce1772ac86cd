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
                if texts <= is_centred(mode) or state not in own.widths:
                    continue
                rows = cloud(file, variant, state, kind, mode, shared)
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
    a, b = profiles
    shared = shared_texts((file, TRAINED) for file in files)
    texts, several = len(shared), len({a.documents[text] for text in shared})
    weights = weights_of(documents, shared)
    kinds = [{*file.pooled_rows(TRAINED)} for file in files]
    for kind, mode in product(sorted({kind for kind, _ in kinds[0]}), a.modes):
        common = {"section": "depth", "normalise": mode, "scope": kind, "n": texts, "texts": texts}
        if texts <= is_centred(mode):
            continue
        differences: dict[str, list[tuple[State, Resampled, Resampled]]] = {}
        for own, other in pairs.items():
            if not ((kind, own) in kinds[0] and (kind, other) in kinds[1] and own in a.widths and other in b.widths):
                continue
            both = [
                resampled_metrics(cloud(file, TRAINED, state, kind, mode, shared), weights, is_centred(mode), metrics, parameters)
                for file, state in zip(files, (own, other), strict=True)
            ]
            for model, profile, state, measured in zip(models, profiles, (own, other), both, strict=True):
                for name, one in measured.items():
                    yield {"model": model, **common, "sinks": "with", **at(profile, state), **resampled_row(name, one, several)}
            for name in both[0].keys() & both[1].keys():
                differences.setdefault(name, []).append((own, both[0][name], both[1][name]))
        for name, found in sorted(differences.items()):
            value = np.array([float(two.measured.value) - float(one.measured.value) for _, one, two in found])
            band = band_of(value, np.stack([two.drawn - one.drawn for _, one, two in found], axis=1))
            ends = [("low", band.low), ("high", band.high), ("band_low", band.band_low), ("band_high", band.band_high)]
            for place, (state, _, _) in enumerate(found):
                columns = {column: float(end[place]) for column, end in ends} if several > 1 else {}
                row = {**common, "section": "difference", **at(a, state), "metric": name, "value": float(value[place])}
                yield {"model": f"{models[1]} minus {models[0]}", **row, **columns, "documents": several}


def shared_texts(read: Iterable[tuple[Spectra, str]]) -> list[int]:
    """Return the texts that were measured in each variant of each file."""
    return sorted(set.intersection(*(set(file.measured_texts(variant).tolist()) for file, variant in read)))


def weights_of(documents: Documents, texts: Sequence[int]) -> Array:
    """Return how often each text was drawn (resamples, texts), without resamples that drew none."""
    weights = documents.draws.T[:RESAMPLES, texts]
    return np.asarray(weights[weights.any(axis=1)])


def cloud(file: Spectra, variant: str, state: State, kind: str, mode: str, texts: Sequence[int]) -> Array:
    """Return one row for each of some texts (texts, d), normalised."""
    rows = file.pooled(variant, state, kind)[np.isin(file.measured_texts(variant), texts)]
    return np.asarray(normalise(rows, mode, dtype=states_type(file.attributes)))


def resampled_row(name: str, one: Resampled, documents: int) -> dict[str, Any]:
    """Return the columns of a trained model's metric, with an interval where there is more than one document."""
    low, high = percentile_interval(one.drawn) if documents > 1 else (None, None)
    bound = None if one.measured.bound is None else float(one.measured.bound)
    columns = {"low": low, "high": high, "bound": bound, "documents": documents}
    return {"variant": TRAINED, "metric": name, "value": float(one.measured.value), **columns}
