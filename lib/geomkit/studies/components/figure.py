"""Draw what attention and MLP sublayers do: metrics after each, and what changes when each is ablated."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.figures.style import BLACK, BLUE, VERMILION, name_of, save
from geomkit.laws.resampling import documents_in_words
from geomkit.tables.experiments import SublayerEffect
from geomkit.tables.rows import read_csv

PAINT = {"attention": BLUE, "mlp": VERMILION, "block": BLACK}
KINDS = {"zero": ("o", "zero"), "mean": ("s", "mean of other documents")}
NAMES = {"gain": "information gain (nats)", "loss": "loss (nats a token)"}


def components_figure(rows: Sequence[SublayerEffect]) -> Iterator[Figure]:
    """Draw a page for each model and corpus."""
    for model, corpus in dict.fromkeys((row.model, row.corpus) for row in rows):
        yield page(model, corpus, [row for row in rows if (row.model, row.corpus) == (model, corpus)])


def page(model: str, corpus: str, rows: Sequence[SublayerEffect]) -> Figure:
    metrics = list(dict.fromkeys(row.metric for row in rows if row.metric != "loss"))
    figure = Figure(figsize=(7.2, 6.6))
    axes = figure.subplots(3, len(metrics), sharex=True, squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for sublayer, paint in PAINT.items():
            after = [row for row in rows if (row.kind, row.metric, row.sublayer) == ("after", metric, sublayer)]
            line(axis, after, paint, "-", "o" if sublayer == "block" else ".", f"after {sublayer}")
        axis.set_title(f"after each sublayer: {NAMES.get(metric, name_of(metric))}")
    if axes[0, 0].has_data():
        axes[0, 0].legend()
    panels = [("loss", None), *((metric, "last") for metric in metrics)]
    panels += [(metric, "final") for metric in metrics if metric != "gain"]
    for axis, (metric, at) in zip(axes[1:].flat, panels, strict=True):
        for sublayer in ("attention", "mlp"):
            for kind, (marker, label) in KINDS.items():
                wanted = (kind, metric, at, sublayer)
                mine = [row for row in rows if (row.kind, row.metric, row.at, row.sublayer) == wanted]
                line(axis, mine, PAINT[sublayer], "-" if kind == "zero" else "--", marker, f"{sublayer}: {label}")
        heads = [row for row in rows if row.sublayer.startswith("head-") and (row.metric, row.at) == (metric, at)]
        if heads:
            x, y = [row.layer for row in heads], [row.value for row in heads]
            axis.plot(x, y, "x", ms=3, color=PAINT["attention"], alpha=0.6, label="single heads: zero")
        whole = next((row.value for row in rows if (row.kind, row.metric, row.at) == ("none", metric, at)), None)
        axis.axhline(0, lw=0.6, color="0.6", zorder=0)
        title = f"change of {NAMES.get(metric, name_of(metric))}" + (f", {at}" if at else "")
        axis.set_title(title if whole is None else f"{title}\nwhole model {whole:.3g}")
        if metric == "loss" and axis.has_data():
            axis.set_yscale("symlog", linthresh=0.1)
    if axes[1, 0].has_data():
        figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    for axis in axes[-1]:
        axis.set_xlabel("layer of the sublayer")
    number = max((row.documents for row in rows), default=0)
    note = "unit rows; one sublayer at a time becomes zero, or its mean over other documents. Bars: 95 % over documents"
    figure.suptitle(f"{corpus}, {model}, {documents_in_words(number)}\n{note}", fontsize=7)
    return figure


def line(axis: Axes, rows: Sequence[SublayerEffect], paint: str, style: str, marker: str, label: str) -> None:
    """Draw values over layers with their intervals."""
    points = sorted((row.layer, row.value, row.low, row.high) for row in rows)
    if not points:
        return
    x = [point[0] for point in points]
    axis.plot(x, [point[1] for point in points], ls=style, marker=marker, ms=3, lw=0.9, color=paint, label=label)
    for place, _, low, high in points:
        if low is not None and high is not None:
            axis.plot([place, place], [low, high], lw=0.7, color=paint)


def draw_components(summary: Path, output: Path) -> None:
    """Write results/components.pdf."""
    save(components_figure(read_csv(summary, SublayerEffect)), output)
