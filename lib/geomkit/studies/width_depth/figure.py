"""Draw width against depth, tied embeddings, the recipe's rate at other depths, and seeds at fixed width."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.style import (
    BLUE,
    COLOURS,
    GREEN,
    PURPLE,
    SIZE,
    VERMILION,
    WIDTH,
    bracket,
    distortion,
    name_of,
    save,
    unit_of,
    where,
)
from geomkit.studies.width_depth.rows import CellPoint, Effect, RateCheck, SeedCorrelation, TiedShare
from geomkit.tables.absence import Absent
from geomkit.tables.rows import read_csv
from geomkit.tables.trainings import ControlTraining

DEEP = ("ladder", "depth")
LOSS = "loss"
COLUMN = {"N": "ln N", "width": "ln width", "depth": "ln depth"}
OF = {"metric": "of the metric", "difference": "beyond the projected null"}
FIRST = "width and N"


def cells_figure(
    points: Sequence[CellPoint], effects: Sequence[Effect], primary: dict[str, Any], absent: Sequence[Absent]
) -> Figure:
    """Draw metrics and loss of every cell against the parameters without embeddings, a colour for each width; below, the
    coefficients of width and of N at every endpoint."""
    metrics = [*primary["metrics"], LOSS]
    figure = Figure(figsize=(WIDTH, 6.8))
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.25, 1]).flatten()
    axes = above.subplots(-(-(len(metrics) + 1) // 2), 2).flatten()
    for axis, metric in zip(axes, metrics, strict=False):
        here = [row for row in points if row.metric == metric and row.group in DEEP]
        layer = primary["layer"] if metric != LOSS else None
        cells_panel(axis, [row for row in here if row.layer == layer])
        axis.set_title(name_of(metric), fontsize=5.8, loc="left")
        axis.set_ylabel(unit_of(metric), fontsize=5.5, labelpad=1)
    key = axes[len(metrics)]
    for axis in axes[len(metrics) :]:
        axis.axis("off")
    widths = sorted({row.width for row in points if row.group in DEEP})
    paint = dict(zip(widths, COLOURS, strict=False))
    handles = [Line2D([], [], color=paint[width], marker="o", ms=3, ls="", label=f"width {width}") for width in widths]
    handles += [
        Line2D([], [], color="0.3", marker="o", ms=3, ls="", label="the ladder's own shape"),
        Line2D([], [], color="0.3", marker="^", ms=3, ls="", label="another depth"),
        Line2D([], [], color="0.3", marker="s", ms=3, ls="", label="a wider MLP"),
        Line2D([], [], color="0.3", lw=0.7, label="projected null"),
    ]
    key.legend(handles=handles, loc="center", fontsize=5.2)
    effects_panel(below.subplots(), effects)
    place = where(primary["layer"], primary["length"], primary["normalise"])
    missing = f"\nnot trained, so left out: {len(absent)} trainings" if absent else ""
    figure.suptitle(f"Width against depth: {place}{distortion(row.eps2 for row in points)}{missing}", fontsize=6.2)
    return figure


def cells_panel(axis: Axes, rows: Sequence[CellPoint]) -> None:
    """Draw trainings over N; the null of each width is a level across its cells."""
    widths = sorted({row.width for row in rows})
    paint = dict(zip(widths, COLOURS, strict=False))
    for width in widths:
        mine = [row for row in rows if row.width == width]
        for row in mine:
            marker = "s" if row.mlp != 4 * row.width else "^" if row.group == "depth" else "o"
            axis.plot(row.params_nonembedding, row.value, marker, ms=2.8, color=paint[width], mew=0)
        known = [row.null for row in mine if row.null is not None]
        if known:
            sizes = [row.params_nonembedding for row in mine]
            axis.plot([min(sizes) / 1.15, max(sizes) * 1.15], [np.mean(known)] * 2, "-", lw=0.7, color=paint[width], zorder=1)
    axis.set(xscale="log", yscale="log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("{x:g}")
    axis.tick_params(which="both", labelsize=5.2, pad=1.5)
    axis.set_xlabel(SIZE, fontsize=5.2, labelpad=1)


def effects_panel(axis: Axes, effects: Sequence[Effect]) -> None:
    """Draw coefficients of the deciding design with their 95 % intervals: filled where a test was fixed beforehand."""
    shown = [row for row in effects if row.design == FIRST and row.cells == "all" and row.value is not None]
    paint = {"N": BLUE, "width": VERMILION}
    lines = list(dict.fromkeys((row.metric, row.layer, row.of) for row in shown))
    for number, line in enumerate(lines):
        for row in shown:
            if (row.metric, row.layer, row.of) != line or row.value is None:
                continue
            y = number + (0.17 if row.column == "width" else -0.17)
            axis.hlines(y, row.low or 0.0, row.high or 0.0, lw=1, color=paint[row.column])
            axis.plot(row.value, y, "o", ms=3.2, color=paint[row.column], mfc=None if row.primary else "white", mew=0.7)
            if row.primary and row.high is not None:
                axis.annotate(str(row.verdict), (row.high, y), (3, 0), textcoords="offset points", fontsize=5, va="center")
    refused = [row for row in effects if row.design == FIRST and row.cells == "all" and row.value is None]
    axis.axvline(0, color="0.6", lw=0.6, zorder=0)
    labels = [
        " ".join(filter(None, (name_of(metric), layer or "", "" if of == "metric" else "− null"))) for metric, layer, of in lines
    ]
    axis.set_yticks(range(len(lines)), labels, fontsize=5)
    axis.set_ylim(max(len(lines) - 0.4, 0.6), -0.6)
    axis.set_xlabel("exponent, the other held fixed", fontsize=5.5, labelpad=1)
    axis.tick_params(labelsize=5.2)
    handles = [Line2D([], [], color=paint[column], marker="o", ms=3, label=f"with {COLUMN[column]}") for column in paint]
    axis.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.1, 0.995), ncols=2, fontsize=5.2)
    if refused:
        axis.annotate(f"refused: {refused[0].reason}", (0, -0.16), xycoords="axes fraction", fontsize=5, va="top")


def others_figure(
    trainings: Sequence[ControlTraining],
    points: Sequence[CellPoint],
    tied: Sequence[TiedShare],
    rates: Sequence[RateCheck],
    seeds: Sequence[SeedCorrelation],
    primary: dict[str, Any],
) -> Figure:
    """Above: tied embeddings, and rates at other depths. In the middle: the metric against the loss of trainings of one width,
    on a grid of rates and decays. Below: their correlations."""
    figure = Figure(figsize=(WIDTH, 6.4))
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[2, 1.1]).flatten()
    (of_tied, of_rates), of_seeds = above.subplots(2, 2)
    tied_panel(of_tied, points, tied)
    rates_panel(of_rates, trainings, rates)
    for axis, metric in zip(of_seeds, primary["metrics"], strict=False):
        seeds_panel(axis, points, metric, primary["layer"])
    correlations_panel(below.subplots(), seeds)
    return figure


def tied_panel(axis: Axes, points: Sequence[CellPoint], tied: Sequence[TiedShare]) -> None:
    """Draw loss over all parameters: the ladder and tied models, each joined to the untied one of its width."""
    losses = [row for row in points if row.metric == LOSS]
    ladder = [row for row in losses if row.group == "ladder"]
    sizes = sorted({row.params_total for row in ladder})
    means = [float(np.mean([row.value for row in ladder if row.params_total == size])) for size in sizes]
    axis.plot(sizes, means, "o-", ms=2.5, lw=0.8, color=BLUE, label="untied")
    of_width = {row.width: (row.params_total, means[sizes.index(row.params_total)]) for row in ladder}
    for row in losses:
        if row.tied:
            axis.plot([row.params_total, of_width[row.width][0]], [row.value, of_width[row.width][1]], ":", lw=0.7, color="0.5")
            axis.plot(row.params_total, row.value, "D", ms=3, color=PURPLE, mew=0)
            axis.annotate(f" {row.width}", (row.params_total, row.value), fontsize=5, va="bottom")
    axis.plot([], [], "D", ms=3, color=PURPLE, mew=0, label="tied")
    whole = next((row for row in tied if row.width is None), None)
    told = (
        "fewer than two were trained"
        if whole is None
        else f"share {whole.value:.2f} {bracket(whole.low, whole.high, 2)}:\n{whole.follows}"
    )
    axis.set_title(f"tied embeddings\n{told}", fontsize=5.2, loc="left")
    axis.set(xscale="log", xlabel="all parameters", ylabel="loss (nats a token)")
    small(axis)
    axis.legend(fontsize=5.2)


def rates_panel(axis: Axes, trainings: Sequence[ControlTraining], rates: Sequence[RateCheck]) -> None:
    """Draw validation loss over the peak rate at other depths, and a bar as high as the allowed difference of two seeds."""
    shapes = [(check.width, check.layers) for check in rates]
    for (width, layers), paint, check in zip(shapes, (GREEN, VERMILION, *COLOURS), rates, strict=False):
        tokens = min(row.tokens for row in trainings if (row.width, row.layers) == (width, layers))
        mine = sorted(
            (row.peak_rate, row.loss_validation)
            for row in trainings
            if (row.width, row.layers, row.tokens) == (width, layers, tokens)
        )
        good = "good" if check.good else "not good"
        axis.plot(*zip(*mine, strict=True), "o-", ms=2.5, lw=0.8, color=paint, label=f"{width} x {layers}: {good}")
        least = min(value for _, value in mine)
        axis.fill_between([mine[0][0], mine[-1][0]], least, least * math.exp(check.allowed), color=paint, alpha=0.15, lw=0)
    axis.set_title(
        f"the recipe's rate,\n{rates[0].recipe:g}, at other depths" if rates else "the recipe's rate at other depths",
        fontsize=5.5,
        loc="left",
    )
    axis.set(xscale="log", xlabel="peak rate at width 16", ylabel="validation loss")
    tried = sorted({float(rate) for line in axis.lines for rate in np.asarray(line.get_xdata())})
    axis.set_xticks(tried, [f"{rate:g}" for rate in tried])
    axis.set_xticks([], minor=True)
    small(axis)
    if rates:
        axis.legend(fontsize=5.2)
    else:
        empty(axis)


def seeds_panel(axis: Axes, points: Sequence[CellPoint], metric: str, layer: str) -> None:
    """Draw the metric against the loss of trainings of one width, whatever their recipe."""
    mine = [row for row in points if row.group == "seeds"]
    loss = {row.model: row.value for row in mine if row.metric == LOSS}
    widths = sorted({row.width for row in mine})
    for width, paint in zip(widths, (BLUE, VERMILION, *COLOURS), strict=False):
        dots = [(loss[row.model], row.value) for row in mine if (row.width, row.metric, row.layer) == (width, metric, layer)]
        axis.plot([x for x, _ in dots], [y for _, y in dots], "o", ms=2.4, color=paint, mew=0, label=f"width {width}")
    axis.set_title(f"{name_of(metric)}, {layer}", fontsize=5.5, loc="left")
    axis.set(xlabel="loss (nats a token)", ylabel=unit_of(metric))
    small(axis)
    if widths:
        axis.legend(fontsize=5.2)
    else:
        empty(axis)


def correlations_panel(axis: Axes, seeds: Sequence[SeedCorrelation]) -> None:
    """Draw correlations with the loss, widths fixed, and with rate and decay fixed as well; grey: too small to be detected."""
    lines = list(dict.fromkeys((row.metric, row.layer) for row in seeds))
    looks = {"width": (-0.17, BLUE), "width, rate and decay": (0.17, VERMILION)}
    for number, line in enumerate(lines):
        for row in seeds:
            if (row.metric, row.layer) != line or row.value is None or row.detectable is None:
                continue
            shift, paint = looks[row.fixed]
            y = number + shift
            axis.plot([-row.detectable, row.detectable], [y, y], "-", lw=4, color="0.9", zorder=0, solid_capstyle="butt")
            axis.hlines(y, row.low or 0.0, row.high or 0.0, lw=1, color=paint)
            axis.plot(row.value, y, "o", ms=3.2, color=paint, mfc=None if row.primary else "white", mew=0.7)
    if all(row.value is None for row in seeds):
        empty(axis)
    axis.axvline(0, color="0.6", lw=0.6)
    axis.set_yticks(range(len(lines)), [f"{name_of(metric)}, {layer}" for metric, layer in lines], fontsize=5)
    axis.set(xlim=(-1.02, 1.02), ylim=(max(len(lines) - 0.4, 0.6), -0.6))
    number = max((row.models for row in seeds), default=0)
    axis.set_xlabel(f"correlation with ln loss over {number} trainings\n(grey: less than they can find)", fontsize=5.5)
    axis.tick_params(labelsize=5.2)
    handles = [Line2D([], [], color=paint, marker="o", ms=3, label=f"{fixed} fixed") for fixed, (_, paint) in looks.items()]
    axis.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.1, 0.995), ncols=2, fontsize=5.2)


def empty(axis: Axes) -> None:
    """Says that nothing was trained for this panel."""
    axis.annotate("not trained", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", fontsize=6, color="0.4")


def small(axis: Axes) -> None:
    axis.xaxis.label.set_fontsize(5.5)
    axis.yaxis.label.set_fontsize(5.5)
    axis.tick_params(which="both", labelsize=5.2, pad=1.5)


def draw_controls(
    points: Path, effects: Path, tied: Path, rates: Path, seeds: Path, absent: Path, trainings: Path, output: Path,
    primary: dict[str, Any],
) -> None:  # fmt: skip
    """Write results/controls_plot.pdf."""
    cells = read_csv(points, CellPoint)
    first = cells_figure(cells, read_csv(effects, Effect), primary, read_csv(absent, Absent))
    second = others_figure(
        read_csv(trainings, ControlTraining), cells, read_csv(tied, TiedShare), read_csv(rates, RateCheck),
        read_csv(seeds, SeedCorrelation), primary,
    )  # fmt: skip
    save([first, second], output)
