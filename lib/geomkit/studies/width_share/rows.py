"""Rows of exponents.csv, points.csv and predictions.csv."""

from collections.abc import Iterable
from dataclasses import dataclass

from geomkit.tables.endpoints import Source

RATIOS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)
"""Tokens of a text per direction."""
PARAMETERS, DIRECTIONS = "params_nonembedding", "directions"
"""What an exponent is taken with: the size of models, or the number of one model's own directions."""


def tokens_at(ratio: float, widths: Iterable[int], longest: int) -> dict[int, int]:
    """Return the tokens of each width at a ratio, to the nearest whole number, without widths that texts are too short for."""
    tokens = {width: round(ratio * width) for width in sorted(set(widths))}
    return {width: n for width, n in tokens.items() if 2 <= n <= longest}


@dataclass(frozen=True, kw_only=True)
class Along(Source):
    """Where widths are followed: at `ratio` tokens per direction, in one normalisation, with one metric."""

    layer: str
    normalise: str
    eps2: float | None
    metric: str


@dataclass(frozen=True, kw_only=True)
class WidthExponent(Along):
    """A row of exponents.csv: the exponents of a measurement and of its projected null with `against`, and the share of width.

    slope: the exponent minus that of the projected null. share: 1 - slope / exponent, where it is defined. curve: the exponent
    that one spectrum predicts. What the pair model cannot give is empty, and `reason` says why.
    """

    ratio: float
    against: str
    sizes: int
    widths: str
    texts: int
    documents: int
    exponent: float | None
    exponent_low: float | None
    exponent_high: float | None
    projected: float | None
    projected_low: float | None
    projected_high: float | None
    slope: float | None
    slope_low: float | None
    slope_high: float | None
    share: float | None
    share_low: float | None
    share_high: float | None
    curve: float | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class WidthPoint(Along):
    """A row of points.csv: a metric at one width and its number of tokens, and what is predicted of it.

    measured: geometric mean over models, with its interval over documents. projected: the same over wider donors. curve,
    stretched, constant, power: predictions from the narrower half of the widths; `held_out` if this width is not among them.
    """

    ratio: float
    width: int
    tokens: int
    measured: float
    low: float
    high: float
    projected: float | None
    curve: float
    stretched: float
    constant: float
    power: float
    held_out: bool


@dataclass(frozen=True, kw_only=True)
class WidthPrediction(Along):
    """A row of predictions.csv: how well one spectrum, learnt on the narrower widths, predicts the wider ones.

    decay: its exponent a. error_...: root mean square of ln(predicted / measured) over held-out widths and ratios. value: ln of
    the curve's error over the better of `stretched` and `constant`, with its interval over documents.
    """

    decay: float
    learnt: str
    held_out: str
    cells: int
    documents: int
    error_curve: float
    error_stretched: float
    error_constant: float
    error_power: float
    value: float
    low: float
    high: float
