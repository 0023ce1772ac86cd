"""The intrinsic dimension of sampled tokens' rows at every state: rows of the table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.core.variants import TRAINED
from geomkit.measures.intrinsic_dimension import Dimension, Neighbours, estimated, interval_of_quarters, nearest_neighbours
from geomkit.measures.nulls import gaussian_with_covariance, random_frame
from geomkit.measures.sinks import sinks
from geomkit.states.extracts import row_lengths
from geomkit.states.spectra import Spectra
from geomkit.studies.portrait.dimension_panel import CLOUDS, SAME_COVARIANCE, TOKENS, TYPES
from geomkit.studies.portrait.profiles import Profiles, at


def dimension_rows(file: Spectra, own: Profiles, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the dimension of every variant at every state and scale, of both clouds.

    Gaussian rows of the same covariance are a null of different tokens alone: rows of equal tokens lie together, whatever a model
    has learnt, and those of no Gaussian cloud do.
    """
    frames: dict[tuple[int, int], Array] = {}
    for scope in CLOUDS:
        for variant in own.variants:
            for state, (rows, neighbours) in clouds([file], [own], variant, scope)[0].items():
                own.missing.pop("dimension", None)
                yield from rows_of(own, state, variant, scope, estimated(neighbours))
                if (variant, scope) == (TRAINED, TYPES):
                    shape = (neighbours.n, min(neighbours.n - 1, rows.shape[1]))
                    if shape not in frames:
                        frames[shape] = random_frame(*shape, rng(seed, SAME_COVARIANCE, *shape))
                    drawn = gaussian_with_covariance(rows[neighbours.distinct].astype(np.float64), frames[shape])
                    found = estimated(nearest_neighbours(drawn, np.arange(len(drawn))))
                    yield from rows_of(own, state, SAME_COVARIANCE, scope, found)


def clouds(
    files: Sequence[Spectra], profiles: Sequence[Profiles], variant: str, scope: str
) -> list[dict[State, tuple[Array, Neighbours]]]:
    """Find the neighbours among rows of sampled tokens, the same of each file, at every state of each.

    Reasons why there are none go to what is missing.
    """
    found: list[dict[State, tuple[Array, Neighbours]]] = [{} for _ in files]
    try:
        sets = [chosen_tokens(file, own, variant, scope) for file, own in zip(files, profiles, strict=True)]
        chosen = sorted(set(sets[0]).intersection(*sets))
        documents = documents_of(files[0], variant)[chosen]
    except DataError as why:
        for own in profiles:
            own.missing[f"dimension, {CLOUDS[scope]}, {variant}"] = str(why)
            own.missing.setdefault("dimension", str(why))
        return found
    for file, own, of_states in zip(files, profiles, found, strict=True):
        for state in own.states:
            rows = file.sample(variant, state)[chosen]
            try:
                near = nearest_neighbours(rows, documents, dtype=str(file.attributes.get("dtype", "float32")))
                of_states[state] = rows, near
            except DataError as why:
                own.missing[f"dimension, {CLOUDS[scope]}, {variant}, {own.place(state)}"] = str(why)
                own.missing.setdefault("dimension", str(why))
    return found


def documents_of(file: Spectra, variant: str) -> np.ndarray:
    """Return the document of each sampled token. Raises DataError where no rows were kept."""
    texts = np.searchsorted(file.text_list.offset, file.sampled_tokens(variant), side="right") - 1
    return np.asarray(file.text_list.document)[texts]


def chosen_tokens(file: Spectra, own: Profiles, variant: str, scope: str) -> list[int]:
    """Return which sampled tokens make a cloud: all; or of each different token one, at random, without sinks.

    A few sinks make the covariance, and near neighbours do not see them. Raises DataError where tokens are not known.
    """
    tokens = file.sampled_tokens(variant)
    if scope == TOKENS:
        return list(range(len(tokens)))
    ids = file.ids(variant)[tokens]
    if (ids < 0).any():
        raise DataError("the ids of tokens are not known, so equal ones cannot be left out")
    order = rng(0, "one of each token", len(ids)).permutation(len(ids))
    lengths = np.stack([row_lengths(file.sample(variant, state)) for state in own.blocks])
    one_of_each = order[np.unique(ids[order], return_index=True)[1]]
    return one_of_each[~sinks(lengths)[one_of_each]].tolist()


def rows_of(own: Profiles, state: State, variant: str, scope: str, found: Mapping[str, Dimension]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one cloud: each estimate with its interval, and how many rows were equal to others."""
    common = {"section": "dimension", "variant": variant, **at(own, state), "normalise": "raw", "scope": scope}
    common["documents"] = None if variant == SAME_COVARIANCE else next(iter(found.values())).documents
    for metric, one in found.items():
        yield from (common | {"n": one.n, "metric": metric} | row for row in at_scales(one.scales, one.value, *one.interval))
    if variant != SAME_COVARIANCE:
        one = next(iter(found.values()))
        yield common | {"n": one.n, "metric": "repeated", "value": float(one.repeated)}


def compared_rows(
    files: Sequence[Spectra], profiles: Sequence[Profiles], models: Sequence[str], pairs: Mapping[State, State], alike: bool
) -> Iterator[dict[str, Any]]:
    """Yield the dimension of two trained models and, where they read the same tokens, its difference at paired states.

    Intervals of a difference are over the same documents of both models.
    """
    together = [(files, profiles)] if alike else [([file], [own]) for file, own in zip(files, profiles, strict=True)]
    for scope in CLOUDS:
        near = [one for group in together for one in clouds(*group, TRAINED, scope)]
        found = [{state: estimated(one) for state, (_, one) in of_states.items()} for of_states in near]
        for model, own, of_states in zip(models, profiles, found, strict=True):
            for state, one in of_states.items():
                yield from ({"model": model, **row} for row in rows_of(own, state, TRAINED, scope, one))
        for state, other in pairs.items() if alike else ():
            if state in found[0] and other in found[1]:
                common = {"section": "dimension", "model": f"{models[1]} minus {models[0]}", **at(profiles[0], state)}
                common |= {"normalise": "raw", "scope": scope}
                yield from (common | row for row in differences(found[0][state], found[1][other]))


def differences(first: Mapping[str, Dimension], second: Mapping[str, Dimension]) -> Iterator[dict[str, Any]]:
    """Yield the columns of the second estimates minus the first at the scales that both have."""
    for metric, one in first.items():
        count = min(len(one.scales), len(second[metric].scales))
        value = second[metric].value[:count] - one.value[:count]
        alike = len(one.quarters) == len(second[metric].quarters)
        quarters = second[metric].quarters[:, :count] - one.quarters[:, :count] if alike else np.empty((0, count))
        ends = interval_of_quarters(value, quarters, one.documents)
        for row in at_scales(one.scales[:count], value, *ends):
            yield {"metric": metric, **row}


def at_scales(scales: Sequence[int], value: Array, low: Array, high: Array) -> Iterator[dict[str, Any]]:
    """Yield the columns of an estimate at each scale where there is one; `rank` is the scale."""
    for scale, middle, *ends in zip(scales, value, low, high, strict=True):
        if np.isfinite(middle):
            below, above = (float(end) if np.isfinite(end) else None for end in ends)
            yield {"rank": scale, "value": float(middle), "low": below, "high": above}
