"""Draw ranks of MLP hidden states against the MLP's width, and their exponents beside those of nulls."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.claims import claim_figures
from geomkit.figures.style import BLUE, NULLS, PROJECTIONS, VERMILION, WIDTH, save
from geomkit.studies.mlp_width.claims import COVARIANCE
from geomkit.studies.mlp_width.rows import (
    BEYOND_PROJECTED,
    HARD,
    MEASURES,
    PROJECTED,
    SHAPE,
    SOFT,
    TRAINED,
    UNTRAINED,
    MlpLaw,
    MlpRank,
)
from geomkit.tables.findings import Inputs
from geomkit.tables.rows import read_csv

NAMES = {SOFT: "soft rank", HARD: "hard rank", SHAPE: "soft / hard"}
PAINTS = {SOFT: BLUE, HARD: VERMILION, SHAPE: "0.3"}
OF = {TRAINED: "o", PROJECTED: PROJECTIONS[PROJECTED].marker, UNTRAINED: NULLS[UNTRAINED].marker, BEYOND_PROJECTED: "D"}
LABELS = {
    TRAINED: "trained",
    PROJECTED: "widest MLP on as many directions",
    UNTRAINED: "untrained twins",
    BEYOND_PROJECTED: "trained beyond all wider MLPs on as many directions",
}
LINES = {TRAINED: "-", PROJECTED: PROJECTIONS[PROJECTED].line, UNTRAINED: NULLS[UNTRAINED].line}


def draw_mlp_width(points: Path, laws: Path, output: Path, modes: Sequence[str]) -> None:
    """Write results/mlp_width_plot.pdf: a page for each corpus and normalisation that was measured."""
    ranks, found = read_csv(points, MlpRank), read_csv(laws, MlpLaw)
    pages = [
        page([row for row in ranks if (row.corpus, row.normalise) == (corpus, mode)],
             [row for row in found if (row.corpus, row.normalise) == (corpus, mode)], corpus, mode)
        for corpus in dict.fromkeys(row.corpus for row in ranks)
        for mode in modes
        if any((row.corpus, row.normalise) == (corpus, mode) for row in ranks)
    ]  # fmt: skip
    save(pages or [empty()], output)


@claim_figures.register(
    "mlp-width",
    claims=("soft rank outgrows hard rank",),
    caption="Exponents with MLP width. Diamonds: beyond the projected null; hollow: nulls.",
)
def gap_of_ranks(inputs: Inputs) -> Figure | None:
    """Draw the exponents of soft rank, of hard rank and of their ratio, of models and of nulls."""
    laws = [row for row in inputs.rows("mlp_width/laws.csv", MlpLaw) if row.normalise == COVARIANCE]
    if not laws:
        return None
    figure = Figure(figsize=(WIDTH, 2.4))
    exponents_panel(figure.subplots(), laws)
    return figure


def page(ranks: Sequence[MlpRank], laws: Sequence[MlpLaw], corpus: str, mode: str) -> Figure:
    """Draw one corpus in one normalisation: ranks on the left, exponents on the right."""
    figure = Figure(figsize=(2 * WIDTH, 2.9))
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.1])
    ranks_panel(left, ranks)
    left.set_title(f"MLP hidden states of the last block, {corpus}, {mode}", loc="left")
    exponents_panel(right, laws)
    handles = [
        Line2D([], [], color="0.3", ls=LINES.get(of, ""), marker=mark, ms=3, mfc=face(of), label=LABELS[of], lw=0.8)
        for of, mark in OF.items()
    ]
    handles[:0] = [Line2D([], [], color=PAINTS[name], lw=2, label=NAMES[name]) for name in MEASURES]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=5.5)
    return figure


def empty() -> Figure:
    figure = Figure(figsize=(WIDTH, 1))
    figure.text(0.5, 0.5, "no MLP hidden states were measured", ha="center", va="center")
    return figure


def face(of: str) -> str | None:
    """Filled where it is the models' own."""
    return None if of in (TRAINED, BEYOND_PROJECTED) else "white"


def ranks_panel(axis: Axes, ranks: Sequence[MlpRank]) -> None:
    """Draw ranks over the MLP's width: lines for families, and dotted ones to models whose MLP alone is wider."""
    largest = max(ranks, key=lambda row: sum(one.family == row.family for one in ranks)).family
    for metric in (SOFT, HARD):
        for variant, line in LINES.items():
            mine = [row for row in ranks if (row.metric, row.variant) == (metric, variant)]
            own = sorted((row.mlp, row.value) for row in mine if row.family == largest)
            widths = sorted({mlp for mlp, _ in own})
            means = [geometric([value for at, value in own if at == mlp]) for mlp in widths]
            axis.plot(widths, means, ls=line, lw=0.8, color=PAINTS[metric])
            axis.plot(
                [x for x, _ in own], [y for _, y in own], OF[variant], ms=2.6, color=PAINTS[metric], mfc=face(variant), mew=0.5
            )
            if variant != TRAINED:
                continue
            for row in (row for row in mine if row.family != largest):
                base = [one for one in mine if one.family == largest and (one.width, one.depth) == (row.width, row.depth)]
                if base:
                    start = geometric([one.value for one in base])
                    axis.plot([base[0].mlp, row.mlp], [start, row.value], ":", lw=0.9, color=PAINTS[metric])
                axis.plot(row.mlp, row.value, "s", ms=3.4, color=PAINTS[metric], mew=0)
    axis.plot([], [], "s:", color="0.3", ms=3.4, lw=0.9, label="the MLP alone is wider")
    ends = sorted({row.mlp for row in ranks})
    axis.plot(ends, ends, "-", color="0.8", lw=0.6, zorder=0, label="all directions")
    axis.set(xscale="log", yscale="log", xlabel="width of the MLP", ylabel="directions")
    axis.set_xticks(
        ticks := [mlp for mlp in sorted({64, 128, 256, 512, ends[-1]}) if ends[0] <= mlp <= ends[-1]], map(str, ticks)
    )
    axis.set_xticks([], minor=True)
    axis.legend(fontsize=5.5, loc="upper left")


def geometric(values: Sequence[float]) -> float:
    """Return the geometric mean."""
    product = 1.0
    for value in values:
        product *= value ** (1 / len(values))
    return product


def exponents_panel(axis: Axes, laws: Sequence[MlpLaw]) -> None:
    """Draw exponents with their intervals: of each group of models a block of lines."""
    groups = list(dict.fromkeys((row.family, row.width, row.mlps) for row in laws))
    lines = [(group, metric) for group in groups for metric in MEASURES]
    for row in laws:
        if row.of not in OF:
            continue
        place = lines.index(((row.family, row.width, row.mlps), row.metric)) + 0.2 * (list(OF).index(row.of) - 1.5)
        if row.low is not None and row.high is not None:
            axis.plot([row.low, row.high], [place, place], "-", lw=0.8, color=PAINTS[row.metric])
        axis.plot(row.value, place, OF[row.of], ms=3, color=PAINTS[row.metric], mfc=face(row.of), mew=0.6)
    labels = [f"{name_of(group)}{NAMES[metric]}" for group, metric in lines]
    axis.set_yticks(range(len(lines)), labels, fontsize=5.2)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    for border in range(len(MEASURES), len(lines), len(MEASURES)):
        axis.axhline(border - 0.5, color="0.9", lw=0.6)
    for at in (0, 1):
        axis.axvline(at, color="0.75", lw=0.6, zorder=0)
    axis.set_xlabel("exponent with the MLP's width")


def name_of(group: tuple[str, int | None, str]) -> str:
    """Name a group of models before a measure."""
    family, width, mlps = group
    return f"{family}, " if width is None else f"width {width}, MLP {mlps.replace(' ', ' to ')}, "
