"""Laws of the loss: ours and published losses with both laws, and which offsets and exponents go together."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.style import SIZE, WIDTH, called, colours, save
from geomkit.laws.forms import forms
from geomkit.store.records import LossLaw, LossRegion, Source, read_csv, read_json

MARKERS = "osDv^P*"


def losses_figure(fits: Sequence[LossLaw], regions: Sequence[LossRegion]) -> Figure:
    """fits: loss_laws.json; regions: loss_regions.csv. What is against the parameters without embeddings is
    drawn: above, losses with the law with an offset (solid) and without (dashed); below, joint 95 % regions of its parameters.
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
        if row.form == "offset_power" and row.params:
            below.plot(row.params["alpha"], row.params["E"], marker[name(row)], ms=4, color=paint[name(row)])
    below.set(xlabel="exponent α of L = E + A N^−α", ylabel="offset E (nats a token)")
    handles = [Line2D([], [], color=paint[one], marker=marker[one], ms=4, label=one) for one in names]
    handles += [
        Line2D([], [], color="0.3", label="with an offset"),
        Line2D([], [], color="0.3", ls="--", lw=0.8, label="without"),
    ]
    above.legend(handles=handles, loc="upper right")
    below.set_title("joint 95 % regions: all laws in one fit the losses", loc="left", fontsize=6)
    return figure


def name(row: Source) -> str:
    return f"{called(row)}, {row.corpus}"


def curve(axis: Axes, row: LossLaw, paint: str, marker: str) -> None:
    """Losses, and a law where there is one."""
    with_offset = row.form == "offset_power"
    axis.plot(row.x, row.y, marker, ms=3, color=paint, mew=0)
    if row.params:
        x = np.geomspace(min(row.x), max(row.x), 80)
        y = forms[row.form].formula(row.params, x[None])
        axis.plot(x, y, "-" if with_offset else "--", lw=1.1 if with_offset else 0.7, color=paint)


def region(axis: Axes, rows: Sequence[LossRegion], paint: str) -> None:
    """Where the profile likelihood reaches its limit; the root of both, which is nearly linear across a narrow valley."""
    axes = [np.unique([getattr(row, parameter) for row in rows]) for parameter in ("E", "alpha")]
    statistic = np.array([row.statistic for row in rows]).reshape(len(axes[0]), len(axes[1]))
    axis.contour(axes[1], axes[0], np.sqrt(statistic), levels=[np.sqrt(rows[0].limit)], colors=[paint], linewidths=1)


def draw_losses(fits: Path, regions: Path, output: Path) -> None:
    """Writes results/losses_plot.pdf."""
    save([losses_figure(read_json(fits, list[LossLaw]), read_csv(regions, LossRegion))], output)
