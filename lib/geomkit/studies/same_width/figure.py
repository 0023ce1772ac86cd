"""Draw the claims about models of one width: the difference at each width, with its 95 % interval."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.claims import Effect, claim_figures, draw_effects
from geomkit.figures.style import WIDTH, colours
from geomkit.studies.same_width.claims import trends, widths
from geomkit.studies.size_laws.rows import FixedWidth
from geomkit.tables.endpoints import Source
from geomkit.tables.findings import Inputs, scope

TICKS = 5
"""Widths that a panel names at most."""


@claim_figures.register(
    "training",
    claims=("trained over untrained effective rank grows with size", "training raises the centred effective rank"),
    caption="ln(trained / untrained) of the effective rank at each width: unit rows left, centred rows right.",
)
def training(inputs: Inputs) -> Figure | None:
    rows = {
        "unit rows": widths(inputs, "untrained", "unit"),
        "centred rows": widths(inputs, "untrained", "centre-unit"),
    }
    return panels(rows, "ln(trained / untrained)")


@claim_figures.register(
    "word-order",
    claims=("word order lowers the centred effective rank",),
    caption="ln(text / shuffled text) of the centred effective rank by width, and its slope; hollow: the projected null's.",
)
def word_order(inputs: Inputs) -> Figure | None:
    rows = widths(inputs, "shuffled", "centre-unit")
    slopes = {True: trends(inputs, "shuffled", "centre-unit"), False: trends(inputs, "shuffled-projected", "centre-unit")}
    if not rows or not slopes[True]:
        return None
    paint = colours(dict.fromkeys(source(row) for row in (*rows, *slopes[True])))
    figure = Figure(figsize=(WIDTH, 1.7))
    left, right = figure.subplots(1, 2)
    by_width(left, rows, paint, "ln(text / shuffled)")
    effects = [
        Effect(scope(row) if measured else None, one.trend, one.trend_low, one.trend_high, paint[source(row)], measured)
        for row in slopes[True]
        for measured, others in slopes.items()
        for one in others
        if source(one) == source(row)
    ]
    draw_effects(right, effects)
    right.set_xlabel("slope with ln N")
    return figure


@claim_figures.register(
    "final-norm",
    claims=("the final norm's weights raise the effective rank",),
    caption="ln(with / without the final norm's weights) of the effective rank at each width, unit rows.",
)
def final_norm(inputs: Inputs) -> Figure | None:
    return panels({"after the final norm": widths(inputs, "norm", "unit", "final")}, "ln(with / without)")


def source(row: Source) -> tuple[str, str]:
    return row.family, row.corpus


def panels(shown: dict[str, list[FixedWidth]], label: str) -> Figure | None:
    """Draw a panel for each kind of row that there is, with a curve for each family and corpus."""
    shown = {name: rows for name, rows in shown.items() if rows}
    if not shown:
        return None
    paint = colours(dict.fromkeys(source(row) for rows in shown.values() for row in rows))
    figure = Figure(figsize=(WIDTH, 1.7))
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, (name, rows) in zip(axes, shown.items(), strict=True):
        by_width(axis, rows, paint, label if axis is axes[0] else "")
        axis.set_title(name)
    several = len({family for family, _ in paint}) > 1
    handles = [
        Line2D([], [], color=colour, marker="o", ms=2.6, label=f"{family}, {corpus}" if several else corpus)
        for (family, corpus), colour in paint.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=5.5)
    return figure


def by_width(axis: Axes, rows: Sequence[FixedWidth], paint: Mapping[tuple[str, str], str], label: str) -> None:
    """Draw a curve over width for each family and corpus, a little apart."""
    for place, (of, colour) in enumerate(paint.items()):
        curve(axis, [row for row in rows if source(row) == of], colour, 1.03**place)
    shown = sorted({row.width for row in rows if row.width})
    shown = shown[:: -(-len(shown) // TICKS)]
    axis.axhline(0, lw=0.6, color="0.5", zorder=0)
    axis.set(xscale="log", xlabel="width", ylabel=label)
    axis.set_xticks(shown, [str(width) for width in shown])
    axis.minorticks_off()


def curve(axis: Axes, rows: Sequence[FixedWidth], colour: str, shift: float) -> None:
    """Draw values over width, with their intervals."""
    rows = sorted(rows, key=lambda row: row.width or 0)
    x = [shift * (row.width or 0) for row in rows]
    axis.plot(x, [row.value or 0.0 for row in rows], "-o", ms=2.6, lw=0.8, color=colour)
    for at, row in zip(x, rows, strict=True):
        if row.low is not None and row.high is not None:
            axis.plot([at, at], [row.low, row.high], lw=0.8, color=colour)
