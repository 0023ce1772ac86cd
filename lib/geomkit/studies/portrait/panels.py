"""Turn the table of a portrait into what its page shows: sections with panels, each of charts that share switches.

A panel's rows are cut into views, one for each choice of its switches, so that a browser draws no more than is seen. A chart is
named here, and drawn in `geomkit.studies.portrait.page`.
"""

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    numbers is for. ticks, axis: labels on the axis of depth, and its title. A title of "" is made of the switches.
    """

    kind: str
    title: str
    series: Mapping[str, Series]
    columns: Sequence[str]
    rows: Sequence[Row]
    index: Sequence[str]
    ticks: Mapping[float, str] = field(default_factory=dict)
    axis: str = ""


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


# Sections


def sections(rows: Rows, facts: Facts) -> Iterator[dict[str, Any]]:
    """Yield the sections of the page, in order. One whose rows are missing has the reason in their place."""
    yield {"id": "short", "title": "In short", "sentences": facts.sentences}
    if facts.kind == "comparison":
        yield section("depth", "Depth", "difference", rows, facts, lambda: {"panels": [difference_panel(rows, facts)]})
        yield section("loss", "Loss", "loss", rows, facts, lambda: {"losses": losses(rows, facts)})
    else:
        yield section("depth", "Depth", "depth", rows, facts, lambda: {"panels": [depth_panel(rows, facts)]})
        yield section("spectra", "Spectra", "spectrum", rows, facts, lambda: {"panels": [spectra_panel(rows, facts)]})
        yield section("norms", "Norms and sinks", "norms", rows, facts, lambda: norms_parts(rows, facts))
        yield section("tokens", "Tokens", "tokens", rows, facts, lambda: tokens_parts(rows, facts))
        yield section("standing", "Where it stands", "reference", rows, facts, lambda: {"panels": [standing_panel(rows, facts)]})
    yield {
        "id": "measured",
        "title": "What was measured",
        "facts": list(map(list, facts.measured)),
        "absences": list(map(list, facts.absent.items())),
        "command": facts.command,
    }


def section(
    name: str, title: str, needs: str, rows: Rows, facts: Facts, parts: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a section with its parts, or with the reason why the rows that it needs are absent."""
    return {"id": name, "title": title, **(parts() if rows.get(needs) else {"absent": reason(needs, facts)})}


def reason(needs: str, facts: Facts) -> str:
    """Return why a section of the table has no rows."""
    return facts.absent.get(needs, "nothing of this kind was measured")


def depth_panel(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return every metric against layers, with the nulls beside the trained model."""
    positions = axis_of(rows["depth"])
    found = [
        dict(row) | {"view": view_of(row), "series": series_of(row), "x": x, "place": place}
        for row in rows["depth"]
        for x, place in places_of(row, positions)
    ]
    caption = (
        "Look where the trained model leaves its nulls: Gaussian rows show what the numbers of tokens and dimensions "
        "alone give, an untrained twin what the architecture gives, and shuffled tokens what is left without their order. "
        "Shading is the 95 % interval over documents; the states after the final norm, without its learnt weights (plain) "
        "and with them (final), stand apart from the blocks."
    )
    columns = ("x", "place", "value", "low", "high", "bound", "n", "d", "texts", "documents")
    ticks = ticks_of(positions)
    chart = Chart("depth", "", series_in(found, facts), columns, found, ("place",), ticks, BLOCKS)
    return panel(caption, [chart], switches_of(rows["depth"], facts))


def view_of(row: Row) -> tuple[str, str, str]:
    """Return the values of the switches metric, normalisation and tokens."""
    return row["metric"], row["normalise"], "corpus" if row["scope"] == "corpus" else str(row["n"])


def switches_of(rows: Sequence[Row], facts: Facts) -> dict[str, Switch]:
    """Return the switches metric, normalisation and tokens, with the options that the rows have."""
    metrics = sorted(
        unique(rows, "metric"), key=lambda one: (one != FIRST, list(facts.labels).index(one) if one in facts.labels else -1)
    )
    tokens = lengths_in(row for row in rows if row["scope"] != "corpus")
    if any(row["scope"] == "corpus" for row in rows):
        tokens["corpus"] = "all texts together"
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


# Spectra


MARCHENKO_PASTUR = Series("Marchenko-Pastur edge", GREY, SOLID)


def spectra_panel(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the eigenvalues of each state beside its nulls, with the shares of its leading directions."""
    positions = axis_of(rows["spectrum"])
    number = {state: str(place) for place, state in enumerate(positions)}
    start = next((place for (_, name), place in number.items() if name == "last"), "")

    def at_states(of: Iterable[Row], name: Callable[[Row], str]) -> list[Row]:
        return [
            dict(row) | {"view": (number[state], row["normalise"], str(row["n"])), "series": name(row)}
            for row in of
            for state in states_of(row, positions)
        ]

    found = at_states(rows["spectrum"], lambda row: EDGE if row["metric"] else str(row["variant"]))
    views = {row["view"] for row in found}
    shares = at_states((row for row in rows.get("depth", ()) if row["metric"] in SHARES and row["scope"] != "corpus"), series_of)
    shares = [dict(row) | {"metric": title_of(row["metric"], facts)} for row in shares if row["view"] in views]
    series = series_in((row for row in found if row["series"] != EDGE), facts) | {EDGE: MARCHENKO_PASTUR}
    switches = {
        "state": Switch("State", {place: state_name(*state) for state, place in number.items()}, start),
        "normalise": normalise_switch(rows["spectrum"]),
        "tokens": Switch("Tokens", lengths_in(rows["spectrum"])),
    }
    caption = (
        "Rows without structure stay below the Marchenko-Pastur edge for this number of tokens and dimensions, as "
        "Gaussian rows do up to chance; directions above it carry structure. Look at the first one: far above the others, "
        "it is a direction that most tokens share, often that of an attention sink."
    )
    charts = [Chart("spectrum", "", series, ("rank", "value", "n", "d"), found, ("rank",))]
    if shares:
        charts.append(
            Chart("", "Leading directions", series_in(shares, facts), ("metric", "value", "low", "high"), shares, ("metric",))
        )
    return panel(caption, charts, switches)


# Norms and sinks


NORMS = {
    "norm_largest": Series("largest of a text", VERMILION, DASHED),
    "norm_first": Series("first token", ORANGE, DOTTED),
    "norm_median": Series("median of a text", BLUE, SOLID),
}
ALIGNED = {
    "sink_share": Series("share of sinks in the squared norm", VERMILION, DASHED),
    "mean_cosine": Series("mean cosine of two tokens", GREEN, SOLID),
}


def norms_parts(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return norms by layer, what sinks do to them and to the effective rank, and a list of the sinks."""
    positions = axis_of(rows["norms"])
    ticks = ticks_of(positions)
    columns = ("x", "place", "value", "low", "high")

    def along(of: Iterable[Row], name: Callable[[Row], str]) -> list[Row]:
        return [
            dict(row) | {"view": (), "series": name(row), "x": x, "place": place}
            for row in of
            for x, place in places_of(row, positions)
        ]

    norms = along(rows["norms"], lambda row: str(row["metric"]))
    charts = [
        Chart(
            "norms",
            "Norm of a token's vector",
            NORMS,
            columns,
            [row for row in norms if row["series"] in NORMS],
            ("place",),
            RELATIVE,
            DEPTH,
        ),
        Chart(
            "aligned",
            "Share of sinks, and mean cosine",
            ALIGNED,
            columns,
            [row for row in norms if row["series"] in ALIGNED],
            ("place",),
            RELATIVE,
            DEPTH,
        ),
    ]
    ranks = [
        row for row in rows.get("depth", ()) if row["metric"] == FIRST and row["variant"] == TRAINED and row["scope"] != "corpus"
    ]
    ranks = [row for row in ranks if (row["normalise"], row["n"]) == (unique(ranks, "normalise")[0], max(unique(ranks, "n")))]
    if any(row["sinks"] == WITHOUT for row in ranks):
        title = f"Effective rank, first {ranks[0]['n']} tokens, {words_for(ranks[0]['normalise'])}"
        found = along(ranks, series_of)
        charts.append(Chart("profile", title, series_in(found, facts), columns, found, ("place",), ticks, BLOCKS))
    caption = (
        "A sink is a token whose norm is many times the median of its text: look for a gap between the largest norm and "
        "the median, and for what the effective rank is without sinks. Rows of independent numbers have no such gap, and "
        "a mean cosine near 0."
    )
    return {"panels": [panel(caption, charts, {})], "sinks": list(sinks_of(rows)), "nosinks": reason("sinks", facts)}


def sinks_of(rows: Rows) -> Iterator[list[Any]]:
    """Yield position, token, number of texts, texts, ratio and layer of each sink, the most frequent first."""
    found = rows.get("sinks", ())
    ratios = {(row["position"], row["token"]): row for row in found if row["metric"] == "sink_ratio"}
    for row in sorted((row for row in found if row["metric"] == "sinks"), key=lambda row: -row["value"]):
        ratio = ratios.get((row["position"], row["token"]), {})
        yield [row["position"], row["token"], row["value"], row["texts"], digits(ratio.get("value")), ratio.get("layer")]


# Tokens and losses


def tokens_parts(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the shown texts: each token with its gain, its surprisal, and the earlier tokens that Lasso chose for it."""
    texts: dict[int, dict[str, Any]] = {}
    for row in sorted(rows["tokens"], key=lambda row: (row["text"], row["position"])):
        text = texts.setdefault(row["text"], {"tokens": {}, "gain": {}, "surprisal": {}, "chosen": {}})
        text["tokens"][row["position"]] = row["token"]
        text[row["metric"]][row["position"]] = row["value"]
    for row in sorted(rows.get("selection", ()), key=lambda row: row["rank"]):
        texts[row["text"]]["chosen"].setdefault(row["position"], []).append(row["past"])
    return {
        "texts": [
            {
                "name": facts.texts[text] if text < len(facts.texts) else f"text {text + 1}",
                "tokens": list(one["tokens"].values()),
                **{view: [digits(one[view].get(position)) for position in one["tokens"]] for view in ("gain", "surprisal")},
                "chosen": one["chosen"],
            }
            for text, one in texts.items()
        ],
        "noselection": "" if rows.get("selection") else reason("selection", facts),
        "losses": losses(rows, facts),
    }


def digits(value: float | None) -> float | None:
    """Return a number to six digits, None for what is not known."""
    return None if value is None or math.isnan(value) else float(f"{value:.6g}")


def losses(rows: Rows, facts: Facts) -> list[list[Any]]:
    """Return losses: of whom, metric, value, ends of its interval, and the bound of a uniform guess."""
    found: list[list[Any]] = []
    for row in [*rows.get("loss", ()), *(row for row in rows.get("difference", ()) if str(row["metric"]).startswith("loss"))]:
        variant = variant_series(row["variant"], facts).label if row["variant"] else f"{facts.models[-1]} minus {facts.models[0]}"
        who = f"{row['model']}, {variant}" if row["model"] and row["variant"] else variant
        numbers = [digits(row[column]) for column in ("value", "low", "high", "bound")]
        found.append([who, row["metric"], *numbers])
    return found


# Beside other models


def standing_panel(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the model's values at the last block beside those of reference models, against width."""
    found: list[Row] = []
    for section, name in (("reference", REFERENCE), ("width", WIDTH)):
        found += [dict(row) | {"view": standing_view(row), "series": name} for row in rows.get(section, ())]
    views = {row["view"] for row in found}
    for row in rows.get("depth", ()):
        if is_here(row) and standing_view(row) in views:
            found.append(dict(row) | {"view": standing_view(row), "series": HERE, "model": facts.models[0]})
    series = standing_series(facts)
    caption = (
        "The dashed line is what width alone gives: the widest reference model's own vectors in fewer directions. Look "
        "how far this model is from the line and from the models beside it, at the last block and on as many tokens; "
        "models on the line differ in width and in nothing else that the metric sees."
    )
    known = {row["series"] for row in found}
    chart = Chart(
        "standing",
        "",
        {name: one for name, one in series.items() if name in known},
        ("model", "d", "value", "low", "high", "n"),
        found,
        ("model", "d"),
    )
    options = switches_of([row for name in ("reference", "width") for row in rows.get(name, ())], facts)
    return panel(caption, [chart], options)


def is_here(row: Row) -> bool:
    """Whether a row of depth says where the model stands."""
    return is_trained(row) and (row["place"], row["scope"]) == ("last", "text")


def standing_series(facts: Facts) -> dict[str, Series]:
    """Return how the model, those beside it, and the line of width alone are called and drawn."""
    return {
        HERE: Series(f"{facts.models[0]}, this portrait", VERMILION, SOLID),
        REFERENCE: Series("reference models that ship", BLUE, SOLID),
        WIDTH: Series("width alone: the widest reference in fewer directions", GREY, DASHED),
    }


def standing_view(row: Row) -> tuple[str, str, str]:
    return row["metric"], row["normalise"], str(row["n"])


# Two models


def difference_panel(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the paired difference of every metric along relative depth, and both models' own values."""
    found = [
        dict(row)
        | {"view": view_of(row), "series": "difference", "x": relative(row), "place": state_name(row["layer"], row["place"])}
        for row in rows["difference"]
        if row["layer"] is not None
    ]
    views = {row["view"] for row in found}
    own = [
        dict(row)
        | {"view": view_of(row), "series": row["model"], "x": relative(row), "place": state_name(row["layer"], row["place"])}
        for row in rows.get("depth", ())
        if is_trained(row) and view_of(row) in views
    ]
    columns = ("x", "place", "value", "low", "high")
    charts = [
        Chart(
            "difference",
            f"{facts.models[-1]} minus {facts.models[0]}",
            {"difference": DIFFERENCE},
            (*columns, "band_low", "band_high", "n", "texts", "documents"),
            found,
            ("place",),
            RELATIVE,
            DEPTH,
        )
    ]
    if own:
        charts.append(Chart("models", "Both models", models_series(facts), columns, own, ("place",), RELATIVE, DEPTH))
    caption = (
        "Look where the lighter band, which holds at all layers together, leaves 0: there the models part. Two models "
        "that do not differ leave 0 inside that band everywhere, though the darker 95 % interval of a single layer misses "
        "it at one layer in twenty."
    )
    return panel(caption, charts, switches_of(rows["difference"], facts))


def models_series(facts: Facts) -> dict[str, Series]:
    """Return how two models are called and drawn."""
    return {model: Series(model, *look) for model, look in zip(facts.models, ((BLUE, SOLID), (VERMILION, DASHED)), strict=False)}


def is_trained(row: Row) -> bool:
    """Whether a row is about the trained model, with its sinks."""
    return (row["variant"], row["sinks"]) == (TRAINED, "with")


DIFFERENCE = Series("difference", BLUE, SOLID)
PLAIN, FINAL = 1.16, 1.32
"""Where final states stand on the axis of relative depth."""
RELATIVE = {0.0: "0", 0.25: "¼", 0.5: "½", 0.75: "¾", 1.0: "1", PLAIN: "plain", FINAL: "final"}
"""Labels on that axis."""


def relative(row: Row) -> float:
    """Return where a state is on the axis of relative depth."""
    return {"plain": PLAIN, "final": FINAL}.get(row["place"], float(row["depth"]))
