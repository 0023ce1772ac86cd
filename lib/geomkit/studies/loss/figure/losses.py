"""Draw laws of the loss: our losses and published ones with both laws, which offsets and exponents are compatible with them, and
for each family and corpus all forms on three measures of size."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.style import AXES, BLUE, GREEN, SIZE, VERMILION, WIDTH, bracket, called, colours, save
from geomkit.laws.forms import Status, forms
from geomkit.laws.lack_of_fit import Fitness
from geomkit.tables.endpoints import Source
from geomkit.tables.fits import LossAxes, LossLaw, LossRegion, SizeLaw
from geomkit.tables.rows import read_csv, read_json

MARKERS = "osDv^P*"
FORMS = {"offset_power": ("with an offset", BLUE), "power": ("power law", VERMILION), "log_linear": ("linear in ln", GREEN)}
"""Names of forms in figures, and their colours."""
LINES = {Fitness.NOT_REJECTED: "-", Fitness.REJECTED: "--", Fitness.UNTESTED: "-."}
PALE = 0.4


def losses_figure(fits: Sequence[LossLaw], regions: Sequence[LossRegion]) -> Figure:
    """fits: loss_laws.json; regions: loss_regions.csv. What is against the parameters without embeddings is
    drawn: above, losses with the law with an offset (solid) and without (dashed), pale where seeds reject it; below, joint 95 %
    regions of its parameters, where they do not.
    """
    shown = [row for row in fits if row.against == "params_nonembedding"]
    names = list(dict.fromkeys(map(name, shown)))
    paint, marker = colours(names), dict(zip(names, MARKERS * len(names), strict=False))
    figure = Figure(figsize=(WIDTH, 5.0))
    above, below = figure.subplots(2, 1)
    for row in shown:
        curve(above, row, paint[name(row)], marker[name(row)])
    above.set(xscale="log", yscale="log", xlabel=SIZE, ylabel="loss (nats a token)")
    above.yaxis.set_major_formatter("{x:g}")
    above.yaxis.set_minor_formatter("{x:g}")
    of_size = [row for row in regions if row.against == "params_nonembedding"]
    for whose, group in groupby(of_size, key=name):
        region(below, list(group), paint[whose])
    for row in shown:
        if row.form == "offset_power" and row.params and row.lack != Fitness.REJECTED:
            below.plot(row.params["alpha"], row.params["E"], marker[name(row)], ms=4, color=paint[name(row)])
    below.set(xlabel="exponent α of L = E + A N^−α", ylabel="offset E (nats a token)")
    handles = [Line2D([], [], color=paint[one], marker=marker[one], ms=4, label=one) for one in names]
    handles += [
        Line2D([], [], color="0.3", label="with an offset"),
        Line2D([], [], color="0.3", ls="--", lw=0.8, label="without"),
        Line2D([], [], color="0.3", alpha=PALE, label="rejected by seeds"),
    ]
    above.legend(handles=handles, loc="upper right", fontsize=5.3)
    below.set_title("joint 95 % regions; none where seeds reject the form", loc="left", fontsize=6)
    return figure


def name(row: Source) -> str:
    return f"{called(row)}, {row.corpus}"


def curve(axis: Axes, row: LossLaw, paint: str, marker: str) -> None:
    """Draw losses, and a law where there is one."""
    with_offset = row.form == "offset_power"
    axis.plot(row.x, row.y, marker, ms=3, color=paint, mew=0)
    if row.params:
        x = np.geomspace(min(row.x), max(row.x), 80)
        y = forms[row.form].formula(row.params, x[None])
        pale = PALE if row.lack == Fitness.REJECTED else 1
        axis.plot(x, y, "-" if with_offset else "--", lw=1.1 if with_offset else 0.7, color=paint, alpha=pale)


def region(axis: Axes, rows: Sequence[LossRegion], paint: str) -> None:
    """Draw where the profile likelihood reaches its limit; the root of both, which is nearly linear across a narrow valley."""
    axes = [np.unique([getattr(row, parameter) for row in rows]) for parameter in ("E", "alpha")]
    statistic = np.array([row.statistic for row in rows]).reshape(len(axes[0]), len(axes[1]))
    axis.contour(axes[1], axes[0], np.sqrt(statistic), levels=[np.sqrt(rows[0].limit)], colors=[paint], linewidths=1)


def axes_figures(axes: Sequence[LossAxes]) -> Iterator[Figure]:
    """Draw a page for each family, corpus and place of measurement, with a panel for each measure of size."""
    for one in axes:
        elsewhere = [other for other in axes if name(other) == name(one) and other.place != one.place]
        figure = Figure(figsize=(WIDTH, 6.8))
        for axis, against in zip(figure.subplots(len(AXES), 1), AXES, strict=True):
            size_panel(axis, one, against, elsewhere)
        lines = [f"{name(one)}: loss on {one.pieces:,} {one.place}, {one.tokens:,} tokens", best_in_words(one)]
        lines += ["Solid: not rejected by seeds; dashed: rejected; dash-dotted: untested.", "Thick: nearest on sizes left out."]
        figure.suptitle("\n".join(lines), fontsize=5.5, x=0.02, ha="left")
        yield figure


def best_in_words(one: LossAxes) -> str:
    if one.best_against is None or one.best_form is None:
        return f"No law: {one.reason}"
    return f"Nearest on sizes left out of all: {FORMS[one.best_form][0]}, {AXES[one.best_against]}."


def size_panel(axis: Axes, one: LossAxes, against: str, elsewhere: Sequence[LossAxes]) -> None:
    """Draw losses over one measure of size: models as points, hollow where another place measured them, and every law."""
    laws = [law for law in one.laws if law.against == against]
    known = [law.error_left_out for law in laws if law.error_left_out is not None]
    sizes = [getattr(model, against) for model in one.models]
    axis.plot(sizes, [model.loss for model in one.models], "o", ms=3, color="0.2", mew=0, zorder=4)
    for other in elsewhere:
        places = [getattr(model, against) for model in other.models]
        label = f"on {other.pieces:,} {other.place}"
        axis.plot(places, [model.loss for model in other.models], "o", ms=4.5, color="0.5", mfc="none", mew=0.5, label=label)
    for law in laws:
        paint, thick = FORMS[law.form][1], bool(known) and law.error_left_out == min(known)
        x = np.geomspace(min(sizes), max(sizes), 80) if law.params else np.empty(0)
        y = forms[law.form].formula(law.params, x[None]) if law.params else x
        axis.plot(x, y, LINES[law.lack], lw=1.6 if thick else 0.7, color=paint, label=law_in_words(law))
    axis.set(xscale="log", xlabel=AXES[against], ylabel="loss (nats a token)")
    if against == "width":
        axis.set_xticks(sorted(set(sizes)), [str(size) for size in sorted(set(sizes))])
        axis.set_xticks([], minor=True)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="lower left", bbox_to_anchor=(-0.12, 1), fontsize=5.3, borderaxespad=0.2, labelspacing=0.2)


def law_in_words(law: SizeLaw) -> str:
    """Whether a law is rejected, and its error on sizes left out; the offset has an interval only where it is not rejected."""
    words = FORMS[law.form][0]
    if law.status == Status.FAILED:
        return f"{words}, no law: {law.reason}"
    off = "" if law.error_left_out is None else f", {100 * law.error_left_out:.2g} % off"
    if law.lack == Fitness.REJECTED:
        p = "" if law.lack_p is None else f" (p = {law.lack_p:.1g})"
        return f"{words}: rejected{p}{off}"
    offset = f", E = {law.params['E']:.2f} {bracket(*law.interval['E'], digits=2)}" if "E" in law.interval else ""
    return f"{words}: {law.lack}{offset}{off}"


def draw_losses(fits: Path, regions: Path, axes: Path, output: Path) -> None:
    """Write results/losses_plot.pdf."""
    first = losses_figure(read_json(fits, list[LossLaw]), read_csv(regions, LossRegion))
    save([first, *axes_figures(read_json(axes, list[LossAxes]))], output)
