"""What all figures share: fonts, colours that the colour-blind can tell apart, and PDFs whose bytes can be reproduced."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from geomkit.store.provenance import replacing

matplotlib.rcParams.update(
    {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "pdf.fonttype": 42,
        "figure.constrained_layout.use": True,
    }
)

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette."""

NULLS = {
    "fixed-spectrum": ("--", "v", "width alone: the widest model's spectrum, cut"),
    "stretched": ((0, (1, 1)), "P", "width alone: one spectrum, stretched"),
    "untrained": ((0, (5, 1, 1, 1)), "s", "untrained"),
    "shuffled": ((0, (3, 1, 1, 1, 1, 1)), "^", "shuffled tokens"),
    "gaussian": (":", "D", "independent Gaussian rows"),
}
"""Line, marker and description of each null."""


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, in order; they repeat after the seventh."""
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


def save(pages: Iterable[Figure], path: Path) -> None:
    """The figures as pages of one PDF, without a date in it."""
    with replacing(path) as temporary, PdfPages(temporary, metadata={"CreationDate": None}) as pdf:
        for page in pages:
            pdf.savefig(page)
