"""Draw exponents beside those that width accounts for, and what one spectrum predicts of wider models."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from geomkit.figures.claims import claim_figures
from geomkit.figures.style import BLACK, BLUE, GREEN, VERMILION, WIDTH, name_of, ordered_colours, save
from geomkit.studies.width_share.claims import EXPLORED, LEAST, RANK, RATIO, UNIT
from geomkit.studies.width_share.rows import PARAMETERS, WidthExponent, WidthPoint
from geomkit.tables.findings import Inputs
from geomkit.tables.rows import read_csv

METRICS = (RANK, RATIO)
CORPORA = (BLUE, VERMILION, GREEN)
TITLES = {"unit": "unit length", "centre-unit": "centred, unit length"}
FRACTIONS = {0.125: "1/8", 0.25: "1/4", 0.5: "1/2"}


def draw_width_share(exponents: Path, points: Path, output: Path) -> None:
    """Write results/width_share.pdf."""
    drawn = [*pages(read_csv(exponents, WidthExponent), read_csv(points, WidthPoint))]
    save(drawn or [nothing()], output)


def nothing() -> Figure:
    """Say that there is nothing to draw."""
    figure = Figure(figsize=(WIDTH, 0.4))
    figure.text(0.5, 0.5, "no family has four widths for which texts are long enough", ha="center", va="center")
    return figure


@claim_figures.register(
    "width-share",
    claims=("width accounts for growth along width", "one spectrum predicts wider models"),
    caption="Exponents, width's share, and predictions of wider models.",
)
def shares_and_predictions(inputs: Inputs) -> Figure | None:
    """Draw unit rows."""
    laws = inputs.rows("width_share/exponents.csv", WidthExponent)
    places = inputs.rows("width_share/points.csv", WidthPoint)
    return next(pages([row for row in laws if row.normalise == UNIT], places), None)


def pages(laws: Sequence[WidthExponent], places: Sequence[WidthPoint]) -> Iterator[Figure]:
    """Yield a page for each normalisation."""
    for mode in dict.fromkeys(row.normalise for row in laws):
        own, points = [row for row in laws if row.normalise == mode], [row for row in places if row.normalise == mode]
        if points or any(row.against == PARAMETERS for row in own):
            yield page(own, points)


def page(laws: Sequence[WidthExponent], places: Sequence[WidthPoint]) -> Figure:
    """Draw exponents and shares of families with sizes, and below the widths of every family, on one corpus each."""
    sized = [row for row in laws if row.against == PARAMETERS]
    families = sorted({row.family for row in places}, key=lambda name: name not in {row.family for row in sized})
    above = 2 if sized else 0
    figure = Figure(figsize=(WIDTH, 0.55 + 1.2 * above + 1.45 * len(families)))
    heights = [1.2] * above + [1.45] * len(families)
    axes = figure.subplots(len(heights), len(METRICS), squeeze=False, gridspec_kw={"height_ratios": heights})
    colours = dict(zip(dict.fromkeys(row.corpus for row in laws), CORPORA * len(laws), strict=False))
    for column, metric in enumerate(METRICS):
        if sized:
            draw_exponents(axes[0, column], [row for row in sized if row.metric == metric], colours)
            draw_shares(axes[1, column], [row for row in sized if row.metric == metric], colours)
            axes[0, column].set_title(name_of(metric), loc="left")
        for line, family in zip(axes[above:], families, strict=True):
            draw_widths(line[column], [row for row in places if (row.family, row.metric) == (family, metric)])
            line[column].set_xlabel(f"{'width' if family in {row.family for row in sized} else 'own directions'} of {family}")
    if sized:
        axes[0, 0].set_ylabel("exponent with N")
        axes[1, 0].set_ylabel("share of width")
        for axis in axes[1]:
            axis.set_xlabel("tokens per direction, r")
    for line in axes[above:]:
        line[0].set_ylabel("value")
    look: dict[str, Any] = {"ncols": 5, "handlelength": 1.6, "columnspacing": 1.0}
    if sized:
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", **look)
    if families:
        figure.legend(*axes[above, 0].get_legend_handles_labels(), loc="outside lower center", **look)
    return figure


def draw_exponents(axis: Axes, rows: Sequence[WidthExponent], colours: dict[str, str]) -> None:
    """Draw exponents against tokens per direction: measured, projected, and predicted by one spectrum."""
    for number, (corpus, colour) in enumerate(colours.items()):
        own = [row for row in rows if row.corpus == corpus]
        shift = 2 ** (0.3 * (number - (len(colours) - 1) / 2))
        for marker, fill, names, side, label in (
            ("o", colour, ("exponent", "exponent_low", "exponent_high"), 0.95, corpus),
            ("<", "white", ("projected", "projected_low", "projected_high"), 1.05, "projected"),
        ):
            known = [[getattr(row, name) for name in names] for row in own]
            x = [row.ratio * shift * side for row in own]
            for place, (value, low, high) in zip(x, known, strict=True):
                if value is None:
                    continue
                axis.plot([place, place], [low, high], lw=0.7, color=colour, zorder=1)
                axis.plot(place, value, marker, ms=3, mew=0.7, color=colour, mfc=fill)
            last = number == len(colours) - 1
            if label == corpus or last:
                axis.plot([], [], marker, ms=3, mew=0.7, mfc=fill, color=colour if label == corpus else "0.4", label=label)
        axis.plot([row.ratio * shift for row in own], [number_of(row.curve) for row in own], "_", ms=5, mew=1.2, color=BLACK,
                  label="one spectrum" if number == len(colours) - 1 else None, zorder=3)  # fmt: skip
    against_ratio(axis)


def draw_shares(axis: Axes, rows: Sequence[WidthExponent], colours: dict[str, str]) -> None:
    """Draw shares where they are defined."""
    axis.axhline(1, lw=0.6, color="0.5", zorder=0)
    axis.axhline(LEAST, lw=0.6, ls=":", color="0.5", zorder=0)
    for number, (corpus, colour) in enumerate(colours.items()):
        shift = 2 ** (0.3 * (number - (len(colours) - 1) / 2))
        for row in (row for row in rows if row.corpus == corpus and row.share is not None):
            axis.plot([row.ratio * shift] * 2, [number_of(row.share_low), number_of(row.share_high)], lw=0.7, color=colour)
            axis.plot(row.ratio * shift, number_of(row.share), "o", ms=3, mew=0, color=colour)
    axis.set_ylim(min(0.3, axis.get_ylim()[0]), max(1.2, axis.get_ylim()[1]))
    against_ratio(axis)


def number_of(value: float | None) -> float:
    """Return a number, NaN where there is none, which is not drawn."""
    return np.nan if value is None else value


def against_ratio(axis: Axes) -> None:
    """Label an axis of tokens per direction."""
    axis.set_xscale("log", base=2)
    axis.set_xlim(0.09, 2.8)
    axis.xaxis.set_major_locator(FixedLocator([0.125, 0.25, 0.5, 1, 2]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: FRACTIONS.get(value, f"{value:g}")))
    axis.xaxis.set_minor_locator(NullLocator())


def draw_widths(axis: Axes, rows: Sequence[WidthPoint]) -> None:
    """Draw one family on the first corpus that confirms, or the first: widths that were learnt from, then held-out ones."""
    first = next((row.corpus for row in rows if row.corpus not in EXPLORED), rows[0].corpus if rows else "")
    own = [row for row in rows if row.corpus == first]
    ratios = sorted({row.ratio for row in own})
    for ratio, colour in ordered_colours(ratios).items():
        line = sorted((row for row in own if row.ratio == ratio), key=lambda row: row.width)
        out = [row for row in line if row.held_out]
        x = [row.width for row in out]
        for rule, style, width in (("curve", "-", 0.9), ("stretched", ":", 0.8)):
            axis.plot(x, [getattr(row, rule) for row in out], style, lw=width, color=colour)
        for row in line:
            axis.plot(row.width, row.measured, "o", ms=2.4, mew=0.6, color=colour, mfc="white" if row.held_out else colour)
        axis.annotate(FRACTIONS.get(ratio, f"{ratio:g}"), (line[0].width, line[0].measured), (-4, 0), ha="right",
                      va="center", textcoords="offset points", fontsize=5, color=colour)  # fmt: skip
    for label, fill in (("learnt from", BLACK), ("held out", "white")):
        axis.plot([], [], "o", ms=2.4, mew=0.6, color=BLACK, mfc=fill, label=label)
    axis.plot([], [], "-", lw=0.9, color=BLACK, label="one spectrum")
    axis.plot([], [], ":", lw=0.8, color=BLACK, label="stretched")
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xlim(min(row.width for row in own) / 1.5, max(row.width for row in own) * 1.15)
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_title(first, loc="right")
