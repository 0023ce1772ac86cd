"""What all figures share: fonts, names, colours that the colour-blind can tell apart, and PDFs whose bytes can be reproduced."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import matplotlib
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from geomkit.store.provenance import replacing
from geomkit.store.records import Source

matplotlib.rcParams.update(
    {
        "font.size": 6.5,
        "axes.titlesize": 6.5,
        "axes.labelsize": 6.5,
        "xtick.labelsize": 6,
        "ytick.labelsize": 6,
        "legend.fontsize": 6,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.minor.size": 1.5,
        "ytick.minor.size": 1.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "pdf.fonttype": 42,
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.w_pad": 0.02,
        "figure.constrained_layout.h_pad": 0.03,
    }
)

WIDTH = 3.4
"""One column of a page, in inches: figures are made for that size."""

Name = TypeVar("Name")

SIZE = "parameters without embeddings"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette."""
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = COLOURS

DRAWN = {
    "lasso": (COLOURS[0], "-", "o"),
    "elastic_net": (COLOURS[0], "--", "o"),
    "orthogonal_matching_pursuit": (COLOURS[5], "-", "s"),
    "ridge": (COLOURS[5], "--", "s"),
    "attention_mean": (COLOURS[1], "-", "^"),
    "attention_best_head": (COLOURS[1], "--", "^"),
    "attention_value_norm": (COLOURS[4], "-", "v"),
    "attention_rollout": (COLOURS[4], "--", "v"),
    "gradient_input": (COLOURS[2], "-", "D"),
    "leave_one_out": (COLOURS[2], "--", "D"),
    "recency": (COLOURS[3], "-", "P"),
    "first_recency": (COLOURS[3], "--", "P"),
    "norm": ("0.6", "-", "x"),
    "random": ("0.6", "--", "x"),
}
"""Colour, line and marker of each way to choose tokens; others are drawn in black."""


class Null(NamedTuple):
    """How a null is drawn and called."""

    line: Any
    marker: str
    colour: str
    short: str
    label: str


NULLS = {
    "fixed-spectrum": Null("--", "v", VERMILION, "cut", "width alone, the\nwidest model's spectrum, cut"),
    "stretched": Null((0, (1, 1)), "^", ORANGE, "stretched", "width alone, one\nspectrum, stretched"),
    "untrained": Null((0, (5, 1, 1, 1)), "s", GREEN, "untrained", "untrained twins"),
    "shuffled": Null((0, (3, 1, 1, 1, 1, 1)), "h", PURPLE, "shuffled", "tokens shuffled"),
    "gaussian": Null(":", "D", "0.45", "Gaussian", "independent Gaussian rows"),
}

NAMES = {
    "rate_distortion": ("rate-distortion entropy", "nats"),
    "rate_distortion_ratio": ("rate-distortion / its bound", "ratio"),
    "rate_distortion_paper": ("rate-distortion / paper's norm", "ratio"),
    "matrix_entropy": ("matrix entropy", "nats"),
    "matrix_entropy_over_ln_width": ("matrix entropy / ln d", "ratio"),
    "renyi_2": ("Rényi-2 entropy", "nats"),
    "erank_covariance": ("effective rank", "directions"),
    "erank_singular": ("effective rank, singular", "directions"),
    "participation_ratio": ("participation ratio", "directions"),
    "stable_rank": ("stable rank", "directions"),
    "nuclear_norm": ("nuclear norm", "row lengths"),
    "alpha_req": ("decay of the spectrum", "exponent"),
    "diff_erank": ("Diff-eRank", "directions"),
    "loss": ("loss", "nats a token"),
}
"""What metrics are called in figures, and their units."""


def name_of(metric: str) -> str:
    return NAMES.get(metric, (metric, ""))[0]


def unit_of(metric: str) -> str:
    """The unit of a metric; its own name where none is known."""
    return NAMES.get(metric, ("", metric))[1]


def bracket(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval; an open end is an ellipsis."""
    ends = ["…" if end is None else f"{end:.{digits}f}" for end in (low, high)]
    return f"[{', '.join(ends)}]".replace("-", "−")


def called(source: Source) -> str:
    """A family's name, which says if others published its numbers."""
    return f"{source.family} (published)" if source.published else source.family


def length_of(length: int | None) -> str:
    return "corpus" if length is None else str(length)


def where(layer: str | None, length: int | None, normalise: str | None) -> str:
    """A place of measurement in words."""
    return f"layer {layer}, {'the corpus' if length is None else f'first {length} tokens'}, {normalise}"


def distortion(eps2: Iterable[float | None]) -> str:
    """The squared distortions of what a figure shows, after a comma; nothing where nothing depends on it."""
    values = sorted({value for value in eps2 if value is not None})
    return f", ε² = {' and '.join(f'{value:g}' for value in values)}" if values else ""


def colours(names: Iterable[Name]) -> dict[Name, str]:
    """A colour for each name, in order; they repeat after the seventh."""
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


def save(pages: Iterable[Figure], path: Path) -> None:
    """The figures as pages of one PDF, without a date in it."""
    with replacing(path) as temporary, PdfPages(temporary, metadata={"CreationDate": None}) as pdf:
        for page in pages:
            pdf.savefig(page)
