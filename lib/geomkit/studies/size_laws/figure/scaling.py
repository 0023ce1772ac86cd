"""Draw primary metrics and the loss against size, each with its law, bound, nulls and verdict, for each family and corpus."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from geomkit.core.state import TOKENS
from geomkit.core.variants import base
from geomkit.figures.style import (
    BLUE,
    NULLS,
    PROJECTIONS,
    SIZE,
    WIDTH,
    bracket,
    distortion,
    is_at,
    save,
    title_of,
    unit_of,
    where,
)
from geomkit.laws.forms import Status
from geomkit.laws.resampling import FEW, documents_in_words
from geomkit.studies.size_laws.rows import Models, NullSlope, PairVerdict, Point, SizeDifference
from geomkit.tables.fits import MetricLaw
from geomkit.tables.rows import read_csv, read_json


class OfMetric(Protocol):
    """A record about one metric of a family on a corpus."""

    @property
    def family(self) -> str: ...
    @property
    def corpus(self) -> str: ...
    @property
    def metric(self) -> str: ...


One = TypeVar("One", bound=OfMetric)
COLUMNS = 2
GREY = "0.55"
PROJECTED = "projected"
ACROSS = 38
"""Characters of a title's print across a panel."""


def scaling_figure(
    points: Sequence[Point],
    fits: Sequence[MetricLaw],
    verdicts: Sequence[PairVerdict],
    differences: Sequence[SizeDifference],
    primary: Mapping[str, Any],
    exploratory: Sequence[str] = (),
    projected: Sequence[NullSlope] = (),
) -> Iterator[Figure]:
    """Draw a page for each corpus and family.

    points, verdicts (of pairs.csv), differences: those of the primary endpoint's place; fits against the parameters without
    embeddings. projected: differences from the projected null of an endpoint with one row for each text, which has no verdict.
    exploratory: metrics that are drawn beside the primary ones, and marked so.
    """
    panels = [*primary["metrics"], *exploratory, "loss"]
    lines = -(-(len(panels) + 1) // COLUMNS)
    for corpus, family in dict.fromkeys((row.corpus, row.family) for row in points):
        figure = Figure(figsize=(WIDTH, 0.3 + 1.85 * lines))
        axes = figure.subplots(lines, COLUMNS, squeeze=False).flatten()
        for axis, metric in zip(axes, panels, strict=False):
            shown, judged = rows_of(points, corpus, family, metric), rows_of(verdicts, corpus, family, metric)
            law = next((law for law in rows_of(fits, corpus, family, metric) if law.form == "power"), None)
            if shown:
                panel(axis, shown, law, rows_of(differences, corpus, family, metric))
            else:
                axis.set(xticks=[], yticks=[])
                axis.annotate("no such text", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", fontsize=6)
            axis.set_ylabel(unit_of(metric), labelpad=1)
            beside = rows_of(projected, corpus, family, metric)
            text = "\n".join(title(title_of(metric, exploratory), law, judged, beside))
            axis.annotate(text, (0, 1), (-24, 4), "axes fraction", "offset points", va="bottom", fontsize=5.2)
        for axis in axes[len(panels) :]:
            axis.axis("off")
        alone = len(panels) % COLUMNS == 0  # in a row of its own, below what panels have below them
        key = axes[len(panels)].legend(
            handles=legend(),
            loc="upper left",
            bbox_to_anchor=(-0.3, 1) if alone else (-0.25, 1.15),
            ncols=COLUMNS if alone else 1,
            fontsize=5.2,
            labelspacing=0.4,
            columnspacing=1,
        )
        key.set_in_layout(False)
        place = where(primary["layer"], primary["length"], primary["normalise"], primary.get("rows", TOKENS))
        documents = max(row.documents for row in points if (row.corpus, row.family) == (corpus, family))
        few = f"\n{documents_in_words(documents)}" if documents < FEW else ""
        figure.suptitle(f"{family} on {corpus}: {place}{distortion(row.eps2 for row in points)}{few}", fontsize=7)
        figure.supxlabel(SIZE, fontsize=6.5)
        yield figure


def rows_of(rows: Sequence[One], corpus: str, family: str, metric: str) -> list[One]:
    return [row for row in rows if (row.corpus, row.family, row.metric) == (corpus, family, metric)]


def panel(axis: Axes, rows: Sequence[Point], law: MetricLaw | None, differences: Sequence[SizeDifference] = ()) -> None:
    """Draw one metric of one family."""
    trained = [row for row in rows if row.variant == "trained"]
    for null, style in (NULLS | {PROJECTED: PROJECTIONS[PROJECTED]}).items():
        group = [row for row in rows if base(row.variant) == null]
        sizes, low, middle, high = spread(group)
        axis.plot(sizes, middle, ls=style.line, marker=style.marker, ms=2.2, lw=0.8, color=style.colour, mew=0)
        axis.fill_between(sizes, low, high, color=style.colour, alpha=0.2, lw=0)
    draw_projections(axis, trained, differences)
    sizes, _, bound, _ = spread([row for row in trained if row.bound is not None], "bound")
    axis.plot(sizes, bound, "-", lw=1.6, color="0.8", zorder=0)
    sizes, _, middle, _ = spread(trained)
    axis.plot(*places(trained), "o", ms=3, color=BLUE, mew=0, zorder=4)
    if law is not None and law.params:
        draw_law(axis, law, sizes)
        if law.heldout_error is not None:
            largest = [row for row in trained if row.params_nonembedding == max(sizes)]
            axis.plot(*places(largest), "o", ms=6, color=BLUE, mfc="none", mew=0.7)
    axis.set(xscale="log", yscale="log")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_formatter("{x:g}")
    bottom, top = axis.get_ylim()
    if top > 8 * bottom:
        axis.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.yaxis.set_minor_formatter("{x:g}")
    axis.tick_params(axis="both", which="both", labelsize=5.3, pad=1.5)


def draw_projections(axis: Axes, trained: Sequence[Point], differences: Sequence[SizeDifference]) -> None:
    """Draw the projected null with each donor, the widest one dark, on the scale of the measured values."""
    sizes, _, middle, _ = spread(trained)
    value = dict(zip(sizes, middle, strict=True))
    look = PROJECTIONS[PROJECTED]
    projected = [one for one in differences if one.null == PROJECTED and one.params_nonembedding in value]
    for place, donor in enumerate(dict.fromkeys(one.donor for one in projected)):
        mine = sorted((one.params_nonembedding, one.difference) for one in projected if one.donor == donor)
        x, y = [float(size) for size, _ in mine], [value[size] * np.exp(-difference) for size, difference in mine]
        widest = place == 0
        axis.plot(
            x, y, ls=look.line, marker=look.marker, ms=2.6 if widest else 1.6, lw=1.2 if widest else 0.6, color=look.colour,
            mew=0, alpha=1 if widest else 0.6, zorder=3.5,
        )  # fmt: skip


def draw_law(axis: Axes, law: MetricLaw, sizes: Sequence[float]) -> None:
    """Draw the power law, and every law through its centre whose exponent is in the interval."""
    x = np.geomspace(sizes[0], sizes[-1], 50)
    axis.plot(x, law.params["a"] * x ** law.params["b"], color=BLUE, zorder=3)
    low, high = law.interval.get("b", (None, None))
    if low is not None and high is not None:
        centre = np.exp(np.mean(np.log(sizes)))
        level = law.params["a"] * centre ** law.params["b"]
        fans = [level * (x / centre) ** b for b in (low, high)]
        axis.fill_between(x, np.min(fans, axis=0), np.max(fans, axis=0), color=BLUE, alpha=0.25, lw=0, zorder=2)


def places(rows: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [row.params_nonembedding for row in rows], [row.value for row in rows]


def spread(rows: Sequence[Point], column: str = "value") -> tuple[list[float], list[float], list[float], list[float]]:
    """Sizes, and the smallest value, geometric mean and largest value of each."""
    sizes = sorted({float(row.params_nonembedding) for row in rows})
    groups = [[getattr(row, column) for row in rows if row.params_nonembedding == size] for size in sizes]
    return (
        sizes,
        [min(group) for group in groups],
        [float(np.exp(np.mean(np.log(group)))) for group in groups],
        [max(group) for group in groups],
    )


def title(name: str, law: MetricLaw | None, verdicts: Sequence[PairVerdict], projected: Sequence[NullSlope] = ()) -> list[str]:
    """The metric's name, its exponent with the interval over sizes, its difference from the projected null, and the verdict."""
    lines = [name]
    if law is None:
        return lines
    if law.status == Status.FAILED:
        return [*lines, f"no law: {law.reason}"]
    lines.append(f"exponent {law.params['b']:.3f}".replace("-", "−"))
    lines[-1] += f" {bracket(*law.interval['b'])}" if "b" in law.interval else ": seeds exclude a power law"
    if law.heldout_error is not None:
        side = "above" if law.heldout_error > 0 else "below"
        lines.append(f"law of the others {abs(law.heldout_error):.0%} {side} the largest")
    for null in projected:
        lines.append(f"minus projected {null.difference:+.3f} {bracket(null.low, null.high)}".replace("-", "−"))
        lines.append("no test of it was fixed")
    for row in verdicts:
        if row.slope is not None:
            lines.append(f"minus projected {row.slope:+.3f} {bracket(row.slope_low, row.slope_high)}".replace("-", "−"))
        if row.share is not None:
            lines.append(f"width accounts for {row.share:.0%} [{row.share_low:.0%}, {row.share_high:.0%}]")
        lines += textwrap.wrap(f"verdict: {row.verdict or row.standing}", ACROSS)
    return lines


def legend() -> list[Line2D]:
    """Draw the legend of all marks."""
    handles = [
        Line2D([], [], color=BLUE, marker="o", ms=3, label="a model; power law with its\n95 % interval over sizes"),
        Line2D(
            [],
            [],
            color=BLUE,
            marker="o",
            ms=6,
            mfc="none",
            mew=0.7,
            ls="",
            label="largest size, beside the\nlaw of the others",
        ),
        Line2D([], [], color="0.8", lw=1.6, label="bound"),
    ]
    look = PROJECTIONS[PROJECTED]
    handles.append(
        Line2D(
            [],
            [],
            color=look.colour,
            ls=look.line,
            marker=look.marker,
            ms=2.8,
            mew=0,
            label="null: projected; bold from the\nwidest model, pale from others",
        )
    )
    handles += [
        Line2D(
            [], [], color=style.colour, ls=style.line, marker=style.marker, ms=2.8, lw=0.8, mew=0, label=f"null: {style.label}"
        )
        for style in NULLS.values()
    ]
    return handles


def draw_scaling(
    points: Path,
    fits: Path,
    pairs: Path,
    differences: Path,
    null_slopes: Path,
    output: Path,
    primary: Mapping[str, Any],
    exploratory: Sequence[str],
) -> None:
    """Write results/scaling_plot.pdf."""
    drawn = [point for point in read_csv(points, Point) if point.primary]
    judged = [row for row in read_csv(pairs, PairVerdict) if is_at(row, primary) and row.models is Models.ALL]
    by_size = [row for row in read_csv(differences, SizeDifference) if is_at(row, primary)]
    of_nulls = [row for row in read_csv(null_slopes, NullSlope) if (row.null, row.against) == (PROJECTED, "params_nonembedding")]
    beside = [row for row in of_nulls if is_at(row, primary)]
    laws = read_json(fits, list[MetricLaw])
    save(scaling_figure(drawn, laws, judged, by_size, primary, exploratory, beside), output)
