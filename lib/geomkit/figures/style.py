"""Shared style of figures: fonts, names, colours for colour-blind readers, and PDFs with reproducible bytes."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from geomkit.core.declarations import described
from geomkit.core.provenance import replacing
from geomkit.core.state import TOKENS
from geomkit.core.variants import TRAINED, Kind, by_kind
from geomkit.tables.endpoints import Endpoint, Source

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
AXES = {"params_nonembedding": SIZE, "params_total": "all parameters", "width": "width"}
"""Names of measures of size in figures."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette."""
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = COLOURS

METHODS = {
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
COMPARED = ("lasso", "ridge", "attention_mean", "gradient_input", "recency", "random")
"""Ways that are drawn as curves, one of each kind and colour; tables have all of them."""


def compared(methods: Iterable[str]) -> list[str]:
    """Select the ways to choose tokens that are drawn as curves: those above, and any that the project does not know."""
    return [name for name in dict.fromkeys(methods) if name in COMPARED or name not in METHODS]


class Look(NamedTuple):
    """Label, marker, colour and line of a variant in figures."""

    line: Any
    marker: str
    colour: str
    short: str
    label: str


DRAWN = (
    described("geomkit.measures.nulls", "variant")
    | described("geomkit.models.variants", "variant")
    | described("geomkit.measures.projection", "variant")
)


def looks(*kinds: Kind) -> dict[str, Look]:
    """Return how variants except the trained model are drawn, kind by kind, in the order of declaration."""
    names = [one.name for kind in kinds for one in by_kind(kind) if one.name != TRAINED]
    return {name: Look(**{field: DRAWN[name].facts[field] for field in Look._fields}) for name in names}


NULLS = looks("family", "model", "rows")
"""Every null of tables with one row for each model."""
PROJECTIONS = looks("tokens")
"""Looks of nulls that are a model's rows in fewer directions."""

QUANTITIES = (
    described("geomkit.measures.entropy", "metrics.register")
    | described("geomkit.studies.size_laws.exponents", "named")
    | described("geomkit.measures.entropy", "named")
    | described("geomkit.studies.entropy.analyse", "named")
)
"""Metrics of tables, in the order in which figures list them; `label` and `unit` are what figures call them."""


def name_of(metric: str) -> str:
    return QUANTITIES[metric].facts.get("label", metric) if metric in QUANTITIES else metric


def unit_of(metric: str) -> str:
    """Return the unit of a metric; its own name where none is known."""
    return QUANTITIES[metric].facts.get("unit", metric) if metric in QUANTITIES else metric


def title_of(metric: str, exploratory: Collection[str]) -> str:
    """Return a metric's title, marked where it is exploratory."""
    return f"{name_of(metric)} (exploratory)" if metric in exploratory else name_of(metric)


def is_at(row: Endpoint, primary: Mapping[str, Any]) -> bool:
    """Whether a row was measured at the primary endpoint."""
    own = (primary["layer"], primary["normalise"], primary["length"], primary.get("rows", TOKENS))
    return (row.layer, row.normalise, row.length, row.rows) == own


def bracket(low: float | None, high: float | None, digits: int = 3) -> str:
    """Format an interval; an open end is an ellipsis."""
    ends = ["…" if end is None else f"{end:.{digits}f}" for end in (low, high)]
    return f"[{', '.join(ends)}]".replace("-", "−")


def called(source: Source) -> str:
    """Return a family's title, which says if its numbers are published ones."""
    return f"{source.family} (published)" if source.published else source.family


def where(layer: str | None, length: int | None, normalise: str | None, rows: str = TOKENS) -> str:
    """Describe a place of measurement in words."""
    return f"layer {layer}, {rows_in_words(length, rows)}, {normalise}"


def rows_in_words(length: int | None, rows: str = TOKENS) -> str:
    """Describe the rows of a cloud in words."""
    if rows != TOKENS:
        return f"{'last token' if rows == 'last' else rows} of each text"
    return "the corpus" if length is None else f"first {length} tokens"


def distortion(eps2: Iterable[float | None]) -> str:
    """Format the squared distortions in a figure, after a comma; an empty string where nothing depends on them."""
    values = sorted({value for value in eps2 if value is not None})
    return f", ε² = {' and '.join(f'{value:g}' for value in values)}" if values else ""


def colours(names: Iterable[Name]) -> dict[Name, str]:
    """Assign a colour to each name, in order; colours repeat after the seventh."""
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


def ordered_colours(names: Iterable[Name]) -> dict[Name, Any]:
    """Assign a colour to each of any number of sizes or layers in ascending order, darker for later ones."""
    ordered = list(names)
    return dict(zip(ordered, matplotlib.colormaps["viridis_r"](np.linspace(1, 0.1, len(ordered))[::-1]), strict=True))


def save(pages: Iterable[Figure], path: Path) -> None:
    """Save figures as pages of one PDF, without a date in it."""
    with replacing(path) as temporary, PdfPages(temporary, metadata={"CreationDate": None}) as pdf:
        for page in pages:
            for axis in page.axes:
                make_drawable(axis)
            pdf.savefig(page)


def make_drawable(axis: Axes) -> None:
    """Make a logarithmic scale linear where nothing on it is positive, since matplotlib refuses to draw it.

    A run of one model or one document has no laws or intervals to show.
    """
    positive_x, positive_y = np.isfinite(axis.dataLim.minpos)
    if axis.get_xscale() == "log" and not positive_x:
        axis.set_xscale("linear")
    if axis.get_yscale() == "log" and not positive_y:
        axis.set_yscale("linear")
