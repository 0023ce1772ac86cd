"""Write the page of a portrait, or of a comparison: one file for a browser, with charts that show every number of the table.

Charts are declared here with Altair. The page draws them with the libraries of Vega that `vl_convert` bundles. A drawing's rows
are named `rows`: the page puts those of the chosen view there.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pyarrow as pa
import vl_convert

from geomkit.core.html import filled, script_json, shared_script
from geomkit.core.provenance import replacing
from geomkit.studies.portrait.charts import EDGE, HERE, REFERENCE, WIDTH, by_section
from geomkit.studies.portrait.panels import sections
from geomkit.studies.portrait.rows import facts_of, read

TEMPLATE = Path(__file__).with_name("page.html")
HEIGHT = 320
"""Of the plot of a wide chart, in pixels."""
Layers = alt.LayerChart | alt.FacetChart


def write_page(table: Path, output: Path) -> None:
    """Write the page of a table as one HTML file."""
    with replacing(output) as temporary:
        temporary.write_text(page(read(table)), encoding="utf-8")


def page(table: pa.Table) -> str:
    """Return the page of a table: HTML that asks the network for nothing.

    A section whose rows the table lacks says so, with the reason that the facts give.
    """
    template = TEMPLATE.read_text(encoding="utf-8")
    return filled(template, bundle=bundle(), data=script_json(content(table)), shared=shared_script())


@functools.cache
def bundle() -> str:
    """Return the libraries of Vega as one script, which takes seconds to make."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def content(table: pa.Table) -> dict[str, Any]:
    """Return what the page shows: its title, and its sections in order, with a drawing for each chart."""
    facts = facts_of(table)
    found = list(sections(by_section(table), facts))
    for chart in (chart for one in found for panel in one.get("panels", ()) for chart in panel["charts"]):
        if chart["kind"] in DRAWINGS:
            chart["spec"] = DRAWINGS[chart["kind"]](chart).configure(**CONFIG).to_dict()
    return {"kind": facts.kind, "models": facts.models, "corpus": facts.corpus, "sections": found}


CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'Liberation Sans', Arial, sans-serif",
    "view": alt.ViewConfig(stroke="transparent"),
    "axis": alt.AxisConfig(
        labelColor="var(--muted)",
        titleColor="var(--muted)",
        gridColor="var(--grid)",
        domainColor="var(--line)",
        tickColor="var(--line)",
        labelFontSize=12,
        titleFontSize=12,
        titleFontWeight="normal",
        titlePadding=8,
        labelPadding=4,
    ),
}
"""Colours are those of the page, light or dark."""


def drawn(chart: dict[str, Any]) -> tuple[alt.Chart, alt.Color, alt.StrokeDash]:
    """Return a chart of its rows, with the colour and the dash of its series."""
    names = [one["name"] for one in chart["series"]]
    colours = [f"var(--series-{place})" for place in range(len(names))]
    return (
        alt.Chart(alt.NamedData(name="rows")),
        alt.Color("series:N", legend=None).scale(domain=names, range=colours),
        alt.StrokeDash("series:N", legend=None).scale(domain=names, range=[one["dash"] for one in chart["series"]]),
    )


def fitted(layers: Sequence[alt.Chart], height: int = HEIGHT) -> Layers:
    """Return layers as one chart as wide as its place on the page."""
    return alt.layer(*layers).properties(
        width="container", height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding")
    )


def pointed(chart: alt.Chart, field: str) -> alt.Chart:
    """Return marks on every series where the pointer is, by the field that says where; the page shows their numbers beside it."""
    nearest = alt.selection_point(nearest=True, on="pointerover", clear="pointerout", empty=False, fields=[field])
    seen = alt.when(nearest).then(alt.value(1)).otherwise(alt.value(0))
    marks = chart.mark_point(size=60, filled=True).encode(opacity=seen, tooltip=alt.Tooltip("series:N"))
    return marks.add_params(nearest)


def named_ticks(ticks: dict[float, str]) -> str:
    """Return the expression that names the ticks of an axis."""
    labels = ", ".join(f"'{x:g}': '{label}'" for x, label in ticks.items())
    return f"{{{labels}}}[format(datum.value, '~g')]"


def along(chart: dict[str, Any]) -> tuple[alt.X, float]:
    """Return the axis of depth, and where its blocks end."""
    ticks = dict(chart["ticks"])
    last = max((x for x, label in ticks.items() if label not in ("plain", "final")), default=0)
    axis = alt.Axis(
        title=chart["axis"],
        values=list(ticks),
        labelExpr=named_ticks(ticks),
        labelFlush=False,
        labelOverlap=False,
        grid=False,
    )
    return alt.X("x:Q", axis=axis).scale(domain=[0, max(ticks)], nice=False), last


def profile(
    chart: dict[str, Any], height: int = HEIGHT, bound: bool = False, scale: alt.Scale | None = None, grid: bool = True
) -> Layers:
    """Draw lines along depth with their intervals; final states are points apart."""
    rows, colour, dash = drawn(chart)
    x, last = along(chart)
    y = alt.Y("value:Q").title(None).scale(scale or alt.Scale(zero=False)).axis(grid=grid)
    blocks, final = f"datum.x <= {last}", f"datum.x > {last}"
    known = "isValid(datum.low) && isValid(datum.high)"
    ends = {"y": alt.Y("low:Q").title(None), "y2": "high:Q"}
    layers = [
        rows.transform_filter(f"{blocks} && {known}").mark_area(opacity=0.18).encode(x, color=colour, **ends),
        rows.transform_filter(f"{final} && {known}").mark_rule(strokeWidth=2).encode(x, color=colour, **ends),
        rows.transform_filter(blocks).mark_line(strokeWidth=2).encode(x, y, colour, dash),
        rows.transform_filter(final).mark_point(filled=True, size=45, opacity=1).encode(x, y, colour),
        pointed(rows.encode(x, y, colour), "x"),
    ]
    if bound:
        layers = [*bound_line(rows, x), *layers]
    return fitted(layers, height)


def bound_line(rows: alt.Chart, x: alt.X) -> list[alt.Chart]:
    """Draw the bound as a thin line with its name, where it is not far above all values."""
    in_view = "isValid(datum.bound) && datum.bound <= 1.3 * datum.top"
    found = rows.transform_joinaggregate(top="max(value)").transform_filter(in_view)
    y = alt.Y("bound:Q").title(None)
    line = found.mark_line(strokeWidth=1, color="var(--muted)").encode(x, y)
    name = found.transform_filter("datum.x == 0").mark_text(
        align="left", baseline="bottom", dx=4, dy=-2, color="var(--muted)", fontSize=12
    )
    return [line, name.encode(x, y, text=alt.datum("bound"))]


def difference(chart: dict[str, Any]) -> Layers:
    """Draw a difference along depth with its interval, and the band that holds at all layers together."""
    rows, colour, dash = drawn(chart)
    x, last = along(chart)
    y = alt.Y("value:Q").title(None)
    layers = [alt.Chart(alt.InlineData([{"zero": 0}])).mark_rule(color="var(--muted)").encode(alt.Y("zero:Q").title(None))]
    for low, high, opacity in (("band_low", "band_high", 0.15), ("low", "high", 0.3)):
        ends = {"y": alt.Y(f"{low}:Q").title(None), "y2": f"{high}:Q"}
        known = f"isValid(datum.{low}) && isValid(datum.{high})"
        layers += [
            rows.transform_filter(f"datum.x <= {last} && {known}").mark_area(opacity=opacity).encode(x, color=colour, **ends),
            rows.transform_filter(f"datum.x > {last} && {known}")
            .mark_rule(strokeWidth=5, opacity=2 * opacity)
            .encode(x, color=colour, **ends),
        ]
    layers += [
        rows.transform_filter(f"datum.x <= {last}").mark_line(strokeWidth=2).encode(x, y, colour, dash),
        rows.transform_filter(f"datum.x > {last}").mark_point(filled=True, size=45, opacity=1).encode(x, y, colour),
        pointed(rows.encode(x, y, colour), "x"),
    ]
    return fitted(layers)


def spectrum(chart: dict[str, Any]) -> Layers:
    """Draw shares of the variance by rank on logarithmic axes, with the Marchenko-Pastur edge as a line across."""
    rows, colour, dash = drawn(chart)
    x = (
        alt.X("rank:Q")
        .title("direction, the largest first")
        .scale(type="log", nice=False)
        .axis(grid=False, format="~s", tickCount=8)
    )
    y = alt.Y("value:Q").title(None).scale(type="log", nice=False).axis(format="~g", tickCount=5, grid=False)
    lines = rows.transform_filter(f"datum.series != '{EDGE}'").encode(x, y, colour)
    edge = rows.transform_filter(f"datum.series == '{EDGE}'").encode(y, colour)
    return fitted([
        edge.mark_rule(strokeWidth=1),
        lines.mark_line(strokeWidth=2).encode(dash),
        lines.mark_point(filled=True, size=18, opacity=1),
        pointed(lines, "rank"),
    ])  # fmt: skip


def standing(chart: dict[str, Any]) -> Layers:
    """Draw the model among reference models against width, with the line that width alone would give."""
    rows, colour, dash = drawn(chart)
    x = (
        alt.X("d:Q")
        .title("width (dimensions)")
        .scale(type="log", nice=False, padding=24)
        .axis(grid=False, format="~s", tickCount=6)
    )
    y = alt.Y("value:Q").title(None).scale(zero=False)
    known = rows.transform_filter(f"datum.series != '{WIDTH}' && isValid(datum.low)")
    layers = [
        rows.transform_filter(f"datum.series == '{WIDTH}'").mark_line(strokeWidth=2).encode(x, y, colour, dash),
        known.mark_rule(strokeWidth=2).encode(x, alt.Y("low:Q").title(None), alt.Y2("high:Q"), color=colour),
    ]
    for series, look in ((REFERENCE, {"size": 50}), (HERE, {"size": 130, "shape": "diamond"})):
        points = rows.transform_filter(f"datum.series == '{series}'")
        layers.append(points.mark_point(filled=True, opacity=1, **look).encode(x, y, colour))
    return fitted([*layers, pointed(rows.encode(x, y, colour), "d")])


def similarity(chart: dict[str, Any]) -> Layers:
    """Draw a cell for each pair of states, on both sides of the diagonal where both axes are one model's."""
    axes = [(dict(chart["ticks"]), chart["axis"])]
    axes.append((dict(chart["other_ticks"]), chart["other_axis"]) if chart["other_ticks"] else axes[0])
    x, y = (
        channel.scale(domain=[-0.5, max(ticks) + 0.5], nice=False).axis(
            title=title, values=list(ticks), labelExpr=named_ticks(ticks), labelOverlap=False, grid=False
        )
        for channel, (ticks, title) in zip((alt.X("left:Q"), alt.Y("bottom:Q")), axes, strict=True)
    )
    shade = alt.Opacity("value:Q").scale(domain=[0, 1], range=[0, 1], clamp=True)
    steps: dict[str, Any] = {
        "values": [0, 0.2, 0.4, 0.6, 0.8, 1],
        "format": "~g",
        "orient": "top",
        "direction": "horizontal",
        "title": None,
    }
    symbols: dict[str, Any] = {
        "symbolType": "square",
        "symbolSize": 160,
        "symbolStrokeColor": "var(--line)",
        "symbolStrokeWidth": 1,
    }
    legend = alt.Legend(**steps, **symbols, labelColor="var(--muted)", labelFontSize=12)
    layers = []
    for across, up in (("x", "y"),) if chart["other_ticks"] else (("x", "y"), ("y", "x")):
        rows = alt.Chart(alt.NamedData(name="rows")).transform_calculate(
            left=f"datum.{across} - 0.5", right=f"datum.{across} + 0.5", bottom=f"datum.{up} - 0.5", top=f"datum.{up} + 0.5"
        )
        cells = rows.mark_rect(color="var(--bar)").encode(x, y, alt.X2("right"), alt.Y2("top"), shade.legend(legend))
        layers.append(cells.encode(tooltip=alt.Tooltip("series:N")))
    return fitted(layers, SQUARE)


SQUARE = 420
"""Height of the plot of a chart that has half the width of the page, and is about as high."""
DRAWINGS = {
    "depth": lambda chart: profile(chart, bound=True),
    "models": lambda chart: profile(chart, 220),
    "profile": lambda chart: profile(chart, 220),
    "norms": lambda chart: profile(chart, 220, scale=alt.Scale(type="log"), grid=False),
    "aligned": lambda chart: profile(chart, 220, scale=alt.Scale(domainMin=0)),
    "difference": difference,
    "spectrum": spectrum,
    "similarity": similarity,
    "curve": lambda chart: profile(chart, SQUARE, scale=alt.Scale(zero=True)),
    "standing": standing,
}
"""How each kind of chart is drawn."""
