"""The section of the page on intrinsic dimension: along depth beside its nulls, and against the scale."""

from collections.abc import Sequence
from typing import Any

from geomkit.core.declarations import described
from geomkit.core.variants import TRAINED
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
from geomkit.studies.portrait.rows import Facts

ESTIMATORS = described("geomkit.measures.intrinsic_dimension", "dimensions.register")
SAME_COVARIANCE = "same-covariance"
"""The null of Gaussian rows that have the covariance of the trained model's rows."""
TYPES, TOKENS = "types", "tokens"
"""Which rows make a cloud: one row of each different token, or those of all sampled tokens."""
CLOUDS = {TYPES: "one of each token", TOKENS: "all sampled tokens"}
FIRST = ("gride", 8)
"""Estimator and scale that are shown first, and that sentences are about."""
LOOK = Series("Gaussian rows, same covariance", VERMILION, (1.5, 2.5))


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
