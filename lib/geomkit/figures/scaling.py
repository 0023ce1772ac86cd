"""Primary metrics and the loss against model size, with the fitted law, the bound and the nulls: a page for each corpus."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.style import NULLS, colours

Rows = Sequence[Mapping[str, Any]]


def scaling_figure(rows: Rows, fits: Rows, primary: Mapping[str, Any]) -> Iterator[Figure]:
    """rows: `geomkit.store.tables.endpoint`; fits: the entries of fits.json; primary: the configured endpoint."""
    colour = colours(dict.fromkeys(row["family"] for row in rows))
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        panels = [*primary["metrics"], "loss"]
        figure = Figure(figsize=(7.2, 2.3 * -(-(len(panels) + 1) // 3)))
        axes = figure.subplots(-(-(len(panels) + 1) // 3), 3, squeeze=False).flatten()
        for axis, metric in zip(axes, panels, strict=False):
            shown = [row for row in rows if (row["corpus"], row["metric"]) == (corpus, metric)]
            laws = [fit for fit in fits if (fit["corpus"], fit["metric"]) == (corpus, metric)]
            panel(axis, shown, laws, colour)
            axis.set_title(title(metric, laws), fontsize=7)
        for axis in axes[len(panels) :]:
            axis.axis("off")
        axes[len(panels)].legend(handles=legend(colour), loc="center left", fontsize=7)
        where = f"layer {primary['layer']}, first {primary['length']} tokens, {primary['normalise']}"
        figure.suptitle(f"{corpus}: {where}; 95 % intervals of the exponent over sizes", fontsize=8)
        yield figure


def panel(axis: Axes, rows: Rows, fits: Rows, colour: Mapping[str, str]) -> None:
    """One metric of every family."""
    for family, paint in colour.items():
        mine = [row for row in rows if row["family"] == family]
        trained = [row for row in mine if row["variant"] == "trained"]
        axis.plot(*points(trained), "o", ms=3.5, color=paint)
        for null, (line, marker) in NULLS.items():
            group = [row for row in mine if row["variant"].split("-")[0] == null]
            axis.plot(*size_means(group), line, marker=marker, ms=2.5, lw=0.9, color=paint, alpha=0.55)
        bounded = [row for row in trained if row["bound"] is not None]
        axis.plot(*size_means(bounded, "bound"), "-", lw=0.8, color="0.6")
        for fit in fits:
            if fit["family"] == family and fit["params"]:
                sizes = np.geomspace(*np.array(points(trained)[0])[[0, -1]])
                axis.plot(sizes, fit["params"]["a"] * sizes ** fit["params"]["b"], color=paint)
    axis.set(xscale="log", yscale="log", xlabel="parameters without embeddings")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("{x:g}")
    axis.tick_params(axis="y", which="both", labelsize=6)


def points(rows: Rows, column: str = "value") -> tuple[list[float], list[float]]:
    return [row["params_nonembedding"] for row in rows], [row[column] for row in rows]


def size_means(rows: Rows, column: str = "value") -> tuple[list[float], list[float]]:
    """Sizes, and the geometric mean of each size's values."""
    sizes = sorted({row["params_nonembedding"] for row in rows})
    groups = [[row[column] for row in rows if row["params_nonembedding"] == size] for size in sizes]
    return sizes, [float(np.exp(np.mean(np.log(group)))) for group in groups]


def title(metric: str, fits: Rows) -> str:
    """The metric with each family's exponent and its interval, or why there is none."""
    lines = [metric if metric != "loss" else "loss (nats a token)"]
    for fit in fits:
        if fit["params"]:
            low, high = fit["interval"]["b"]
            lines.append(f"{fit['family']}: N^{fit['params']['b']:.3f} [{low:.3f}, {high:.3f}]")
        else:
            lines.append(f"{fit['family']}: no law, {fit['status']}")
    return "\n".join(lines)


def legend(colour: Mapping[str, str]) -> list[Line2D]:
    """What the colours and lines stand for."""
    handles = [
        Line2D([], [], color=paint, marker="o", ms=4, label=f"{family}, trained, power law") for family, paint in colour.items()
    ]
    handles += [
        Line2D([], [], color="0.4", ls=line, marker=marker, ms=3, lw=0.9, label=f"null: {null}")
        for null, (line, marker) in NULLS.items()
    ]
    return [*handles, Line2D([], [], color="0.6", lw=0.8, label="bound")]
