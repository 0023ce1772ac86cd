"""Draw metrics and loss during training, for each family and size; differences from nulls; and what follows the loss."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.core.config import layer_name
from geomkit.core.state import TOKENS
from geomkit.core.variants import TRAINED
from geomkit.figures.claims import claim_figures
from geomkit.figures.style import (
    BLACK,
    BLUE,
    NULLS,
    VERMILION,
    WIDTH,
    colours,
    distortion,
    name_of,
    ordered_colours,
    save,
    unit_of,
)
from geomkit.studies.training.claims import curves
from geomkit.studies.training.published import ALPHA, PUBLISHED, RANKME
from geomkit.studies.width_depth.rows import StepLaw, StepPoint, StepTurn
from geomkit.tables.findings import Inputs
from geomkit.tables.measurements import Where, number_layer
from geomkit.tables.rows import read_csv

JUDGED = "last"
"""Layer at which curves of texts are drawn bold, and their turns."""
SHUFFLED, UNTRAINED = "shuffled", "untrained"
ARROWS = {True: "up", False: "down"}
Row = TypeVar("Row", StepPoint, StepTurn)


def trajectory_figures(
    points: Sequence[StepPoint],
    turns: Sequence[StepTurn],
    metrics: Sequence[str],
    place: Mapping[str, Any],
) -> Iterator[Figure]:
    """Draw points.csv and turns.csv: for each family, size and corpus a page of values and one of differences from nulls."""
    panels = [Where(JUDGED, place["normalise"], place["length"], metric) for metric in metrics]
    for key in dict.fromkeys(size_of(row) for row in points):
        mine, turned = [row for row in points if size_of(row) == key], [row for row in turns if size_of(row) == key]
        head = f"{mine[0].family} on {mine[0].corpus}, width {mine[0].width}"
        where = f"{head}: first {place['length']} tokens, {place['normalise']}{distortion(row.eps2 for row in mine)}"
        yield values_page(mine, turned, [*panels, *PUBLISHED], where)
        yield differences_page(mine, [*panels, *PUBLISHED], where)


def size_of(row: StepPoint | StepTurn) -> tuple[str, str, int]:
    return row.family, row.corpus, row.params_nonembedding


def here(rows: Sequence[Row], where: Where) -> list[Row]:
    """Return the rows at a place, of any layer."""
    place = (where.metric, where.length, where.rows, where.normalise)
    return [row for row in rows if (row.metric, row.length, row.rows, row.normalise) == place]


def beside(where: Where) -> str:
    """Return what a title says after the metric's name: nothing of texts, else the rows and the layer."""
    return "" if where.rows == TOKENS else f"\n{where.rows} of each text, {where.layer}, {where.normalise}"


def values_page(points: Sequence[StepPoint], turns: Sequence[StepTurn], panels: Sequence[Where], title: str) -> Figure:
    """Draw every layer over the steps; a turning point of the judged layer's curve with its interval of steps."""
    lines = -(-(len(panels) + 2) // 2)
    figure = Figure(figsize=(WIDTH, 0.5 + 1.5 * lines))
    axes = figure.subplots(lines, 2, squeeze=False).flatten()
    shades = shades_of(points)
    for axis, where in zip(axes, panels, strict=False):
        rows, bold = here(points, where), int(number_layer(where.layer, points[0].depth) or 0)
        draw_layers(axis, rows, shades, bold)
        draw_nulls(axis, rows, bold)
        told = [row for row in here(turns, where) if row.layer == where.layer]
        draw_turns(axis, told)
        axis.set_title(f"{name_of(where.metric)}{beside(where)}\n{in_words(told)}", fontsize=5.5, loc="left", pad=8)
        axis.set_ylabel(unit_of(where.metric), labelpad=1, fontsize=5.5)
        if not rows:
            axis.set(xticks=[], yticks=[])
            axis.annotate("too few dimensions", (0.5, 0.5), xycoords="axes fraction", ha="center", fontsize=5.5)
    loss = axes[len(panels)]
    for seed in seeds_of(points):
        mine = sorted(
            (row.step, row.value) for row in points if row.metric == "loss" and row.variant == TRAINED and row.seed == seed
        )
        loss.plot(*zip(*mine, strict=True), "o-", ms=2, lw=0.8, color=BLACK)
    loss.set_title("loss, each seed", fontsize=5.5, loc="left")
    loss.set_ylabel("nats a token", labelpad=1, fontsize=5.5)
    for axis in axes[: len(panels) + 1]:
        if axis.lines:
            over_steps(axis, points)
    for axis in axes[len(panels) + 1 :]:
        axis.axis("off")
    axes[len(panels) + 1].legend(handles=legend(shades, points), loc="center", fontsize=5.2)
    figure.suptitle(title, fontsize=6)
    figure.supxlabel("steps of the optimizer", fontsize=6)
    return figure


def differences_page(points: Sequence[StepPoint], places: Sequence[Where], title: str) -> Figure:
    """Draw ln of each metric minus that of its nulls, at every layer; of places that have values."""
    panels = [where for where in places if here(points, where)]
    figure = Figure(figsize=(WIDTH, 0.6 + 1.35 * len(panels)))
    axes = figure.subplots(len(panels), 2, squeeze=False)
    shades = shades_of(points)
    for line, where in zip(axes, panels, strict=True):
        rows = here(points, where)
        for axis, null in zip(line, (UNTRAINED, SHUFFLED), strict=True):
            of_null = levels(rows, null)
            trained = levels(rows, TRAINED)
            for layer, shade in shades.items():
                steps, difference = minus(trained.get(layer, {}), of_null.get(layer, {}))
                axis.plot(steps, difference, "o-", ms=1.5, lw=1, color=shade)
            axis.axhline(0, color="0.6", lw=0.6, zorder=0)
            over_steps(axis, points)
            axis.set_title(f"{name_of(where.metric)}{beside(where)}\nminus {NULLS[null].short}, ln", fontsize=5.5, loc="left")
    handles = [Line2D([], [], color=shade, label=called(layer, points)) for layer, shade in shades.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=5.2)
    figure.suptitle(f"{title}\nmeans over seeds", fontsize=6)
    return figure


Levels = dict[int | None, dict[int, float]]


def levels(rows: Sequence[StepPoint], variant: str) -> Levels:
    """ln of a variant's value by layer and step, the mean over seeds. Untrained twins, which have no step, are at the first."""
    by_layer: dict[int | None, dict[int, list[float]]] = {}
    for row in rows:
        if row.variant == variant and row.value > 0:
            layer = None if row.layer is None else int(row.layer)
            by_layer.setdefault(layer, {}).setdefault(row.step, []).append(float(np.log(row.value)))
    return {layer: {step: float(np.mean(values)) for step, values in sorted(steps.items())} for layer, steps in by_layer.items()}


def minus(trained: Mapping[int, float], null: Mapping[int, float]) -> tuple[list[int], list[float]]:
    """Steps, and the difference at each; a null that was made at one step alone serves every step."""
    same = next(iter(null.values())) if len(null) == 1 else None
    steps = [step for step in trained if step in null or same is not None]
    return steps, [trained[step] - null.get(step, same if same is not None else np.nan) for step in steps]


def draw_layers(axis: Axes, rows: Sequence[StepPoint], shades: Mapping[int, Any], bold: int) -> None:
    """Draw a line for each layer, the geometric mean over seeds, and at one that is bold thin ones for every seed."""
    depth = rows[0].depth if rows else 0
    for layer, values in levels(rows, TRAINED).items():
        if layer is None:
            continue
        wide = 1.4 if layer == bold else 0.8
        line = "--" if layer == depth + 1 else "-"
        axis.plot(list(values), np.exp(list(values.values())), line, lw=wide, color=shades[layer])
    for seed in seeds_of(rows):
        mine = sorted(
            (row.step, row.value) for row in rows if row.variant == TRAINED and row.seed == seed and row.layer == str(bold)
        )
        axis.plot([step for step, _ in mine], [value for _, value in mine], lw=0.4, color=shades.get(bold, BLACK), zorder=3)


def draw_nulls(axis: Axes, rows: Sequence[StepPoint], bold: int) -> None:
    """Draw nulls of one layer: untrained twins and drawn rows as levels, shuffled text over the steps."""
    for null, look in NULLS.items():
        by_layer = levels(rows, null)
        values = by_layer.get(bold, by_layer.get(None, {}))
        if len(values) == 1:
            axis.axhline(np.exp(next(iter(values.values()))), ls=look.line, lw=0.8, color=look.colour, zorder=1)
        elif values:
            axis.plot(list(values), np.exp(list(values.values())), ls=look.line, lw=0.8, color=look.colour, zorder=1)


def draw_turns(axis: Axes, legs: Sequence[StepTurn]) -> None:
    """Draw a line where a curve turns, and above it a bar over the steps at which it may turn."""
    for leg in legs:
        if leg.turn_low is not None and leg.turn_high is not None:
            # neighbouring intervals touch, so they take turns in height
            height = 1.03 - 0.05 * (leg.number % 2)
            axis.plot(
                [leg.turn_low, leg.turn_high], [height] * 2, "|-", ms=4, lw=1, color=VERMILION, clip_on=False,
                transform=axis.get_xaxis_transform(),
            )  # fmt: skip
            axis.axvline(leg.stop, color=VERMILION, lw=0.6, zorder=0)


def in_words(legs: Sequence[StepTurn]) -> str:
    """Describe a curve, and how it compares with the published phases."""
    counted = [leg.way for leg in legs if leg.counts]
    phases = next((leg.phases for leg in legs if leg.phases), "")
    words = ", ".join(counted) if counted else "no change that can be seen" if legs else "no curve"
    return f"{words}{f' ({phases})' if phases else ''}"


def over_steps(axis: Axes, points: Sequence[StepPoint]) -> None:
    first = logarithmic(axis, [row.step for row in points])
    axis.tick_params(labelsize=5.2, pad=1.5)
    axis.set_xlim(first, max(row.step for row in points) * 1.2)


def logarithmic(axis: Axes, steps: Sequence[int]) -> float:
    """Make an axis of steps logarithmic, and linear up to the first step after step 0; return where it begins."""
    first = min(step for step in steps if step > 0)
    if min(steps) > 0:
        axis.set_xscale("log")
        return first / 1.2
    axis.set_xscale("symlog", linthresh=first)
    return -0.2 * first


def seeds_of(points: Sequence[StepPoint]) -> list[int | None]:
    return list(dict.fromkeys(row.seed for row in points))


def shades_of(points: Sequence[StepPoint]) -> dict[int, Any]:
    """A colour for each layer, darker for later ones."""
    return ordered_colours(sorted({int(row.layer) for row in points if row.layer is not None}))


def called(layer: int, points: Sequence[StepPoint]) -> str:
    name = layer_name(layer, points[0].depth)
    return f"layer {layer}" + (f" ({name})" if name else "")


def legend(shades: Mapping[int, Any], points: Sequence[StepPoint]) -> list[Line2D]:
    depth = points[0].depth
    lines = {layer: "--" if layer == depth + 1 else "-" for layer in shades}
    handles = [Line2D([], [], color=shade, ls=lines[layer], label=called(layer, points)) for layer, shade in shades.items()]
    known = {row.variant for row in points}
    handles += [
        Line2D(
            [],
            [],
            color=look.colour,
            ls=look.line,
            lw=0.8,
            label=f"{look.short}, bold layer" if null in (SHUFFLED, UNTRAINED) else look.short,
        )
        for null, look in NULLS.items()
        if null in known
    ]
    return [*handles, Line2D([], [], color=VERMILION, label="the bold layer turns; bar: its interval")]


def laws_figures(points: Sequence[StepPoint], laws: Sequence[StepLaw], primary: Mapping[str, Any]) -> Iterator[Figure]:
    """Draw laws.csv: for each family and corpus the metrics against the loss during training, and what follows the loss."""
    for family, corpus in dict.fromkeys((row.family, row.corpus) for row in laws):
        mine = [row for row in laws if (row.family, row.corpus) == (family, corpus)]
        known = [row for row in points if (row.family, row.corpus) == (family, corpus)]
        figure = Figure(figsize=(WIDTH, 4.4))
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 1.25]).flatten()
        axes = above.subplots(1, len(primary["metrics"]), squeeze=False)[0]
        for axis, metric in zip(axes, primary["metrics"], strict=True):
            paths(axis, known, metric, primary["length"])
        forest(below.subplots(), mine)
        figure.suptitle(f"{family} on {corpus}: along training at fixed width\nabove: the last block", fontsize=6)
        yield figure


def paths(axis: Axes, points: Sequence[StepPoint], metric: str, length: int) -> None:
    """Draw the last block's metric against the loss, a line for each training."""
    trainings = list(dict.fromkeys((row.training, row.width) for row in points))
    paint = colours(dict.fromkeys(width for _, width in trainings))
    for training, width in trainings:
        mine = [row for row in points if row.training == training and row.variant == TRAINED]
        loss = {row.step: row.value for row in mine if row.metric == "loss"}
        value = {row.step: row.value for row in mine if (row.metric, row.length, row.layer) == (metric, length, str(row.depth))}
        steps = sorted(loss.keys() & value.keys())
        axis.plot([loss[step] for step in steps], [value[step] for step in steps], "o-", ms=2, lw=0.8, color=paint[width])
    axis.invert_xaxis()
    axis.set_xlabel("loss (nats a token)", fontsize=5.5, labelpad=1)
    axis.set_ylabel(unit_of(metric), fontsize=5.5, labelpad=1)
    axis.set_title(name_of(metric), fontsize=5.5, loc="left")
    axis.tick_params(labelsize=5.2, pad=1.5)
    axis.legend(handles=[Line2D([], [], color=shade, label=f"width {width}") for width, shade in paint.items()], fontsize=5.2)


def forest(axis: Axes, laws: Sequence[StepLaw]) -> None:
    """Draw partial correlations with the loss: small for each training, large for their mean with its interval over seeds."""
    rows = list(dict.fromkeys((row.metric, row.layer) for row in laws))
    looks = {
        "metric": (0.16, BLUE, "the metric, ln step held fixed"),
        "step": (-0.16, VERMILION, "ln step, the metric held fixed"),
    }
    for number, (metric, layer) in enumerate(rows):
        for row in laws:
            if (row.metric, row.layer) != (metric, layer) or row.value is None:
                continue
            shift, paint, _ = looks[row.predictor]
            if row.training is not None:
                axis.plot(row.value, number + shift, "o", ms=2, color=paint, alpha=0.6, mew=0)
            elif row.low is not None and row.high is not None:
                axis.plot([row.low, row.high], [number + shift] * 2, "-", lw=1, color=paint)
                axis.plot(row.value, number + shift, "D", ms=3.5, color=paint, mew=0)
    axis.axvline(0, color="0.6", lw=0.6, zorder=0)
    labels = [f"{name_of(metric)},\n{layer}" for metric, layer in rows]
    axis.set_yticks(range(len(rows)), labels, fontsize=5.2)
    axis.set(xlim=(-1.05, 1.05), ylim=(len(rows) - 0.4, -0.6))
    means = [row for row in laws if row.training is None and row.predictor == "metric"]
    number_of = max((row.trainings for row in means), default=0)
    handles = [Line2D([], [], color=paint, marker="D", ms=3, label=label) for _, paint, label in looks.values()]
    axis.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), fontsize=5.2)
    told = f"dots: {number_of} trainings; diamonds: their mean,\n95 % interval over seeds"
    axis.set_xlabel(f"partial correlation with ln loss over steps\n{told}", fontsize=5.5)


@claim_figures.register(
    "phases",
    claims=("effective rank has three phases in training", "decay has three phases in training"),
    caption="Change of ln effective rank of last tokens over training, from turn to turn, where all seeds and documents agree.",
)
def phases(inputs: Inputs) -> Figure | None:
    """Draw the legs of the published curves, end to end; bars are 95 % intervals of each leg's change."""
    shown = [(metric, legs) for metric in (RANKME, ALPHA) for legs in curves(inputs, metric)]
    if not shown:
        return None
    figure = Figure(figsize=(WIDTH, 1.9))
    panels = list(dict.fromkeys(metric for metric, _ in shown))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    paint = colours(dict.fromkeys(legs[0].width for _, legs in shown))
    for axis, metric in zip(axes, panels, strict=True):
        for legs in (legs for own, legs in shown if own == metric):
            level, colour = 0.0, paint[legs[0].width]
            for leg in legs:
                line = "-" if leg.counts else ":"
                axis.plot([leg.start, leg.stop], [level, level + leg.change], line, marker="o", ms=2.5, lw=1, color=colour)
                axis.plot([leg.stop] * 2, [level + leg.low, level + leg.high], lw=0.8, color=colour)
                level += leg.change
        axis.axhline(0, color="0.6", lw=0.6, zorder=0)
        logarithmic(axis, [step for _, legs in shown for leg in legs for step in (leg.start, leg.stop)])
        axis.set_title(name_of(metric), fontsize=6)
        axis.set_xlabel("steps of the optimizer", fontsize=6)
        axis.set_ylabel("change of ln", fontsize=6)
    axes[-1].legend(handles=[Line2D([], [], color=shade, label=f"width {width}") for width, shade in paint.items()], fontsize=5.2)
    return figure


def draw_trajectories(
    points: Path,
    turns: Path,
    laws: Path,
    output: Path,
    primary: Mapping[str, Any],
    metrics: Sequence[str],
) -> None:
    """Write results/trajectory_plot.pdf."""
    values, told = read_csv(points, StepPoint), read_csv(laws, StepLaw)
    pages = trajectory_figures(values, read_csv(turns, StepTurn), metrics, primary)
    save([*pages, *laws_figures(values, told, primary)], output)
