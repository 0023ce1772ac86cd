"""Draw the theory of skills beside measurements: arithmetic, laws, representations, bigrams, planted facts, small steps."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from geomkit.figures.style import BLACK, BLUE, GREEN, ORANGE, SIZE, VERMILION, WIDTH, colours, ordered_colours, save
from geomkit.tables.rows import read_csv
from geomkit.theory.gaps import capacity, gaps_below, threshold
from geomkit.theory.rows import (
    BigramLoss,
    Conclusion,
    ConditionalGain,
    DocumentVariance,
    ExponentRelation,
    FactBin,
    FactModel,
    LearntRank,
    NgramGap,
    SimulatedGraph,
    SkillCurve,
    StepRow,
    TableExponent,
)
from geomkit.theory.skills import SkillGraph

MARKS = {"theory": "o", "rival": "s", "neither": "x", "undecided": "D"}
TABLE_COLOURS = {"trigrams": BLUE, "bigrams": VERMILION, "tokens": GREEN, "words": ORANGE}
QUANTITIES = {"size": BLUE, "seen": VERMILION, "gap": GREEN}
UNKNOWN = math.log(64)
"""Nats that a fact costs which is not held."""


def laws_figure(
    simulation: Sequence[SimulatedGraph],
    relations: Sequence[ExponentRelation],
    curves: Sequence[SkillCurve],
    exponents: Sequence[TableExponent],
    budgets: Sequence[NgramGap],
) -> Figure:
    """Draw closed forms against sampled graphs; beta - alpha / (1 + alpha); errors on sizes left out; exponents; budgets."""
    figure = Figure(figsize=(WIDTH, 9.4))
    axes = figure.subplots(5, 1, height_ratios=[1, 2.6, 1.2, 1.2, 1.2])
    simulation_panel(axes[0], simulation)
    relation_panel(axes[1], relations)
    curve_panel(axes[2], curves)
    exponent_panel(axes[3], exponents)
    budget_panel(axes[4], budgets)
    return figure


def simulation_panel(axis: Axes, rows: Sequence[SimulatedGraph]) -> None:
    for quantity, paint in QUANTITIES.items():
        mine = [(place, row) for place, row in enumerate(rows) if row.quantity == quantity]
        x = [place for place, _ in mine]
        y = [row.simulated / row.closed for _, row in mine]
        ends = [
            [(row.simulated - row.low) / row.closed for _, row in mine],
            [(row.high - row.simulated) / row.closed for _, row in mine],
        ]
        axis.errorbar(x, y, ends, fmt="o", ms=1.5, lw=0.5, color=paint, label=quantity)
    axis.axhline(1, lw=0.5, color="0.5")
    graphs: dict[tuple[float, int, int, str], list[bool]] = {}
    for row in rows:
        graphs.setdefault((row.a, row.skills, row.times, row.entropies), []).append(row.inside)
    inside = sum(map(all, graphs.values()))
    axis.set(xlabel="sampled graphs", ylabel="simulated / exact", xticks=[])
    axis.set_ylim(top=axis.get_ylim()[1] + 0.25 * np.ptp(axis.get_ylim()))
    axis.set_title(f"skill graphs: {inside} of {len(graphs)} agree in all sums", loc="left")
    axis.legend(ncols=3, loc="upper left")


def relation_panel(axis: Axes, rows: Sequence[ExponentRelation]) -> None:
    """Draw one line for each combination, the primary one black; ends beyond the panel are arrows."""
    reach = 2.0
    for place, row in enumerate(rows):
        if row.theory is None:
            axis.text(0, place, row.status, fontsize=5, va="center")
            continue
        low = -reach if row.theory_low is None else max(row.theory_low, -reach)
        high = reach if row.theory_high is None else min(row.theory_high, reach)
        paint = BLACK if row.primary else BLUE if row.form == "chinchilla" else VERMILION
        axis.plot([low, high], [place, place], lw=0.8, color=paint)
        for at, open_end, mark in ((low, low == -reach, "<"), (high, high == reach, ">")):
            if open_end:
                axis.plot([at], [place], mark, ms=2.5, color=paint)
        axis.plot([np.clip(row.theory, -reach, reach)], [place], MARKS.get(row.status, "."), ms=2.8, color=paint)
    axis.axvline(0, lw=0.5, color="0.5")
    axis.set(xlim=(-reach, reach), xlabel="β − α / (1 + α), which the theory says is 0", ylim=(len(rows), -1))
    names = [f"draw {row.draw}, {row.size}" + (f", ≥ {row.least // 1000}k" if row.least else "") for row in rows]
    axis.set_yticks(range(len(rows)), names, fontsize=5)
    axis.set_title("blue: Chinchilla's sum, red: Kaplan's form\nblack: primary", loc="left")
    shown = [Line2D([], [], color="0.3", ls="", marker=mark, ms=2.8, label=name) for name, mark in MARKS.items()]
    axis.legend(handles=shown, ncols=1, loc="lower left")


def curve_panel(axis: Axes, rows: Sequence[SkillCurve]) -> None:
    """Draw errors on sizes left out, of each table's curve against those of the better law on the same cells."""
    for table, paint in TABLE_COLOURS.items():
        for row in rows:
            laws = [error for error in (row.chinchilla_left_out, row.kaplan_left_out) if error is not None]
            if row.table == table and row.left_out is not None and laws:
                axis.plot([min(laws)], [row.left_out], "*" if row.primary else "o", ms=7 if row.primary else 3, color=paint)
    axis.set(xscale="log", yscale="log", xlabel="error of the better power law (rms of ln L)", ylabel="error of exact curve")
    low, high = axis.get_xlim()
    axis.plot([low, high], [low, high], lw=0.5, color="0.5")
    axis.set(xlim=(low, high))
    few_ticks(axis, low, high)
    axis.set_title("sizes left out\nbelow the line the theory's curve is better", loc="left")
    shown = [Line2D([], [], color=paint, ls="", marker="o", ms=3, label=table) for table, paint in TABLE_COLOURS.items()]
    axis.legend(handles=[*shown, Line2D([], [], color="0.3", ls="", marker="*", ms=5, label="primary")])


def few_ticks(axis: Axes, low: float, high: float) -> None:
    """Puts three labels on a logarithmic axis that spans less than a decade."""
    ticks = [float(f"{value:.1e}") for value in np.geomspace(1.05 * low, high / 1.05, 3)]
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def exponent_panel(axis: Axes, rows: Sequence[TableExponent]) -> None:
    for offset, (table, paint) in enumerate(TABLE_COLOURS.items()):
        mine = [
            row for row in rows if row.table == table and row.a is not None and row.a_low is not None and row.a_high is not None
        ]
        x = [(row.rule or row.xmin or 1) * 1.04**offset for row in mine]
        y = [row.a or 0.0 for row in mine]
        ends = [[(row.a or 0.0) - (row.a_low or 0.0) for row in mine], [(row.a_high or 0.0) - (row.a or 0.0) for row in mine]]
        axis.errorbar(x, y, ends, fmt="none", lw=0.6, color=paint)
        for at, value, row in zip(x, y, mine, strict=True):
            axis.plot([at], [value], "*" if row.rule is None else "o", ms=5 if row.rule is None else 2.5, color=paint)
    axis.axhline(0, lw=0.5, color="0.5")
    axis.set(xscale="log", xlabel="least count (star: chosen)", ylabel="a")
    axis.set_yscale("symlog", linthresh=1)
    axis.set_yticks([-0.5, 0, 0.5, 1, 2, 5], ["−0.5", "0", "0.5", "1", "2", "5"])
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_title("exponent of frequencies\na ≤ 0: no asymptotic law", loc="left")


def budget_panel(axis: Axes, rows: Sequence[NgramGap]) -> None:
    mine = [row for row in rows if row.primary and row.budget > 0]
    x = [row.budget for row in mine]
    axis.plot(x, [row.measured for row in mine], "o-", ms=2.5, color=BLACK, label="measured")
    axis.plot(x, [row.constant for row in mine], "--", color=BLUE, label="one h")
    axis.plot(x, [row.by_class for row in mine], ":", color=VERMILION, label="h of rank classes")
    axis.set(xscale="log", xlabel="trigrams held", ylabel="gap (nats)")
    axis.set_title("budgets of trigrams", loc="left")
    axis.legend()


def representations_figure(gains: Sequence[ConditionalGain], documents: Sequence[DocumentVariance]) -> Figure:
    """Draw what a token adds by position, and documents' share of variance by size, beside the projected null (dashed)."""
    layers = list(dict.fromkeys(row.layer for row in gains))
    figure = Figure(figsize=(WIDTH, 1.9 * len(layers) + 1.9))
    *above, below = figure.subplots(len(layers) + 1, 1)
    paint = ordered_colours(sorted({row.d for row in gains if row.variant == "trained"}))
    for axis, layer in zip(above, layers, strict=True):
        for d, colour in paint.items():
            for variant, line in (("trained", "-"), ("projected", "--")):
                mine = [row for row in gains if (row.layer, row.d, row.variant) == (layer, d, variant)]
                x = [math.sqrt(row.first * row.last) for row in mine]
                axis.plot(x, [row.value for row in mine], line, lw=0.9, color=colour)
        axis.set(xscale="log", yscale="log", ylabel="gain (nats a token)", xlabel="position")
        axis.set_title(f"H(z_t | z_<t), layer {layer}; dashed: projected null", loc="left")
    above[0].set_ylim(bottom=0.3 * above[0].get_ylim()[0])
    above[0].legend(
        handles=[Line2D([], [], color=colour, label=str(d)) for d, colour in paint.items()],
        title="width",
        loc="lower left",
        ncols=4,
    )
    for layer, colour in zip(layers, (BLUE, VERMILION), strict=False):
        for variant, line in (("trained", "o-"), ("projected", "v--")):
            parts = sorted(
                (row for row in documents if (row.layer, row.variant) == (layer, variant)),
                key=lambda row: row.params_nonembedding,
            )
            x, y = [row.params_nonembedding for row in parts], [row.between for row in parts]
            below.plot(x, y, line, ms=2.5, lw=0.9, color=colour, label=f"{layer}, {variant}")
    if documents:
        below.axhline(documents[0].expected, lw=0.5, color="0.5", label="means of chance")
    below.set(xscale="log", yscale="log", xlabel=SIZE, ylabel="share between documents")
    below.legend()
    return figure


def quanta_figure(bigrams: Sequence[BigramLoss], learnt: Sequence[LearntRank]) -> Figure:
    """Draw the loss of each bigram class against its training count; below, the rank up to which shares are learnt, by size."""
    figure = Figure(figsize=(WIDTH, 4.4))
    above, below = figure.subplots(2, 1)
    widths = sorted({row.width for row in bigrams})
    paint = ordered_colours(widths)
    firsts = sorted({row.first_rank for row in bigrams if row.first_rank})
    for width in widths:
        mine = [[row for row in bigrams if row.width == width and row.first_rank == first] for first in firsts]
        counts = [rows[0].count for rows in mine]
        above.plot(
            counts, [np.mean([row.loss for row in rows]) for rows in mine], "-", lw=0.9, color=paint[width], label=str(width)
        )
    for name, line in (("unigram", ":"), ("bigram", "--")):
        rows = [next(row for row in bigrams if row.first_rank == first) for first in firsts]
        above.plot([row.count for row in rows], [getattr(row, name) for row in rows], line, lw=0.8, color=BLACK, label=name)
    above.set(xscale="log", xlabel="training count of the bigram", ylabel="loss (nats a token)")
    above.set_title("loss of classes of bigrams, by width", loc="left")
    above.legend(ncols=2)
    for share, colour in zip((0.25, 0.5, 0.75, None), (BLUE, VERMILION, GREEN, BLACK), strict=True):
        mine_of = [row for row in learnt if row.share == share and row.rank is not None]
        label = "where loss falls" if share is None else f"{share:g} learnt"
        x, y = [row.params_nonembedding for row in mine_of], [row.rank for row in mine_of]
        below.plot(x, y, "o-" if share else "s--", ms=2.5, lw=0.9, color=colour, label=label)
    below.set(xscale="log", yscale="log", xlabel=SIZE, ylabel="rank")
    guide(below)
    below.set_title("rank up to which bigrams are learnt; grey: in proportion to N", loc="left")
    below.legend()
    return figure


def guide(axis: Axes) -> None:
    """Draw a grey line of slope 1 from the lower left of the data."""
    drawn = [line for line in axis.get_lines() if len(np.asarray(line.get_xdata()))]
    if drawn:
        x = np.array(sorted({value for line in drawn for value in np.asarray(line.get_xdata(), dtype=float)}))
        least = min(float(np.min(np.asarray(line.get_ydata(), dtype=float))) for line in drawn)
        axis.plot(x, least * x / x[0], lw=0.6, color="0.6")


def facts_figure(bins: Sequence[FactBin], models: Sequence[FactModel]) -> Figure:
    """Draw planted facts. Above: the gap against size with the theory's curve; then against data; below: loss against rank."""
    figure = Figure(figsize=(WIDTH, 6.4))
    size, data, rank = figure.subplots(3, 1)
    paint = dict(zip(sorted({row.exponent for row in models}), (BLUE, VERMILION, GREEN), strict=False))
    for exponent, colour in paint.items():
        mine = [row for row in models if row.exponent == exponent and row.samples is None]
        for row in mine:
            size.plot([row.params_total], [row.gap], "o" if row.kept else "x", ms=3, color=colour)
        facts_curve(size, mine, colour)
        facts_by_data(data, [row for row in models if row.exponent == exponent], colour)
    size.set(xscale="log", yscale="log", xlabel="parameters, all", ylabel="gap (nats)")
    size.set_title("planted facts: gap by size; ×: excluded\nline: the n = cN most frequent held", loc="left")
    size.legend(handles=[Line2D([], [], color=colour, label=f"a = {exponent:g}") for exponent, colour in paint.items()])
    data.set(xscale="log", yscale="log", xlabel="texts", ylabel="gap (nats)")
    data.set_title("gap by data, width " + data_width(models), loc="left")
    data.set_ylim(top=40 * data.get_ylim()[1])
    data.legend(handles=data_handles(), loc="upper right")
    widths = colours(sorted({row.width for row in bins}))
    last = {row.cell: max(other.steps for other in bins if other.cell == row.cell) for row in bins}
    for cell in dict.fromkeys(row.cell for row in bins if row.samples is None):
        of_cell = [row for row in bins if row.cell == cell and row.steps == last[cell]]
        if of_cell[-1].first_rank == of_cell[-1].last_rank > 1:  # the last bin is one fact, which is all chance
            of_cell = of_cell[:-1]
        x = [math.sqrt(row.first_rank * row.last_rank) for row in of_cell]
        line = "-" if of_cell[0].exponent == min(paint) else "--"
        rank.plot(x, [row.loss / UNKNOWN for row in of_cell], line, lw=0.7, color=widths[of_cell[0].width])
    rank.axhline(1, lw=0.5, color="0.5")
    rank.set(xscale="log", xlabel="rank", ylabel="loss / ln 64")
    rank.set_title("loss of facts by rank; the theory: a step from 0 to 1", loc="left")
    rank.legend(handles=[Line2D([], [], color=colour, label=str(width)) for width, colour in widths.items()], title="width")
    return figure


def data_width(models: Sequence[FactModel]) -> str:
    """The width of the models that were trained on finite texts."""
    return ", ".join(map(str, sorted({row.width for row in models if row.samples}))) or "of no model"


def data_handles() -> list[Line2D]:
    marks = {"o": "measured", "x": "excluded", "^": "unseen facts charged ln 64"}
    lines = {"-": "exact sum, tau fitted", ":": "the law itself"}
    return [
        *(Line2D([], [], color="0.3", ls="", marker=mark, ms=3, label=label) for mark, label in marks.items()),
        *(Line2D([], [], color="0.3", ls=line, lw=0.8, label=label) for line, label in lines.items()),
    ]


def facts_by_data(axis: Axes, models: Sequence[FactModel], colour: Any) -> None:
    """Draw gaps against texts; the exact sum of the best threshold; the gap that the same width has on the law itself."""
    finite = sorted((row for row in models if row.samples), key=lambda row: row.samples or 0)
    for row in finite:
        texts = [float(row.samples or 0)]
        axis.plot(texts, [row.gap], "o" if row.kept else "x", ms=3, color=colour)
        axis.plot(texts, [row.charged], "^", ms=3, mfc="none", mew=0.6, color=colour)
    for floor in (row.gap for row in models if finite and not row.samples and (row.width, row.seed) == (finite[0].width, 0)):
        axis.axhline(floor, lw=0.6, ls=":", color=colour)
    kept = [row for row in finite if row.kept and not row.limited]
    if kept:
        graph = SkillGraph.power_law(kept[0].facts, kept[0].exponent, UNKNOWN)
        times, _ = threshold(graph, [float(row.samples or 0) for row in kept], [row.gap for row in kept])
        x = np.geomspace(finite[0].samples or 1, finite[-1].samples or 1, 30).round()
        axis.plot(x, gaps_below(graph, x, [times])[0], lw=0.8, color=colour)


def facts_curve(axis: Axes, models: Sequence[FactModel], colour: Any) -> None:
    """ln 64 sum_{k > cN} p_k, c by least squares of ln gap."""
    models = [row for row in models if row.kept]
    if not models:
        return
    graph = SkillGraph.power_law(models[0].facts, models[0].exponent, UNKNOWN)
    sizes = np.array([row.params_total for row in models], dtype=float)
    c, _ = capacity(graph, sizes, [row.gap for row in models])
    x = np.geomspace(sizes.min(), sizes.max(), 30)
    axis.plot(x, graph.conditional_entropy(np.minimum(c * x, graph.skills)), lw=0.8, color=colour)


def steps_figure(rows: Sequence[StepRow]) -> Figure:
    """Draws |KL / quadratic - 1| against the step's relative length and the KL: lines of directions, points of training."""
    figure = Figure(figsize=(WIDTH, 4.2))
    axes = figure.subplots(2, 1)
    names = list(dict.fromkeys(row.direction for row in rows if row.direction != "training"))
    paint = colours(names)
    for axis, of, label in zip(axes, ("relative", "kl"), ("|δ| / |θ|", "KL (nats a position)"), strict=True):
        for name in names:
            for sign, line in (("forward", "-"), ("mean", ":")):
                mine = sorted((row for row in rows if (row.direction, row.sign) == (name, sign)), key=lambda row: row.relative)
                x, y = [getattr(row, of) for row in mine], [abs(row.ratio - 1) for row in mine]
                axis.plot(x, y, line, lw=0.9, color=paint[name], label=f"{name}, {sign}")
        real = [row for row in rows if row.direction == "training" and row.sign == "forward"]
        axis.plot(
            [getattr(row, of) for row in real], [abs(row.ratio - 1) for row in real], "o", ms=2, color=BLACK, label="training"
        )
        axis.axhline(0.1, lw=0.5, color="0.5")
        axis.set(xscale="log", yscale="log", xlabel=label, ylabel="|KL / quadratic − 1|")
    axes[0].set_title("small steps; grey: 10 %", loc="left")
    axes[0].legend()
    return figure


def summary_figure(rows: Sequence[Conclusion]) -> Figure:
    """Write the primary conclusions in words and numbers."""
    mine = [row for row in rows if row.primary]
    figure = Figure(figsize=(WIDTH, 0.3 + 0.36 * len(mine)))
    axis = figure.subplots()
    axis.axis("off")
    for place, row in enumerate(mine):
        axis.text(0, -place, row.question, fontsize=5.5, va="top")
        axis.text(0.02, -place - 0.42, f"{row.status}: {told(row)}", fontsize=5.5, va="top", color=BLUE)
    axis.set(xlim=(0, 1), ylim=(-len(mine), 0))
    return figure


def told(row: Conclusion) -> str:
    """An effect, its interval, and what was predicted for it."""
    if row.effect is None:
        return "no numbers"
    numbers = ["…" if end is None else f"{end:.3g}" for end in (row.low, row.high)]
    ends = "" if row.low is row.high is None else f" ({' to '.join(numbers)})" if row.spread else f" [{', '.join(numbers)}]"
    others = [f"{name} {value:.3g}" for name, value in (("theory", row.predicted), ("rival", row.rival)) if value is not None]
    return f"{row.effect:.3g}{ends}" + (f"; {', '.join(others)}" if others else "")


def draw_theory(
    simulation: Path,
    relations: Path,
    curves: Path,
    exponents: Path,
    budgets: Path,
    gains: Path,
    documents: Path,
    bigrams: Path,
    quanta: Path,
    bins: Path,
    facts: Path,
    steps: Path,
    conclusions: Path,
    output: Path,
) -> None:
    """Write results/theory_check.pdf."""
    pages = [
        summary_figure(read_csv(conclusions, Conclusion)),
        laws_figure(
            read_csv(simulation, SimulatedGraph), read_csv(relations, ExponentRelation), read_csv(curves, SkillCurve),
            read_csv(exponents, TableExponent), read_csv(budgets, NgramGap),
        ),
        representations_figure(read_csv(gains, ConditionalGain), read_csv(documents, DocumentVariance)),
        quanta_figure(read_csv(bigrams, BigramLoss), read_csv(quanta, LearntRank)),
        facts_figure(read_csv(bins, FactBin), read_csv(facts, FactModel)),
        steps_figure(read_csv(steps, StepRow)),
    ]  # fmt: skip
    save(pages, output)
