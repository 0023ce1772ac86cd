"""Draw how residuals of widths sag, at fixed lengths and where texts grow with width, and what causes would make of it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from geomkit.figures.claims import PITCH, Effect, claim_figures, draw_effects, lines
from geomkit.figures.style import BLUE, GREEN, PURPLE, SIZE, VERMILION, WIDTH, name_of, save
from geomkit.studies.sag.claims import ERANK, PRIMARY, RULE
from geomkit.studies.sag.rows import Sag, SagCause, SagWidth
from geomkit.tables.findings import Inputs
from geomkit.tables.rows import read_csv

TOKENS = "tokens per parameter"
PAINTS = {RULE: VERMILION, "d/2": PURPLE}
"""Colours of rules that follow the width; fixed lengths are blue."""


def draw_sag(sags: Path, widths: Path, causes: Path, output: Path) -> None:
    """Write results/sag.pdf: a page for each metric."""
    rows, points, made = in_order(read_csv(sags, Sag)), read_csv(widths, SagWidth), read_csv(causes, SagCause)
    save([*pages(rows, points, made)] or [Figure(figsize=(WIDTH, 1))], output)


@claim_figures.register(
    "sag",
    claims=("wide models sag below projection",),
    caption="Residuals of widths, without their line, and their sag. Band: margin.",
)
def sag_of_residuals(inputs: Inputs) -> Figure | None:
    """Draw the residuals of the corpus that decides, and the sags of every corpus."""
    rows = in_order(row for row in inputs.rows("sag/sags.csv", Sag) if row.metric == ERANK and row.seed is None)
    points = [row for row in inputs.rows("sag/widths.csv", SagWidth) if row.metric == ERANK]
    if not rows:
        return None
    rows = [row for row in rows if row.tokens in (primary_of(rows), RULE)]
    effects = [*effects_of(rows)]
    height = PITCH * lines(effects) + 0.4
    figure = Figure(figsize=(WIDTH, 1.6 + height))
    above, below = figure.subplots(2, 1, height_ratios=[1.6, height])
    corpus = rows[0].corpus
    residuals_panel(above, [row for row in points if row.corpus == corpus], primary_of(rows))
    above.set_ylabel(f"residual, {corpus}")
    above.legend(loc="lower center")
    draw_effects(below, effects, margin=rows[0].margin)
    below.set_xlabel("sag, 95 % interval over widths and documents")
    return figure


def in_order(rows: Iterable[Sag]) -> list[Sag]:
    """Put the corpus that decides first."""
    return sorted(rows, key=lambda row: row.corpus != PRIMARY)


def primary_of(rows: Sequence[Sag]) -> str:
    """Return the fixed length that others are compared with."""
    return next(row.tokens for row in rows if row.change is None)


def paint(tokens: str) -> str:
    return PAINTS.get(tokens, BLUE)


def effects_of(rows: Sequence[Sag]) -> Iterator[Effect]:
    """Yield the sags of each corpus, those that follow the width filled."""
    for corpus in dict.fromkeys(row.corpus for row in rows):
        for row in (row for row in rows if row.corpus == corpus):
            yield Effect(f"{corpus}, n = {row.tokens}", row.value, row.low, row.high, paint(row.tokens), row.tokens in PAINTS)


def pages(rows: Sequence[Sag], points: Sequence[SagWidth], made: Sequence[SagCause]) -> Iterator[Figure]:
    """Yield a page for each family and metric: residuals by corpus above; sags and causes below."""
    for family, metric in dict.fromkeys((row.family, row.metric) for row in rows):
        mine = [row for row in rows if (row.family, row.metric) == (family, metric)]
        whole = [row for row in mine if row.seed is None]
        corpora = list(dict.fromkeys(row.corpus for row in mine))
        sags = list(effects_of(whole))
        others = list(other_effects(mine, [row for row in made if (row.family, row.metric) == (family, metric)]))
        height = PITCH * max(lines(sags), lines(others)) + 0.5
        figure = Figure(figsize=(2 * WIDTH, 2 + height))
        above, below = figure.subfigures(2, 1, height_ratios=[1.9, height], squeeze=False)[:, 0]
        panels = above.subplots(1, len(corpora), squeeze=False, sharey=True)[0]
        for axis, corpus in zip(panels, corpora, strict=True):
            own = [row for row in points if (row.family, row.metric, row.corpus) == (family, metric, corpus)]
            residuals_panel(axis, own, primary_of(whole))
            axis.set_title(corpus, loc="left")
        panels[0].set_ylabel("residual without its line")
        panels[0].legend(loc="lower center", fontsize=5.5)
        left, right = below.subplots(1, 2, sharex=True)
        for axis, effects, varies in ((left, sags, "tokens of a text"), (right, others, "what else varies")):
            draw_effects(axis, effects, margin=whole[0].margin)
            axis.set_title(f"sag, by {varies}", loc="left")
            axis.set_xlabel("sag, 95 % interval")
        for letter, axis in zip(ascii_lowercase, (*panels, left, right), strict=False):
            axis.set_title(letter, loc="right", fontweight="bold")
        figure.suptitle(
            f"{name_of(metric)}: {family}, layer {mine[0].layer}, {mine[0].normalise} rows; band: margin", fontsize=6.5
        )
        yield figure


def other_effects(rows: Sequence[Sag], made: Sequence[SagCause]) -> Iterator[Effect]:
    """Yield the sag with each seed of the widest width, the change at n = 2d, and what causes would make."""
    for row in rows:
        if row.seed is None and row.tokens == RULE and row.change is not None:
            yield Effect(f"{row.corpus}, n = {RULE} minus fixed n", row.change, row.change_low, row.change_high, VERMILION)
    for row in rows:
        if row.seed is not None and row.change is None:
            yield Effect(f"{row.corpus}, seed {row.seed} of width {row.widest}", row.value, row.low, row.high, BLUE, filled=False)
    for one in made:
        if one.value is not None:
            yield Effect(
                f"{one.corpus}, made by {one.cause}".replace(f"{TOKENS}, ", f"{TOKENS},\n"), one.value, one.low, one.high, GREEN
            )


def residuals_panel(axis: Axes, rows: Sequence[SagWidth], fixed: str) -> None:
    """Draw residuals of widths at the primary length and at n = 2d, each with its quadratic."""
    for tokens in (fixed, RULE):
        own = sorted((row for row in rows if row.tokens == tokens), key=lambda row: row.params_nonembedding)
        if not own:
            continue
        x, seeds = np.array([row.params_nonembedding for row in own], dtype=float), [row.seeds for row in own]
        axis.plot(x, [row.residual for row in own], "-", lw=0.4, color=paint(tokens), alpha=0.5)
        axis.scatter(
            x, [row.residual for row in own], s=[5 + 4 * number for number in seeds], lw=0.7, zorder=3, color=paint(tokens),
            facecolors=paint(tokens) if tokens in PAINTS else "white", label=f"n = {tokens}",
        )  # fmt: skip
        fine = np.linspace(np.log(x[0]), np.log(x[-1]), 60)
        bend = np.polynomial.Polynomial.fit(np.log(x), [row.quadratic for row in own], 2)
        axis.plot(np.exp(fine), bend(fine), lw=1.1, color=paint(tokens))
    axis.axhline(0, lw=0.6, color="0.6", zorder=0)
    axis.set_xscale("log")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel(SIZE)
