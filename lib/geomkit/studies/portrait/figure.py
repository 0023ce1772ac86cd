"""Draw a portrait, or a comparison, for a paper: the numbers of its page, at one normalisation and one length of text."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from geomkit.figures.style import WIDTH, save
from geomkit.studies.portrait import charts, dimension_panel, panels, similarity_panel
from geomkit.studies.portrait.attention_panel import attention_charts
from geomkit.studies.portrait.charts import BLOCKS, DEPTH, Row, Rows, Series, axis_of, by_section, series_of, unique
from geomkit.studies.portrait.readout_panel import readout_charts
from geomkit.studies.portrait.rows import Facts, facts_of, read

METRICS = ("erank_covariance", "rate_distortion_ratio", "top_1_share")
"""Metrics that figures show, as far as they were measured."""
TITLE = 60
"""Letters of a line above a panel."""
Points = list[tuple[float, Row]]


def draw(table: Path, output: Path) -> None:
    """Write the figures of a table as one PDF, whose bytes depend on the table alone."""
    save(figures(read(table)), output)


def figures(table: pa.Table) -> Iterator[Figure]:
    """Yield the figures of a portrait or a comparison; of those whose rows are missing, none. A page says so if all are."""
    facts, rows = facts_of(table), by_section(table)
    if facts.kind == "comparison":
        drawings = {"difference": differences_figure, "depth": both_figure, "similarity": similarity_figure}
        drawings |= {"dimension": dimensions_figure, "readout": readout_figure}
    else:
        drawings = {"depth": depth_figure, "spectrum": spectra_figure, "similarity": similarity_figure, "norms": norms_figure}
        drawings |= {"attention": attention_figure, "dimension": dimension_figure, "readout": readout_figure}
        drawings |= {"reference": standing_figure}
    yield from [one(rows, facts) for section, one in drawings.items() if rows.get(section)] or [empty_figure(facts)]


def empty_figure(facts: Facts) -> Figure:
    """Return a page that says that there is nothing to draw."""
    figure = Figure(figsize=(WIDTH, 1))
    figure.suptitle(f"{head([], facts)}\nnothing that a figure shows was measured", fontsize=6.5)
    return figure


def chosen(rows: Iterable[Row]) -> list[Row]:
    """Return rows about texts at the first normalisation and the longest length."""
    found = [row for row in rows if row["scope"] in (None, "text")]
    normalise, n = unique(found, "normalise")[0], max(unique(found, "n"))
    return [row for row in found if (row["normalise"], row["n"]) == (normalise, n)]


def head(rows: Sequence[Row], facts: Facts) -> str:
    """Return the title of a figure: of what, and where."""
    where = f": first {rows[0]['n']} tokens, {charts.words_for(rows[0]['normalise'])}" if rows else ""
    return f"{' and '.join(facts.models)} on {facts.corpus}{where}"


def stacked(rows: Sequence[Row], facts: Facts) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with a panel for each metric, one above the other."""
    metrics = [one for one in METRICS if one in unique(rows, "metric")] or unique(rows, "metric")[: len(METRICS)]
    figure = Figure(figsize=(WIDTH, 0.9 + 1.35 * len(metrics)))
    axes = dict(zip(metrics, figure.subplots(len(metrics), 1, squeeze=False, sharex=True).flatten(), strict=True))
    for metric, axis in axes.items():
        axis.set_title(charts.title_of(metric, facts), loc="left")
    figure.suptitle(head(rows, facts), fontsize=6.5)
    return figure, axes


def line_of(series: Series) -> dict[str, Any]:
    """Return colour and line of a series for matplotlib."""
    return {"color": series.colour, "ls": (0, [length / 1.75 for length in series.dash]) if series.dash[1] else "-"}


def legend(figure: Figure, handles: Iterable[Any], columns: int = 2) -> None:
    figure.legend(handles=list(handles), loc="outside lower center", ncols=columns)


def handle(series: Series) -> Line2D:
    return Line2D([], [], label=series.label, **line_of(series))


def along(axis: Axes, points: Points, series: Series, last: float) -> None:
    """Draw values along depth with their intervals; what is beyond `last`, the final states, are points apart."""
    points = sorted(points, key=lambda one: one[0])
    blocks = [(x, row) for x, row in points if x <= last]
    axis.plot([x for x, _ in blocks], [row["value"] for _, row in blocks], **line_of(series))
    shade(axis, blocks, "low", "high", series)
    for x, row in points[len(blocks) :]:
        axis.plot(x, row["value"], "o", ms=2.5, color=series.colour, mew=0)
        if row["low"] is not None:
            axis.plot([x, x], [row["low"], row["high"]], "-", lw=0.8, color=series.colour)


def shade(axis: Axes, points: Points, low: str, high: str, series: Series) -> None:
    """Shade between the ends of intervals, where there are any."""
    ends = [(x, row[low], row[high]) for x, row in points if row[low] is not None]
    if ends:
        x, lower, upper = zip(*ends, strict=True)
        axis.fill_between(x, lower, upper, color=series.colour, alpha=0.2, lw=0)


def label_depth(axes: Iterable[Axes], ticks: Mapping[float, str], title: str) -> None:
    """Label the axis of depth, below the last of the panels."""
    for axis in axes:
        axis.set_xticks(list(ticks), list(ticks.values()))
    axis.set_xlabel(title)


def depth_figure(rows: Rows, facts: Facts) -> Figure:
    """Draw metrics against layers, with their intervals, beside their nulls, and their bounds where these are near."""
    found = chosen(rows["depth"])
    figure, axes = stacked(found, facts)
    positions = axis_of(rows["depth"])
    looks = {name: charts.variant_series(name, facts) for name in dict.fromkeys(series_of(row) for row in found)}
    bound = Line2D([], [], color="0.6", lw=0.6, label="bound")
    for metric, axis in axes.items():
        mine = [row for row in found if row["metric"] == metric]
        for name, series in looks.items():
            points = [(x, row) for row in mine if series_of(row) == name for x, _ in charts.places_of(row, positions)]
            along(axis, points, series, charts.last_block(positions))
        most = max((row["bound"] for row in mine if row["bound"] is not None), default=float("inf"))
        if most <= 1.3 * max(row["value"] for row in mine):
            axis.axhline(most, color="0.6", lw=0.6, zorder=0)
    label_depth(axes.values(), charts.ticks_of(positions), BLOCKS)
    legend(figure, [*map(handle, looks.values()), bound])
    return figure


def spectra_figure(rows: Rows, facts: Facts) -> Figure:
    """Draw the eigenvalues of the first, the middle and the last block beside their nulls and the Marchenko-Pastur edge."""
    found = chosen(rows["spectrum"])
    states = [state for state in axis_of(found) if state[1] not in ("embedding", "plain", "final")]
    shown = list(dict.fromkeys([states[0], states[(len(states) - 1) // 2], states[-1]]))
    figure = Figure(figsize=(WIDTH, 2.3))
    axes = figure.subplots(1, len(shown), squeeze=False, sharex=True, sharey=True).flatten()
    looks = {name: charts.variant_series(name, facts) for name in unique((row for row in found if not row["metric"]), "variant")}
    for axis, state in zip(axes, shown, strict=True):
        mine = [row for row in found if charts.states_of(row, [state])]
        for name, series in looks.items():
            of = sorted((row["rank"], row["value"]) for row in mine if row["variant"] == name and not row["metric"])
            axis.plot([rank for rank, _ in of], [value for _, value in of], **line_of(series))
        for level in (row["value"] for row in mine if row["metric"]):
            axis.axhline(level, color=panels.MARCHENKO_PASTUR.colour, lw=0.6, zorder=0)
        axis.set(xscale="log", yscale="log")
        axis.set_title(charts.state_name(*state), loc="left")
    edge = Line2D([], [], color=panels.MARCHENKO_PASTUR.colour, lw=0.6, label=panels.MARCHENKO_PASTUR.label)
    legend(figure, [*map(handle, looks.values()), edge])
    axes[0].set_ylabel("share of the variance")
    axes[len(axes) // 2].set_xlabel("direction, the largest first")
    figure.suptitle(head(found, facts), fontsize=6.5)
    return figure


def norms_figure(rows: Rows, facts: Facts) -> Figure:
    """Draw norms of tokens, the share of sinks and the mean cosine against layers."""
    positions = axis_of(rows["norms"])
    figure = Figure(figsize=(WIDTH, 3.4))
    axes = figure.subplots(2, 1, sharex=True)
    for axis, looks in zip(axes, (panels.NORMS, panels.ALIGNED), strict=True):
        for metric, series in looks.items():
            mine = [row for row in rows["norms"] if row["metric"] == metric]
            points = [(x, row) for row in mine for x, _ in charts.places_of(row, positions)]
            along(axis, points, series, charts.last_block(positions))
    axes[0].set_yscale("log")
    axes[0].set_title("norm of a token's vector", loc="left")
    axes[1].set_title("share of sinks, and mean cosine", loc="left")
    label_depth(axes, charts.ticks_of(positions), BLOCKS)
    legend(figure, map(handle, (panels.NORMS | panels.ALIGNED).values()))
    figure.suptitle(head([], facts), fontsize=6.5)
    return figure


def dimension_figure(rows: Rows, facts: Facts) -> Figure:
    """Draw the dimension of one vector of each token against layers, at one scale, and against the scale at the middle state."""
    scope, metric, scale = dimension_panel.shown_first(rows)
    figure = Figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots(2, 1)
    along_layers = dimension_panel.along_depth(rows, facts)
    positions = axis_of(dimension_panel.estimates(rows))
    for name, series in along_layers.series.items():
        mine = [row for row in along_layers.rows if row["view"] == (scope, metric, scale) and row["series"] == name]
        along(axes[0], [(row["x"], row) for row in mine], series, charts.last_block(positions))
    label_depth(axes[:1], charts.ticks_of(positions), BLOCKS)
    axes[0].set_title(f"{charts.title_of(metric, facts)}, {dimension_panel.words_of_scale(int(scale))}", loc="left")
    against, switches = dimension_panel.against_scale(rows, facts)
    state = switches["state"]
    for name, series in against.series.items():
        mine = [row for row in against.rows if row["view"] == (scope, state.start) and row["series"] == name]
        points: Points = sorted(((row["scale"], row) for row in mine), key=lambda one: one[0])
        axes[1].plot([x for x, _ in points], [row["value"] for _, row in points], marker="o", ms=2, **line_of(series))
        shade(axes[1], points, "low", "high", series)
    axes[1].set_xscale("log", base=2)
    axes[1].xaxis.set_major_formatter("{x:g}")
    axes[1].set_xlabel("scale: rank of the farther neighbour")
    axes[1].set_title(f"against the scale, {state.options[state.start]}", loc="left")
    legend(figure, map(handle, along_layers.series.values()))
    figure.suptitle(f"{head([], facts)}: {dimension_panel.CLOUDS[scope]}", fontsize=6.5)
    return figure


def dimensions_figure(rows: Rows, facts: Facts) -> Figure:
    """Draw both models' dimension of one vector of each token along relative depth, and the difference if it is paired."""
    view = dimension_panel.shown_first(rows)
    found = [row for row in dimension_panel.estimates(rows) if dimension_panel.scale_of(row) == view]
    pairs, own = ([row for row in found if (row["variant"] is None) == paired] for paired in (True, False))
    parts = panels.paired_charts(pairs, own, dimension_panel.scale_of, facts)
    figure = Figure(figsize=(WIDTH, 0.9 + 1.5 * len(parts)))
    axes = figure.subplots(len(parts), 1, squeeze=False, sharex=True).flatten()
    for axis, chart in zip(axes, parts, strict=True):
        for name, series in chart.series.items():
            along(axis, [(row["x"], row) for row in chart.rows if row["series"] == name], series, 1)
        axis.set_title(chart.title, loc="left")
    if parts[0].kind == "difference":
        axes[0].axhline(0, color="0.6", lw=0.6, zorder=0)
    label_depth(axes, panels.RELATIVE, DEPTH)
    legend(figure, map(handle, panels.models_series(facts).values()))
    what = f"{charts.title_of(view[1], facts)}, {dimension_panel.words_of_scale(int(view[2]))}, {dimension_panel.CLOUDS[view[0]]}"
    figure.suptitle(f"{head([], facts)}\n{what}", fontsize=6.5)
    return figure


def attention_figure(rows: Rows, facts: Facts) -> Figure:
    """Draw attention to the first position and to sinks against layers, beside equal attention and the untrained twins."""
    return charts_figure([chart for chart in attention_charts(rows, facts) if chart.kind], facts)


def readout_figure(rows: Rows, facts: Facts) -> Figure:
    """Draw what the model's own head makes of its states against layers, beside nulls, or of both models' states."""
    return charts_figure(list(readout_charts(rows["readout"], facts)), facts)


def charts_figure(drawn: Sequence[charts.Chart], facts: Facts) -> Figure:
    """Draw charts along depth, one above the other, with one legend."""
    figure = Figure(figsize=(WIDTH, 1.1 + 1.35 * len(drawn)))
    looks: dict[str, Series] = {}
    axes = figure.subplots(len(drawn), 1, squeeze=False, sharex=True).flatten()
    for axis, chart in zip(axes, drawn, strict=True):
        axis.set_title(textwrap.fill(chart.title, TITLE), loc="left")
        last = max((x for x, label in chart.ticks.items() if label not in ("plain", "final")), default=0)
        for name, series in chart.series.items():
            along(axis, [(row["x"], row) for row in chart.rows if row["series"] == name], series, last)
        looks |= chart.series
    label_depth(axes, drawn[0].ticks, drawn[0].axis)
    legend(figure, map(handle, looks.values()))
    figure.suptitle(head([], facts), fontsize=6.5)
    return figure


def standing_figure(rows: Rows, facts: Facts) -> Figure:
    """Draw the last block's values among those of reference models against width, and what width alone gives."""
    found = chosen(rows["reference"])
    place = (found[0]["normalise"], found[0]["n"])
    figure, axes = stacked(found, facts)
    looks = panels.standing_series(facts)
    here = [row for row in rows.get("depth", ()) if panels.is_here(row)]
    for metric, axis in axes.items():

        def at(of: Iterable[Row], metric: str = metric) -> list[Row]:
            return [row for row in of if (row["metric"], row["normalise"], row["n"]) == (metric, *place)]

        width = sorted((row["d"], row["value"]) for row in at(rows.get("width", ())))
        axis.plot([d for d, _ in width], [value for _, value in width], **line_of(looks[charts.WIDTH]))
        for name, mine in ((charts.REFERENCE, at(found)), (charts.HERE, at(here))):
            for row in mine:
                axis.plot(row["d"], row["value"], MARKERS[name], ms=3.5, color=looks[name].colour, mew=0)
                if row["low"] is not None:
                    axis.plot([row["d"]] * 2, [row["low"], row["high"]], "-", lw=0.8, color=looks[name].colour)
        axis.set_xscale("log")
        axis.set_xticks(doublings([row["d"] for row in [*at(found), *at(here)]]))
        axis.minorticks_off()
        axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("width (dimensions)")
    marks = [
        Line2D([], [], color=looks[name].colour, marker=one, ms=3.5, ls="", label=looks[name].label)
        for name, one in MARKERS.items()
    ]
    legend(figure, [*marks, handle(looks[charts.WIDTH])], columns=1)
    return figure


def doublings(widths: Sequence[int]) -> list[int]:
    """Return the powers of two between the narrowest and the widest."""
    return [2**power for power in range(32) if min(widths) <= 2**power <= max(widths)]


MARKERS = {charts.HERE: "D", charts.REFERENCE: "o"}


def differences_figure(rows: Rows, facts: Facts) -> Figure:
    """Draw paired differences along relative depth, with their intervals and the band that holds at all layers together."""
    found = [row for row in chosen(rows["difference"]) if row["layer"] is not None]
    figure, axes = stacked(found, facts)
    for metric, axis in axes.items():
        points = sorted(((charts.relative(row), row) for row in found if row["metric"] == metric), key=lambda one: one[0])
        axis.axhline(0, color="0.6", lw=0.6, zorder=0)
        shade(axis, [one for one in points if one[0] <= 1], "band_low", "band_high", panels.DIFFERENCE)
        for x, row in points:
            if x > 1 and row["band_low"] is not None:
                axis.plot([x, x], [row["band_low"], row["band_high"]], "-", lw=2.5, color=panels.DIFFERENCE.colour, alpha=0.2)
        along(axis, points, panels.DIFFERENCE, 1)
    label_depth(axes.values(), charts.RELATIVE, DEPTH)
    # shades lie on each other: that of the interval at one layer is darker
    names = {0.36: "95 % interval at one layer", 0.2: "band of all layers together"}
    legend(figure, [Patch(color=panels.DIFFERENCE.colour, alpha=alpha, lw=0, label=name) for alpha, name in names.items()])
    figure.suptitle(f"{head(found, facts)}\n{facts.models[-1]} minus {facts.models[0]}", fontsize=6.5)
    return figure


def both_figure(rows: Rows, facts: Facts) -> Figure:
    """Draw metrics of both models along relative depth, with their intervals."""
    found = [row for row in chosen(rows["depth"]) if charts.is_trained(row)]
    figure, axes = stacked(found, facts)
    looks = charts.models_series(facts)
    for metric, axis in axes.items():
        for model, series in looks.items():
            mine = [row for row in found if (row["metric"], row["model"]) == (metric, model)]
            along(axis, [(charts.relative(row), row) for row in mine], series, 1)
    label_depth(axes.values(), charts.RELATIVE, DEPTH)
    legend(figure, map(handle, looks.values()))
    return figure


SHADES = ScalarMappable(Normalize(0, 1, clip=True), LinearSegmentedColormap.from_list("shades", ["white", charts.BLUE]))
"""From what exchanged documents give to equal states."""


def similarity_figure(rows: Rows, facts: Facts) -> Figure:
    """Draw the similarity of all pairs of states: of the model and its twin, or of two models, also at equal relative depth."""
    found = [row for row in rows["similarity"] if row["scope"] == rows["similarity"][0]["scope"]]
    metrics, variants = unique(found, "metric"), unique(found, "variant")
    two = facts.kind == "comparison"
    figure = Figure(figsize=(WIDTH, 0.7 + 1.55 * len(metrics)))
    axes = figure.subplots(len(metrics), 2 if two else len(variants), squeeze=False)
    for metric, line in zip(metrics, axes, strict=True):
        for variant, axis in zip(variants, line, strict=False):
            cells(axis, [row for row in found if (row["metric"], row["variant"]) == (metric, variant)], not two)
            axis.set_title(charts.title_of(metric, facts) if variant == variants[0] else facts.variants[variant], loc="left")
        if two:
            points = [(charts.relative(row), row) for row in similarity_panel.equally_deep(found) if row["metric"] == metric]
            along(line[1], points, similarity_panel.CURVE, 1)
            line[1].axhline(0, color="0.6", lw=0.6, zorder=0)
            line[1].set_title(similarity_panel.CURVE.label, loc="left")
            label_depth([line[1]], {x: label for x, label in charts.RELATIVE.items() if label != "plain"}, "")
    names = [f"{model}: block" for model in facts.models] if two else ["block", "block"]
    axes[-1, 0].set_xlabel(names[0])
    for axis in axes[:, 0]:
        axis.set_ylabel(names[-1])
    if two:
        axes[-1, 1].set_xlabel("relative depth")
    figure.colorbar(SHADES, ax=axes, orientation="horizontal", aspect=40, pad=0.02, shrink=0.6)
    figure.suptitle(f"{head([], facts)}: {found[0]['n']} {similarity_panel.ROWS[found[0]['scope']]}, unit length", fontsize=6.5)
    return figure


def cells(axis: Axes, rows: Sequence[Row], symmetric: bool) -> None:
    """Draw a cell for each pair of states; of one model on both sides of the diagonal."""
    across = similarity_panel.axis_of_states(rows, "layer", "place")
    up = similarity_panel.axis_of_states(rows, "other_layer", "other_place")
    values = np.full((len(up), len(across)), np.nan)
    for row in rows:
        place = int(up[row["other_layer"], row["other_place"]]), int(across[row["layer"], row["place"]])
        for where in (place, place[::-1]) if symmetric else (place,):
            values[where] = row["value"]
    axis.imshow(SHADES.to_rgba(values), origin="lower", interpolation="nearest", aspect="auto")
    for set_ticks, positions in ((axis.set_xticks, across), (axis.set_yticks, up)):
        ticks = similarity_panel.labels(positions)
        set_ticks(list(ticks), list(ticks.values()))
