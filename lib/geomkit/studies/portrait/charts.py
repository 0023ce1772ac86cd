"""Cut rows of a portrait's table into charts with switches: what every section of its page is made of.

A panel's rows are cut into views, one for each choice of its switches, so that a browser draws no more than is seen. A chart is
named here, and drawn in `geomkit.studies.portrait.page`.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from geomkit.core.declarations import described
from geomkit.core.variants import TRAINED, base
from geomkit.studies.portrait.rows import Facts

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]
"""Rows of a table by their section."""

DRAWN = described("geomkit.measures.nulls", "variant") | described("geomkit.models.variants", "variant")
DASHES: dict[str, list[float]] = {"-": [1, 0], "--": [6, 3], ":": [1.5, 2.5]}
"""Lengths of strokes and gaps, in pixels, of the lines that matplotlib has names for."""
SOLID, DASHED, DOTTED = DASHES.values()
BLUE, VERMILION, GREEN, ORANGE, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#737373"

WITHOUT, EDGE, HERE, WIDTH, REFERENCE = "without", "edge", "here", "width", "reference"
"""Names of series that are no variants."""
FIRST = "erank_covariance"
"""The metric that is shown first."""
SHARES = ("top_1_share", "top_5_share", "top_10_share", "directions_90", "directions_99")
"""Metrics in the table below a spectrum."""
NORMALISATIONS = {"unit": "unit length", "centre-unit": "centred, unit length", "centre": "centred", "raw": "as they are"}
"""Normalisations in words."""
SCOPES = {"corpus": "all texts together", "last": "last token of each text", "mean": "mean of each text"}
"""Clouds of a whole corpus in words."""
STATES = {"embedding": "embedding", "plain": "final norm, without its weights", "final": "final norm"}
"""Places that are not blocks."""


@dataclass(frozen=True)
class Series:
    """How a series is called and drawn."""

    label: str
    colour: str
    dash: Sequence[float] = (1, 0)


@dataclass(frozen=True)
class Switch:
    """A choice between views: its options with their labels, in order, and the one that is chosen first, if not the first."""

    label: str
    options: Mapping[str, str]
    start: str = ""


@dataclass(frozen=True)
class Chart:
    """Rows of a chart, each with its `view`, the values of the panel's switches, and its `series`.

    kind: the drawing. columns: those of its CSV besides view and series. index: what a line of the table of
    numbers is for. ticks, axis: labels on the axis of depth, and its title; other_ticks, other_axis: those of a second one, where
    that differs. A title of "" is made of the switches.
    """

    kind: str
    title: str
    series: Mapping[str, Series]
    columns: Sequence[str]
    rows: Sequence[Row]
    index: Sequence[str]
    ticks: Mapping[float, str] = field(default_factory=dict)
    axis: str = ""
    other_ticks: Mapping[float, str] = field(default_factory=dict)
    other_axis: str = ""


def panel(caption: str, charts: Sequence[Chart], switches: Mapping[str, Switch], **parts: Any) -> dict[str, Any]:
    """Return charts with their switches, as the page takes them."""
    views = list(dict.fromkeys(row["view"] for chart in charts for row in chart.rows))
    number = {view: place for place, view in enumerate(views)}
    return {
        "caption": caption,
        "switches": [
            {
                "name": name,
                "label": switch.label,
                "options": list(map(list, switch.options.items())),
                "start": switch.start or next(iter(switch.options)),
            }
            for name, switch in switches.items()
        ],
        "views": list(map(list, views)),
        "charts": [
            {
                "kind": chart.kind,
                "title": chart.title,
                "index": list(chart.index),
                "series": [{"name": name, **vars(one)} for name, one in chart.series.items()],
                "ticks": list(map(list, chart.ticks.items())),
                "axis": chart.axis,
                "other_ticks": list(map(list, chart.other_ticks.items())),
                "other_axis": chart.other_axis,
                "csv": as_csv(chart, number),
            }
            for chart in charts
        ],
        **parts,
    }


def as_csv(chart: Chart, number: Mapping[Any, int]) -> str:
    """Return a chart's rows as CSV, with numbers for views, in their order; the first series is last, and drawn on the others."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["view", "series", *chart.columns])
    place = {name: -at for at, name in enumerate(chart.series)}
    for row in sorted(chart.rows, key=lambda row: (number[row["view"]], place[row["series"]])):
        writer.writerow([number[row["view"]], row["series"], *(cell(row[column]) for column in chart.columns)])
    return stream.getvalue()


def cell(value: Any) -> str:
    """Return a value as text: five digits of a number, nothing for what is not known."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.5g}"
    return "" if value is None else str(value)


def by_section(table: pa.Table) -> dict[str, list[Row]]:
    """Return the rows of a table by their section."""
    rows: dict[str, list[Row]] = {}
    for row in table.to_pylist():
        rows.setdefault(row["section"], []).append(row)
    return rows


def reason(needs: str, facts: Facts) -> str:
    """Return why a section of the table has no rows."""
    return facts.absent.get(needs, "nothing of this kind was measured")


def is_trained(row: Row) -> bool:
    """Whether a row is about the trained model, with its sinks."""
    return (row["variant"], row["sinks"]) == (TRAINED, "with")


def digits(value: float | None) -> float | None:
    """Return a number to six digits, None for what is not known."""
    return None if value is None or math.isnan(value) else float(f"{value:.6g}")


def view_of(row: Row) -> tuple[str, str, str]:
    """Return the values of the switches metric, normalisation and tokens."""
    return row["metric"], row["normalise"], row["scope"] if row["scope"] in SCOPES else str(row["n"])


def switches_of(rows: Sequence[Row], facts: Facts) -> dict[str, Switch]:
    """Return the switches metric, normalisation and tokens, with the options that the rows have."""
    metrics = sorted(
        unique(rows, "metric"), key=lambda one: (one != FIRST, list(facts.labels).index(one) if one in facts.labels else -1)
    )
    tokens = lengths_in(row for row in rows if row["scope"] not in SCOPES)
    present = set(unique(rows, "scope"))
    tokens |= {scope: words for scope, words in SCOPES.items() if scope in present}
    return {
        "metric": Switch("Metric", {one: title_of(one, facts) for one in metrics}),
        "normalise": normalise_switch(rows),
        "tokens": Switch("Tokens", tokens),
    }


def lengths_in(rows: Iterable[Row]) -> dict[str, str]:
    """Return lengths of texts as options, the longest first."""
    return {str(n): f"first {n} of each text" for n in sorted(unique(rows, "n"), reverse=True)}


def normalise_switch(rows: Sequence[Row]) -> Switch:
    return Switch("Token vectors", {one: words_for(one) for one in unique(rows, "normalise")})


def words_for(normalise: str) -> str:
    """Return a normalisation in words."""
    return NORMALISATIONS.get(normalise, normalise)


def unique(rows: Iterable[Row], column: str) -> list[Any]:
    """Return the values of a column, in order, each once."""
    return list(dict.fromkeys(row[column] for row in rows if row[column] is not None))


def series_of(row: Row) -> str:
    """Return the series of a row about a variant: another one where sinks were left out."""
    return f"{row['variant']} {WITHOUT}" if row["sinks"] == WITHOUT else str(row["variant"])


def series_in(rows: Iterable[Row], facts: Facts) -> dict[str, Series]:
    """Return the series of rows about variants: the trained model first, and then in the order of the facts."""
    order = {name: place for place, name in enumerate(facts.variants)}
    names = sorted({row["series"]: None for row in rows}, key=lambda one: order.get(one.split()[0], len(order)))
    return {name: variant_series(name, facts) for name in names}


def variant_series(name: str, facts: Facts) -> Series:
    """Return how a variant is called and drawn, as its declaration says."""
    variant, _, without = name.partition(" ")
    declared = DRAWN[base(variant)].facts if base(variant) in DRAWN else {"label": variant, "colour": "0.4", "line": "--"}
    label = facts.variants.get(variant, declared["label"].replace("\n", " "))
    if without:
        return Series(f"{label}, sinks left out", ORANGE if variant == TRAINED else GREY, (7, 2))
    return Series(label, hexadecimal(declared["colour"]), dash(declared["line"]))


def hexadecimal(colour: str) -> str:
    """Return a colour of matplotlib as #rrggbb: a grey is a number between 0 and 1."""
    return colour if colour.startswith("#") else "#" + f"{round(255 * float(colour)):02x}" * 3


def dash(line: Any) -> list[float]:
    """Return a line of matplotlib as lengths of strokes and gaps, in pixels."""
    return DASHES[line] if isinstance(line, str) else [1.75 * length for length in line[1]]


def title_of(metric: str, facts: Facts) -> str:
    """Return a metric with its unit, unless its label has that."""
    label, unit = facts.labels.get(metric, (metric, ""))
    return f"{label} ({unit})" if unit and unit != "ratio" and unit not in label else label


# Places along depth


BLOCKS, DEPTH = "block (0: the embedding)", "relative depth (0: the embedding, 1: the last block)"
"""Titles of the two axes."""


def axis_of(rows: Iterable[Row]) -> dict[tuple[int, str], float]:
    """Return where each state is on the axis of layers: final states stand apart from the blocks, the plain one first."""
    states = {(row["layer"], row["place"]) for row in rows if row["layer"] is not None}
    blocks = max((layer for layer, place in states if place not in ("plain", "final")), default=0)
    gap = max(0.5, blocks / 6)
    apart: dict[str, float] = {"plain": blocks + gap, "final": blocks + 2 * gap}
    positions = {(layer, place): apart.get(place, float(layer)) for layer, place in states}
    return dict(sorted(positions.items(), key=lambda one: one[1]))


def last_block(positions: Mapping[tuple[int, str], float]) -> float:
    """Return where the last block is on the axis of layers; the final states are beyond it."""
    return max((x for (_, place), x in positions.items() if place not in ("plain", "final")), default=0)


def places_of(row: Row, positions: Mapping[tuple[int, str], float]) -> Iterator[tuple[float, str]]:
    """Yield a row's places on the axis, with their names. What has no layer, such as drawn rows, is at all of them."""
    for state in states_of(row, positions):
        yield positions[state], state_name(*state)


def states_of(row: Row, states: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the states, of those given, that a row is about."""
    return [state for state in states if row["layer"] is None or (row["layer"], row["place"]) == state]


def state_name(layer: int, place: str) -> str:
    """Return a state in words."""
    return STATES.get(place, f"block {layer}, the last" if place == "last" else f"block {layer}")


def ticks_of(positions: Mapping[tuple[int, str], float]) -> dict[float, str]:
    """Return the labels on the axis of layers."""
    blocks = int(last_block(positions))
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if blocks / step <= 7)
    inner = {float(layer): str(layer) for layer in range(step, blocks, step) if blocks - layer > step / 2}
    ends = {x: {"plain": "plain", "final": "final"}[place] for (_, place), x in positions.items() if place in ("plain", "final")}
    return {0.0: "0"} | inner | {float(blocks): str(blocks)} | ends


# Two models


def models_series(facts: Facts) -> dict[str, Series]:
    """Return how two models are called and drawn."""
    return {model: Series(model, *look) for model, look in zip(facts.models, ((BLUE, SOLID), (VERMILION, DASHED)), strict=False)}


PLAIN, FINAL = 1.16, 1.32
"""Where final states stand on the axis of relative depth."""
RELATIVE = {0.0: "0", 0.25: "¼", 0.5: "½", 0.75: "¾", 1.0: "1", PLAIN: "plain", FINAL: "final"}
"""Labels on that axis."""


def relative(row: Row) -> float:
    """Return where a state is on the axis of relative depth."""
    return {"plain": PLAIN, "final": FINAL}.get(row["place"], float(row["depth"]))
