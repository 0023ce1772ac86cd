"""Rows about model size: exponents, those of nulls, verdicts, growth, and comparisons at one width."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from geomkit.core.state import TOKENS
from geomkit.laws import pairs
from geomkit.laws.exponents import Verdict
from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.verdicts import Kind
from geomkit.tables.endpoints import Compared, Endpoint, SlopeKey, Source


@dataclass(frozen=True, kw_only=True)
class Slope(Compared):
    """A row of slopes.csv: a metric's exponent with size, its t interval over sizes, and its verdict beside its nulls.

    No numbers where the verdict is `failed`; then `reason` says why.
    """

    primary: bool
    verdict: Verdict
    reason: str
    slope: float | None
    low: float | None
    high: float | None
    freedom: int | None
    measurement_low: float | None
    measurement_high: float | None
    """The part of the interval that comes from the documents and seeds that were drawn; None without resamples."""
    combinations: int
    """Number of exponents in the file."""


@dataclass(frozen=True, kw_only=True)
class NullSlope(Compared):
    """A row of null_slopes.csv: a null's exponent, and the measurement's minus it with the interval of the paired difference."""

    null: str
    slope: float
    difference: float
    low: float
    high: float
    measurement_low: float | None
    measurement_high: float | None


@dataclass(frozen=True, kw_only=True)
class LawVerdict(Source, Endpoint):
    """A row of verdicts.csv: a metric's exponent with the parameters without embeddings, its difference from the projected null
    of the widest model, two tests of it, and the verdict. No numbers where the verdict is `untested` or `failed`."""

    JUDGED: ClassVar[tuple[str, ...]] = (
        *("verdict", "reason", "difference", "error", "error_scatter", "error_pure", "error_documents", "error_donors"),
        *("low", "high", "low_90", "high_90", "p", "p_adjusted", "tests", "different", "margin", "small", "small_attainable"),
        *("detectable", "sizes", "donors", "fit", "fit_p", "misfit", "misfit_at", "changes", "flags"),
    )
    """Columns that come from the judgement."""

    metric: str
    primary: bool
    straddles: bool
    """Whether the length is between the narrowest and the widest model's width: the law then counts directions."""
    verdict: Kind
    reason: str
    exponent: float | None
    exponent_low: float | None
    exponent_high: float | None
    difference: float | None
    """Of the exponents: the slope of ln(measured / null), without the donor's own size."""
    error: float | None
    error_scatter: float | None
    error_pure: float | None
    error_documents: float | None
    error_donors: float | None
    low: float | None
    high: float | None
    low_90: float | None
    high_90: float | None
    p: float | None
    p_adjusted: float | None
    tests: int | None
    different: bool | None
    margin: float | None
    small: bool | None
    small_attainable: bool | None
    detectable: float | None
    """The smallest difference that a test at 5 % finds with 80 % power."""
    sizes: int | None
    donors: str | None
    """Each donor's difference, on its own sizes."""
    difference_with_donor: float | None
    """With the donor's own size, at which the null is the measurement."""
    fit: Fitness | None
    fit_p: float | None
    misfit: float | None
    misfit_at: float | None
    changes: int | None
    """Number of sizes that change the verdict when they are left out."""
    flags: str | None
    common_dimension: float | None
    common_dimension_low: float | None
    common_dimension_high: float | None
    """The exponent with every model on its own leading directions, as many as the narrowest is wide."""


class Models(StrEnum):
    """Which models of a family a row is about."""

    ALL = "all"
    OLD = "old"
    """Those that had been seen when the confirmatory tests were fixed."""
    NEW = "new"
    """Those of the confirmatory tests."""


class Standing(StrEnum):
    """What a row of pairs.csv may decide."""

    CONFIRMATORY = "confirmatory"
    EXPLORATORY = "exploratory"
    POOLED = "pooled"
    """An estimate from models of which some had been seen; it has no verdict."""
    PART = "part of a test"
    """One of the corpora that a confirmatory test averages over; it has no verdict of its own."""


@dataclass(frozen=True, kw_only=True)
class PairVerdict(Source, Endpoint):
    """A row of pairs.csv: the pair model of docs/protocol.md, fitted to all pairs of a narrower model and a wider donor, with its
    verdict and, beside it, what version 1 gave. corpus: several joined by ` + ` where ln D is averaged over them. Without
    estimates `cause` says why."""

    metric: str
    models: Models
    standing: Standing
    verdict: pairs.Verdict | None
    cause: str
    sizes: int
    pairs: int
    slope: float | None
    slope_low: float | None
    slope_high: float | None
    sag: float | None
    sag_low: float | None
    sag_high: float | None
    level: float | None
    level_low: float | None
    level_high: float | None
    slope_low_90: float | None
    slope_high_90: float | None
    sag_low_90: float | None
    sag_high_90: float | None
    level_low_90: float | None
    level_high_90: float | None
    slope_margin: float
    sag_margin: float
    level_margin: float
    exponent: float | None
    exponent_low: float | None
    exponent_high: float | None
    share: float | None
    """Of the exponent, the share that width accounts for, with Fieller's interval."""
    share_low: float | None
    share_high: float | None
    p: float | None
    """Of a slope of 0, adjusted; only a confirmatory row has one, and the next three."""
    p_slope: float | None
    p_sag: float | None
    p_level: float | None
    detectable: float | None
    """The smallest slope that a test at 5 % detects with 80 % power."""
    needed: str | None
    """Sizes, seeds or documents that would decide, each alone."""
    version_1: Kind | None
    version_1_difference: float | None
    version_1_low: float | None
    version_1_high: float | None
    why_versions_differ: str | None
    widest_donor: float | None
    """Printed beside, as all below: the slope of the widest donor's differences alone."""
    through_origin: float | None
    """The slope of all pairs without a level, which leaks into it."""
    fit: float | None
    """Root mean square of what the pair model leaves, of ln D."""
    lack_of_fit_p: float | None
    """Of a power law of the widest donor's differences, by the scatter of seeds."""
    donors: float | None
    """Slope on ln N of the donors' own slopes."""
    random_directions: float | None
    """Slope of ln(measured / null) for the widest donor on random directions; with the next, the bracket of rescaled spectra."""
    stretched: float | None
    scatter_measured: float | None
    """Standard deviation of seeds about their size, of ln measured; and of ln projected from donors of one width."""
    scatter_projected: float | None


@dataclass(frozen=True, kw_only=True)
class WidthResidual(Source, Endpoint):
    """A row of residuals.csv: the residual y of one width in the pair model, and how far it lies from the line of the other
    widths' y on ln N. seed: that of the only model that stood for the width; None for all its seeds."""

    metric: str
    models: Models
    width: int
    params_nonembedding: int
    seed: int | None
    residual: float
    from_line: float


@dataclass(frozen=True, kw_only=True)
class SizeDifference(Source, Endpoint):
    """A row of differences.csv: ln(measured / null) at one size, the mean over its seeds."""

    metric: str
    null: str
    donor: str
    params_nonembedding: int
    width: int
    seeds: int
    difference: float
    norm_kept: float | None
    """Share of the donor's squared norm that is left on as many directions as this size is wide."""


@dataclass(frozen=True, kw_only=True)
class OwnDirections(Source, Endpoint):
    """A row of own_directions.csv: a metric of a family of one size on its own leading directions, with an interval over
    documents."""

    metric: str
    directions: int | None
    """None: `value` is the slope of ln of the metric on ln of their number."""
    value: float
    low: float
    high: float
    norm_kept: float | None
    """Share of the squared norm that is left."""
    documents: int


@dataclass(frozen=True, kw_only=True)
class Growth(Source, Endpoint):
    """A row of growth.csv: whether a measure grows with size. `of` says what the slope is of: `logarithm` or `value`."""

    measure: str
    of: str
    primary: bool
    slope: float | None
    low: float | None
    high: float | None
    measurement_low: float | None
    measurement_high: float | None
    fixed_spectrum_slope: float | None
    stretched_slope: float | None
    verdict: Verdict
    reason: str
    growth: str | None
    """grows, falls, flat; None without a slope."""
    combinations: int


@dataclass(frozen=True, kw_only=True)
class DiffErank(Endpoint):
    """A row of diff_erank.csv: Diff-eRank of a model, or its value under a null for width (`variant`)."""

    family: str
    corpus: str
    model: str
    seed: int | None
    params_nonembedding: int
    params_total: int
    depth: int
    variant: str
    value: float
    twins: int
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class FixedWidth(Source, Endpoint):
    """A row of fixed_width.csv: models of one width beside a control, or (no width) all seeds beside their sizes' means.

    control, and what `value` is of it:
    untrained        ln of a metric, trained minus untrained twins
    mean-direction   that of unit rows minus that of centred rows: what of it lives in the direction of the mean row
    shuffled         ln of a metric, on text minus on its tokens in an order of chance
    norm             ln of a metric, after the final norm minus without its learnt gain and bias
    shuffled-projected   as `shuffled`, of the widest models on as many directions of text as a width has: the null of its trend
    length           ln of a metric, at the shortest length minus at the longest
    loss             correlation over seeds of ln of a metric with the loss, widths held fixed
    diff_erank       Diff-eRank itself, or what others published
    """

    control: str
    metric: str
    width: int | None
    value: float | None
    low: float | None
    high: float | None
    sign: int | None
    """1 or -1 where the interval excludes 0, 0 where it does not; of a published value its own."""
    seeds: int | None
    twins: int | None
    documents: int | None
    detectable: float | None
    """The smallest correlation that so many seeds show with 80 % power."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Trend(Source, Endpoint):
    """A row of trends.csv: a control of fixed_width.csv over all widths. level: the mean over widths; trend: its slope on ln N;
    each with its t interval over widths."""

    control: str
    metric: str
    sizes: int
    level: float
    level_low: float
    level_high: float
    trend: float
    trend_low: float
    trend_high: float
    twins: int | None
    """Untrained models beside each trained one, where fewest; None where the control has none."""
    documents: int | None
    needed: str | None
    """Sizes, seeds or documents that would decide a trend whose interval covers 0; None where it does not."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A row of points.csv: the mean of a metric over the first `length` tokens of texts at one layer of one model, or the loss
    on the corpus, with its 95 % interval over documents.

    `primary` where it is at the layer of the primary endpoint, an exploratory metric too; the loss, which has no layer, is."""

    family: str
    corpus: str
    model: str
    seed: int | None
    params_nonembedding: int
    params_total: int
    depth: int
    d: int | None
    variant: str
    layer: int | None
    """0 the embedding, `depth` the last block's output, `depth` + 1 after the final norm."""
    length: int | None
    normalise: str | None
    eps2: float | None
    primary: bool
    metric: str
    value: float
    low: float | None
    """`low` and `high` are ends of the interval; empty for a single document."""
    high: float | None
    documents: int
    bound: float | None
    rows: str = TOKENS
    """Of pooled rows the value is that of the corpus's one cloud."""


def by_slope(nulls: Iterable[NullSlope]) -> dict[SlopeKey, dict[str, NullSlope]]:
    """Groups null slopes by their exponent, then by the name of the null."""
    grouped: dict[SlopeKey, dict[str, NullSlope]] = {}
    for row in nulls:
        grouped.setdefault(row.key, {})[row.null] = row
    return grouped
