"""Draw how much tokens add to their past, and which earlier ones matter: gain, ridge, and selections at equal budgets."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.figures.claims import PITCH, Effect, claim_figures, draw_effects, lines
from geomkit.figures.style import BLUE, COLOURS, METHODS, WIDTH, compared, distortion, ordered_colours, save
from geomkit.laws.resampling import documents_in_words
from geomkit.studies.tokens.claims import HALF, foretelling, winning
from geomkit.studies.tokens.rows import TokenScore
from geomkit.tables.findings import Inputs, scope
from geomkit.tables.rows import read_csv

Row = TokenScore
Rows = Sequence[TokenScore]
RUNS = {"trained": "-", "shuffled": ":"}
PANELS = (("divergence", 0), ("divergence", 1), ("reconstruction_unseen", 0), ("loss_increase", 0))
SCORES = {
    "divergence": "KL from the full context (nats)",
    "loss_increase": "loss of the next token, increase (nats)",
    "reconstruction_unseen": "held-out $R^2$, minus another target's",
}
CANDIDATES = ("first token a candidate", "first token left out")


def tokens_figure(rows: Rows) -> Iterator[Figure]:
    """Draw tokens_summary.csv: pages on gain and ridge for each corpus, then on selections for each model."""
    for corpus in dict.fromkeys(row.corpus for row in rows):
        here = [row for row in rows if row.corpus == corpus and row.value is not None]
        yield gain_page(corpus, [row for row in here if row.metric.startswith("gain_")])
        yield ridge_page(corpus, [row for row in here if row.metric.startswith("ridge_")])
        chosen = [row for row in here if row.k and row.metric != "lasso_gap"]
        for model in dict.fromkeys(row.model for row in chosen):
            mine = [row for row in chosen if row.model == model]
            yield choice_page(corpus, model, mine)
            yield wins_page(corpus, model, mine)


def gain_page(corpus: str, rows: Rows) -> Figure:
    figure = Figure(figsize=(7.2, 5.6))
    axes = figure.subplots(2, 2)
    sizes = shades(rows)
    last = [row for row in rows if row.name == "last"]
    largest = max(last, key=lambda row: row.params_nonembedding, default=None)
    for (family, size), paint in sizes.items():
        mine = [row for row in last if (row.family, row.params_nonembedding) == (family, size)]
        curve(axes[0, 0], pick(mine, "gain_at_position", "trained"), paint, "-", label=short(size), shift=1, fill=False)
    if largest is not None:
        name = largest.model
        curve(
            axes[0, 0], pick(by_model(last, name), "gain_at_position", "shuffled"), "k", ":", shift=1, label="largest, shuffled"
        )
        for layer, paint in zip(("embedding", "middle", "last", "final"), COLOURS, strict=False):
            for variant, line in RUNS.items():
                mine = pick([row for row in by_model(rows, name) if row.name == layer], "gain_at_surprisal", variant)
                curve(axes[0, 1], mine, paint, line, label=layer if variant == "trained" else None)
        depths(axes[1, 0], by_model(rows, name))
        axes[0, 1].set(title=f"{name}: tenths of tokens by surprisal")
        axes[1, 0].set(title=f"{name}: rank correlation over depth")
    headline(axes[1, 1], last)
    axes[1, 1].set_xscale("log" if axes[1, 1].has_data() else "linear")
    axes[0, 0].set(
        xscale="log",
        xlabel="position in the text",
        ylabel="information gain (nats)",
        title="last block, by parameters without embeddings",
    )
    axes[0, 1].set(xlabel="surprisal (nats)", ylabel="information gain (nats)")
    axes[1, 0].set(xlabel="layer / number of blocks", ylabel="rank correlation with gain")
    axes[1, 1].set(
        xscale="log" if axes[1, 1].has_data() else "linear",
        xlabel="parameters without embeddings",
        ylabel="partial rank correlation",
        title="last block, all sizes",
    )
    for axis in axes.flat:
        room(axis)
        if axis.has_data():
            axis.legend(fontsize=5.5, ncols=2, loc="upper center")
    eps2 = distortion(row.eps2 for row in rows)
    lines = (
        f"{corpus}{eps2}: information gain, what each token adds to ln det of the tokens before it.",
        "Dotted, hollow: shuffled text. Partial: position, frequency and earlier occurrence held fixed.",
        "Bands, bars: 95 % over documents.",
    )
    figure.suptitle("\n".join(lines), fontsize=7.5)
    return figure


def room(axis: Axes) -> None:
    """Leaves space for a legend above the data."""
    bottom, top = axis.get_ylim()
    axis.set_ylim(bottom, top + 0.35 * (top - bottom))


def depths(axis: Axes, rows: Rows) -> None:
    """Draw correlations of one model over relative depth."""
    for (metric, label), paint in zip((("surprisal", "own"), ("next_surprisal", "next")), COLOURS, strict=False):
        for method, style in (("raw", "--"), ("partial", "-")):
            for variant in RUNS:
                mine = [row for row in rows if (row.metric, row.method) == (f"gain_{metric}", method)]
                mine = [replace(row, x=row.layer / row.depth) for row in mine if row.variant == variant]
                line = style if variant == "trained" else ":"
                text = f"{label} surprisal, {method}" if variant == "trained" else None
                if variant == "trained" or method == "partial":
                    curve(axis, mine, paint, line, label=text)
    axis.axhline(0, lw=0.6, color="0.6", zorder=0)


def headline(axis: Axes, rows: Rows) -> None:
    """Draw partial correlations with size, each with its shuffled-text null."""
    for (metric, label), paint in zip((("surprisal", "own"), ("next_surprisal", "next")), COLOURS, strict=False):
        for variant, fill in (("trained", paint), ("shuffled", "none")):
            mine = [row for row in rows if (row.metric, row.method) == (f"gain_{metric}", "partial")]
            mine = [row for row in mine if row.variant == variant]
            x, value, bars = with_bars(mine)
            axis.errorbar(x, value, bars, fmt="o", ms=4, color=paint, mfc=fill, lw=0.9, label=f"{label} surprisal, {variant}")
    axis.axhline(0, lw=0.6, color="0.6", zorder=0)


def ridge_page(corpus: str, rows: Rows) -> Figure:
    figure = Figure(figsize=(7.2, 5.0))
    axes = figure.subplots(2, 2)
    last = [row for row in rows if row.name == "last"]
    for (family, size), paint in shades(rows).items():
        mine = [row for row in last if (row.family, row.params_nonembedding) == (family, size)]
        for axis, metric in zip(axes.flat, ("ridge_error", "ridge_freedom", "ridge_gcv"), strict=False):
            curve(axis, pick(mine, metric, "trained"), paint, "-", label=short(size), fill=False)
    labels = ("squared error / squared length", "effective degrees of freedom", "generalised cross-validation")
    for axis, label in zip(axes.flat, labels, strict=False):
        axis.set(xscale="log", xlabel="penalty / penalty of the information gain", ylabel=label)
        axis.axvline(1, lw=0.6, color="0.6", zorder=0)
    axes[1, 0].set_yscale("log")
    if last:
        axes[0, 0].legend(fontsize=5.5, title="parameters without embeddings", title_fontsize=5.5)
    for name, paint in zip(("middle", "last", "final"), COLOURS, strict=False):
        mine = [row for row in rows if (row.name, row.metric) == (name, "ridge_best_error")]
        x, value, bars = with_bars(mine)
        axes[1, 1].errorbar(x, value, bars, fmt="o", ms=4, color=paint, lw=0.9, label=name)
    axes[1, 1].set(
        xscale="log" if axes[1, 1].has_data() else "linear",
        xlabel="parameters without embeddings",
        ylabel="error at the best penalty of each text",
    )
    axes[1, 1].set_xscale("log" if axes[1, 1].has_data() else "linear")
    axes[1, 1].legend(fontsize=6)
    number = max((row.n or 0 for row in rows), default=0)
    eps2 = distortion(row.eps2 for row in rows)
    figure.suptitle(f"{corpus}{eps2}: ridge regression of the last token on its text, last block, {number} texts", fontsize=7.5)
    return figure


def choice_page(corpus: str, model: str, rows: Rows) -> Figure:
    """Draw scores against the budget, of one method of each kind; the next page has all of them."""
    layers = list(dict.fromkeys((row.layer, row.name) for row in rows))
    figure = Figure(figsize=(7.2, 0.8 + 4.6 * len(layers)))
    axes = figure.subplots(2 * len(layers), 2, squeeze=False)
    for block, (layer, name) in enumerate(layers):
        for axis, (metric, first) in zip(axes[2 * block : 2 * block + 2].flat, PANELS, strict=True):
            shown = [row for row in rows if (row.layer, row.metric, row.first) == (layer, metric, first)]
            for method in compared(row.method for row in shown if row.method):
                paint, line, marker = METHODS.get(method, ("k", "-", "."))
                mine = [replace(row, x=row.k) for row in shown if row.method == method]
                curve(
                    axis,
                    mine,
                    paint,
                    line,
                    label=method.replace("_", " "),
                    marker=marker,
                    fill=method in ("lasso", "attention_mean"),
                )
            axis.set(xscale="log", xlabel="tokens chosen", ylabel=SCORES[metric])
            axis.set_title(f"{name or 'layer'} ({layer}): {CANDIDATES[first]}", fontsize=7)
            budgets = sorted({row.k for row in shown if row.k})
            axis.set_xticks(budgets, budgets, minor=False)
            axis.minorticks_off()
            if metric == "divergence":
                axis.set_yscale("log")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=6)
    figure.suptitle(f"{corpus}, {model}: {counts(rows)}. Bands (Lasso, mean attention): 95 % over documents", fontsize=7.5)
    return figure


def wins_page(corpus: str, model: str, rows: Rows) -> Figure:
    """Draw how often Lasso is better than each method on the same target."""
    layers = list(dict.fromkeys((row.layer, row.name) for row in rows))
    metrics = ("divergence_win", "removed_divergence_win", "reconstruction_unseen_win", "jaccard")
    titles = ("KL, others masked", "KL, others removed", "reconstruction, unseen", "overlap (Jaccard)")
    figure = Figure(figsize=(7.2, 0.6 + 3.0 * len(layers)))
    axes = figure.subplots(len(layers), len(metrics), squeeze=False, sharey=True)
    for line, (layer, name) in zip(axes, layers, strict=True):
        for axis, metric, title in zip(line, metrics, titles, strict=True):
            shown = [row for row in rows if (row.layer, row.metric, row.first) == (layer, metric, 0)]
            methods = sorted(
                {row.method for row in rows if row.method} - {"lasso"}, key=lambda method: (*METHODS, method).index(method)
            )
            budgets = sorted({row.k for row in rows if row.k})
            table = np.full((len(methods), len(budgets)), np.nan)
            for row in shown:
                if row.method in methods and row.k and row.value is not None:
                    table[methods.index(row.method), budgets.index(row.k)] = row.value
            axis.imshow(table, cmap="PuOr_r" if metric != "jaccard" else "Greys", vmin=0, vmax=1, aspect="auto")
            for (i, j), value in np.ndenumerate(table):
                if np.isfinite(value):
                    axis.text(
                        j,
                        i,
                        f"{value:.2f}",
                        ha="center",
                        va="center",
                        fontsize=4.5,
                        color="w" if dark(value, metric) else "k",
                    )
            axis.set_xticks(range(len(budgets)), budgets, fontsize=6)
            axis.set_yticks(range(len(methods)), [method.replace("_", " ") for method in methods], fontsize=6)
            number = max((row.n or 0 for row in shown), default=0)
            axis.set_title(f"{name or layer}: {title}\n{number} targets", fontsize=6)
            axis.set_xlabel("tokens chosen", fontsize=6)
    figure.suptitle(f"{corpus}, {model}: share of targets on which Lasso beats each method (ties count half)", fontsize=7.5)
    return figure


def dark(value: float, metric: str) -> bool:
    """Whether a cell is so dark that its number must be white."""
    return value > 0.5 if metric == "jaccard" else abs(value - 0.5) > 0.36


def counts(rows: Rows) -> str:
    return f"{max(row.n or 0 for row in rows)} targets in {documents_in_words(max(row.documents or 0 for row in rows))}"


def shades(rows: Rows) -> dict[tuple[str, float], Any]:
    """A colour for each size, darker for larger."""
    return ordered_colours(sorted({(row.family, row.params_nonembedding) for row in rows}, key=lambda size: size[1]))


def short(size: float) -> str:
    """Parameters without embeddings, to three digits."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:.0f}"


def by_model(rows: Iterable[Row], model: str) -> list[Row]:
    return [row for row in rows if row.model == model]


def pick(rows: Iterable[Row], metric: str, variant: str) -> list[Row]:
    return [row for row in rows if (row.metric, row.variant) == (metric, variant)]


def with_bars(rows: Iterable[Row]) -> tuple[list[float], list[float], list[list[float]]]:
    """Sizes, values, and the lengths of error bars below and above, NaN for those without an interval."""
    known = [(row, row.value) for row in rows if row.value is not None]
    points = [
        (
            float(row.params_nonembedding),
            value,
            np.nan if row.low is None else value - row.low,
            np.nan if row.high is None else row.high - value,
        )
        for row, value in known
    ]
    x, value, below, above = ([point[k] for point in points] for k in range(4))
    return x, value, [below, above]


def mean(values: Iterable[float | None]) -> float:
    """Mean of the finite values, NaN if there are none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else float("nan")


def curve(
    axis: Axes,
    rows: Rows,
    paint: Any,
    line: str,
    *,
    label: str | None = None,
    marker: str = "",
    shift: float = 0,
    fill: bool = True,
) -> None:
    """Draw values over x, seeds averaged, with the interval as a band."""
    placed = sorted(((row.x, row) for row in rows if row.x is not None), key=lambda point: point[0])
    points = [(x, [row for _, row in group]) for x, group in groupby(placed, key=lambda point: point[0])]
    if not points:
        return
    x = [place + shift for place, _ in points]
    low, value, high = ([mean(getattr(row, name) for row in group) for _, group in points] for name in ("low", "value", "high"))
    axis.plot(x, value, ls=line, color=paint, lw=1, label=label, marker=marker, ms=3)
    if fill:
        axis.fill_between(x, low, high, color=paint, alpha=0.15, lw=0)


def draw_tokens(summary: Path, output: Path) -> None:
    """Write results/token_regression.pdf."""
    save(tokens_figure(read_csv(summary, TokenScore)), output)


@claim_figures.register(
    "gain",
    claims=("gain foretells the next token",),
    caption="Partial rank correlation of gain with the next token's surprisal: text (filled), shuffled text (hollow).",
)
def foretold(inputs: Inputs) -> Figure | None:
    rows = sorted(foretelling(inputs), key=lambda row: (row.model, row.corpus, row.name != "last", row.variant != "trained"))
    if not rows:
        return None
    effects = [
        Effect(
            f"{scope(row)}, {row.name}" if row.variant == "trained" else None, row.value or 0.0, row.low, row.high,
            BLUE if row.name == "last" else COLOURS[1], row.variant == "trained",
        )
        for row in rows
    ]  # fmt: skip
    figure = Figure(figsize=(WIDTH, 0.5 + PITCH * lines(effects)))
    axis = figure.subplots()
    draw_effects(axis, effects)
    axis.set_xlabel("partial rank correlation")
    return figure


@claim_figures.register(
    "lasso",
    claims=("Lasso sometimes outperforms attention in reconstruction", "Lasso outperforms attention for the prediction"),
    caption="Share of targets on which Lasso beats mean attention, with the first token (filled) and without it (hollow).",
)
def lasso(inputs: Inputs) -> Figure | None:
    found = {
        "reconstruction": winning(inputs, "reconstruction_unseen"),
        "the model's prediction": winning(inputs, "divergence"),
    }
    if not any(found.values()):
        return None
    panels = {
        name: [
            Effect(None if row.first else scope(row), row.value or 0.0, row.low, row.high, BLUE, not row.first) for row in rows
        ]
        for name, rows in found.items()
    }
    figure = Figure(figsize=(WIDTH, 0.65 + PITCH * max(map(lines, panels.values()))))
    axes = figure.subplots(1, 2)
    for axis, (name, effects) in zip(axes, panels.items(), strict=True):
        draw_effects(axis, effects, against=HALF)
        axis.set(xlim=(0, 1), title=name, xticks=[0, HALF, 1])
    axes[1].set_yticklabels([])
    figure.supxlabel("share of targets on which Lasso is better", fontsize=6.5)
    return figure
