"""Draw exponents minus those of their nulls, with the margin within which a difference is negligible, and the verdicts."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.core.variants import WIDTH_NULLS
from geomkit.figures.style import (
    BLUE,
    COLOURS,
    GREEN,
    NULLS,
    PROJECTIONS,
    SIZE,
    VERMILION,
    WIDTH,
    called,
    distortion,
    name_of,
    save,
    where,
)
from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.statistics import slope
from geomkit.laws.verdicts import Kind
from geomkit.studies.size_laws.figure.growth import growth_figure
from geomkit.studies.size_laws.rows import Growth, LawVerdict, NullSlope, SizeDifference, Slope, by_slope
from geomkit.tables.endpoints import SlopeKey
from geomkit.tables.rows import read_csv

LABEL = "exponent with size, minus the null's"
ACROSS = 66
"""Characters of print across a column."""
PITCH = 0.12
"""Inches from line to line."""
PROJECTED, RANDOM, STRETCHED = "projected", "random-projection", "stretched"
NEUTRAL = "0.35"
PAINT = {Kind.BEYOND: VERMILION, Kind.NESTED: GREEN}
"""Colours of verdicts that say something; all others are grey."""
LOOKS = {PROJECTED: PROJECTIONS[PROJECTED], RANDOM: PROJECTIONS[RANDOM], STRETCHED: NULLS[STRETCHED]}
BAND: dict[str, Any] = {"color": "0.87", "lw": 0, "zorder": 0}


def nulls_figures(
    verdicts: Sequence[LawVerdict], differences: Sequence[SizeDifference], primary: bool = True
) -> Iterator[Figure]:
    """verdicts: verdicts.csv; differences: differences.csv. A page for each family and corpus, with a block for each
    primary test; behind it, where power laws were rejected, one with their differences size by size."""
    shown = sorted((row for row in verdicts if row.primary == primary), key=lambda row: (row.family, row.corpus, row.metric))
    for (family, corpus), group in groupby(shown, key=lambda row: (row.family, row.corpus)):
        rows = list(group)
        yield differences_figure(f"{family}, {corpus}", rows, differences)
        rejected = [row for row in rows if row.fit is Fitness.REJECTED]
        if rejected:
            yield by_size_figure(f"{family}, {corpus}", rejected, differences)


def of_place(row: LawVerdict, differences: Sequence[SizeDifference]) -> dict[tuple[str, str], list[SizeDifference]]:
    """Differences of one law by null and donor, sizes ascending."""
    names = ("family", "published", "corpus", "layer", "length", "normalise", "metric")
    own = [one for one in differences if all(getattr(one, name) == getattr(row, name) for name in names)]
    by_null: dict[tuple[str, str], list[SizeDifference]] = {}
    for one in sorted(own, key=lambda one: one.params_nonembedding):
        by_null.setdefault((one.null, one.donor), []).append(one)
    return by_null


def others_of(row: LawVerdict, differences: Sequence[SizeDifference]) -> dict[str, tuple[str, Sequence[SizeDifference]]]:
    """Other nulls drawn beside the verdict's own donor, by label: narrower donors, and the bracket on the sizes of the widest."""
    by_null = of_place(row, differences)
    donors = [key for key in by_null if key[0] == PROJECTED]
    sizes = {one.params_nonembedding for one in by_null[donors[0]]} if donors else set()
    rest: dict[str, tuple[str, Sequence[SizeDifference]]] = {
        donor: (PROJECTED, by_null[null, donor]) for null, donor in donors[1:]
    }
    for null in (RANDOM, STRETCHED):
        if (null, "") in by_null:
            rest[LOOKS[null].short] = (null, [one for one in by_null[null, ""] if not sizes or one.params_nonembedding in sizes])
    return {label: (null, rows) for label, (null, rows) in rest.items() if len(rows) > 2}


def first_donor(row: LawVerdict, differences: Sequence[SizeDifference]) -> str:
    return next((donor for null, donor in of_place(row, differences) if null == PROJECTED), "")


def differences_figure(title: str, rows: Sequence[LawVerdict], differences: Sequence[SizeDifference]) -> Figure:
    """Draw a block for each law: the difference from the widest model's projections with both intervals; below, other nulls'."""
    beside = [others_of(row, differences) for row in rows]
    height = sum(4.0 + len(others) for others in beside)
    figure = Figure(figsize=(WIDTH, 1.3 + PITCH * height))
    axis = figure.subplots()
    ticks: dict[float, str] = {}
    top = height
    for row, others in zip(rows, beside, strict=True):
        ticks |= block(axis, row, others, first_donor(row, differences), top)
        top -= 4.0 + len(others)
    finish(axis, ticks, top, height, LABEL)
    places = sorted({where(None, row.length, row.normalise).removeprefix("layer None, ") for row in rows})
    text = (
        "Difference from the widest model on its leading directions: 95 % (thin) and 90 % (thick) interval. Band: the margin; a "
        "90 % interval inside it is small. p is adjusted for all primary tests. Below: narrower donors on their own sizes, and "
        "the bracket of rescaled spectra, which has no part in a test; their bars are 95 % intervals over sizes alone."
    )
    above(figure, f"{title}: {', '.join(places)}{distortion(row.eps2 for row in rows)}", text)
    return figure


def above(figure: Figure, *paragraphs: str) -> None:
    """Puts words above a figure, broken into lines that fit."""
    lines = [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, ACROSS)]
    figure.suptitle("\n".join(lines), fontsize=6, x=0.02, ha="left")


def finish(axis: Axes, ticks: Mapping[float, str], bottom: float, top: float, label: str) -> None:
    """Finishes axes whose lines are named at the left."""
    axis.axvline(0, lw=0.6, color="0.6", zorder=1)
    axis.set_yticks(list(ticks), list(ticks.values()), fontsize=5.5)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set(xlabel=label, ylim=(bottom, top + 0.8))
    axis.margins(x=0.03)


def heading(axis: Axes, y: float, text: str, color: str, right: bool = False, **style: Any) -> None:
    """Puts text at the left, or the right, end of a line."""
    place = axis.get_yaxis_transform()
    axis.text(1 if right else -0.28, y, text, transform=place, va="center", ha="right" if right else "left", color=color, **style)


def block(
    axis: Axes, row: LawVerdict, others: Mapping[str, tuple[str, Sequence[SizeDifference]]], donor: str, top: float
) -> dict[float, str]:
    """Draw one law: headings, its difference, and those from other nulls below; returns a label for each line."""
    paint = PAINT.get(row.verdict, NEUTRAL)
    heading(axis, top, f"{name_of(row.metric)}, {row.layer}", "0", fontsize=6.5, weight="bold")
    heading(axis, top, row.verdict, paint, right=True, fontsize=6.2, weight="bold")
    heading(axis, top - 1, "; ".join(marks(row)), "0.3", fontsize=5.2)
    bottom = top - 2.5 - len(others)
    if row.margin is not None:
        axis.fill_betweenx([bottom, top - 1.5], -row.margin, row.margin, **BAND)
    if row.difference is not None:
        axis.plot(ends_of(row.low, row.high), [top - 2, top - 2], lw=0.9, color=paint, zorder=2)
        axis.plot(
            ends_of(row.low_90, row.high_90),
            [top - 2, top - 2],
            lw=2.8,
            color=paint,
            solid_capstyle="butt",
            alpha=0.6,
            zorder=2,
        )
        axis.plot(row.difference, top - 2, "o", ms=3.2, color=paint, zorder=3)
    ticks = {top - 2: donor or LOOKS[PROJECTED].short}
    for line, (label, (null, rows)) in enumerate(others.items(), 3):
        fitted = slope(np.log([one.params_nonembedding for one in rows]), [one.difference for one in rows])
        colour = BLUE if null == PROJECTED else LOOKS[null].colour
        axis.plot([fitted.low, fitted.high], [top - line, top - line], lw=0.7, color=colour, alpha=0.7, zorder=2)
        axis.plot(fitted.value, top - line, LOOKS[null].marker, ms=2.6, color=colour, mew=0, zorder=3)
        ticks[top - line] = label
    return ticks


def ends_of(*ends: float | None) -> list[float]:
    """Ends of an interval that has both; a record with a difference has."""
    return [end for end in ends if end is not None]


def marks(row: LawVerdict) -> list[str]:
    """The notes below a verdict: p, flags, and restrictions from the length or the fit."""
    if row.difference is None:
        return [row.reason]
    notes = [] if row.p_adjusted is None else [f"p = {row.p_adjusted:.2g}"]
    notes += ["straddles the widths"] if row.straddles else []
    notes += [] if row.fit is None else [f"fit: {row.fit}"]
    return [*notes, *([row.flags] if row.flags else [])]


def by_size_figure(title: str, rows: Sequence[LawVerdict], differences: Sequence[SizeDifference]) -> Figure:
    """Draw ln(measured / null) at every size, donor by donor: no line describes them."""
    lines = -(-len(rows) // 2)
    figure = Figure(figsize=(WIDTH, 0.75 + 1.5 * lines))
    axes = figure.subplots(lines, 2, squeeze=False).flatten()
    for axis, row in zip(axes, rows, strict=False):
        donors = {donor: mine for (null, donor), mine in of_place(row, differences).items() if null == PROJECTED}
        for (donor, mine), colour in zip(donors.items(), (BLUE, *COLOURS[1:], *["0.6"] * len(donors)), strict=False):
            x, y = [one.params_nonembedding for one in mine], [one.difference for one in mine]
            axis.plot(x, y, "o-", ms=2.4, lw=0.8, color=colour, mew=0, label=donor)
        axis.axhline(0, lw=0.6, color="0.6", zorder=0)
        axis.set(xscale="log", ylabel="ln(measured / projected)")
        axis.set_title(f"{name_of(row.metric)}, {row.layer}", loc="left", fontsize=6)
        axis.tick_params(axis="both", which="both", labelsize=5.3)
    axes[0].legend(fontsize=5, handlelength=1, borderpad=0.1, labelspacing=0.2)
    for axis in axes[len(rows) :]:
        axis.axis("off")
    above(figure, f"{title}: differences that are no power law, size by size")
    figure.supxlabel(SIZE, fontsize=6)
    return figure


def tables_figure(rows: Sequence[Slope], nulls: Sequence[NullSlope]) -> Figure | None:
    """Draw published tables, which have no tokens: differences from the cut and the stretched spectrum; None without any."""
    beside = by_slope(nulls)
    shown = [row for row in rows if row.published and row.slope is not None and of_width(beside, row)]
    if not shown:
        return None
    height = sum(3.2 + len(of_width(beside, row)) for row in shown)
    figure = Figure(figsize=(WIDTH, 1.1 + PITCH * height))
    axis = figure.subplots()
    ticks: dict[float, str] = {}
    top = height
    for row in shown:
        heading(axis, top, f"{called(row)}, {row.corpus}", "0", fontsize=6.5, weight="bold")
        heading(axis, top, row.verdict, NEUTRAL, right=True, fontsize=6, weight="bold")
        heading(axis, top - 1, f"{name_of(row.metric)}: exponent {row.slope:+.3f}".replace("-", "−"), "0.3", fontsize=5.2)
        for line, (name, null) in enumerate(of_width(beside, row).items(), 2):
            look = NULLS[name]
            axis.plot([null.low, null.high], [top - line, top - line], lw=0.9, color=look.colour, zorder=2)
            axis.plot(null.difference, top - line, look.marker, ms=3, color=look.colour, mew=0, zorder=3)
            ticks[top - line] = look.short
        top -= 3.2 + len(of_width(beside, row))
    finish(axis, ticks, top, height, LABEL)
    text = (
        "Published tables have no tokens. Their nulls act on spectra and are weaker: one spectrum cut to each width, and one "
        "stretched. Bars: 95 % intervals over sizes. No margin was fixed, so nothing here is nested or beyond width."
    )
    above(figure, text)
    return figure


def of_width(beside: Mapping[SlopeKey, Mapping[str, NullSlope]], row: Slope) -> dict[str, NullSlope]:
    nulls = beside.get(row.key, {})
    return {name: nulls[name] for name in WIDTH_NULLS if name in nulls}


def draw_nulls(verdicts: Path, differences: Path, slopes: Path, null_slopes: Path, growth: Path, output: Path) -> None:
    """Write results/nulls_plot.pdf."""
    by_size = [row for row in read_csv(slopes, Slope) if row.against == "params_nonembedding"]
    tables = tables_figure(by_size, read_csv(null_slopes, NullSlope))
    pages = [*nulls_figures(read_csv(verdicts, LawVerdict), read_csv(differences, SizeDifference))]
    save([*pages, *([] if tables is None else [tables]), *growth_figure(read_csv(growth, Growth))], output)
