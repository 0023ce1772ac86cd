"""Draw metrics against relative depth, one line for each size and null, and one page for each corpus."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from geomkit.core.state import TOKENS
from geomkit.core.variants import base
from geomkit.figures.style import SIZE, WIDTH, distortion, looks, name_of, ordered_colours, rows_in_words, save, unit_of
from geomkit.laws.resampling import documents_in_words
from geomkit.studies.size_laws.rows import Point
from geomkit.tables.rows import read_csv

NULLS = looks("model", "rows")
"""Nulls that a configuration chooses, and how they are drawn."""
NORM = 1.2
"""Position on the axis of the state after the final norm; the last block's output is at 1."""
WIDE = 10
"""An axis is logarithmic if its values differ by a larger factor: one state with many directions hides all others otherwise."""
Size = tuple[str, int]


def layers_figure(rows: Sequence[Point], metrics: Sequence[str], where: str) -> Iterator[Figure]:
    """Draw the rows of points.csv except losses. Seeds of one size, and untrained twins, are averaged, and so are their bands.

    Solid lines are trained models, darker for larger ones; each null has a line of its own, fainter for smaller models. Bands are
    95 % intervals over documents. What follows the final norm stands apart.
    """
    for corpus in dict.fromkeys(row.corpus for row in rows):
        here = [row for row in rows if row.corpus == corpus]
        sizes = sorted({(row.family, row.params_nonembedding) for row in here}, key=lambda size: size[1])
        nulls = [null for null in NULLS if any(base(row.variant) == null for row in here)]
        handles = legend(sizes, nulls)
        lines = -(-len(metrics) // 2)
        figure = Figure(figsize=(WIDTH, 0.9 + 1.45 * lines + 0.12 * -(-len(handles) // 3)))
        axes = figure.subplots(lines, 2, squeeze=False).flatten()
        for axis, metric in zip(axes, metrics, strict=False):
            panel(axis, [row for row in here if row.metric == metric], sizes, nulls)
            axis.set_title(name_of(metric), fontsize=6.5)
            axis.set_ylabel(unit_of(metric), labelpad=1)
        for axis in axes[len(metrics) :]:
            axis.axis("off")
        for axis in axes[max(0, len(metrics) - 2) : len(metrics)]:
            axis.set_xlabel("layer / number of blocks")
        figure.legend(handles=handles, loc="outside lower center", ncols=3, title=f"family, {SIZE}; nulls", title_fontsize=6)
        documents = documents_in_words(max(row.documents for row in here))
        figure.suptitle(f"{corpus}: {where}\nbands: 95 % over documents; {documents}", fontsize=6.5)
        yield figure


def panel(axis: Axes, rows: Sequence[Point], sizes: Sequence[Size], nulls: Sequence[str]) -> None:
    """Draw one metric: a line with its band for each size, trained and of each null."""
    groups: dict[tuple[Size, str], dict[float, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.layer is not None:
            depth = row.layer / row.depth if row.layer <= row.depth else NORM
            groups[(row.family, row.params_nonembedding), base(row.variant)][depth].append(row)
    strength = dict(zip(sizes, np.linspace(1, 0.4, len(sizes))[::-1], strict=True))
    for size, paint in ordered_colours(sizes).items():
        for null in nulls:
            look = NULLS[null]
            line = {"color": look.colour, "ls": look.line, "lw": 0.7, "alpha": strength[size]}
            trace(axis, groups[size, null], line, look.marker, look.colour)
        trace(axis, groups[size, "trained"], {"color": paint, "lw": 1.0, "zorder": 3}, "o", "white")
    values = [abs(row.value) for row in rows if base(row.variant) in ("trained", *nulls) and row.value]
    if values and max(values) > WIDE * min(values):
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xticks([0, 0.5, 1, NORM], ["0", "0.5", "1", "norm"])


def trace(axis: Axes, places: Mapping[float, Sequence[Point]], line: Mapping[str, Any], marker: str, face: str) -> None:
    """Draw means over depth with their band, and what follows the final norm as a point with its bar."""
    for depths in (sorted(set(places) - {NORM}), [NORM] if NORM in places else []):
        means = [np.mean([row.value for row in places[depth]]) for depth in depths]
        low, high = (
            [
                np.mean([row.value if getattr(row, end) is None else getattr(row, end) for row in places[depth]])
                for depth in depths
            ]
            for end in ("low", "high")
        )
        if depths == [NORM]:
            axis.vlines(depths, low, high, color=line["color"], lw=0.7, alpha=line.get("alpha"))
            axis.plot(depths, means, marker, ms=2.8, mew=0.7, mfc=face, color=line["color"], alpha=line.get("alpha"), zorder=4)
        else:
            axis.plot(depths, means, **line)
            axis.fill_between(depths, low, high, color=line["color"], alpha=0.2, lw=0)


def legend(sizes: Sequence[Size], nulls: Sequence[str]) -> list[Line2D]:
    """Return a line for each size and null."""
    trained = [
        Line2D([], [], color=paint, lw=1, label=f"{family}, {short(size)}")
        for (family, size), paint in ordered_colours(sizes).items()
    ]
    return trained + [
        Line2D([], [], color=NULLS[null].colour, ls=NULLS[null].line, lw=0.7, label=NULLS[null].short) for null in nulls
    ]


def short(number: float) -> str:
    """A number with two digits and a letter: 6.6k, 113k, 1.2B."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.{1 if number < 10 * unit else 0}f}{letter}"
    return f"{number:g}"


def draw_layers(points: Path, output: Path, primary: Mapping[str, Any]) -> None:
    """Write results/entropy_layers.pdf."""
    rows = [point for point in read_csv(points, Point) if point.layer is not None]
    cloud = rows_in_words(primary["length"], primary.get("rows", TOKENS))
    where = f"{cloud}, {primary['normalise']}{distortion(row.eps2 for row in rows)}"
    save(layers_figure(rows, primary["metrics"], where), output)
