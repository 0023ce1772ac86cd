"""Rows of results/sag: sags at each rule of length, residuals of widths, and what causes would make."""

from dataclasses import dataclass

from geomkit.tables.endpoints import Source


@dataclass(frozen=True, kw_only=True)
class Sag(Source):
    """A row of sags.csv: the pair model at one number of tokens, with what the sag differs by from that at the primary length.

    tokens: a number, or `2d` and `d/2`, d the width of the target. seed: of the only model of the widest width; None for all
    its seeds. widest: that width. low, high: 95 % interval of the sag; low_90, high_90: 90 %. change: the sag minus that at the
    primary length, by differences of pairs; None there, and where pairs are not the same. fit: root mean square of what the pair
    model leaves.
    """

    layer: str
    normalise: str
    metric: str
    eps2: float | None
    tokens: str
    seed: int | None
    widest: int
    sizes: int
    pairs: int
    slope: float
    slope_low: float
    slope_high: float
    value: float
    low: float
    high: float
    low_90: float
    high_90: float
    margin: float
    change: float | None
    change_low: float | None
    change_high: float | None
    fit: float
    documents: int


@dataclass(frozen=True, kw_only=True)
class SagWidth(Source):
    """A row of widths.csv: the residual y of a width in the pair model without its line on ln N, and the fitted quadratic."""

    layer: str
    normalise: str
    metric: str
    tokens: str
    width: int
    params_nonembedding: int
    seeds: int
    residual: float
    quadratic: float


@dataclass(frozen=True, kw_only=True)
class SagCause(Source):
    """A row of causes.csv: the sag that a cause makes on the sizes of the ladder, from trainings that differ in it.

    cause: `depth` or `tokens per parameter`, with the fewest unique tokens of a training where some are left out. coefficient:
    of ln layers, or of the square of ln D/N, each with the width held fixed. value: that times the sag of this cause on the
    ladder's sizes, with its 95 % interval. length: tokens of a text. cells: of the regression. widths: of its trainings.
    Without a value `reason` says why.
    """

    metric: str
    layer: str
    normalise: str
    length: int
    cause: str
    coefficient: float | None
    value: float | None
    low: float | None
    high: float | None
    cells: int
    widths: str
    reason: str
