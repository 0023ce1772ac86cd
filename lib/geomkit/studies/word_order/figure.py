"""Draw what word order does to the effective rank: by width and block length, beyond its null, and beside the loss."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.claims import Effect, claim_figures, draw_effects, lines
from geomkit.figures.style import BLACK, BLUE, ORANGE, VERMILION, WIDTH, colours, ordered_colours, save
from geomkit.studies.word_order.claims import FILE
from geomkit.studies.word_order.rows import ALONG, BEYOND, BLOCKS, GROWTH, MARGIN, OF_TEXT, OWN, WITHIN, OrderEffect, OrderLaw
from geomkit.tables.findings import Inputs, scope
from geomkit.tables.rows import read_csv

EFFECT = "ln(text / shuffled)"
NATS = "loss that order saves (nats)"
SLOPES = {
    (GROWTH, None): ("slope, measured", BLUE, "o", True),
    (BEYOND, OF_TEXT): ("minus projected, text's", VERMILION, "o", False),
    (BEYOND, OWN): ("minus projected, own", ORANGE, "s", False),
}
SHADE = ordered_colours(BLOCKS)


def draw_word_order(rows: Path, laws: Path, output: Path) -> None:
    """Write results/word_order.pdf."""
    effects, slopes = read_csv(rows, OrderEffect), read_csv(laws, OrderLaw)
    corpora = list(dict.fromkeys(row.corpus for row in effects))
    pages = [page([row for row in effects if row.corpus == own], [row for row in slopes if row.corpus == own]) for own in corpora]
    save(pages, output)


@claim_figures.register(
    "order-and-loss",
    claims=("word order's effect grows beyond its null", "word order's effect follows the loss"),
    caption="Slope of word order's effect with ln N, hollow: beyond its null; and its rank correlation with the loss.",
)
def order_and_loss(inputs: Inputs) -> Figure | None:
    """Draw the slopes at every block length, and the rank correlations that are judged."""
    rows = inputs.rows(FILE, OrderLaw)
    if not rows:
        return None
    paint = colours(dict.fromkeys(row.corpus for row in rows))
    slopes = [row for row in rows if (row.kind, row.directions) in ((GROWTH, None), (BEYOND, OF_TEXT))]
    slopes.sort(key=lambda row: (row.corpus, row.block or 0, row.kind != GROWTH))
    ranks = [row for row in rows if row.kind == WITHIN or (row.kind, row.block) == (ALONG, 1)]
    left = [
        Effect(
            f"{scope(row)}, {row.block}" if row.kind == GROWTH else None,
            *(row.value, row.low, row.high, paint[row.corpus], row.kind == GROWTH),
        )
        for row in slopes
    ]
    right = [Effect(scope(row), row.value, row.low, row.high, paint[row.corpus]) for row in ranks]
    figure = Figure(figsize=(WIDTH, 0.9 + 0.1 * (lines(left) + lines(right))))
    axes = figure.subplots(2, 1, height_ratios=[lines(left), lines(right)])
    draw_effects(axes[0], left, margin=MARGIN)
    draw_effects(axes[1], right)
    axes[0].set_xlabel("slope with ln N, by block length")
    axes[1].set_xlabel("rank correlation with the loss")
    return figure


def page(rows: Sequence[OrderEffect], laws: Sequence[OrderLaw]) -> Figure:
    """Draw one corpus."""
    fixed, trained = [row for row in rows if row.step is None], [row for row in rows if row.step is not None]
    slopes = [row for row in laws if (row.kind, row.directions) in SLOPES]
    panels: list[Callable[[Axes], None]] = []
    if fixed:
        panels += [lambda axis: by_width(axis, fixed), *([lambda axis: growth(axis, slopes)] if slopes else [])]
        panels += [lambda axis: beside_loss(axis, fixed), lambda axis: over_texts(axis, fixed)]
    if trained:
        panels.append(lambda axis: in_training(axis, [row for row in trained if row.block == 1]))
    number = -(-len(panels) // 2)
    figure = Figure(figsize=(WIDTH, 0.45 + 1.55 * number))
    axes = list(figure.subplots(number, 2, squeeze=False).flat)
    for letter, axis, draw in zip("abcde", axes, panels, strict=False):
        draw(axis)
        axis.set_title(letter, loc="left", fontweight="bold")
    for axis in axes[len(panels) :]:
        axis.axis("off")
    handles = [Line2D([], [], color=SHADE[block], marker="o", ms=2.6, lw=0, label=shuffled(block)) for block in BLOCKS]
    handles += [Line2D([], [], color=BLACK, marker="*", ms=4, lw=0, label="a family of one size")] if single(fixed) else []
    handles += [key_of(*look) for look in SLOPES.values()] if slopes else []
    if len(axes) > len(panels):
        axes[-1].legend(handles=handles, loc="center")
    else:
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    first = rows[0]
    figure.suptitle(f"{first.corpus}: centred effective rank of {first.length} tokens, last block", fontsize=6.5)
    return figure


def shuffled(block: int) -> str:
    """Say what is shuffled."""
    return "single tokens shuffled" if block == 1 else f"blocks of {block} tokens"


def key_of(label: str, colour: str, marker: str, filled: bool) -> Line2D:
    """Return the legend's entry of a slope."""
    return Line2D([], [], color=colour, marker=marker, ms=2.8, lw=0.6, mew=0.8, label=label, **face(filled))


def face(filled: bool) -> dict[str, Any]:
    """Return what a marker is filled with, if not its own colour."""
    return {} if filled else {"mfc": "white"}


def single(rows: Iterable[OrderEffect]) -> set[str]:
    """Return the families of one size."""
    sizes: dict[str, set[int]] = {}
    for row in rows:
        sizes.setdefault(row.family, set()).add(row.params_nonembedding)
    return {family for family, own in sizes.items() if len(own) == 1}


def by_width(axis: Axes, rows: Sequence[OrderEffect]) -> None:
    """Draw the effect by width, a line for each block length; seeds are averaged."""
    alone = single(rows)
    for family in dict.fromkeys(row.family for row in rows):
        for block in BLOCKS:
            own = [row for row in rows if (row.family, row.block) == (family, block)]
            widths = sorted({row.d for row in own})
            values = [np.mean([row.value for row in own if row.d == width]) for width in widths]
            look: dict[str, Any] = {"marker": "*", "ms": 4.5} if family in alone else {"marker": "o", "ms": 2.2}
            axis.plot(widths, values, lw=0.9, mew=0, color=SHADE[block], **look)
            for row in own:
                bar(axis, row.d, (row.low, row.high), SHADE[block])
    axis.axhline(0, lw=0.6, color="0.5", zorder=0)
    axis.set(xscale="log", xlabel="width", ylabel=EFFECT)
    shown = [width for width in (16, 64, 256, 1024, 4096) if width <= max(row.d for row in rows)]
    axis.set_xticks(shown, [str(width) for width in shown])
    axis.minorticks_off()


def bar(axis: Axes, x: float, ends: tuple[float | None, float | None], colour: str) -> None:
    """Draw an interval, if there is one."""
    if ends[0] is not None and ends[1] is not None:
        axis.plot([x, x], [ends[0], ends[1]], lw=0.6, color=colour, alpha=0.7)


def growth(axis: Axes, rows: Sequence[OrderLaw]) -> None:
    """Draw the slopes with ln N at each block length."""
    axis.axhspan(-MARGIN, MARGIN, color="0.92", lw=0, zorder=-1)
    axis.axhline(0, lw=0.6, color="0.5", zorder=0)
    for place, (key, (_, colour, marker, filled)) in enumerate(SLOPES.items()):
        own = sorted((row for row in rows if (row.kind, row.directions) == key), key=lambda row: row.block or 0)
        x = [BLOCKS.index(row.block or 1) + 0.22 * (place - 1) for row in own]
        axis.plot(x, [row.value for row in own], marker, ms=2.8, color=colour, mew=0.8, **face(filled))
        for at, row in zip(x, own, strict=True):
            bar(axis, at, (row.low, row.high), colour)
    axis.set(xlabel="tokens in a block", ylabel="slope with ln N")
    axis.set_xticks(range(len(BLOCKS)), [str(block) for block in BLOCKS])


def join_blocks(
    axis: Axes, rows: Sequence[OrderEffect], x: Callable[[OrderEffect], float], y: Callable[[OrderEffect], float]
) -> None:
    """Draw a point for each block length of a model, and the line that joins them."""
    alone = single(rows)
    for model in dict.fromkeys(row.model for row in rows):
        own = sorted((row for row in rows if row.model == model), key=lambda row: row.block)
        at, values = [x(row) for row in own], [y(row) for row in own]
        look: dict[str, Any] = {"marker": "*", "s": 16} if own[0].family in alone else {"marker": "o", "s": 5}
        axis.plot(at, values, lw=0.5, color="0.75", zorder=1)
        axis.scatter(at, values, color=[SHADE[row.block] for row in own], lw=0, zorder=2, **look)
    axis.axhline(0, lw=0.6, color="0.5", zorder=0)


def beside_loss(axis: Axes, rows: Sequence[OrderEffect]) -> None:
    """Draw the effect beside the nats, a line for each model over block lengths."""
    join_blocks(axis, rows, lambda row: row.nats, lambda row: row.value)
    axis.set(xlabel=NATS, ylabel=EFFECT)


def over_texts(axis: Axes, rows: Sequence[OrderEffect]) -> None:
    """Draw the rank correlation over texts at each block length, a line for each model."""
    known = [row for row in rows if row.texts is not None]
    join_blocks(axis, known, lambda row: BLOCKS.index(row.block), lambda row: row.texts or 0.0)
    axis.set(xlabel="tokens in a block", ylabel="correlation over texts")
    axis.set_xticks(range(len(BLOCKS)), [str(block) for block in BLOCKS])


def in_training(axis: Axes, rows: Sequence[OrderEffect]) -> None:
    """Draw the effect beside the nats along training, a line for each width, seeds averaged, later steps larger."""
    paint = colours(sorted({row.d for row in rows}))
    for width, colour in paint.items():
        own = [row for row in rows if row.d == width]
        steps = sorted({row.step or 0 for row in own})
        at = [[row for row in own if row.step == step] for step in steps]
        x, y = ([np.mean([getattr(row, name) for row in some]) for some in at] for name in ("nats", "value"))
        axis.plot(x, y, lw=0.7, color=colour, label=f"width {width}")
        axis.scatter(x, y, s=np.linspace(2, 14, len(steps)), lw=0, color=colour, zorder=3)
    axis.axhline(0, lw=0.6, color="0.5", zorder=0)
    axis.set(xlabel=NATS, ylabel=EFFECT)
    axis.legend(loc="best", fontsize=5)
