"""Draw the claims about laws with model size: the test beside the residuals of each width, and exponents by length."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.claims import PITCH, Effect, claim_figures, draw_effects
from geomkit.figures.style import BLACK, BLUE, WIDTH, colours
from geomkit.studies.size_laws.claims import ERANK, LAST, PAPER, RATIO, UNIT, beyond, laws
from geomkit.studies.size_laws.rows import LawVerdict, Models, WidthResidual
from geomkit.tables.findings import Finding, Inputs

CLAIMED = {ERANK: 1, RATIO: -1}
"""Metrics of the primary endpoint, each with the claimed sign of its slope."""
TITLES = {ERANK: "effective rank", RATIO: "normalised entropy"}
LOOK = {True: (BLACK, True), False: (BLUE, False)}
"""Colour and filling of a confirmatory finding, and of others."""


@claim_figures.register(
    "beyond-width",
    claims=("effective rank grows beyond width", "normalised entropy falls beyond width"),
    caption="Above, what the projected null leaves at each size; below, its slope. Filled and black: new models, confirmatory. "
    "Band: margin.",
)
def beyond_width(inputs: Inputs) -> Figure | None:
    """Draw each width's residual y in the pair model, of the first family, with the confirmatory line, and every slope."""
    found = {metric: [row for row in beyond(inputs, metric, sign) if row.value is not None] for metric, sign in CLAIMED.items()}
    number = max(map(len, found.values()))
    if not number:
        return None
    widths = inputs.rows("scaling/residuals.csv", WidthResidual)
    figure = Figure(figsize=(WIDTH, 1.9 + 1.6 * PITCH * number))
    axes = figure.subplots(2, len(found), height_ratios=[1.15, 0.3 + 1.6 * PITCH * number])
    for k, (metric, rows) in enumerate(found.items()):
        mine = [row for row in widths if (row.metric, row.layer, row.normalise, row.seed) == (metric, LAST, UNIT, None)]
        first = next(iter(row.family for row in mine), "")
        residual_panel(axes[0, k], [row for row in mine if row.family == first], next((row for row in rows if row.primary), None))
        axes[0, k].set_title(TITLES[metric])
        effects = [
            Effect(line_of(row.scope) if k == 0 else "", row.value or 0.0, row.low, row.high, *LOOK[row.primary]) for row in rows
        ]
        draw_effects(axes[1, k], effects, margin=rows[0].margin if rows else None)
        axes[1, k].set_xlabel("slope, minus the null's")
        axes[1, k].locator_params(axis="x", nbins=3)
    axes[0, 0].set_ylabel("ln(measured / null),\nwidths' own part")
    return figure


def line_of(scope: str) -> str:
    """The models above the corpus, without the standing, which the colour shows."""
    where, *models = scope.split(", ")
    family, _, corpus = where.partition(" on ")
    return f"{models[0] if models else family},\n{corpus}"


def residual_panel(axis: Axes, rows: Sequence[WidthResidual], test: Finding | None) -> None:
    """Draw y over size, filled for new models and hollow for old ones, and the line of the confirmatory slope."""
    apart = any(row.models is Models.NEW for row in rows)
    rows = [row for row in rows if not apart or row.models is not Models.ALL]
    paint = colours(dict.fromkeys(row.corpus for row in rows))
    for row in rows:
        fill = "white" if apart and row.models is Models.OLD else paint[row.corpus]
        axis.plot(row.params_nonembedding, row.residual, "o", ms=2.6, color=paint[row.corpus], mfc=fill, mew=0.6)
    new = sorted({row.params_nonembedding for row in rows if row.models is Models.NEW})
    if test is not None and test.value is not None and new:
        axis.plot(new, test.value * (np.log(new) - np.log(new).mean()), color=BLACK, lw=1)
    axis.axhline(0, lw=0.6, color="0.6", zorder=0)
    axis.set(xscale="log", xlabel="parameters")
    handles = [Line2D([], [], color=colour, marker="o", ms=2.6, ls="", label=corpus) for corpus, colour in paint.items()]
    axis.legend(handles=handles, fontsize=5.2, handletextpad=0.1, borderpad=0.1)


@claim_figures.register(
    "tokens-per-dimension",
    claims=("the sign follows tokens per dimension", "the normaliser makes the law"),
    caption="Exponents with model size by length of text. Left: over the bound; dashed: the projected null. Right: as the "
    "paper normalises.",
)
def by_length(inputs: Inputs) -> Figure | None:
    """Draw the exponents of normalised entropy over length, normalised in both ways."""
    rows = {metric: [row for row in laws(inputs, metric) if row.length is not None] for metric in (RATIO, PAPER)}
    if len({row.length for row in rows[RATIO]}) < 2:
        return None
    paint = colours(dict.fromkeys((row.family, row.corpus) for row in rows[RATIO]))
    figure = Figure(figsize=(WIDTH, 1.75))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (metric, mine) in zip(axes, rows.items(), strict=True):
        for place, (source, colour) in enumerate(paint.items()):
            length_curve(axis, [row for row in mine if (row.family, row.corpus) == source], colour, 1.05**place, metric == RATIO)
        lengths = sorted({row.length or 0 for row in mine})
        axis.set(
            xscale="log", xlabel="tokens of a text", title="over the bound" if metric == RATIO else "as the paper normalises"
        )
        axis.set_xticks(lengths, [str(length) for length in lengths])
        axis.minorticks_off()
        axis.axhline(0, lw=0.6, color="0.5", zorder=0)
    axes[0].set_ylabel("exponent with size")
    several = len({family for family, _ in paint}) > 1
    handles = [
        Line2D([], [], color=colour, marker="o", ms=2.6, label=f"{family}, {corpus}" if several else corpus)
        for (family, corpus), colour in paint.items()
    ]
    axes[1].legend(handles=handles, loc="lower right", fontsize=5.5)
    return figure


def length_curve(axis: Axes, rows: Sequence[LawVerdict], colour: str, shift: float, with_null: bool) -> None:
    """Draw exponents with intervals, and dashed those of the projected null."""
    x = [shift * (row.length or 0) for row in rows]
    axis.plot(x, [row.exponent or 0.0 for row in rows], "-o", ms=2.6, lw=0.9, color=colour)
    for at, row in zip(x, rows, strict=True):
        if row.exponent_low is not None and row.exponent_high is not None:
            axis.plot([at, at], [row.exponent_low, row.exponent_high], lw=0.9, color=colour)
    null = [
        (at, row.exponent - row.difference)
        for at, row in zip(x, rows, strict=True)
        if row.exponent is not None and row.difference is not None
    ]
    if with_null and null:
        axis.plot(*zip(*null, strict=True), "--", lw=0.8, color=colour)
