"""The intrinsic dimension of sampled tokens' rows at every state: rows of the table, panels of the page, and a sentence."""

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
from geomkit.studies.portrait.charts import (
    BLOCKS,
    VERMILION,
    Chart,
    Row,
    Rows,
    Series,
    Switch,
    axis_of,
    panel,
    places_of,
    series_in,
    state_name,
    states_of,
    ticks_of,
    title_of,
    unique,
)
from geomkit.studies.portrait.facts import ESTIMATORS
from geomkit.studies.portrait.profiles import Profiles, at
from geomkit.studies.portrait.rows import Facts

SAME_COVARIANCE = "same-covariance"
"""The null of Gaussian rows that have the covariance of the trained model's rows."""
TYPES, TOKENS = "types", "tokens"
"""Which rows make a cloud: one row of each different token, or those of all sampled tokens."""
CLOUDS = {TYPES: "one of each token", TOKENS: "all sampled tokens"}
FIRST = ("gride", 8)
"""Estimator and scale that are shown first, and that sentences are about."""
LOOK = Series("Gaussian rows, same covariance", VERMILION, (1.5, 2.5))


# Rows


def dimension_rows(file: Spectra, own: Profiles, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the dimension of every variant at every state and scale, of both clouds.

    Gaussian rows of the same covariance are a null of different tokens alone: rows of equal tokens lie together, whatever a model
    has learnt, and those of no Gaussian cloud do.
    """
    frames: dict[tuple[int, int], Array] = {}
    for scope in CLOUDS:
        for variant in own.variants:
            for state, (rows, neighbours) in clouds([file], [own], variant, scope)[0].items():
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


# Panels


def scale_of(row: Row) -> tuple[str, str, str]:
    """Return the values of the switches rows, estimator and scale."""
    return row["scope"], row["metric"], str(row["rank"])


def estimates(rows: Rows) -> list[Row]:
    """Return the rows that are estimates."""
    return [row for row in rows.get("dimension", ()) if row["metric"] in ESTIMATORS]


def shown_first(rows: Rows) -> tuple[str, str, str]:
    """Return the values of the switches that are shown first, as far as there are such rows."""
    found = estimates(rows)
    scope = next(one for one in CLOUDS if one in unique(found, "scope"))
    scales = sorted(row["rank"] for row in found if (row["scope"], row["metric"]) == (scope, FIRST[0]))
    return scope, FIRST[0], str(max((one for one in scales if one <= FIRST[1]), default=scales[0]))


def words_of_scale(scale: int) -> str:
    return f"neighbours {scale // 2} and {scale}"


def scale_switches(rows: Rows, facts: Facts) -> dict[str, Switch]:
    """Return the switches rows, estimator and scale."""
    found = estimates(rows)
    metrics = sorted(unique(found, "metric"), key=lambda one: one != FIRST[0])
    return {
        "rows": clouds_switch(found),
        "estimator": Switch("Estimator", {one: title_of(one, facts) for one in metrics}),
        "scale": Switch("Scale", {str(one): words_of_scale(one) for one in sorted(unique(found, "rank"))}, shown_first(rows)[2]),
    }


def clouds_switch(found: Sequence[Row]) -> Switch:
    """Return the switch of which rows make a cloud."""
    return Switch("Token vectors", {scope: label for scope, label in CLOUDS.items() if scope in unique(found, "scope")})


def series_of_rows(found: Sequence[Row], facts: Facts) -> dict[str, Series]:
    """Return how the trained model and its nulls are called and drawn."""
    declared = series_in((row for row in found if row["series"] != SAME_COVARIANCE), facts)
    return declared | ({SAME_COVARIANCE: LOOK} if any(row["series"] == SAME_COVARIANCE for row in found) else {})


def along_depth(rows: Rows, facts: Facts) -> Chart:
    """Return the dimension against layers, beside its nulls."""
    positions = axis_of(estimates(rows))
    found = [
        dict(row) | {"view": scale_of(row), "series": row["variant"], "x": x, "place": place}
        for row in estimates(rows)
        for x, place in places_of(row, positions)
    ]
    columns = ("x", "place", "value", "low", "high", "n", "d", "documents")
    return Chart("dimension", "", series_of_rows(found, facts), columns, found, ("place",), ticks_of(positions), BLOCKS)


def against_scale(rows: Rows, facts: Facts) -> tuple[Chart, dict[str, Switch]]:
    """Return Gride's dimension against the scale for each state and cloud, and the switches."""
    of = [row for row in estimates(rows) if row["metric"] == FIRST[0]]
    positions = axis_of(of)
    number = {state: str(place) for place, state in enumerate(positions)}
    middle = list(number)[(len(number) - 1) // 2]
    found = [
        dict(row)
        | {"view": (row["scope"], number[state]), "series": row["variant"], "scale": row["rank"], "place": state_name(*state)}
        for row in of
        for state in states_of(row, positions)
    ]
    columns = ("scale", "value", "low", "high", "n", "d", "documents")
    chart = Chart("scales", "", series_of_rows(found, facts), columns, found, ("scale",))
    switches = {"cloud": clouds_switch(of)}
    return chart, switches | {
        "state": Switch("State", {place: state_name(*state) for state, place in number.items()}, number[middle])
    }


def dimension_parts(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the dimension along depth, at a scale, and of one state against the scale."""
    along = (
        "How many dimensions the cloud of tokens' vectors has at the distance of two neighbours. Look where the trained model is "
        "below Gaussian rows of exactly its covariance: there it lies on something more curved or lower than its covariance "
        "says. Vectors of a token that recurs lie together, with training or without, so the first cloud has one vector of each "
        "token; it has no attention sinks, which would make the covariance. Few rows make every estimate too low, the nulls' "
        "too: compare lines at one scale. Shading is the 95 % interval over documents, that of Gaussian rows over rows."
        f"{counted_once(rows)}"
    )
    against = (
        "The scale is the rank of the farther neighbour: near ones see the finest structure and noise, far ones the whole cloud. "
        "Look where the trained model leaves its nulls; a Gaussian cloud stays on Gaussian rows of its covariance at every scale."
    )
    scales, states = against_scale(rows, facts)
    return {
        "panels": [
            panel(along, [along_depth(rows, facts)], scale_switches(rows, facts)),
            panel(against, [scales], states),
        ]
    }


def counted_once(rows: Rows) -> str:
    """Say at which state most rows of the trained model equal others, and how many."""
    repeated = [row for row in rows["dimension"] if row["metric"] == "repeated" and row["variant"] == TRAINED and row["value"]]
    if not repeated:
        return ""
    most = max(repeated, key=lambda row: row["value"])
    count, place = most["n"] + most["value"], state_name(most["layer"], most["place"])
    return f" Equal rows count once: of {count:.0f} rows, {most['value']:.0f} equal an earlier one at the {place}."
