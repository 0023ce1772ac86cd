"""Draw the loss over model size and amount of data with its laws, and metrics against the loss on the same trainings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.style import WIDTH, bracket, colours, distortion, name_of, save, where
from geomkit.laws.forms import Status, forms
from geomkit.studies.loss.rows import Correlation, DataLaw, DataLaws, MetricBesideLoss
from geomkit.tables.endpoints import Endpoint
from geomkit.tables.rows import read_csv, read_json
from geomkit.tables.trainings import Training

LINES = ("--", "-")
NAMES = {"chinchilla": "E + A/N^α + B/D^β", "kaplan": "((N₀/N)^(α/β) + D₀/D)^β"}
MARKS: Mapping[str, dict[str, Any]] = {
    "other passes": {"ms": 1.8, "alpha": 0.4, "mew": 0},
    "other texts": {"ms": 2.8, "mfc": "none", "mew": 0.5},
    "best passes": {"ms": 3.2, "mew": 0, "lw": 0.8},
}
"""Trainings of a seed but its best, the best of other seeds, which draw other documents, and its own."""
VARIES = {"size": "sizes", "data": "data", "passes": "passes", "size and data": "both held"}


def data_figure(rows: Sequence[Training], found: DataLaws, asked: Endpoint) -> Figure:
    """Draw training_grid.csv (`rows`) and data_laws.json (`found`). asked: the configured endpoint, which the grid's may differ
    from.

    Above, the loss against unique tokens with the laws L(N, D) of the first seed; below, the loss against each metric, the best
    trainings of a size joined over data and shorter or longer ones small and pale, and their correlations. Of other seeds, whose
    documents are others, the best trainings are hollow.
    """
    draw = found.draws[0]
    metrics = distinct(rows, list(draw.metrics))
    sizes = sorted({(row.width, row.params_nonembedding) for row in rows})
    paint = colours(width for width, _ in sizes)
    figure = Figure(figsize=(WIDTH, 2.6 + 1.5 * len(metrics)))
    above, *below = figure.subplots(1 + len(metrics), 1, height_ratios=[2.6, *[1.5] * len(metrics)])
    for width, size in sizes:
        mine = [row for row in rows if row.width == width]
        trainings(above, mine, draw.seed, "unique_tokens", paint[width])
        budgets = [row.unique_tokens for row in mine]
        x = np.geomspace(min(budgets), max(budgets), 50)
        for law, line in zip(draw.laws, LINES, strict=True):
            if law.params:
                y = forms[law.form].formula(law.params, np.array([np.full(50, size), x]))
                above.plot(x, y, line, lw=0.9, color=paint[width])
        for axis, metric in zip(below, metrics, strict=True):
            trainings(axis, mine, draw.seed, metric, paint[width], joined=True)
    above.set(xscale="log", xlabel="unique training tokens", ylabel="loss (nats a token)")
    above.set_title("\n".join(map(described, draw.laws, LINES)), loc="left")
    handles = [Line2D([], [], color=paint[width], marker="o", ms=3, label=f"{size:,.0f}") for width, size in sizes]
    marks = [Line2D([], [], color="0.3", marker="o", ls="", label=name, **style) for name, style in MARKS.items()]
    above.legend(
        handles=handles + marks,
        title="parameters\nwithout\nembeddings",
        title_fontsize=6,
        loc="upper left",
        bbox_to_anchor=(1, 1),
    )
    for axis, metric in zip(below, metrics, strict=True):
        axis.set(xlabel=name_of(metric), ylabel="loss")
        said = correlated(draw.metrics[metric])
        axis.text(1.03, 1.05, said, transform=axis.transAxes, va="top", fontsize=6)
    figure.suptitle(measured_at(found, asked), fontsize=6, x=0.02, ha="left")
    return figure


def measured_at(grid: Endpoint, asked: Endpoint) -> str:
    """At which endpoint the grid's metrics were measured, and whether the configuration asks for another."""
    own, other = (f"{where(one.layer, one.length, one.normalise)}{distortion([one.eps2])}" for one in (grid, asked))
    if own == other:
        return f"Metrics of the grid: {own}."
    return f"Metrics of the grid: {own}.\nThe configuration asks for {other}:\nat that endpoint the grid was not measured."


def distinct(rows: Sequence[Training], metrics: Sequence[str]) -> list[str]:
    """Metrics without those that equal another everywhere, as both ratios do where texts are longer than models are wide."""
    columns = {metric: tuple(row.metrics[metric] for row in rows) for metric in metrics}
    return [metric for place, metric in enumerate(metrics) if columns[metric] not in [columns[one] for one in metrics[:place]]]


def trainings(axis: Axes, rows: Sequence[Training], seed: int, x: str, paint: str, joined: bool = False) -> None:
    """Draw losses of one size: the seed's best trainings, joined over data if `joined`, its others, and other seeds' best."""
    mine = [row for row in rows if row.seed == seed]
    best, others = ([row for row in mine if row.chosen == chosen] for chosen in (True, False))
    elsewhere = [row for row in rows if row.seed != seed and row.chosen]
    best.sort(key=lambda row: row.unique_tokens)
    for drawn, (name, style) in zip((others, elsewhere, best), MARKS.items(), strict=True):
        line = "-" if joined and name == "best passes" else ""
        places = [row.metrics.get(x, row.unique_tokens) for row in drawn]
        axis.plot(places, [row.loss_test for row in drawn], marker="o", ls=line, color=paint, **style)


def described(law: DataLaw, line: str) -> str:
    """A law in words: its form, and its exponents with intervals or why there are none."""
    name = f"{'solid' if line == '-' else 'dashed'}: {NAMES[law.form]}"
    if law.status == Status.FAILED:
        return f"{name}, no law: {law.reason}"
    parts = []
    for exponent, symbol in (("alpha", "α"), ("beta", "β")):
        parts.append(f"{symbol} = {law.params[exponent]:.3f} {bracket(*law.interval[exponent])}")
    status = "" if law.status == Status.CONVERGED else f" ({law.status})"
    scatter = "" if law.residual_sd is None else f", ±{100 * law.residual_sd:.1f} %"
    return f"{name}{status}\n  {', '.join(parts)}{scatter}"


def correlated(metric: MetricBesideLoss) -> str:
    """Correlations of a metric in words; with size and data both fixed, also without the smallest amount of data."""
    parts = [f"{label} {estimated(metric.correlations[what])}" for what, label in VARIES.items()]
    rest = estimated(metric.correlations_without_least_data["size and data"])
    return "\n".join(["correlation", "with loss over", *parts, f"without least {rest}"])


def estimated(estimate: Correlation | None) -> str:
    if estimate is None:
        return "none"
    value = f"{estimate.value:+.2f}".replace("-", "−")
    return value if estimate.low is None else f"{value}\n  {bracket(estimate.low, estimate.high, digits=2)}"


def draw_data(grid: Path, laws: Path, output: Path, primary: Mapping[str, Any], eps2: float) -> None:
    """Write results/data_plot.pdf."""
    asked = Endpoint(layer=primary["layer"], length=primary["length"], normalise=primary["normalise"], eps2=eps2)
    save([data_figure(read_csv(grid, Training), read_json(laws, DataLaws), asked)], output)
