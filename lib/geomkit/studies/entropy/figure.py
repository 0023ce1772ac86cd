"""Draw metrics against relative depth, one line for each size and one page for each corpus."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.core.variants import base
from geomkit.figures.style import SIZE, WIDTH, distortion, name_of, ordered_colours, save, unit_of
from geomkit.studies.size_laws.rows import Point
from geomkit.tables.rows import read_csv

LINES = {"trained": "-", "untrained": ":"}
NORM = 1.12
"""Position on the axis of the state after the final norm; the last block's output is at 1."""


def layers_figure(rows: Sequence[Point], metrics: Sequence[str], where: str) -> Iterator[Figure]:
    """Draw the rows of points.csv except losses. Seeds of one size, and untrained twins, are averaged.

    Solid lines are trained models, dotted ones untrained twins; darker is larger. A ring is what follows the final norm.
    """
    for corpus in dict.fromkeys(row.corpus for row in rows):
        here = [row for row in rows if row.corpus == corpus]
        sizes = sorted({(row.family, row.params_nonembedding) for row in here}, key=lambda size: size[1])
        colour = ordered_colours(sizes)
        lines = -(-len(metrics) // 2)
        figure = Figure(figsize=(WIDTH, 0.8 + 1.45 * lines + 0.11 * -(-len(sizes) // 3)))
        axes = figure.subplots(lines, 2, squeeze=False).flatten()
        for axis, metric in zip(axes, metrics, strict=False):
            panel(axis, [row for row in here if row.metric == metric], colour)
            axis.set_title(name_of(metric), fontsize=6.5)
            axis.set_ylabel(unit_of(metric), labelpad=1)
            axis.set_xticks([0, 0.5, 1])
        for axis in axes[len(metrics) :]:
            axis.axis("off")
        for axis in axes[max(0, len(metrics) - 2) : len(metrics)]:
            axis.set_xlabel("layer / number of blocks")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, title=f"family, {SIZE}", title_fontsize=6)
        what = f"{corpus}: {where}\nsolid: trained, dotted: untrained, ring: after the final norm"
        figure.suptitle(what, fontsize=6.5)
        yield figure


def panel(axis: Axes, rows: Sequence[Point], colour: Mapping[tuple[str, int], Any]) -> None:
    """Draw one metric: a line for each size and variant."""
    values: dict[tuple[str, int, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.layer is not None:
            depth = row.layer / row.depth if row.layer <= row.depth else NORM
            values[row.family, row.params_nonembedding, base(row.variant)][depth].append(row.value)
    for (family, size), paint in colour.items():
        for variant, line in LINES.items():
            places = sorted(values[family, size, variant].items())
            depths, means = [depth for depth, _ in places], [np.mean(group) for _, group in places]
            axis.plot(depths, means, line, lw=1, color=paint, label=f"{family}, {short(size)}" if variant == "trained" else None)
            axis.plot(depths[-1:], means[-1:], "o", ms=2.5, color=paint, mfc="white", visible=NORM in depths)


def short(number: float) -> str:
    """A number with two digits and a letter: 6.6k, 113k, 1.2B."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.{1 if number < 10 * unit else 0}f}{letter}"
    return f"{number:g}"


def draw_layers(points: Path, output: Path, primary: Mapping[str, Any]) -> None:
    """Write results/entropy_layers.pdf."""
    rows = [point for point in read_csv(points, Point) if point.layer is not None]
    where = f"first {primary['length']} tokens, {primary['normalise']}{distortion(row.eps2 for row in rows)}"
    save(layers_figure(rows, primary["metrics"], where), output)
