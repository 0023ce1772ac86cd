"""Typed rows of the small files between stages: what one part writes and another reads, as CSV or JSON.

Each kind of row is one frozen dataclass, whose fields are the file's columns, in order, with their types. A type is str, int,
float, bool, an enumeration, or one of these or None; JSON takes tuples, mappings and other records as well. Nothing is guessed:
what is not of its column's type, a column that is not there and one that is not known are DataErrors that name file and column.
In CSV None is an empty cell, a bool is 0 or 1, and a float has as many digits as tell it from every other.
"""

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from geomkit.errors import DataError
from geomkit.laws.exponents import Verdict
from geomkit.laws.forms import Status
from geomkit.laws.verdicts import Fitness, Kind
from geomkit.store.provenance import replacing

R = TypeVar("R")

Interval = tuple[float | None, float | None]
"""Low and high end; an open end is None."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Whose numbers: a family on a corpus, measured here, or published by others."""

    family: str
    published: bool
    corpus: str


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a number was measured: the layer's name, how many first tokens of each text (None: the whole corpus), and how rows
    were normalised. None also where a number has no such place, as the loss and those of published tables."""

    layer: str | None
    length: int | None
    normalise: str | None
    eps2: float | None
    """Squared distortion of the rate-distortion metrics; None for what does not depend on it."""


class SlopeKey(NamedTuple):
    """What tells slopes apart, and joins a slope to those of its nulls."""

    source: tuple[str, bool, str]
    metric: str
    place: tuple[str | None, int | None, str | None]
    against: str


@dataclass(frozen=True, kw_only=True)
class Compared(Source, Endpoint):
    """A metric with a measure of size, which `against` names."""

    metric: str
    against: str

    @property
    def key(self) -> SlopeKey:
        place = (self.layer, self.length, self.normalise)
        return SlopeKey((self.family, self.published, self.corpus), self.metric, place, self.against)


@dataclass(frozen=True, kw_only=True)
class Slope(Compared):
    """A row of slopes.csv: the exponent of a metric with size, its t interval over sizes, and what it shows beside its nulls.

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
    """How many exponents the file holds."""


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


class ClaimVerdict(StrEnum):
    """What the measurements say about a claim, in its scope and nowhere else."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    WIDTH = "explained by width"
    UNDECIDED = "undecided"
    UNTESTED = "untested"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A row of claims.csv: a claim, what was measured about it in one scope, and the verdict."""

    chapter: str
    claim: str
    statement: str
    source: str
    scope: str
    effect: str
    value: float | None
    low: float | None
    high: float | None
    margin: float | None
    null: str | None
    against: float
    """What the value is held against: 0 for a difference, one half for a share."""
    sizes: int | None
    documents: int | None
    primary: bool
    verdict: ClaimVerdict
    reason: str
    details: str
    """What else a reader must know: what could have been found, and what the null keeps."""


@dataclass(frozen=True, kw_only=True)
class LawVerdict(Source, Endpoint):
    """A row of verdicts.csv: a metric's exponent with the parameters without embeddings, its difference from the projected null
    of the widest model, two tests of it, and the verdict. No numbers where the verdict is `untested` or `failed`."""

    JUDGED: ClassVar[tuple[str, ...]] = (
        *("verdict", "reason", "difference", "error", "error_scatter", "error_pure", "error_documents", "error_donors"),
        *("low", "high", "low_90", "high_90", "p", "p_adjusted", "tests", "different", "margin", "small", "small_attainable"),
        *("detectable", "sizes", "donors", "fit", "fit_p", "misfit", "misfit_at", "changes", "flags"),
    )
    """What a judgement tells."""

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
    """How many sizes change the verdict when they are left out."""
    flags: str | None
    common_dimension: float | None
    common_dimension_low: float | None
    common_dimension_high: float | None
    """The exponent with every model on its own leading directions, as many as the narrowest is wide."""


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
    """A row of diff_erank.csv: Diff-eRank of a model, or what it would be under a null for width (`variant`)."""

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
class Point:
    """A row of points.csv: the mean of a metric over the first `length` tokens of texts at one layer of one model, or the loss
    on the corpus. `primary` where it is at the layer of the primary endpoint, an exploratory metric too; the loss, which has no
    layer, is."""

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
    bound: float | None


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A law that was fitted (`geomkit.laws.fit.Fit`): no parameters and no numbers where it failed, and a reason."""

    form: str
    status: Status
    reason: str
    n: int
    params: Mapping[str, float]
    interval: Mapping[str, Interval]
    residual_sd: float | None
    aicc: float | None
    heldout_error: float | None
    objective: float | None
    delta: float | None


@dataclass(frozen=True, kw_only=True)
class MetricLaw(Fitted, Compared):
    """An entry of fits.json: a law of one metric with size."""


@dataclass(frozen=True, kw_only=True)
class PeerValue:
    """A parameter that others published, in the sign of ours, and whether our interval holds it: None where there is none, as of
    a law that is rejected."""

    law: str
    parameter: str
    value: float
    inside: bool | None


@dataclass(frozen=True, kw_only=True)
class SizeLaw(Fitted):
    """A law of the loss with one measure of size, held against the scatter of seeds. One that is rejected has no intervals: they
    would be those of a law that does not hold."""

    against: str
    lack: Fitness
    lack_reason: str
    lack_p: float | None
    misfit: float | None
    """The largest, of ln loss; at which size."""
    misfit_at: float | None
    error_left_out: float | None
    """Root mean square of ln(predicted / measured) at each size, by the law without it. None where a size is needed,
    and in loss_laws.json."""


@dataclass(frozen=True, kw_only=True)
class LossLaw(SizeLaw, Source):
    """An entry of loss_laws.json: a law of the loss with a measure of size, and the points that it was fitted to."""

    peers: tuple[PeerValue, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]


class LossPlace(StrEnum):
    """Which text a loss was measured on."""

    TEXTS = "texts"
    """Those of the tables, which metrics are measured on too."""
    CARD = "windows of the model card"
    """More text, spread over the whole corpus."""


@dataclass(frozen=True, kw_only=True)
class ModelLoss:
    """The loss of one model, in nats a token."""

    model: str
    seed: int | None
    params_nonembedding: int
    params_total: int
    width: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class LossAxes(Source):
    """An entry of loss_axes.json: the losses of a family at one place, and every law of them on every measure of size."""

    place: LossPlace
    pieces: int
    """Texts, or windows."""
    tokens: int
    """How many were predicted."""
    models: tuple[ModelLoss, ...]
    laws: tuple[SizeLaw, ...]
    best_against: str | None
    best_form: str | None
    """The law with the least error on sizes left out, whether or not it is rejected: what must be beaten to tell anything."""
    reason: str
    """Why there is none."""


@dataclass(frozen=True, kw_only=True)
class LossRegion(Source):
    """A row of loss_regions.csv: the profile likelihood at one (E, alpha); inside the 95 % region it is below the limit."""

    against: str
    E: float
    alpha: float
    statistic: float
    limit: float


@dataclass(frozen=True, kw_only=True)
class EntropyLoss(Source, Endpoint):
    """An entry of entropy_loss.json: what a metric, or a null (`variant`), tells about the loss that size does not.

    `law_...` is the law of the loss that foretells sizes left out best, the baseline; errors are those of the loss at sizes left
    out, in nats a token. `weaker_...` have a power of ln N alone as their baseline, which anything that bends with size beats.
    """

    metric: str
    variant: str
    status: Status
    reason: str
    sizes: int | None = None
    """A donor's null is one at smaller sizes only."""
    law_against: str | None = None
    law_form: str | None = None
    error_law: float | None = None
    error_law_and_metric: float | None = None
    """Of the law and what ln of the metric explains linearly of what it leaves over."""
    error_joint: float | None = None
    """Of the law times a power of the metric, fitted together."""
    error_law_and_trained: float | None = None
    error_joint_trained: float | None = None
    """The same with what was measured in the null's place, at the null's sizes."""
    weaker_reason: str = ""
    partial_correlation: float | None = None
    interval: Interval | None = None
    measurement: Interval | None = None
    weaker_error_size: float | None = None
    weaker_error_size_and_metric: float | None = None
    between_seeds: float | None = None
    between_seeds_interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """A correlation with its interval, where there is one."""

    value: float
    low: float | None
    high: float | None
    freedom: int


@dataclass(frozen=True, kw_only=True)
class DataLaw(Fitted):
    """A law L(N, D) with percentile intervals of refits to cells drawn with replacement."""

    bootstrap: Mapping[str, Interval]
    peers: tuple[PeerValue, ...]


Errors = Mapping[str, Mapping[str, float | None]]
"""Errors in nats, by what is left out and by what predicts."""
Correlations = Mapping[str, Correlation | None]
"""By what varies while the rest is held fixed."""


@dataclass(frozen=True, kw_only=True)
class MetricBesideLoss:
    """What ln of a metric tells about the loss on a grid over size and data."""

    correlations: Correlations
    correlations_without_least_data: Correlations
    over_data_by_size: Mapping[str, float | None]
    errors: Errors
    null_errors: Errors | None


@dataclass(frozen=True, kw_only=True)
class GridDraw:
    """What the trainings of one seed show, which draws the documents."""

    seed: int
    trainings: int
    cells: int
    one_length: int
    longest_chosen: int
    shortest_chosen: int
    laws: tuple[DataLaw, ...]
    laws_without_longest: tuple[Fitted, ...]
    errors: Errors
    metrics: Mapping[str, MetricBesideLoss]


@dataclass(frozen=True, kw_only=True)
class BetweenDraws:
    """What a seed changes: ranges of the best losses by unique tokens, and correlations over seeds with all else alike."""

    loss_range: Mapping[str, float]
    correlations: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class DataLaws(Endpoint):
    """data_laws.json: the endpoint at which the grid's metrics were measured, and what each draw shows."""

    draws: tuple[GridDraw, ...]
    between_draws: BetweenDraws


@dataclass(frozen=True, kw_only=True)
class Cell(Endpoint):
    """A training on a budget of unique tokens, its losses, and metrics at the primary endpoint: a column for each."""

    width: int
    params_nonembedding: int
    seed: int
    unique_tokens: int
    tokens: int
    peak_rate: float
    batch: int
    loss_validation: float
    loss_test: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Training(Cell):
    """A row of training_grid.csv: `chosen` if no other number of passes has a lower validation loss."""

    chosen: bool


@dataclass(frozen=True, kw_only=True)
class SweptTraining:
    """A row of sweep.csv: a training that chose the recipe's rate and batch."""

    width: int
    seed: int
    tokens: int
    peak_rate: float
    batch: int
    loss_validation: float


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A row of training_runs.csv: the validation loss of a model after so many tokens."""

    width: int
    layers: int
    heads: int
    params_nonembedding: int
    params_total: int
    seed: int
    tokens: int
    loss_validation: float


TEST_WINDOWS = 512
"""Windows of held-out text on which the ladder's card gives losses."""


@dataclass(frozen=True, kw_only=True)
class LadderLoss:
    """A row of the ladder's losses.csv: losses on TEST_WINDOWS windows in nats a token and a byte, columns for each corpus."""

    model: str
    width: int
    seed: int
    params_total: int
    params_nonembedding: int
    losses: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ControlTraining:
    """A row of controls.csv or steps.csv: a model that differs from the ladder in what its name says, and its losses (nats a
    token) on validation and test text. `step`: after how many steps of the optimizer its weights were taken."""

    model: str
    width: int
    layers: int
    heads: int
    mlp: int
    tied: bool
    params_nonembedding: int
    params_total: int
    seed: int
    peak_rate: float
    weight_decay: float
    step: int
    tokens: int
    loss_validation: float
    loss_test: float


@dataclass(frozen=True, kw_only=True)
class TokenScore:
    """A row of tokens_summary.csv: a number about tokens of one model, with its interval over documents."""

    model: str
    family: str
    seed: int | None
    corpus: str
    params_nonembedding: int
    params_total: int
    depth: int
    eps2: float
    variant: str
    layer: int
    sublayer: str
    name: str | None
    d: int
    metric: str
    method: str | None = None
    first: int | None = None
    k: int | None = None
    x: float | None = None
    n: int | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    documents: int | None = None
    reason: str | None = None
    """Why there is no value."""


@dataclass(frozen=True, kw_only=True)
class PageTarget:
    """What the page of tokens shows of a target: by method the weights of its past, the tokens chosen, and KL in nats."""

    position: int
    weights: Mapping[str, tuple[float | None, ...]]
    chosen: Mapping[str, tuple[int, ...]]
    kl: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class PageLayer:
    """What the page shows of a text at one layer."""

    layer: int
    name: str | None
    gain: tuple[float | None, ...]
    targets: tuple[PageTarget, ...]


@dataclass(frozen=True, kw_only=True)
class PageText:
    """A text of the page: its tokens as text, and their surprisal in nats."""

    name: str
    tokens: tuple[str, ...]
    surprisal: tuple[float | None, ...]
    layers: tuple[PageLayer, ...]


@dataclass(frozen=True, kw_only=True)
class TokenPage:
    """token_texts.json: what the page of tokens shows."""

    title: str
    note: str
    texts: tuple[PageText, ...]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Whose number it is, at which layer, and its interval over documents."""

    model: str
    family: str
    seed: int | None
    corpus: str
    params_nonembedding: int
    params_total: int
    depth: int
    layer: int
    d: int
    metric: str
    value: float
    low: float | None
    high: float | None
    documents: int
    n: int


@dataclass(frozen=True, kw_only=True)
class Removal(Measured):
    """A row of ablation_summary.csv: what removing tokens of a target's context does, the mean over targets.

    sinks: whether attention sinks are among the tokens that are removed (`removable`), stay (`kept`). null: `own`; what the same
    procedure gives for the target of another document (`stranger`) and for iid Gaussian rows (`noise`); or own minus one of
    these, target by target (`minus stranger`, `minus noise`). fraction: what part of the context is removed; None for a summary.
    """

    eps2: float
    name: str | None
    sinks: str
    null: str
    method: str | None
    direction: str | None
    fraction: float | None


@dataclass(frozen=True, kw_only=True)
class SinkEffect(Measured):
    """A row of sinks_summary.csv: a metric of texts as they are (threshold None), without their sinks, or the difference.

    threshold: a sink is longer than so many medians of its text at some layer. kind: `all`, `without`, `difference` (without
    minus all, text by text), or `sinks`, the number of sinks in a text. The first token counts as any other.
    """

    normalise: str | None
    threshold: float | None
    kind: str


@dataclass(frozen=True, kw_only=True)
class SublayerEffect(Measured):
    """A row of components_summary.csv: a metric after a sublayer (kind `after`), or what taking a sublayer out changes.

    kind: `after`; `zero` or `mean`: the metric's change when the sublayer's output becomes 0 or the mean over other documents'
    tokens. `layer` and `sublayer` are those of the sublayer; at names the state that is measured (None: the loss).
    """

    sublayer: str
    kind: str
    at: str | None


@dataclass(frozen=True, kw_only=True)
class Likeness(Measured):
    """A row of semantics_summary.csv: how well distances of documents agree with people's judgements.

    layer: -1 for a baseline and for what is chosen over layers. distance: a measure's name, or a baseline's. agreement: pearson,
    spearman, or None. kind: `agreement` of one measure at one layer; `chosen`, its score on the half that did not choose;
    `baseline` on the same halves; `difference` of the two; `least`, the smallest difference that so many documents show;
    `share`, how often a measure was chosen; `spectrum`, a spectral metric of one row for each document, or of their tokens.
    """

    distance: str
    agreement: str | None
    kind: str


@dataclass(frozen=True, kw_only=True)
class NeedleText:
    """A row of needle.csv: losses of the answer (nats) when statements are removed from one filler's context, and what they alone
    call it. `random` where filler was removed by chance."""

    model: str
    kind: str
    filler: int
    whole: float
    none: float
    without_one: float
    one_kept: float
    random: float | None
    call: str


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A row of a list of what a table does not hold, and why."""

    model: str
    corpus: str
    absent: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PublishedValue:
    """A row of a published table: a quantity of one model."""

    family: str
    model: str
    params_nonembedding: int
    params_total: int
    width: int
    training_flops: float | None
    quantity: str
    unit: str
    dataset: str
    value: float
    source: str


@dataclass(frozen=True, kw_only=True)
class PublishedLaw:
    """A parameter of a published law."""

    law: str
    formula: str
    parameter: str
    value: float | None
    """None where the formula alone was published."""
    source: str


@dataclass(frozen=True, kw_only=True)
class SimulatedGraph:
    """A row of theory/simulation.csv: a closed form beside the mean of sampled graphs of texts and skills.

    quantity: `size` (entropy that size alone leaves, nats a use), `seen` (skills seen at least `times` times), `gap` (what size
    and data leave). entropies: `one`, or `falling` where frequent skills have more. `inside` where the interval holds it.
    """

    a: float
    skills: int
    times: int
    entropies: str
    n: int
    texts: int
    degree: int
    replicates: int
    quantity: str
    closed: float
    simulated: float
    low: float
    high: float
    inside: bool


@dataclass(frozen=True, kw_only=True)
class GridPart:
    """Which cells of the training grid: those of a seed, with a measure of size, without less unique data than `least`."""

    draw: int
    size: str
    least: int
    cells: int
    primary: bool


@dataclass(frozen=True, kw_only=True)
class ExponentRelation(GridPart):
    """A row of theory/relations.csv: beta - alpha / (1 + alpha), which is 0 under the theory, and beta - alpha, 0 under a rival.

    status: theory, rival, neither or undecided, by which interval covers 0; or failed, with a reason. An open end is None.
    """

    form: str
    status: str
    law: str
    alpha: float | None
    alpha_low: float | None
    alpha_high: float | None
    beta: float | None
    beta_low: float | None
    beta_high: float | None
    theory: float | None
    theory_low: float | None
    theory_high: float | None
    rival: float | None
    rival_low: float | None
    rival_high: float | None
    theory_bootstrap_low: float | None
    theory_bootstrap_high: float | None
    resamples: int


@dataclass(frozen=True, kw_only=True)
class SkillCurve(GridPart):
    """A row of theory/curves.csv: the exact curve L = E + h G(cN, D; tau) of one frequency table. An open end is None.

    left_out: root-mean-square error in ln L on sizes left out one at a time, None with fewer than four. describes: whether it is
    not above that of the better of both laws. sum_*: Chinchilla's sum fitted to the curve itself, where it was.
    """

    table: str
    types: int
    status: str
    c: float | None
    c_low: float | None
    c_high: float | None
    E: float | None
    E_low: float | None
    E_high: float | None
    h: float | None
    h_low: float | None
    h_high: float | None
    tau: float | None
    tau_low: float | None
    tau_high: float | None
    residual_sd: float | None
    chinchilla_sd: float | None
    kaplan_sd: float | None
    left_out: float | None
    chinchilla_left_out: float | None
    kaplan_left_out: float | None
    describes: bool | None
    sum_status: str | None
    sum_alpha: float | None
    sum_beta: float | None
    sum_departure: float | None


@dataclass(frozen=True, kw_only=True)
class TableExponent:
    """A row of theory/exponents.csv: the exponent of a frequency table above a count, chosen where `rule` is None.

    status: law, no asymptotic law, undecided or bound hit; or failed, with a reason.
    """

    table: str
    rule: int | None
    primary: bool
    status: str
    g: float | None
    g_low: float | None
    g_high: float | None
    a: float | None
    a_low: float | None
    a_high: float | None
    xmin: int | None
    types: int
    distance: float | None


@dataclass(frozen=True, kw_only=True)
class NgramGap:
    """A row of theory/budgets.csv: loss of a model that holds `budget` trigrams minus that of one with all, nats a trigram of
    test text, and two predictions. frequencies: of `training`, or of `validation`."""

    frequencies: str
    primary: bool
    budget: int
    measured: float
    constant: float
    by_class: float
    floor: float
    unseen: float


@dataclass(frozen=True, kw_only=True)
class ConditionalGain:
    """A row of theory/conditional.csv: mean ln det that a token adds to those before it, at positions first..last of a text.

    variant: trained, or projected: the widest model's rows on as many directions as this model is wide. The interval is over
    documents.
    """

    model: str
    corpus: str
    params_nonembedding: int
    d: int
    layer: str
    variant: str
    donor: str | None
    eps2: float
    first: int
    last: int
    tokens: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class DocumentVariance:
    """A row of theory/documents.csv: the covariance of unit rows within documents and between their means.

    between: share of the trace; expected: what means of as many tokens of chance would give. ln_det_*: ln det(I + d C / eps2) of
    the whole, of the part within, and of that between. residual: largest element of whole - within - between over the largest of
    the whole. chain_residual: largest |sum of gains - ln det| over ln det, over texts.
    """

    model: str
    corpus: str
    params_nonembedding: int
    d: int
    layer: str
    variant: str
    donor: str | None
    documents: int
    tokens: int
    between: float
    expected: float
    ln_det_whole: float
    ln_det_within: float
    ln_det_between: float
    residual: float
    chain_residual: float


@dataclass(frozen=True, kw_only=True)
class BigramLoss:
    """A row of theory/bigrams.csv: a model's loss on test tokens whose bigram with the token before has a rank in first..last in
    training; 0 for bigrams that training has not. unigram, bigram: losses of count models on the same tokens."""

    model: str
    width: int
    seed: int | None
    params_nonembedding: int
    params_total: int
    first_rank: int
    last_rank: int
    count: float
    tokens: int
    loss: float
    unigram: float
    bigram: float


@dataclass(frozen=True, kw_only=True)
class LearntRank:
    """A row of theory/quanta.csv: the rank at which a model has learnt a share of what bigram counts know beyond unigram counts,
    or (share None) the mean ln rank of where the loss falls from the next smaller model to this one."""

    width: int
    params_nonembedding: int
    share: float | None
    rank: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class FactBin:
    """A row of facts.csv: a model trained on planted facts after so many steps, and its losses over ranks first..last, nats.

    No `samples` is training on the law itself. held: facts whose loss is below half of ln(values); overlap: the share of the
    `held` most frequent that are.
    """

    cell: str
    width: int
    params_total: int
    params_nonembedding: int
    exponent: float
    seed: int
    samples: int | None
    steps: int
    gap: float
    gap_seen: float
    gap_unseen: float
    seen: int
    held: int
    overlap: float | None
    first_rank: int
    last_rank: int
    mass: float
    loss: float
    spread: float
    bin_held: float
    bin_seen: float
    task: str


@dataclass(frozen=True, kw_only=True)
class FactModel:
    """A row of theory/facts.csv: what a cell shows beside the theory, after its longest training.

    n: how many facts, the most frequent ones, would leave its gap; inside: the part of the gap at ranks up to n; edge: log2 of
    the ratio of the ranks where the profile crosses 1/4 and 3/4; beyond: mean loss above 4 n over that of an unknown fact.
    change: by which part the last doubling of steps lowers the gap; `kept` if that is below 10 %.
    """

    cell: str
    width: int
    params_total: int
    params_nonembedding: int
    exponent: float
    seed: int
    samples: int | None
    steps: int
    gap: float
    change: float
    kept: bool
    n: float
    overlap: float | None
    edge: float | None
    inside: float
    beyond: float | None
    unseen_ratio: float | None


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """A row of small_steps.csv: KL of a change of weights beside Fisher's quadratic form, nats a position, and their ratio with
    its interval over documents. sign: forward, backward, mean. start, end: steps of training; absent for other directions."""

    direction: str
    sign: str
    relative: float
    kl: float
    quadratic: float
    ratio: float
    low: float
    high: float
    documents: int
    start: int | None
    end: int | None
    model: str


@dataclass(frozen=True, kw_only=True)
class StepRadius:
    """A row of step_radii.csv: up to which |delta| / |theta|, and which KL in nats a position, the quadratic form holds to 10 %;
    where it held at every size, `reached` is false and these are the largest that were measured."""

    direction: str
    sign: str
    relative: float
    kl: float
    reached: bool


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """A row of theory/conclusions.csv: an effect with its interval, what the theory predicts for it and what a rival does.

    status: theory, rival, neither, undecided, or what the question names; `untested` with a reason where there are no numbers.
    """

    name: str
    question: str
    primary: bool
    status: str
    unit: str
    effect: float | None
    low: float | None
    high: float | None
    predicted: float | None
    rival: float | None
    note: str


def by_slope(nulls: Iterable[NullSlope]) -> dict[SlopeKey, dict[str, NullSlope]]:
    """Nulls of each slope, by name."""
    found: dict[SlopeKey, dict[str, NullSlope]] = {}
    for row in nulls:
        found.setdefault(row.key, {})[row.null] = row
    return found


def defined(value: float) -> float | None:
    """A number, or None for NaN."""
    return None if math.isnan(value) else float(value)


def write_csv(path: Path, record: type[R], rows: Iterable[R]) -> None:
    """Rows of one kind as CSV; without rows the columns alone. Raises DataError for a value that is not of its column's type."""
    kinds, rows = columns(record), list(rows)
    own = open_columns(record)
    extra = list(getattr(rows[0], own)) if own and rows else []
    names = [name for field in kinds for name in (extra if field == own else [field])]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        file.write(line(names))
        for number, row in enumerate(rows, 2):
            values = vars(row) | (getattr(row, own) if own else {})
            if own and list(getattr(row, own)) != extra:
                raise DataError(f"{path}: line {number}: not the same {own} as in line 2")
            file.write(line(to_cell(values[name], kinds.get(name, float), f"{path}: column {name!r}") for name in names))


def line(cells: Iterable[str]) -> str:
    """A line of CSV. The csv module leaves a lone carriage return unquoted, which reading takes for the end of the line."""
    special = frozenset(',"\r\n')
    return ",".join('"' + cell.replace('"', '""') + '"' if special & set(cell) else cell for cell in cells) + "\n"


def read_csv(path: Path, record: type[R]) -> list[R]:
    """Rows of a CSV file as records.

    Raises DataError that names the file and the column for one that is not there or not known, and for a cell of another type.
    """
    kinds, own = columns(record), open_columns(record)
    with Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        names = next(reader, [])
        if missing := [name for name in kinds if name not in names and name != own]:
            raise DataError(f"{path}: no column {missing[0]!r}; a {record.__name__} has {', '.join(kinds)}")
        if repeated := [name for name in names if names.count(name) > 1]:
            raise DataError(f"{path}: column {repeated[0]!r} stands there more than once")
        if (unknown := [name for name in names if name not in kinds]) and not own:
            raise DataError(f"{path}: unknown column {unknown[0]!r}; a {record.__name__} has {', '.join(kinds)}")
        readers = [(name, cell_reader(kinds.get(name, float))) for name in names]
        found = []
        for cells in reader:
            if len(cells) != len(names):
                raise DataError(f"{path}: line {reader.line_num} has {len(cells)} cells for {len(names)} columns")
            values: dict[str, Any] = {}
            for (name, parse), cell in zip(readers, cells, strict=True):
                try:
                    values[name] = parse(cell)
                except ValueError:
                    kind = described(kinds.get(name, float))
                    raise DataError(f"{path}: line {reader.line_num}, column {name!r}: {cell!r} is not {kind}") from None
            if own:
                values[own] = {name: values.pop(name) for name in unknown}
            found.append(record(**values))
    return found


def write_json(path: Path, kind: type[R], value: R) -> None:
    """A record, or a list of them, as JSON: `kind` is the declared type, such as list[MetricLaw]."""
    plain = encoded(value, kind, str(path))
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, kind: type[R]) -> R:
    """What `write_json` wrote. Raises DataError that names the file and the key for what is not of its type."""
    try:
        plain = json.loads(Path(path).read_text())
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    return cast(R, decoded(plain, kind, str(path)))


def columns(record: Any) -> dict[str, Any]:
    """Names and types of a record's fields, in order."""
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record)}


def open_columns(record: type) -> str | None:
    """The field that holds all columns which the record does not name, if it has one."""
    return next((name for name, kind in columns(record).items() if get_origin(kind) is Mapping), None)


def optional(kind: Any) -> tuple[Any, bool]:
    """A type without None, and whether it had it."""
    if get_origin(kind) in (Union, UnionType):
        rest = [one for one in get_args(kind) if one is not type(None)]
        return rest[0], len(rest) < len(get_args(kind))
    return kind, False


def described(kind: Any) -> str:
    """A type in words."""
    own, may_be_none = optional(kind)
    known = {str: "text", int: "an integer", float: "a finite number", bool: "true or false (in CSV 1 or 0)"}
    if own in known:
        words = known[own]
    elif isinstance(own, type) and issubclass(own, StrEnum):
        words = f"one of {', '.join(own)}"
    else:
        words = getattr(own, "__name__", str(own))
    return words + (" or nothing" if may_be_none else "")


def scalar(value: Any, kind: Any, where: str) -> Any:
    """A plain str, int, float or bool of a value of that kind."""
    if isinstance(kind, type) and issubclass(kind, StrEnum) and value in tuple(kind):
        return str(value)
    if kind is str and type(value) is str:
        return value
    if kind is bool and isinstance(value, bool | np.bool_):
        return bool(value)
    if kind is int and isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if kind is float and isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise DataError(f"{where}: {value!r} is not {described(kind)}")


def to_cell(value: Any, kind: Any, where: str) -> str:
    """A value as a cell of CSV."""
    own, may_be_none = optional(kind)
    if value is None and may_be_none:
        return ""
    plain = scalar(value, own, where)
    if own is bool:
        return str(int(plain))
    if plain == "" and may_be_none:
        raise DataError(f"{where}: an empty text is indistinguishable from no value")
    return repr(plain) if own is float else str(plain)


def cell_reader(kind: Any) -> Callable[[str], Any]:
    """Reads cells of that type; raises ValueError for one of another."""
    own, may_be_none = optional(kind)
    readers: dict[Any, Callable[[str], Any]] = {str: str, int: integer, float: finite, bool: truth}
    read: Callable[[str], Any] = readers.get(own, own)
    return (lambda cell: read(cell) if cell else None) if may_be_none else read


def integer(cell: str) -> int:
    if not cell.removeprefix("-").isdecimal():
        raise ValueError(cell)
    return int(cell)


def finite(cell: str) -> float:
    value = float(cell)
    if not math.isfinite(value) or "_" in cell:
        raise ValueError(cell)
    return value


def truth(cell: str) -> bool:
    if cell not in ("0", "1"):
        raise ValueError(cell)
    return cell == "1"


def encoded(value: Any, kind: Any, where: str) -> Any:
    """A value of a declared type as what JSON has."""
    own, may_be_none = optional(kind)
    if value is None and may_be_none:
        return None
    if is_dataclass(own):
        if type(value) is not own:
            raise DataError(f"{where}: {value!r} is not {described(kind)}")
        return {name: encoded(getattr(value, name), of, f"{where}: {name!r}") for name, of in columns(own).items()}
    if get_origin(own) in (list, tuple):
        kinds = element_kinds(own, value, where)
        return [encoded(item, of, f"{where}: {number}") for number, (item, of) in enumerate(zip(value, kinds, strict=True))]
    if get_origin(own) is Mapping:
        _, of = get_args(own)
        return {scalar(name, str, where): encoded(item, of, f"{where}: {name!r}") for name, item in value.items()}
    return scalar(value, own, where)


def decoded(plain: Any, kind: Any, where: str) -> Any:
    """A value of a declared type from what JSON has."""
    own, may_be_none = optional(kind)
    if plain is None and may_be_none:
        return None
    if is_dataclass(own) or get_origin(own) is Mapping:
        if not isinstance(plain, dict):
            raise DataError(f"{where}: {plain!r} is not {described(kind)}")
        if not is_dataclass(own):
            return {name: decoded(item, get_args(own)[1], f"{where}: {name!r}") for name, item in plain.items()}
        kinds = columns(own)
        if missing := [name for name in kinds if name not in plain]:
            raise DataError(f"{where}: no key {missing[0]!r}; a {described(kind)} has {', '.join(kinds)}")
        if unknown := [name for name in plain if name not in kinds]:
            raise DataError(f"{where}: unknown key {unknown[0]!r}; a {described(kind)} has {', '.join(kinds)}")
        return cast(type, own)(**{name: decoded(plain[name], of, f"{where}: {name!r}") for name, of in kinds.items()})
    if get_origin(own) in (list, tuple):
        each = element_kinds(own, plain, where)
        items = [decoded(item, of, f"{where}: {number}") for number, (item, of) in enumerate(zip(plain, each, strict=True))]
        return items if get_origin(own) is list else tuple(items)
    value = scalar(plain, own, where)
    return own(value) if isinstance(own, type) and issubclass(own, StrEnum) else value


def element_kinds(kind: Any, values: Any, where: str) -> Sequence[Any]:
    """The type of each element of a list or a tuple."""
    kinds = get_args(kind)
    many = get_origin(kind) is list or kinds[1:] == (...,)
    if not isinstance(values, list | tuple) or (not many and len(values) != len(kinds)):
        raise DataError(f"{where}: {values!r} is not {'a list' if many else f'{len(kinds)} values'}")
    return [kinds[0]] * len(values) if many else kinds
