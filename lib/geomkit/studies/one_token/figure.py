"""Draw what one long token does to the effective rank, at every layer and for every length of it."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from geomkit.figures.claims import claim_figures
from geomkit.figures.style import BLACK, BLUE, ORANGE, VERMILION, WIDTH, ordered_colours, save
from geomkit.measures.one_token import most_directions, token_share
from geomkit.studies.one_token.claims import EXPLORED
from geomkit.studies.one_token.rows import OneToken
from geomkit.tables.findings import Inputs, same
from geomkit.tables.rows import read_csv

RANK = "erank_covariance"
SHOWN = ("centre-unit", "unit")
TITLES = {"centre-unit": "centred, unit length", "unit": "unit length", "raw": "lengths kept"}


def draw_one_token(rows: Path, output: Path) -> None:
    """Write results/one_token.pdf."""
    own = [row for row in read_csv(rows, OneToken) if row.metric == RANK]
    save([*pages(own), limits_figure(sorted({row.length for row in own}) or [64, 256])], output)


@claim_figures.register(
    "one-token",
    claims=("one token makes the centred profile",),
    caption="Centred effective rank along depth: measured, without each text's longest token, and predicted.",
)
def profile(inputs: Inputs) -> Figure | None:
    """Draw the centred profile of the first confirmatory corpus, or of the first one."""
    rows = [row for row in inputs.rows("one_token.csv", OneToken) if (row.metric, row.normalise) == (RANK, SHOWN[0])]
    if not rows:
        return None
    first = next((row for row in rows if row.corpus not in EXPLORED), rows[0])
    mine = [row for row in rows if same(row, first, "model", "corpus")]
    lengths = sorted({row.length for row in mine})
    figure = Figure(figsize=(WIDTH, 2.3))
    axes = figure.subplots(1, len(lengths), squeeze=False, sharey=True)[0]
    for axis, length in zip(axes, lengths, strict=True):
        layers(axis, [row for row in mine if row.length == length])
        axis.set_title(f"n = {length}", loc="left")
        axis.set_xlabel("layer (0: the embedding)")
    axes[0].set_ylabel("directions")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.suptitle(f"{first.model} on {first.corpus}", fontsize=6.5)
    return figure


def pages(rows: Sequence[OneToken]) -> Iterator[Figure]:
    """Yield a page for each model and corpus: normalisations down, lengths across."""
    ordered = sorted(rows, key=lambda row: (row.model, row.corpus))
    for (model, corpus), group in groupby(ordered, key=lambda row: (row.model, row.corpus)):
        mine = list(group)
        lengths = sorted({row.length for row in mine})
        figure = Figure(figsize=(WIDTH, 1.6 * len(SHOWN) + 0.5))
        axes = figure.subplots(len(SHOWN), len(lengths), squeeze=False, sharex=True, sharey="row")
        for line, mode in zip(axes, SHOWN, strict=True):
            for axis, length in zip(line, lengths, strict=True):
                layers(axis, [row for row in mine if (row.normalise, row.length) == (mode, length)])
                axis.set_title(f"{TITLES[mode]}, n = {length}", loc="left")
        figure.supylabel("effective rank (directions)", fontsize=6.5)
        for axis in axes[-1]:
            axis.set_xlabel("layer (0: the embedding)")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figure.suptitle(f"{model} on {corpus}: the longest token of each of {max(row.n for row in mine)} texts", fontsize=6.5)
        yield figure


def layers(axis: Axes, rows: Sequence[OneToken]) -> None:
    """Draw one normalisation and length."""
    own = sorted(rows, key=lambda row: row.layer)
    x = [row.layer for row in own]
    axis.plot(x, [row.without for row in own], "o", ms=2.5, mfc="white", mew=0.7, color=ORANGE, label="without the token")
    axis.plot(x, [row.measured for row in own], "o", ms=2.5, mew=0, color=BLUE, label="measured")
    axis.plot(x, [row.predicted for row in own], "-", lw=0.9, color=VERMILION, label="predicted from lengths")
    ends = [[row.predicted / np.exp(end if end is not None else row.value) for end in (row.high, row.low)] for row in own]
    axis.fill_between(x, *np.transpose(ends), color=BLUE, alpha=0.2, lw=0)
    if own and own[0].normalise == "centre-unit":
        axis.plot(x, [row.most or np.nan for row in own], ":", lw=0.7, color=BLACK, label="highest that lengths allow")
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


RATIOS = np.geomspace(1, 1e5, 121)


def limits_figure(lengths: Sequence[int]) -> Figure:
    """Draw the highest effective rank beside one token of a given length, in wide clouds of otherwise equal lengths."""
    figure = Figure(figsize=(WIDTH, 2.2))
    axes = figure.subplots(1, 2, sharey=True)
    counts = sorted({*lengths, 16 * max(lengths)})
    for axis, mode in zip(axes, ("centre-unit", "raw"), strict=True):
        for n, colour in ordered_colours(counts).items():
            shares = [token_share(float(ratio), np.ones(n - 1), mode).expected for ratio in RATIOS]
            m = n - 1 if mode == "centre-unit" else n
            axis.plot(RATIOS, [most_directions(share, m) / m for share in shares], color=colour, label=f"{n} tokens")
        axis.set_xscale("log")
        axis.set_title(TITLES[mode], loc="left")
    axes[0].set_ylabel("highest effective rank / rank")
    figure.supxlabel("length of one token, in lengths of the others", fontsize=6.5)
    axes[1].legend(loc="upper right")
    figure.suptitle("What one token among orthogonal others can do, whatever the model", fontsize=6.5)
    return figure
