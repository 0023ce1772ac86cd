"""Exponents beside those of their nulls, on one axis: which laws are more than width."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.figures.growth import growth_figure
from geomkit.figures.style import BLUE, NULLS, SIZE, WIDTH, is_drawn, save, title_of
from geomkit.store.tables import read_csv
from geomkit.variants import WIDTH_NULLS

Row = Mapping[str, Any]
PITCH = 0.105
"""Inches from line to line."""


def nulls_figure(rows: Sequence[Row], combinations: int, exploratory: Collection[str] = ()) -> Figure:
    """rows: rows of slopes.csv against the parameters without embeddings, numbers as numbers, the primary endpoint and published
    tables; combinations: how many exponents slopes.csv holds; exploratory: metrics that are marked so.

    A law is a block: its exponent with its t interval, and below it each null's. A null's bar is that of the paired difference,
    laid about the null's exponent: where the upright line at the measured exponent goes through it, the two are not told apart.
    """
    shown = [row for row in rows if row.get("slope") is not None]
    groups = {key: list(group) for key, group in groupby(shown, key=lambda row: (row["family"], row["corpus"]))}
    height = sum(1.6 + sum(2.4 + len(nulls_of(row)) for row in group) for group in groups.values())
    figure = Figure(figsize=(WIDTH, 1.1 + PITCH * height))
    axis = figure.subplots()
    ticks: dict[float, str] = {}
    top = height
    for (family, corpus), group in groups.items():
        heading(axis, top, f"{family}, {corpus}", "0", weight="bold", fontsize=7)
        top -= 1.2
        for row in group:
            ticks |= block(axis, row, top, exploratory)
            top -= 2.4 + len(nulls_of(row))
        top -= 0.4
    axis.axvline(0, lw=0.6, color="0.75", zorder=0)
    axis.set_yticks(list(ticks), list(ticks.values()), fontsize=5.5)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set(xlabel=f"exponent with {SIZE}", ylim=(top, height + 0.8))
    axis.margins(x=0.03)
    lines = (
        "Bars: 95 % intervals over sizes. A null whose bar the upright line crosses",
        "(filled) is not told from what was measured. A law is more than width",
        "only if the line crosses neither bar for width alone (dark): a spectrum",
        "of fixed shape, that of the widest model cut, or one stretched. Between",
        "these two it is what some spectrum of nearly one shape would give.",
        f"{len(shown)} of {combinations} exponents: the endpoint fixed beforehand, and published",
        "tables. Those marked so, and the others, are exploratory." if exploratory else "tables. The others are exploratory.",
    )
    figure.suptitle("\n".join(lines), fontsize=6, x=0.02, ha="left")
    return figure


def heading(axis: Axes, y: float, text: str, color: str, right: bool = False, **style: Any) -> None:
    """Text at the left, or the right, end of a line."""
    place = axis.get_yaxis_transform()
    axis.text(1 if right else -0.16, y, text, transform=place, va="center", ha="right" if right else "left", color=color, **style)


def nulls_of(row: Row) -> list[str]:
    return [null for null in NULLS if row.get(f"{null} slope") is not None]


def block(axis: Axes, row: Row, top: float, exploratory: Collection[str]) -> dict[float, str]:
    """One law: a heading, what was measured, and its nulls below; what each line is."""
    slope, verdict = row["slope"], row["verdict"]
    beyond = verdict.startswith("beyond width")
    heading(axis, top, title_of(row["metric"], exploratory), "0", fontsize=6.5)
    said = verdict if beyond else verdict.split(":")[0]
    heading(
        axis, top, said, BLUE if beyond else "0.3", right=True, fontsize=6, weight="bold" if "outside" in verdict else "normal"
    )
    axis.plot([slope, slope], [top - 0.6, top - 1.4 - len(nulls_of(row))], lw=0.7, color=BLUE, zorder=1)
    axis.plot([row["low"], row["high"]], [top - 1, top - 1], lw=3, color=BLUE, alpha=0.4, solid_capstyle="butt")
    axis.plot(slope, top - 1, "o", ms=3.2, color=BLUE)
    ticks = {top - 1: "measured"}
    for y, null in enumerate(nulls_of(row), 2):
        of_width = null in WIDTH_NULLS
        dark = "0.1" if of_width else "0.6"
        ends = [slope - row[f"{null} high"], slope - row[f"{null} low"]]
        fill = dark if ends[0] <= slope <= ends[1] else "white"
        axis.plot(ends, [top - y, top - y], lw=1.6 if of_width else 1, color=dark, alpha=0.7, solid_capstyle="butt", zorder=2)
        axis.plot(row[f"{null} slope"], top - y, NULLS[null].marker, ms=2.8, color=dark, mfc=fill, mew=0.6, zorder=3)
        ticks[top - y] = NULLS[null].short
    return ticks


def draw_nulls(slopes: Path, growth: Path, output: Path, primary: Mapping[str, Any], exploratory: Sequence[str]) -> None:
    """Writes results/nulls_plot.pdf."""
    rows = read_csv(slopes)
    shown = [
        row
        for row in rows
        if row["against"] == "params_nonembedding" and (is_drawn(row, primary, exploratory) or "(published)" in row["family"])
    ]
    save([nulls_figure(shown, int(rows[0]["combinations"]), exploratory), *growth_figure(read_csv(growth))], output)
