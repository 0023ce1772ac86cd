"""Draw what word order does to the effective rank: by width and block length, beyond its null, and beside the loss."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geomkit.figures.style import BLUE, ORANGE, VERMILION, WIDTH, colours, ordered_colours, save
from geomkit.studies.word_order.rows import BEYOND, BLOCKS, GROWTH, MARGIN, OF_TEXT, OWN, OrderEffect, OrderLaw
from geomkit.tables.rows import read_csv

EFFECT = "ln(text / shuffled)"
NATS = "loss that order saves (nats)"
SLOPES = {
    (GROWTH, None): ("measured", BLUE, "o", True),
    (BEYOND, OF_TEXT): ("minus projected, text's directions", VERMILION, "o", False),
    (BEYOND, OWN): ("minus projected, own directions", ORANGE, "s", False),
}
SHADE = ordered_colours(BLOCKS)


def draw_word_order(rows: Path, laws: Path, output: Path) -> None:
    """Write results/word_order.pdf."""
    effects, slopes = read_csv(rows, OrderEffect), read_csv(laws, OrderLaw)
    corpora = list(dict.fromkeys(row.corpus for row in effects))
    save([page(*([row for row in rows if row.corpus == own] for rows in (effects, slopes))) for own in corpora], output)


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
    handles = [Line2D([], [], color=SHADE[block], marker="o", ms=2.6, lw=0.8, label=f"{block}") for block in BLOCKS]
    handles += [Line2D([], [], color="black", marker="*", ms=4, lw=0, label="a single model")] if single(fixed) else []
    for axis in axes[len(panels) :]:
        axis.axis("off")
    figure.legend(handles=handles, title="tokens in a block", loc="outside lower center", ncols=6, title_fontsize=6)
    first = rows[0]
    figure.suptitle(f"{first.corpus}: centred effective rank of {first.length} tokens, last block", fontsize=6.5)
    return figure


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
            look = {"marker": "*", "ms": 4.5} if family in alone else {"marker": "o", "ms": 2.2}
            axis.plot(widths, values, lw=0.9, mew=0, color=SHADE[block], **look)
            for row in own:
                bar(axis, row.d, (row.low, row.high), SHADE[block])
    axis.axhline(0, lw=0.6, color="0.5", zorder=0)
    axis.set(xscale="log", xlabel="width", ylabel=EFFECT)
    shown = [width for width in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096) if width <= max(row.d for row in rows)]
    axis.set_xticks(shown, [str(width) for width in shown])
    axis.minorticks_off()


def bar(axis: Axes, x: float, ends: tuple[float | None, float | None], colour: str) -> None:
    """Draw an interval, if there is one."""
    if ends[0] is not None and ends[1] is not None:
        axis.plot([x, x], ends, lw=0.6, color=colour, alpha=0.7)


def growth(axis: Axes, rows: Sequence[OrderLaw]) -> None:
    """Draw the slopes with ln N at each block length."""
    axis.axhspan(-MARGIN, MARGIN, color="0.92", lw=0, zorder=-1)
    axis.axhline(0, lw=0.6, color="0.5", zorder=0)
    for place, (key, (label, colour, marker, filled)) in enumerate(SLOPES.items()):
        own = sorted((row for row in rows if (row.kind, row.directions) == key), key=lambda row: row.block or 0)
        x = [BLOCKS.index(row.block or 1) + 0.22 * (place - 1) for row in own]
        axis.plot(
            x,
            [row.value for row in own],
            marker,
            ms=2.8,
            color=colour,
            mew=0.8,
            label=label,
            **{} if filled else {"mfc": "white"},
        )
        for at, row in zip(x, own, strict=True):
            bar(axis, at, (row.low, row.high), colour)
    axis.set(xlabel="tokens in a block", ylabel="slope with ln N")
    axis.set_xticks(range(len(BLOCKS)), [str(block) for block in BLOCKS])
    axis.legend(loc="best", fontsize=5, handletextpad=0.2)


def by_model(rows: Sequence[OrderEffect]) -> Iterator[tuple[list[OrderEffect], str, str]]:
    """Yield the rows of each model by block length, with a colour, larger models darker, and a marker."""
    keys = sorted({(row.params_nonembedding, row.model) for row in rows})
    shade, alone = ordered_colours(sorted({size for size, _ in keys})), single(rows)
    for size, model in keys:
        own = sorted((row for row in rows if row.model == model), key=lambda row: row.block)
        is_single = own[0].family in alone
        yield own, "black" if is_single else shade[size], "*" if is_single else "o"


def beside_loss(axis: Axes, rows: Sequence[OrderEffect]) -> None:
    """Draw the effect beside the nats, a line for each model over block lengths."""
    for own, colour, marker in by_model(rows):
        axis.plot(
            [row.nats for row in own], [row.value for row in own],
            marker=marker, ms=4 if marker == "*" else 2, lw=0.6, mew=0, color=colour,
        )  # fmt: skip
    axis.axhline(0, lw=0.6, color="0.5", zorder=0)
    axis.set(xlabel=NATS, ylabel=EFFECT)


def over_texts(axis: Axes, rows: Sequence[OrderEffect]) -> None:
    """Draw the rank correlation over texts at each block length, a line for each model."""
    for own, colour, marker in by_model(rows):
        known = [row for row in own if row.texts is not None]
        x, y = [BLOCKS.index(row.block) for row in known], [row.texts or 0.0 for row in known]
        axis.plot(x, y, marker=marker, ms=4 if marker == "*" else 2, lw=0.6, mew=0, color=colour)
    axis.axhline(0, lw=0.6, color="0.5", zorder=0)
    axis.set(xlabel="tokens in a block", ylabel="rank correlation over texts")
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
