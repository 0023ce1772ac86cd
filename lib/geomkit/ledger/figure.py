"""Draw every claim's effect with its interval, its null and the margin, coloured by status: a block for each claim, pages for
each chapter."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.figures.style import BLUE, VERMILION, WIDTH, save
from geomkit.tables.findings import Claim, ClaimVerdict
from geomkit.tables.rows import read_csv

PAINT = {
    ClaimVerdict.SUPPORTED: BLUE,
    ClaimVerdict.REFUTED: VERMILION,
    ClaimVerdict.OPEN: "0.4",
    ClaimVerdict.UNTESTED: "0.6",
}
LINE = 0.1
"""Inches from line to line."""
TALLEST = 9.0
ACROSS = 72
"""Characters of the smallest print across a column."""


def claims_figure(rows: Sequence[Claim], of: str = "") -> Iterator[Figure]:
    """Draw the pages of one ledger; `of` says in their titles whose it is."""
    for chapter, group in groupby(rows, key=lambda row: row.chapter):
        for page in pages(blocks([row for row in group if row.value is not None])):
            yield drawn(chapter + of, page)


@dataclass(frozen=True)
class Block:
    """One effect of one claim; the first block of a claim states the claim."""

    rows: Sequence[Claim]
    head: Sequence[str]


def blocks(rows: Sequence[Claim]) -> list[Block]:
    """One block for each effect, because effects have units of their own."""
    entries = []
    for _, of_claim in groupby(rows, key=lambda row: row.claim):
        statement = textwrap.wrap((mine := list(of_claim))[0].statement, 62)
        for effect in dict.fromkeys(row.effect for row in mine):
            entries.append(Block([row for row in mine if row.effect == effect], [*statement, *textwrap.wrap(effect, ACROSS)]))
            statement = []
    return entries


def inches(block: Block) -> float:
    """Height of a block with its heading."""
    return LINE * (2 * len(block.rows) + 3.5) + 0.115 * len(block.head)


def pages(entries: Sequence[Block]) -> Iterator[list[Block]]:
    """Groups blocks that fit on a page together."""
    page: list[Block] = []
    for block in entries:
        if page and sum(map(inches, page)) + inches(block) > TALLEST:
            yield page
            page = []
        page.append(block)
    if page:
        yield page


def drawn(chapter: str, entries: Sequence[Block]) -> Figure:
    heights = [inches(block) for block in entries]
    figure = Figure(figsize=(WIDTH, 0.55 + sum(heights)))
    axes = figure.subplots(len(entries), 1, squeeze=False, height_ratios=[2 * len(block.rows) + 1 for block in entries]).flatten()
    for axis, block in zip(axes, entries, strict=True):
        panel(axis, block)
    text = f"{chapter}: bars are 95 % intervals, upright lines nulls, bands margins. Filled: a primary test."
    figure.suptitle(textwrap.fill(text, 62), fontsize=6, x=0.02, ha="left")
    return figure


def panel(axis: Axes, block: Block) -> None:
    """Draw one effect: for each finding a line of words, and below it the effect."""
    place = axis.get_yaxis_transform()
    for number, row in enumerate(block.rows):
        if row.value is None:
            continue
        y, paint = -2.0 * number - 1, PAINT[row.verdict]
        axis.text(0, y + 0.95, row.scope, transform=place, fontsize=5.2, va="center")
        axis.text(1, y + 0.95, row.verdict, transform=place, fontsize=5.2, va="center", ha="right", color=paint, weight="bold")
        if row.margin is not None:
            axis.fill_betweenx(
                [y - 0.4, y + 0.4], row.against - row.margin, row.against + row.margin, color="0.87", lw=0, zorder=0
            )
        axis.plot([row.against] * 2, [y - 0.4, y + 0.4], lw=0.7, color="0.5", zorder=1)
        if row.low is not None and row.high is not None:
            axis.plot([row.low, row.high], [y, y], lw=1, color=paint, zorder=2)
        axis.plot(
            [row.value],
            [y],
            "o",
            ms=3.4 if row.primary else 2.8,
            color=paint,
            mfc=paint if row.primary else "white",
            mew=0.8,
            zorder=3,
        )
    axis.set(ylim=(-2.0 * len(block.rows) + 0.3, 0.6), yticks=[])
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="x", labelsize=5.2, pad=1.5)
    axis.margins(x=0.04)
    axis.set_title("\n".join(block.head), loc="left", fontsize=5.4, pad=3)


def draw_claims(claims: Path, shipped: Path, output: Path) -> None:
    """Write results/claims.pdf: the ledger of the run, then that of what ships."""
    own, others = (read_csv(path, Claim) for path in (claims, shipped))
    save(chain(claims_figure(own), claims_figure(others, " (what ships)")), output)
