"""Draw what removing tokens does: curves and summaries with their nulls, layers without sinks, and the fact in filler text."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.claims import PITCH, Effect, claim_figures, draw_effects, lines
from geomkit.figures.style import BLUE, COLOURS, GREEN, METHODS, VERMILION, WIDTH, compared, distortion, name_of, save
from geomkit.measures.needle import CALLS, STATEMENTS, ClassifiedText, Margins, Scores, outcome
from geomkit.studies.removal.claims import shipped
from geomkit.tables.experiments import NeedleText, Removal, SinkEffect
from geomkit.tables.findings import Inputs, scope
from geomkit.tables.rows import read_csv

CURVES = {
    "residual": "ridge residual / |target|²",
    "divergence": "KL from the full context (nats)",
    "loss": "loss of the next token, increase (nats)",
    "coding": "coding length of the rest / whole",
}
SINKS = {"removable": "sinks may be removed", "kept": "sinks stay"}
NULLS = {"own": ("o", "the target"), "stranger": ("s", "another document's"), "noise": ("D", "Gaussian rows")}
SUMMARIES = {
    "residual_area": "residual, area above chance",
    "divergence_area": "KL, area above chance (nats)",
    "residual_half_deleted": "residual: part that half is lost with",
    "residual_half_kept": "residual: part that keeps half",
    "divergence_half_deleted": "KL: part that half is lost with",
    "divergence_half_kept": "KL: part that keeps half",
}
SPREADS = {
    "residual_gini": "Gini of ridge gains",
    "residual_effective_share": "effective share of tokens, ridge",
    "divergence_gini": "Gini of KL",
    "divergence_effective_share": "effective share of tokens, KL",
}
BOTH = ("lasso", "attention_mean")
"""Methods of which both directions are drawn."""
MODES = ("unit", "centre-unit", "raw")
VISIBLE = 0.1
"""Part of a panel's range by which treatments of sinks have to differ to be drawn in two columns."""


def ablation_figure(rows: Sequence[Removal], sinks: Sequence[SinkEffect], needles: Sequence[NeedleText]) -> Iterator[Figure]:
    """Draw pages of sinks for each model and corpus, most sinks first; then of curves and of summaries for each model, corpus
    and layer; and of needles."""
    numbers = {(row.model, row.corpus): row.value for row in sinks if row.kind == "sinks"}
    for model, corpus in sorted(dict.fromkeys((row.model, row.corpus) for row in sinks), key=lambda of: -numbers.get(of, 0.0)):
        yield sinks_page(model, corpus, [row for row in sinks if (row.model, row.corpus) == (model, corpus)])
    for model, corpus, layer in dict.fromkeys((row.model, row.corpus, row.layer) for row in rows):
        mine = [row for row in rows if (row.model, row.corpus, row.layer) == (model, corpus, layer)]
        what = f"{corpus}, {model}, layer {layer}{distortion(row.eps2 for row in mine)}: {counts(mine)}"
        yield curves_page(what, mine)
        yield summary_page(what, mine)
    if needles:
        yield needle_page(needles)


def counts(rows: Sequence[Removal]) -> str:
    return f"{max(row.n for row in rows)} targets in {max(row.documents for row in rows)} documents"


def curves_page(what: str, rows: Sequence[Removal]) -> Figure:
    """Draw a line for each method, solid for the most important first, faint for the least; then Lasso beside its nulls.

    Where sinks make no visible difference, their two treatments are one column.
    """
    treatments = ("removable", "kept") if sinks_matter(rows) else ("removable",)
    figure = Figure(figsize=(2.4 * (1 + len(treatments)), 8.6))
    axes = figure.subplots(len(CURVES), 1 + len(treatments), sharex=True)
    for line, (metric, label) in zip(axes, CURVES.items(), strict=True):
        for axis, sinks in zip(line, treatments, strict=False):
            own = [
                row for row in rows if (row.metric, row.sinks, row.null) == (metric, sinks, "own") and row.fraction is not None
            ]
            for method in compared(row.method for row in own if row.method):
                paint, style, marker = METHODS.get(method, ("k", "-", "."))
                for direction, alpha in (("highest", 1.0), ("lowest", 0.35)) if method in BOTH else (("highest", 1.0),):
                    mine = [row for row in own if (row.method, row.direction) == (method, direction)]
                    text = method.replace("_", " ") if direction == "highest" else None
                    trace(axis, mine, paint, style, marker, text, alpha=alpha, band=method == "random")
            axis.set_title(SINKS[sinks] if len(treatments) > 1 else "by method")
        beside_nulls(line[-1], [row for row in rows if (row.metric, row.sinks, row.method) == (metric, "removable", "lasso")])
        line[0].set_ylabel(label)
    for axis in axes[-1]:
        axis.set_xlabel("part of the context removed")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6)
    first = (
        "Solid: most important first; faint: least important first (Lasso, attention). Right: Lasso and its nulls. Bands: 95 %."
    )
    figure.suptitle(f"{what}\n{first}", fontsize=7)
    return figure


def sinks_matter(rows: Sequence[Removal]) -> bool:
    """Whether the treatments of sinks, among which the first token always counts, differ by a visible part of a panel's range."""
    panels: dict[str, dict[tuple[object, ...], list[float]]] = {}
    for row in rows:
        if row.fraction is not None:
            curves = panels.setdefault(row.metric, {})
            curves.setdefault((row.method, row.direction, row.null, row.fraction), []).append(row.value)
    return any(
        max(max(both) - min(both) for both in curves.values())
        > VISIBLE * np.ptp([one for both in curves.values() for one in both])
        for curves in panels.values()
    )


def beside_nulls(axis: Axes, rows: Sequence[Removal]) -> None:
    """Draws Lasso's curves, highest first, for the target and for its nulls."""
    for (null, (marker, label)), paint in zip(NULLS.items(), (BLUE, VERMILION, GREEN), strict=True):
        mine = [row for row in rows if (row.null, row.direction) == (null, "highest") and row.fraction is not None]
        trace(axis, mine, paint, "-", marker, label, band=True)
    axis.set_title("Lasso and its nulls")
    if axis.has_data():
        axis.legend()


def trace(
    axis: Axes, rows: Iterable[Removal], paint: str, line: str, marker: str, label: str | None, *, alpha: float = 1, band: bool
) -> None:
    """Draw values over the fraction removed."""
    points = sorted((row.fraction, row.value, row.low, row.high) for row in rows if row.fraction is not None)
    if not points:
        return
    x, value, low, high = zip(*points, strict=True)
    axis.plot(x, value, ls=line, color=paint, marker=marker, ms=2.5, lw=0.9, alpha=alpha, label=label)
    if band and None not in low:
        axis.fill_between(x, low, high, color=paint, alpha=0.2, lw=0)


def summary_page(what: str, rows: Sequence[Removal]) -> Figure:
    """Draw areas and halves by method, and how leave-one-out gains are spread, each beside its nulls."""
    figure = Figure(figsize=(7.2, 8.2))
    axes = figure.subplots(4, 3, gridspec_kw={"height_ratios": [3, 3, 1, 1]})
    methods = [name for name in dict.fromkeys(row.method for row in rows if row.method) if name != "random"][::-1]
    for axis, (metric, label) in zip(axes[:2].flat, SUMMARIES.items(), strict=True):
        shown = [row for row in rows if row.metric == metric and row.direction in (None, "highest")]
        dots(axis, shown, methods)
        axis.set_xlabel(label)
        first = axis.get_subplotspec().is_first_col()
        axis.set_yticks(range(len(methods)), [name.replace("_", " ") if first else "" for name in methods])
        if metric.endswith("area"):
            axis.axvline(0, lw=0.6, color="0.6", zorder=0)
    cells = axes[2:].flatten()
    for axis, (metric, label) in zip(cells, SPREADS.items(), strict=False):
        dots(axis, [row for row in rows if row.metric == metric], [None])
        axis.set_xlabel(label)
        axis.set_yticks([])
        axis.locator_params(axis="x", nbins=5)
    for axis in cells[len(SPREADS) :]:
        axis.axis("off")
    drawn = zip(NULLS.values(), (BLUE, VERMILION, GREEN), strict=True)
    handles = [Line2D([], [], color=paint, marker=marker, ls="", ms=4, label=label) for (marker, label), paint in drawn]
    handles += [Line2D([], [], color="k", marker="o", mfc=fill, ls="", ms=4, label=SINKS[kind]) for kind, fill in FILLS.items()]
    cells[-1].legend(handles=handles, loc="center")
    figure.suptitle(f"{what}. Most important first; bars: 95 % over documents", fontsize=7)
    return figure


FILLS = {"removable": "k", "kept": "white"}


def dots(axis: Axes, rows: Sequence[Removal], methods: Sequence[str | None]) -> None:
    """Draw a dot with its interval for each method, null, and treatment of sinks."""
    for (null, (marker, _)), paint, shift in zip(NULLS.items(), (BLUE, VERMILION, GREEN), (0.25, 0.0, -0.25), strict=True):
        for sinks, fill in FILLS.items():
            mine = [row for row in rows if (row.null, row.sinks) == (null, sinks) and row.method in methods]
            for row in mine:
                place = methods.index(row.method) + shift + (0.08 if sinks == "removable" else -0.08)
                if row.low is not None and row.high is not None:
                    axis.plot([row.low, row.high], [place, place], lw=0.8, color=paint)
                axis.plot(row.value, place, marker, ms=3, color=paint, mfc=paint if fill == "k" else "white")


def sinks_page(model: str, corpus: str, rows: Sequence[SinkEffect]) -> Figure:
    """Draw metrics over layers for each normalisation, with all tokens and without sinks at each threshold."""
    figure = Figure(figsize=(7.2, 4.6))
    metrics = sorted({row.metric for row in rows if row.kind == "all"})
    axes = figure.subplots(len(metrics), len(MODES), sharex=True, squeeze=False)
    thresholds = sorted({row.threshold for row in rows if row.threshold is not None})
    for line, metric in zip(axes, metrics, strict=True):
        for axis, mode in zip(line, MODES, strict=True):
            mine = [row for row in rows if (row.metric, row.normalise) == (metric, mode)]
            layers(axis, [row for row in mine if row.kind == "all"], "k", "all tokens", "-")
            for threshold, paint in zip(thresholds, COLOURS, strict=False):
                without = [row for row in mine if (row.kind, row.threshold) == ("without", threshold)]
                layers(axis, without, paint, f"without, above {threshold:g} medians", "--")
            axis.set_title(f"{name_of(metric)}, {mode}")
    for axis in axes[-1]:
        axis.set_xlabel("layer")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    by_threshold = {row.threshold: row.value for row in rows if row.kind == "sinks" and row.threshold is not None}
    number = "; ".join(f"above {threshold:g}: {value:.2f}" for threshold, value in sorted(by_threshold.items()))
    texts = max((row.n for row in rows), default=0)
    figure.suptitle(f"{corpus}, {model}: sinks a text ({texts} texts), {number}. Bands: 95 % over documents", fontsize=7)
    return figure


def layers(axis: Axes, rows: Sequence[SinkEffect], paint: str, label: str, line: str) -> None:
    """Draw values over layers."""
    points = sorted((row.layer, row.value, row.low, row.high) for row in rows)
    if not points:
        return
    x, value, low, high = zip(*points, strict=True)
    axis.plot(x, value, line, color=paint, lw=1, label=label)
    if None not in low:
        axis.fill_between(x, low, high, color=paint, alpha=0.15, lw=0)


def needle_page(rows: Sequence[NeedleText]) -> Figure:
    """Draw losses of the answer by kind of context, with the margins of the protocol, and the verdict."""
    margins = Margins()
    scored = [
        ClassifiedText(row.kind, Scores(row.whole, row.none, row.without_one, row.one_kept, row.random or float("nan")), row.call)
        for row in rows
    ]
    result = outcome(scored, margins)
    figure = Figure(figsize=(7.2, 2.9))
    axes = figure.subplots(1, len(STATEMENTS), sharey=True)
    names = ("whole", "none", "without_one", "one_kept", "random")
    for axis, kind in zip(axes, STATEMENTS, strict=True):
        mine = [row for row in rows if row.kind == kind]
        for place, name in enumerate(names):
            values = [value for row in mine if (value := getattr(row, name)) is not None]
            axis.plot([place] * len(values), values, "o", ms=3, alpha=0.5, color=BLUE)
        axis.axhline(margins.known, lw=0.6, color=GREEN, ls="--")
        axis.axhline(margins.unknown, lw=0.6, color=VERMILION, ls="--")
        axis.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names])
        axis.set_title(f"{kind}: {result.right[kind]:.0%} called {CALLS[kind]}, {len(mine)} texts")
    axes[0].set_ylabel("loss of the answer (nats)")
    works = "works" if result.works else "does not work"
    apart = "the kinds are told apart" if result.told_apart else "nothing is claimed: the kinds are not told apart"
    shift = f"mean {result.whole:.2f} with the fact, {result.none:.2f} without, {result.random_shift:.2f} off by chance"
    models = ", ".join(dict.fromkeys(row.model for row in rows))
    figure.suptitle(f"{models}: a fact in filler. The instrument {works} ({shift});\nby the margin, {apart}", fontsize=7)
    return figure


def draw_ablation(summary: Path, sinks: Iterable[Path], needle: Path, output: Path) -> None:
    """Write results/ablation.pdf."""
    save(ablation_figure(read_csv(summary, Removal), read_sinks(sinks), read_csv(needle, NeedleText)), output)


def read_sinks(paths: Iterable[Path]) -> list[SinkEffect]:
    """Rows of several files, by model and corpus; where two files have one of these, the first one counts."""
    by_model: dict[tuple[str, str], list[SinkEffect]] = {}
    for path in paths:
        own: dict[tuple[str, str], list[SinkEffect]] = {}
        for row in read_csv(Path(path), SinkEffect):
            own.setdefault((row.model, row.corpus), []).append(row)
        by_model = own | by_model
    return [row for place in sorted(by_model) for row in by_model[place]]


@claim_figures.register(
    "spread",
    claims=("information is spread over tokens",),
    caption="Gini of context tokens' shares, minus that of another document's target (blue) and of Gaussian rows (green).",
)
def spread(inputs: Inputs) -> Figure | None:
    rows = shipped(inputs.rows("ablation_summary.csv", Removal))
    if not rows:
        return None
    paint = {"minus stranger": BLUE, "minus noise": GREEN}
    effects = [
        Effect(scope(row) if row.null == "minus stranger" else None, row.value, row.low, row.high, paint[row.null])
        for row in rows
    ]
    figure = Figure(figsize=(WIDTH, 0.5 + PITCH * lines(effects)))
    axis = figure.subplots()
    draw_effects(axis, effects)
    axis.set_xlabel("difference of Gini (above 0: more concentrated)")
    return figure
