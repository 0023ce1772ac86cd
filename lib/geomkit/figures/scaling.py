"""Primary metrics and the loss against model size, each with its law, its bound and its nulls: a page for each corpus."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from geomkit.figures.style import NULLS, colours
from geomkit.laws.exponents import WIDTH_NULLS

Row = Mapping[str, Any]
Rows = Sequence[Row]
COLUMNS = 2


def scaling_figure(rows: Rows, fits: Rows, slopes: Rows, primary: Mapping[str, Any]) -> Iterator[Figure]:
    """rows: `geomkit.store.tables.endpoint`; fits: fits.json; slopes: the primary rows of slopes.csv, numbers as numbers."""
    colour = colours(dict.fromkeys(row["family"] for row in rows))
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        panels = [*primary["metrics"], "loss"]
        lines = -(-(len(panels) + 1) // COLUMNS)
        figure = Figure(figsize=(7.2, 0.3 + 2.8 * lines))
        axes = figure.subplots(lines, COLUMNS, squeeze=False).flatten()
        for axis, metric in zip(axes, panels, strict=False):
            shown, laws, compared = (of(table, corpus, metric) for table in (rows, fits, slopes))
            laws = [law for law in laws if law["form"] == "power"]
            panel(axis, shown, laws, colour)
            axis.set_title("\n".join(title(metric, laws, compared)), loc="left", fontsize=7)
        for axis in axes[len(panels) :]:
            axis.axis("off")
        axes[len(panels)].legend(handles=legend(colour), loc="center left", fontsize=7.5)
        where = f"layer {primary['layer']}, first {primary['length']} tokens, {primary['normalise']}"
        figure.suptitle(
            f"{corpus}: {where}. Brackets: 95 % intervals over sizes, which say how well this family is known", fontsize=7.5
        )
        yield figure


def of(rows: Rows, corpus: str, metric: str) -> list[Row]:
    return [row for row in rows if (row["corpus"], row["metric"]) == (corpus, metric)]


def panel(axis: Axes, rows: Rows, laws: Rows, colour: Mapping[str, str]) -> None:
    """One metric of every family."""
    for family, paint in colour.items():
        mine = [row for row in rows if row["family"] == family]
        trained = [row for row in mine if row["variant"] == "trained"]
        for null, (line, marker, _) in NULLS.items():
            group = [row for row in mine if row["variant"] == null or row["variant"].startswith(f"{null}-")]
            sizes, low, middle, high = spread(group)
            axis.plot(sizes, middle, ls=line, marker=marker, ms=2.2, lw=0.8, color=paint, alpha=0.6)
            axis.fill_between(sizes, low, high, color=paint, alpha=0.12, lw=0)
        sizes, _, bound, _ = spread([row for row in trained if row["bound"] is not None], "bound")
        axis.plot(sizes, bound, "-", lw=0.8, color="0.6")
        sizes, _, middle, _ = spread(trained)
        axis.plot(*points(trained), "o", ms=3.5, color=paint)
        largest = [row for row in trained if row["params_nonembedding"] == max(sizes)]
        for law in laws:
            if law["family"] == family and law["params"]:
                draw_law(axis, law, sizes, middle, paint)
                if law["heldout_error"] is not None:
                    axis.plot(*points(largest), "o", ms=6.5, color=paint, mfc="none", mew=0.8)
    axis.set(xscale="log", yscale="log", xlabel="parameters without embeddings")
    axis.yaxis.set_major_formatter("{x:g}")
    bottom, top = axis.get_ylim()
    if top > 8 * bottom:
        axis.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.yaxis.set_minor_formatter("{x:g}")
    axis.tick_params(axis="both", which="both", labelsize=6)


def draw_law(axis: Axes, law: Row, sizes: Sequence[float], values: Sequence[float], paint: str) -> None:
    """The power law, and every law through its centre whose exponent is in the interval."""
    x = np.geomspace(sizes[0], sizes[-1], 50)
    axis.plot(x, law["params"]["a"] * x ** law["params"]["b"], color=paint)
    low, high = law["interval"]["b"]
    if low is not None and high is not None:
        centre = np.exp(np.mean(np.log(sizes)))
        level = law["params"]["a"] * centre ** law["params"]["b"]
        fans = [level * (x / centre) ** b for b in (low, high)]
        axis.fill_between(x, np.min(fans, axis=0), np.max(fans, axis=0), color=paint, alpha=0.25, lw=0)


def points(rows: Rows) -> tuple[list[float], list[float]]:
    return [row["params_nonembedding"] for row in rows], [row["value"] for row in rows]


def spread(rows: Rows, column: str = "value") -> tuple[list[float], list[float], list[float], list[float]]:
    """Sizes, and of each size's values the smallest, the geometric mean, and the largest."""
    sizes = sorted({row["params_nonembedding"] for row in rows})
    groups = [[row[column] for row in rows if row["params_nonembedding"] == size] for size in sizes]
    return (
        sizes,
        [min(group) for group in groups],
        [float(np.exp(np.mean(np.log(group)))) for group in groups],
        [max(group) for group in groups],
    )


def title(metric: str, laws: Rows, slopes: Rows) -> list[str]:
    """The metric, each family's exponent with its interval, and how far it is from both nulls for width."""
    lines = [metric if metric != "loss" else "loss (nats a token)"]
    for law in laws:
        name = law["family"]
        if not law["params"]:
            lines.append(f"{name}: no law, {law['status'].removeprefix('failed: ')}")
            continue
        lines.append(f"{name}: N^{law['params']['b']:.3f} [{bracket(*law['interval']['b'])}]")
        if law["heldout_error"] is not None:
            lines[-1] += f", largest {100 * law['heldout_error']:+.1f} %"
        for row in slopes:
            if row["family"] == name:
                lines += [
                    f"minus {null}: {row[f'{null} difference']:+.3f} [{bracket(row[f'{null} low'], row[f'{null} high'])}]"
                    for null in WIDTH_NULLS
                    if row.get(f"{null} low") is not None
                ]
                lines.append(row["verdict"])
    return lines


def bracket(low: float | None, high: float | None) -> str:
    return f"{'…' if low is None else f'{low:.3f}'}, {'…' if high is None else f'{high:.3f}'}"


def legend(colour: Mapping[str, str]) -> list[Line2D]:
    """What the colours and lines stand for."""
    handles = [
        Line2D([], [], color=paint, marker="o", ms=4, label=f"{family}: seeds, power law") for family, paint in colour.items()
    ]
    handles.append(
        Line2D([], [], color="0.3", marker="o", ms=6.5, mfc="none", mew=0.8, ls="", label="largest: predicted by the others")
    )
    handles.append(Line2D([], [], color="0.6", lw=0.8, label="bound"))
    handles += [
        Line2D([], [], color="0.3", ls=line, marker=marker, ms=3, lw=0.8, label=f"null: {label}")
        for line, marker, label in NULLS.values()
    ]
    return handles
