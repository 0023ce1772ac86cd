"""Draw the claims about the theory of skills: variance between documents, the identity of the gain, and planted facts."""

import sys
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.claims import PITCH, Effect, claim_figures, draw_effects, lines
from geomkit.figures.style import BLACK, BLUE, WIDTH, ordered_colours
from geomkit.tables.findings import Inputs
from geomkit.theory.claims import conclusions
from geomkit.theory.planted_facts import model_of
from geomkit.theory.rows import Conclusion, FactBin, Test

FACTS = "theory/training/facts.csv"


@claim_figures.register(
    "documents",
    claims=("documents take a growing share of variance",),
    caption="Exponent of documents' share of variance over its projected null: last block (filled), final norm (hollow).",
)
def between_documents(inputs: Inputs) -> Figure | None:
    rows = [row for row in conclusions(inputs, Test.DOCUMENTS) if row.effect is not None]
    effects = []
    for row in rows:
        name, _, layer = row.scope.partition(", layer ")
        effects.append(Effect(name if layer == "last" else None, row.effect or 0.0, row.low, row.high, BLUE, layer == "last"))
    if not effects:
        return None
    figure = Figure(figsize=(WIDTH, 0.5 + PITCH * lines(effects)))
    axis = figure.subplots()
    draw_effects(axis, effects)
    axis.set_xlabel("exponent with size of value / projected null")
    return figure


@claim_figures.register(
    "gain-identity",
    claims=("gain is a ridge regression",),
    caption="Largest relative errors of the identities, beside the rounding of one number in double precision (dashed).",
)
def identity(inputs: Inputs) -> Figure | None:
    rows: Sequence[Conclusion] = [row for row in conclusions(inputs, Test.IDENTITY) if row.effect]
    if not rows:
        return None
    figure = Figure(figsize=(WIDTH, 0.5 + PITCH * len(rows)))
    axis = figure.subplots()
    names = [row.name.removeprefix(f"{Test.IDENTITY}-").replace("-", " ") for row in rows]
    draw_effects(axis, [Effect(name, row.effect or 0.0, None, None) for name, row in zip(names, rows, strict=True)], against=None)
    axis.axvline(sys.float_info.epsilon, ls="--", lw=0.8, color="0.4")
    axis.set(xscale="log", xlim=(1e-17, 1), xlabel=f"relative error, {rows[0].scope}")
    return figure


@claim_figures.register(
    "planted-facts",
    claims=("models hold the most frequent facts",),
    caption="Left: share of the most frequent facts that are held; hollow: excluded, still learning. Right: share held by rank. "
    "Black: the theory.",
)
def planted_facts(inputs: Inputs) -> Figure | None:
    """Draw the overlap over size and the share of facts held over rank, after the longest training of each cell."""
    cells: dict[str, list[FactBin]] = {}
    for row in inputs.rows(FACTS, FactBin):
        if row.samples is None and row.overlap is not None:
            cells.setdefault(row.cell, []).append(row)
    if not cells:
        return None
    figure = Figure(figsize=(WIDTH, 1.75))
    overlap, held = figure.subplots(1, 2)
    paint = ordered_colours(sorted({rows[0].width for rows in cells.values()}))
    for rows in cells.values():
        model, colour = model_of(rows), paint[rows[0].width]
        fill = colour if model.kept else "white"
        overlap.plot([model.width], [model.overlap], "o", ms=3, color=colour, mfc=fill, mew=0.8)
        mine = [row for row in rows if row.steps == model.steps and row.last_rank > row.first_rank]
        x = [(row.first_rank * row.last_rank) ** 0.5 / model.held for row in mine]
        held.plot(x, [row.bin_held for row in mine], lw=0.8, color=colour)
    overlap.axhline(1, color=BLACK, lw=1)
    overlap.set(ylim=(0, 1.05), xlabel="width", ylabel="overlap with theory", xticks=sorted(paint))
    held.step([1e-3, 1, 1e2], [1, 1, 0], color=BLACK, lw=1, where="pre")
    held.set(xscale="log", ylim=(-0.03, 1.05), xlabel="rank / number of facts held", ylabel="share held")
    handles = [Line2D([], [], color=colour, label=str(width)) for width, colour in paint.items()]
    held.legend(handles=handles, title="width", fontsize=5, title_fontsize=5.2)
    return figure
