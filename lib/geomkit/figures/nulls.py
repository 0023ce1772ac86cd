"""Exponents beside those of their nulls, on one axis: which laws are more than width."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.figures.growth import growth_figure
from geomkit.figures.style import BLUE, NULLS, SIZE, WIDTH, called, distortion, name_of, save
from geomkit.laws.exponents import WIDTH_NULLS, Verdict
from geomkit.store.records import Growth, NullSlope, Slope, SlopeKey, by_slope, read_csv

PITCH = 0.105
"""Inches from line to line."""


@dataclass(frozen=True)
class Block:
    """A law with its nulls, in the order of the legend."""

    row: Slope
    slope: float
    ends: tuple[float, float]
    nulls: Mapping[str, NullSlope]


def nulls_figure(rows: Sequence[Slope], nulls: Sequence[NullSlope], combinations: int) -> Figure:
    """rows: rows of slopes.csv against the parameters without embeddings, the primary endpoint and published tables; nulls:
    null_slopes.csv; combinations: how many exponents slopes.csv holds.

    A law is a block: its exponent with its t interval, and below it each null's. A null's bar is that of the paired difference,
    laid about the null's exponent: where the upright line at the measured exponent goes through it, the two are not told apart.
    """
    shown = blocks(rows, by_slope(nulls))
    groups = {key: list(group) for key, group in groupby(shown, key=lambda one: (called(one.row), one.row.corpus))}
    height = sum(1.6 + sum(2.4 + len(one.nulls) for one in group) for group in groups.values())
    figure = Figure(figsize=(WIDTH, 1.1 + PITCH * height))
    axis = figure.subplots()
    ticks: dict[float, str] = {}
    top = height
    for (family, corpus), group in groups.items():
        heading(axis, top, f"{family}, {corpus}", "0", weight="bold", fontsize=7)
        top -= 1.2
        for one in group:
            ticks |= block(axis, one, top)
            top -= 2.4 + len(one.nulls)
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
        f"tables{distortion(row.eps2 for row in rows)}. The others are exploratory.",
    )
    figure.suptitle("\n".join(lines), fontsize=6, x=0.02, ha="left")
    return figure


def heading(axis: Axes, y: float, text: str, color: str, right: bool = False, **style: Any) -> None:
    """Text at the left, or the right, end of a line."""
    place = axis.get_yaxis_transform()
    axis.text(1 if right else -0.16, y, text, transform=place, va="center", ha="right" if right else "left", color=color, **style)


def blocks(rows: Sequence[Slope], beside: Mapping[SlopeKey, Mapping[str, NullSlope]]) -> list[Block]:
    """Of every row that has an exponent, what is drawn."""
    found = []
    for row in rows:
        if row.slope is not None and row.low is not None and row.high is not None:
            nulls = beside.get(row.key, {})
            found.append(Block(row, row.slope, (row.low, row.high), {name: nulls[name] for name in NULLS if name in nulls}))
    return found


def block(axis: Axes, one: Block, top: float) -> dict[float, str]:
    """One law: a heading, what was measured, and its nulls below; what each line is."""
    slope, verdict = one.slope, one.row.verdict
    heading(axis, top, name_of(one.row.metric), "0", fontsize=6.5)
    weight = "bold" if verdict == Verdict.OUTSIDE else "normal"
    heading(axis, top, verdict, BLUE if verdict.beyond else "0.3", right=True, fontsize=6, weight=weight)
    axis.plot([slope, slope], [top - 0.6, top - 1.4 - len(one.nulls)], lw=0.7, color=BLUE, zorder=1)
    axis.plot(one.ends, [top - 1, top - 1], lw=3, color=BLUE, alpha=0.4, solid_capstyle="butt")
    axis.plot(slope, top - 1, "o", ms=3.2, color=BLUE)
    ticks = {top - 1: "measured"}
    for y, (name, null) in enumerate(one.nulls.items(), 2):
        of_width = name in WIDTH_NULLS
        dark = "0.1" if of_width else "0.6"
        ends = [slope - null.high, slope - null.low]
        fill = dark if ends[0] <= slope <= ends[1] else "white"
        axis.plot(ends, [top - y, top - y], lw=1.6 if of_width else 1, color=dark, alpha=0.7, solid_capstyle="butt", zorder=2)
        axis.plot(null.slope, top - y, NULLS[name].marker, ms=2.8, color=dark, mfc=fill, mew=0.6, zorder=3)
        ticks[top - y] = NULLS[name].short
    return ticks


def draw_nulls(slopes: Path, null_slopes: Path, growth: Path, output: Path) -> None:
    """Writes results/nulls_plot.pdf."""
    rows = read_csv(slopes, Slope)
    shown = [row for row in rows if row.against == "params_nonembedding" and (row.primary or row.published)]
    figure = nulls_figure(shown, read_csv(null_slopes, NullSlope), rows[0].combinations)
    save([figure, *growth_figure(read_csv(growth, Growth))], output)
