"""Draw the agreement of document distances with human judgements, by layer, beside baselines without a model."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.figures.claims import PITCH, Effect, claim_figures, draw_effects, lines
from geomkit.figures.style import BLUE, COLOURS, WIDTH, name_of, save
from geomkit.laws.resampling import documents_in_words
from geomkit.studies.semantics.claims import shipped
from geomkit.tables.experiments import Likeness
from geomkit.tables.findings import Inputs
from geomkit.tables.rows import read_csv

KINDS = ("pearson", "spearman")
BASELINES = {"tfidf": ("TF-IDF", "-"), "random_projection": ("random projection", "--"), "length": ("length", ":")}
CLOUDS = {"mean": "mean of each document", "last": "last token of each document", "tokens": "all tokens"}
SUBLAYERS = {"attention": ":", "mlp": "-."}


def semantics_figure(rows: Sequence[Likeness]) -> Iterator[Figure]:
    """Draw a page for each model and corpus."""
    for model, corpus in dict.fromkeys((row.model, row.corpus) for row in rows):
        yield page(model, corpus, [row for row in rows if (row.model, row.corpus) == (model, corpus)])


def page(model: str, corpus: str, rows: Sequence[Likeness]) -> Figure:
    figure = Figure(figsize=(7.2, 5.4))
    metrics = list(dict.fromkeys(row.metric for row in rows if row.kind == "spectrum"))
    axes = figure.subplots(2, max(len(KINDS), len(metrics)), squeeze=False)
    for axis, kind in zip(axes[0], KINDS, strict=False):
        agreement_panel(axis, [row for row in rows if (row.agreement, row.kind) == (kind, "agreement")])
        axis.set_title(f"{kind.capitalize()}'s correlation with judgements\n{verdict(rows, kind)}")
    for axis, metric in zip(axes[1], metrics, strict=False):
        spectra = [row for row in rows if (row.kind, row.metric) == ("spectrum", metric)]
        for (name, label), paint in zip(CLOUDS.items(), COLOURS, strict=False):
            points = sorted((row.layer, row.value) for row in spectra if (row.distance, row.sublayer) == (name, "block"))
            axis.plot([x for x, _ in points], [y for _, y in points], color=paint, marker=".", label=label)
        axis.set(xlabel="layer", title=f"{name_of(metric)} of the corpus, centred unit rows")
        axis.legend()
    for axis in (*axes[0, len(KINDS) :], *axes[1, len(metrics) :]):
        axis.axis("off")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    documents = max((row.documents for row in rows), default=0)
    note = "band of the best measure and of TF-IDF: 95 % over documents"
    figure.suptitle(f"{corpus}, {model}: {documents_in_words(documents)}; {note}", fontsize=7)
    return figure


LABELS = {
    "bures_wasserstein": "means, covariances (Bures-Wasserstein)",
    "bures": "covariances (Bures)",
    "frobenius": "covariances (Frobenius)",
}
"""Names of distances that say what they compare."""


def agreement_panel(axis: Axes, rows: Sequence[Likeness]) -> None:
    """Draw each distance over layers, the best one also after each sublayer, and each baseline as a level line."""
    blocks = [row for row in rows if row.layer >= 0 and row.sublayer == "block"]
    best = max(blocks, key=lambda row: row.value).distance if blocks else None
    for place, name in enumerate(dict.fromkeys(row.distance for row in blocks)):
        mine = sorted((row for row in blocks if row.distance == name), key=lambda row: row.layer)
        x, paint = [row.layer for row in mine], COLOURS[place % len(COLOURS)]
        axis.plot(x, [row.value for row in mine], color=paint, marker=".", lw=0.9, label=LABELS.get(name, name.replace("_", " ")))
        if name == best:
            for sublayer, style in SUBLAYERS.items():
                part = sorted((row.layer, row.value) for row in rows if (row.distance, row.sublayer) == (name, sublayer))
                if part:
                    axis.plot(*zip(*part, strict=True), ls=style, color=paint, lw=0.7, label=f"the best, after {sublayer}")
            axis.fill_between(x, [row.low or 0 for row in mine], [row.high or 0 for row in mine], color=paint, alpha=0.12, lw=0)
    for row in rows:
        if row.layer < 0 and row.distance in BASELINES:
            label, line = BASELINES[row.distance]
            axis.axhline(row.value, color="0.3", ls=line, lw=0.9, label=label)
            if row.distance == "tfidf" and row.low is not None and row.high is not None:
                axis.axhspan(row.low, row.high, color="0.3", alpha=0.1, lw=0)
    axis.set(xlabel="layer", ylabel="correlation")


def verdict(rows: Sequence[Likeness], kind: str) -> str:
    """The measure chosen on halves compared with TF-IDF, in words."""
    mine = {row.kind: row for row in rows if row.agreement == kind and row.distance == "chosen"}
    if "difference" not in mine or "least" not in mine:
        return "no choice"
    gap = mine["difference"]
    return (
        f"chosen on halves {mine['chosen'].value:.2f}, TF-IDF {mine['baseline'].value:.2f}; difference {gap.value:.2f} "
        f"[{gap.low:.2f}, {gap.high:.2f}]\nsmallest difference that can be shown {mine['least'].value:.2f}"
    )


def draw_semantics(summary: Path, output: Path) -> None:
    """Write results/semantics.pdf."""
    save(semantics_figure(read_csv(summary, Likeness)), output)


@claim_figures.register(
    "likeness",
    claims=("hidden states judge likeness better than words",),
    caption="Correlation with people's judgements on halves that did not choose: chosen distance (filled), TF-IDF (hollow). "
    "Right: the difference.",
)
def likeness(inputs: Inputs) -> Figure | None:
    rows = [row for row in shipped(inputs.rows("semantics_summary.csv", Likeness)) if row.agreement == "pearson"]
    differences = [row for row in rows if row.kind == "difference"]
    if not differences:
        return None
    compared = [
        Effect(row.model if row.kind == "chosen" else None, row.value, row.low, row.high, BLUE, row.kind == "chosen")
        for row in rows
        if row.kind in ("chosen", "baseline")
    ]
    figure = Figure(figsize=(WIDTH, 0.6 + PITCH * lines(compared)))
    both, gap = figure.subplots(1, 2)
    draw_effects(both, compared, against=None)
    draw_effects(gap, [Effect("", row.value, row.low, row.high) for row in differences])
    both.set_xlabel("Pearson's correlation")
    gap.set_xlabel("difference")
    return figure
