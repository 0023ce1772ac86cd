"""Draw how information gain goes with the next token's surprisal, by block and by what is held fixed."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.figures.claims import claim_figures
from geomkit.figures.style import BLUE, GREEN, VERMILION, WIDTH, ordered_colours, save
from geomkit.studies.next_token.rows import NextToken
from geomkit.tables.findings import Inputs
from geomkit.tables.rows import read_csv

LOOKS = {
    (None, "trained"): ("no control", BLUE, "-"),
    ("entropy", "trained"): ("given the entropy of the prediction", VERMILION, "-"),
    ("everything", "trained"): ("given all controls", GREEN, "-"),
    (None, "shuffled"): ("shuffled text, no control", BLUE, ":"),
    ("entropy", "shuffled"): ("shuffled text, given the entropy", VERMILION, ":"),
}
CONTROLS = ("none", "entropy", "surprisal", "recency", "frequency", "position", "everything")


def draw_next_token(rows: Path, output: Path) -> None:
    """Write results/next_token.pdf."""
    own = [row for row in read_csv(rows, NextToken) if row.kind == "correlation"]
    save([*by_control(own), *by_layer(own)], output)


@claim_figures.register(
    "next-token",
    claims=("gain knows more than the prediction",),
    caption="Rank correlation of gain and the next token's surprisal, larger models darker.",
)
def beside_entropy(inputs: Inputs) -> Figure | None:
    """Draw each model's correlation with and without the control, corpus by corpus."""
    rows = [row for row in inputs.rows("next_token.csv", NextToken) if row.layer == row.depth and row.kind == "correlation"]
    rows = [row for row in rows if row.variant == "trained" and row.given in (None, "entropy")]
    if not rows:
        return None
    models = sorted({(row.params_nonembedding, row.model) for row in rows})
    colour, corpora = ordered_colours(models), list(dict.fromkeys(row.corpus for row in rows))
    figure = Figure(figsize=(WIDTH, 0.6 + 0.62 * len(corpora)))
    axis = figure.subplots()
    axis.axvline(0, lw=0.6, color="0.6", zorder=0)
    for row in rows:
        key = (row.params_nonembedding, row.model)
        y = 2.4 * corpora.index(row.corpus) + (row.given is not None) + 0.6 * (models.index(key) / max(len(models) - 1, 1) - 0.5)
        if row.low is not None and row.high is not None:
            axis.plot([row.low, row.high], [y, y], "-", lw=0.7, color=colour[key])
        axis.plot(row.value, y, "o", ms=2.2, mew=0, color=colour[key])
    places = {
        2.4 * k + own: f"{corpus}, {name}" for k, corpus in enumerate(corpora) for own, name in enumerate(("no control", "given"))
    }
    axis.set_yticks(list(places), [name.replace("given", "given entropy") for name in places.values()])
    axis.invert_yaxis()
    axis.set_xlabel("rank correlation, 95 % interval over documents")
    return figure


def by_control(rows: Sequence[NextToken]) -> Iterator[Figure]:
    """Yield a page for each corpus: the last block of every model, control by control, on text and on shuffled text."""
    last = sorted((row for row in rows if row.layer == row.depth), key=lambda row: row.corpus)
    for corpus, group in groupby(last, key=lambda row: row.corpus):
        mine = list(group)
        models = sorted({(row.params_nonembedding, row.model) for row in mine})
        colour = ordered_colours(models)
        figure = Figure(figsize=(WIDTH, 3.4))
        axes = figure.subplots(1, 2, sharey=True, sharex=True)
        for axis, variant in zip(axes, ("trained", "shuffled"), strict=True):
            for number, model in enumerate(models):
                own = [row for row in mine if (row.params_nonembedding, row.model) == model and row.variant == variant]
                for row in own:
                    y = CONTROLS.index(row.given or "none") + 0.7 * (number / max(len(models) - 1, 1) - 0.5)
                    if row.low is not None and row.high is not None:
                        axis.plot([row.low, row.high], [y, y], "-", lw=0.7, color=colour[model])
                    axis.plot(row.value, y, "o", ms=2.2, mew=0, color=colour[model])
            axis.axvline(0, lw=0.6, color="0.6", zorder=0)
            axis.set_title({"trained": "text", "shuffled": "shuffled text"}[variant], loc="left")
        axes[0].set_yticks(range(len(CONTROLS)), [f"given {name}" if name != "none" else "no control" for name in CONTROLS])
        axes[0].invert_yaxis()
        for axis in axes:
            axis.set_xlabel("rank correlation")
        handles = [axes[0].plot([], [], "o", ms=2.5, mew=0, color=colour[model], label=model[1])[0] for model in models]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        figure.suptitle(
            f"{corpus}, last block: gain and the next token's surprisal\nlines: 95 % interval over documents", fontsize=6.5
        )
        yield figure


def by_layer(rows: Sequence[NextToken]) -> Iterator[Figure]:
    """Yield a page for the deepest model on each corpus: correlations by block."""
    for corpus in sorted({row.corpus for row in rows}):
        mine = [row for row in rows if row.corpus == corpus]
        deepest = max(mine, key=lambda row: row.depth).model
        figure = Figure(figsize=(WIDTH, 2.8))
        layers(figure.subplots(), [row for row in mine if row.model == deepest])
        figure.legend(loc="outside lower center", ncols=2)
        figure.suptitle(f"{deepest} on {corpus}; shading: 95 % interval over documents", fontsize=6.5)
        yield figure


def layers(axis: Axes, rows: Sequence[NextToken]) -> None:
    """Draw correlations by block, a line for each control and variant."""
    for (given, variant), (label, colour, line) in LOOKS.items():
        own = sorted((row for row in rows if (row.given, row.variant) == (given, variant)), key=lambda row: row.layer)
        axis.plot([row.layer for row in own], [row.value for row in own], line, lw=1, color=colour, label=label)
        ends = [(row.layer, row.low, row.high) for row in own if row.low is not None and row.high is not None]
        if ends:
            axis.fill_between(*np.transpose(ends), color=colour, alpha=0.15, lw=0)
    axis.axhline(0, lw=0.6, color="0.6", zorder=0)
    axis.set_xlabel("block (0: the embedding)")
    axis.set_ylabel("rank correlation")
