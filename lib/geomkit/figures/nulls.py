"""Exponents beside those of their nulls, on one axis: which laws are more than width."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.style import COLOURS, NULLS

Rows = Sequence[Mapping[str, Any]]
VERDICTS = {"width alone": COLOURS[1], "beyond width": COLOURS[0]}


def nulls_figure(rows: Rows, combinations: int) -> Figure:
    """rows: rows of slopes.csv against the parameters without embeddings, numbers as numbers, the primary endpoint and published
    tables; combinations: how many exponents slopes.csv holds."""
    shown = [row for row in rows if row.get("slope") is not None]
    figure = Figure(figsize=(7.2, 1.6 + 0.42 * len(shown)))
    axis = figure.subplots()
    for place, row in enumerate(reversed(shown)):
        paint = next((colour for verdict, colour in VERDICTS.items() if row["verdict"].startswith(verdict)), "0.4")
        axis.plot([row["low"], row["high"]], [place, place], "-", lw=4, color=paint, alpha=0.35, solid_capstyle="butt")
        axis.plot(row["slope"], place, "o", ms=5, color=paint)
        for null, (_, marker, _) in NULLS.items():
            if (slope := row.get(f"{null} slope")) is not None:
                axis.plot(slope, place + 0.22, marker, ms=4.5, color="k", mfc="none", mew=0.8)
        axis.annotate(row["verdict"], (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=6.5, color=paint)
    axis.axvline(0, lw=0.6, color="0.6", zorder=0)
    axis.set_yticks(range(len(shown)), [label(row) for row in reversed(shown)], fontsize=7)
    axis.set(xlabel="exponent with parameters without embeddings", ylim=(-0.6, len(shown) - 0.3))
    handles = [Line2D([], [], color="0.3", marker="o", lw=4, alpha=0.7, ms=5, label="measured, 95 % interval over sizes")]
    handles += [
        Line2D([], [], color="k", marker=marker, mfc="none", ls="", ms=5, label=text) for _, marker, text in NULLS.values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7)
    shared = f"{len(shown)} of {combinations} exponents: the primary endpoint and published tables; the rest is exploratory."
    lines = (
        "A law is more than width only if it is told from both nulls for width; verdicts are from paired differences.",
        shared,
    )
    figure.suptitle("\n".join(lines), fontsize=7)
    return figure


def label(row: Mapping[str, Any]) -> str:
    return f"{row['family']}, {row['corpus']}\n{row['metric']}"
