"""Metrics over relative depth, a line for each size: a page for each corpus."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]
LINES = {"trained": "-", "untrained": ":"}
NORM = 1.12
"""Where the state after the final norm is drawn, beside the last block's output at 1."""


def layers_figure(rows: Rows, metrics: Sequence[str], where: str) -> Iterator[Figure]:
    """rows: `geomkit.store.tables.text_means`. Seeds of one size, and untrained twins, are averaged.

    Solid lines are trained models, dotted ones untrained twins; darker is larger. A ring is what follows the final norm.
    """
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        here = [row for row in rows if row["corpus"] == corpus]
        sizes = sorted({(row["family"], row["params_nonembedding"]) for row in here}, key=lambda size: size[1])
        shades = matplotlib.colormaps["viridis_r"](np.linspace(0.1, 1, len(sizes)))
        colour = dict(zip(sizes, shades, strict=True))
        figure = Figure(figsize=(7.2, 0.5 + 2.4 * -(-len(metrics) // 2)))
        axes = figure.subplots(-(-len(metrics) // 2), 2, squeeze=False).flatten()
        for axis, metric in zip(axes, metrics, strict=False):
            panel(axis, [row for row in here if row["metric"] == metric], colour)
            axis.set(title=metric, xlabel="layer / number of blocks", xticks=[0, 0.25, 0.5, 0.75, 1])
        for axis in axes[len(metrics) :]:
            axis.axis("off")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7)
        figure.suptitle(f"{corpus}: {where}; dotted: untrained; ring: after the final norm", fontsize=8)
        yield figure


def panel(axis: Axes, rows: Rows, colour: Mapping[tuple[str, int], Any]) -> None:
    """One metric: a line for each size and variant."""
    values: dict[tuple[str, int, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        depth = row["layer"] / row["depth"] if row["layer"] <= row["depth"] else NORM
        values[row["family"], row["params_nonembedding"], row["variant"].split("-")[0]][depth].append(row["value"])
    for (family, size), paint in colour.items():
        for variant, line in LINES.items():
            places = sorted(values[family, size, variant].items())
            depths, means = [depth for depth, _ in places], [np.mean(group) for _, group in places]
            axis.plot(depths, means, line, color=paint, label=f"{family}, {size:.2g}" if variant == "trained" else None)
            axis.plot(depths[-1:], means[-1:], "o", ms=3, color=paint, mfc="white", visible=NORM in depths)
