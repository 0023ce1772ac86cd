"""Draw which measures grow with size, fall or stay flat: a page for each family and corpus, one for published tables."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from geomkit.core.state import TOKENS
from geomkit.core.variants import WIDTH_NULLS
from geomkit.figures.style import NULLS, ORANGE, QUANTITIES, SIZE, SKY, WIDTH, distortion, name_of
from geomkit.laws.exponents import Verdict
from geomkit.studies.size_laws.rows import Growth

SHADES = {"grows": SKY, "falls": ORANGE, "flat": "0.93"}
LINE = 0.155
"""Inches from line to line."""
LEGEND = (
    f"slopes with ln of {SIZE}. Blue: grows, orange: falls, else flat (the 95 % interval over sizes holds 0). Of ln value; of "
    "Diff-eRank of its own value, in directions. Growth says nothing about width: verdicts are on the first pages. Framed: a "
    "table's slope outside both of its weaker nulls. Columns: tokens of each text; all: the corpus at once."
)
ACROSS = 66
"""Characters of print across a column."""


def growth_figure(rows: Sequence[Growth]) -> Iterator[Figure]:
    """Draw the rows of growth.csv."""
    published = [row for row in rows if row.published]
    measured = sorted((row for row in rows if not row.published), key=whose)
    looked_at = f"{len(rows)} combinations looked at; bold: the endpoint fixed beforehand{distortion(row.eps2 for row in rows)}."
    for (family, corpus), group in groupby(measured, key=whose):
        figure = table(list(group))
        above(figure, f"{family}, {corpus}: {LEGEND} {looked_at}")
        yield figure
    if published:
        figure = list_of(published)
        above(figure, f"Published: {LEGEND}")
        yield figure


def above(figure: Figure, words: str) -> None:
    """Puts words above a figure, broken into lines that fit."""
    figure.suptitle(textwrap.fill(words, ACROSS), fontsize=6, x=0.02, ha="left")


def whose(row: Growth) -> tuple[str, str]:
    return row.family, row.corpus


def table(rows: Sequence[Growth]) -> Figure:
    """Draw measures down, places and lengths across; the loss, which has no place, stands in the corpus's first column."""
    places = sorted({(row.layer, row.normalise) for row in rows if row.layer}, key=lambda place: place[0] == "final")
    # columns: lengths, the corpus, and its rows of whole texts
    clouds = {(row.length, row.rows) for row in rows}
    lengths = sorted(clouds, key=lambda of: (of[1] != TOKENS, float("inf") if of[0] is None else of[0], of[1]))
    order = list(QUANTITIES)
    measures = sorted({row.measure for row in rows}, key=lambda name: order.index(name) if name in order else -1)
    left: dict[tuple[str | None, str | None], float] = {place: k * (len(lengths) + 0.3) for k, place in enumerate(places)}
    figure = Figure(figsize=(WIDTH, 1.4 + LINE * len(measures)))
    axis = figure.subplots()
    for row in rows:
        x = left.get((row.layer, row.normalise), 0) + lengths.index((row.length, row.rows))
        cell(axis, row, x, measures.index(row.measure))
    for (layer, normalise), first in left.items():
        axis.text(first + (len(lengths) - 1) / 2, -1.7, f"{layer}, {normalise}", ha="center", va="center", fontsize=6)
        for x, length in enumerate(lengths):
            name = length[1] if length[1] != TOKENS else "all" if length[0] is None else str(length[0])
            axis.text(first + x, -0.9, name, ha="center", va="center", fontsize=5.3)
    bare(axis, measures, -2.2, len(places) * (len(lengths) + 0.3) - 0.8)
    return figure


def list_of(rows: Sequence[Growth]) -> Figure:
    """Draw published tables: the slope, its interval, and those of the nulls for width."""
    figure = Figure(figsize=(WIDTH, 1.05 + LINE * len(rows)))
    axis = figure.subplots()
    columns = {"slope": 0.0, "95 % interval": 1.3} | {
        NULLS[null].short: 2.5 + 0.9 * place for place, null in enumerate(WIDTH_NULLS)
    }
    for title, x in columns.items():
        axis.text(x, -0.9, title, ha="center", va="center", fontsize=5.5)
    for y, row in enumerate(rows):
        cell(axis, row, 0, y)
        texts = (f"{number(row.low)} to {number(row.high)}", number(row.fixed_spectrum_slope), number(row.stretched_slope))
        for x, text in zip([*columns.values()][1:], texts, strict=True):
            axis.text(x, y, text, ha="center", va="center", fontsize=5.3)
    names = [f"{name_of(row.measure)}: {row.family}, {row.corpus}" for row in rows]
    bare(axis, names, -1.3, columns[NULLS[WIDTH_NULLS[-1]].short] + 0.5)
    return figure


def number(value: float | None) -> str:
    """A number with two decimals, fewer from ten on; one that rounds to zero has no sign."""
    if value is None:
        return "none"
    text = f"{value:.2f}" if abs(value) < 9.995 else f"{value:.0f}"
    return text.replace("-0.00", "0").replace("-", "−")


def bare(axis: Axes, names: Sequence[str], top: float, right: float) -> None:
    """Clears axes that show a table."""
    axis.set_yticks(range(len(names)), [name_of(name) for name in names], fontsize=5.3)
    axis.set(xlim=(-0.5, right), ylim=(len(names) - 0.4, top), xticks=[])
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)


def cell(axis: Axes, row: Growth, x: float, y: int) -> None:
    """Draw a slope on the shade of its direction, framed if it is a table's and on one side of both weaker nulls."""
    if row.growth is None or row.slope is None:
        axis.text(x, y, "none", ha="center", va="center", fontsize=5, color="0.5")
        return
    axis.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, fc=SHADES[row.growth], alpha=0.5, lw=0))
    if row.verdict is Verdict.OUTSIDE:
        axis.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, fc="none", ec="0", lw=0.9))
    text = number(row.slope).replace("0.", ".")
    axis.text(x, y, text, ha="center", va="center", fontsize=5, weight="bold" if row.primary else "normal")
