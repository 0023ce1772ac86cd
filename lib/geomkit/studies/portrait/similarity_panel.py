"""Similarity of all pairs of states, of one model or of two: the panel of the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from geomkit.core.variants import TRAINED
from geomkit.studies.portrait.charts import (
    BLOCKS,
    BLUE,
    DEPTH,
    RELATIVE,
    SOLID,
    Chart,
    Row,
    Rows,
    Series,
    Switch,
    panel,
    relative,
    state_name,
    ticks_of,
    title_of,
    unique,
    variant_series,
)
from geomkit.studies.portrait.rows import NEIGHBOURS, TOKENS, Facts

ROWS = {TOKENS: "sampled tokens", "last": "last token of each text", "mean": "mean of each text"}
"""What the rows of a cloud are."""
CURVE = Series("at equal relative depth", BLUE, SOLID)


def similarity_panel(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the similarity of all pairs of states: of a model and of its twin, or of two models, also at equal depth."""
    own = rows["similarity"]
    columns = ("x", "place", "y", "other", "value", "low", "high", "null", "n", "documents")
    places = {"first": axis_of_states(own, "layer", "place"), "second": axis_of_states(own, "other_layer", "other_place")}
    found = [
        dict(row)
        | {
            "view": (row["metric"], row["scope"]),
            "series": row["variant"],
            "x": places["first"][row["layer"], row["place"]],
            "y": places["second"][row["other_layer"], row["other_place"]],
            "place": state_name(row["layer"], row["place"]),
            "other": state_name(row["other_layer"], row["other_place"]),
        }
        for row in own
    ]
    ticks = [labels(positions) for positions in places.values()]
    if facts.kind == "comparison":
        axes = [f"{model}: {BLOCKS}" for model in facts.models]
        series = {TRAINED: Series(" and ".join(facts.models), BLUE)}
        charts = [
            Chart("similarity", "", series, columns, found, ("place", "other"), ticks[0], axes[0], ticks[1], axes[1]),
            curve(own, facts),
        ]
        look = "Look along the diagonal: models that come to the same states at the same relative depth are alike there."
    else:
        charts = []
        for variant in unique(found, "variant"):
            series = {variant: variant_series(variant, facts)}
            mine = [row for row in found if row["variant"] == variant]
            charts.append(Chart("similarity", "", series, columns, mine, ("place", "other"), ticks[0], BLOCKS))
        look = (
            "Look for squares along the diagonal: stages of depth whose states are alike. The untrained twin shows what the "
            "architecture alone does."
        )
    caption = (
        "The stronger the colour, the more alike: 1 is equal up to rotation, shift and scale, and 0 is what remains if documents "
        f"are exchanged in one of the two states. {look} CKA weighs all pairs of tokens; shared neighbours are among the "
        f"{NEIGHBOURS} nearest tokens of other documents. Vectors have unit length."
    )
    switches = {
        "metric": Switch("Measure", {name: title_of(name, facts) for name in unique(own, "metric")}),
        "rows": Switch("Rows", {scope: ROWS[scope] for scope in unique(own, "scope")}),
    }
    return panel(caption, charts, switches)


def axis_of_states(rows: Sequence[Row], layer: str, place: str) -> dict[tuple[int, str], float]:
    """Return where each state is on an axis that has all of them side by side, in order of depth."""
    states = {(row[layer], row[place]): row[place] == "final" for row in rows}
    return {state: float(number) for number, state in enumerate(sorted(states, key=lambda state: (state[0], states[state])))}


def labels(positions: Mapping[tuple[int, str], float]) -> dict[float, str]:
    """Return the labels on such an axis, without those for which there is no room beside the last one."""
    last = max(positions.values())
    return {x: label for x, label in ticks_of(positions).items() if x == last or last - x >= last / 10}


def curve(rows: Sequence[Row], facts: Facts) -> Chart:
    """Return the similarity of two models' states at equal relative depth."""
    found = [
        dict(row)
        | {
            "view": (row["metric"], row["scope"]),
            "series": TRAINED,
            "x": relative(row),
            "place": state_name(row["layer"], row["place"]),
            "other": state_name(row["other_layer"], row["other_place"]),
        }
        for row in equally_deep(rows)
    ]
    columns = ("x", "place", "other", "value", "low", "high", "null", "n", "documents")
    return Chart("curve", "", {TRAINED: CURVE}, columns, found, ("place", "other"), RELATIVE, DEPTH)


def equally_deep(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of two models' states at equal relative depth, the nearest state of the second for each of the first."""
    blocks = [row for row in rows if not {row["place"], row["other_place"]} & FINAL_PLACES]
    depth, other_depth = (max((row[layer] for row in blocks), default=0) for layer in ("layer", "other_layer"))
    beside = [row for row in blocks if depth and row["other_layer"] == round(row["layer"] * other_depth / depth)]
    return beside + [row for row in rows if row["place"] == row["other_place"] and row["place"] in FINAL_PLACES]


FINAL_PLACES = {"plain", "final"}
"""Places after the blocks."""
