"""Draw the pair model's slope, sag and level with their margins and verdicts; and exponents of published tables beside nulls."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.core.variants import WIDTH_NULLS
from geomkit.figures.style import GREEN, NULLS, VERMILION, WIDTH, called, distortion, is_at, name_of, save, where
from geomkit.laws.pairs import Verdict
from geomkit.studies.size_laws.figure.growth import growth_figure
from geomkit.studies.size_laws.rows import Growth, Models, NullSlope, PairVerdict, Slope, by_slope
from geomkit.tables.endpoints import SlopeKey
from geomkit.tables.rows import read_csv

LABEL = "exponent with size, minus the null's"
IN_MARGINS = "value, in margins"
ACROSS = 66
"""Characters of print across a column."""
PITCH = 0.12
"""Inches from line to line."""
NEUTRAL = "0.35"
PAINT = {Verdict.BEYOND: VERMILION, Verdict.SUFFICES: GREEN, Verdict.ON_AVERAGE: GREEN}
"""Colours of verdicts that say something; all others are grey."""
BAND: dict[str, Any] = {"color": "0.87", "lw": 0, "zorder": 0}
TERMS = ("slope", "sag", "level")
BESIDE = {"widest_donor": "widest donor alone", "random_directions": "random directions", "stretched": "stretched spectrum"}
"""Slopes that are printed beside, and decide nothing."""


def pairs_figures(rows: Sequence[PairVerdict], primary: Mapping[str, Any]) -> Iterator[Figure]:
    """rows: pairs.csv. A page for each family, corpus and models, with a block for each metric at the primary endpoint."""
    shown = [row for row in rows if is_at(row, primary)]
    for (family, corpus, models), group in groupby(shown, key=lambda row: (row.family, row.corpus, row.models)):
        mine = list(group)
        title = f"{family} on {corpus}{'' if models is Models.ALL else f', {models} models'}"
        yield pairs_figure(f"{title}: {where(primary['layer'], primary['length'], primary['normalise'])}", mine)


def pairs_figure(title: str, rows: Sequence[PairVerdict]) -> Figure:
    """Draw slope, sag and level of each metric, in margins, with both intervals; below them what is printed beside."""
    lines = [beside(row) for row in rows]
    height = sum(6.5 + len(others) for others in lines)
    figure = Figure(figsize=(WIDTH, 1.3 + PITCH * height))
    axis = figure.subplots()
    ticks: dict[float, str] = {}
    top = height
    for row, others in zip(rows, lines, strict=True):
        ticks |= block(axis, row, others, top)
        top -= 6.5 + len(others)
    finish(axis, ticks, top, height, IN_MARGINS)
    text = (
        "Slope: exponent minus that of the projected null. Sag: bend of the difference over the widths. Level: what all widths "
        "share. Each is divided by its margin: the band is from -1 to 1. Lines: 95 % (thin) and 90 % (thick) intervals. "
        "Triangles: slopes from one donor or from rescaled spectra, which decide nothing."
    )
    above(figure, f"{title}{distortion(row.eps2 for row in rows)}", text)
    return figure


def beside(row: PairVerdict) -> dict[str, float]:
    """The slopes that are printed beside, by label."""
    return {label: value for name, label in BESIDE.items() if (value := getattr(row, name)) is not None}


def block(axis: Axes, row: PairVerdict, others: Mapping[str, float], top: float) -> dict[float, str]:
    """Draw one metric: headings, its three terms, and other slopes below; returns a label for each line."""
    paint = PAINT.get(row.verdict, NEUTRAL) if row.verdict else NEUTRAL
    heading(axis, top, name_of(row.metric), "0", fontsize=6.5, weight="bold")
    heading(axis, top - 1, row.verdict or row.standing, paint, fontsize=6.2, weight="bold")
    heading(axis, top - 2, accounted(row), "0.3", fontsize=5.2)
    ticks: dict[float, str] = {}
    for line, term in enumerate(TERMS if row.slope is not None else (), 3):
        margin, y = getattr(row, f"{term}_margin"), top - line
        axis.fill_betweenx([y - 0.4, y + 0.4], -1, 1, **BAND)
        for ends, width in ((("_low", "_high"), 0.9), (("_low_90", "_high_90"), 2.8)):
            interval = [getattr(row, term + end) / margin for end in ends]
            axis.plot(interval, [y, y], lw=width, color=paint, solid_capstyle="butt", alpha=0.9 if width < 1 else 0.6, zorder=2)
        axis.plot(getattr(row, term) / margin, y, "o", ms=3.2, color=paint, zorder=3)
        ticks[y] = f"{term} {getattr(row, term):+.3f} (margin {margin:g})".replace("-", "−")
    for line, (label, value) in enumerate(others.items(), 6):
        axis.plot(value / row.slope_margin, top - line, "^", ms=3, color="0.5", mew=0, zorder=3)
        ticks[top - line] = label
    return ticks


def accounted(row: PairVerdict) -> str:
    """The share of the exponent that width accounts for, or why there is none."""
    if row.slope is None:
        return row.cause
    exponent = f"exponent {row.exponent:+.3f}".replace("-", "−")
    if row.share is None:
        return f"{exponent}, not resolved: no share of it is given"
    return f"{exponent}, of which width accounts for {row.share:.0%} [{row.share_low:.0%}, {row.share_high:.0%}]"


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


def heading(axis: Axes, y: float, text: str, color: str, **style: Any) -> None:
    """Puts text at the left end of a line, on white: it must not cross the line of 0."""
    place = axis.get_yaxis_transform()
    white = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    axis.text(-0.28, y, text, transform=place, va="center", ha="left", color=color, bbox=white, zorder=4, **style)


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
        "stretched. Bars: 95 % intervals over sizes. No margin was fixed, so there is no verdict."
    )
    above(figure, text)
    return figure


def of_width(beside: Mapping[SlopeKey, Mapping[str, NullSlope]], row: Slope) -> dict[str, NullSlope]:
    nulls = beside.get(row.key, {})
    return {name: nulls[name] for name in WIDTH_NULLS if name in nulls}


def draw_nulls(pairs: Path, slopes: Path, null_slopes: Path, growth: Path, output: Path, primary: Mapping[str, Any]) -> None:
    """Write results/nulls_plot.pdf."""
    by_size = [row for row in read_csv(slopes, Slope) if row.against == "params_nonembedding"]
    tables = tables_figure(by_size, read_csv(null_slopes, NullSlope))
    pages = [*pairs_figures(read_csv(pairs, PairVerdict), primary)]
    save([*pages, *([] if tables is None else [tables]), *growth_figure(read_csv(growth, Growth))], output)
