"""Rows of the theory of skills, of planted facts and of small steps."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from geomkit.tables.findings import ClaimVerdict


@dataclass(frozen=True, kw_only=True)
class SimulatedGraph:
    """A row of theory/simulation.csv: a closed form beside the mean of sampled graphs of texts and skills.

    quantity: `size` (entropy that size alone leaves, nats a use), `seen` (skills seen at least `times` times), `gap` (what size
    and data leave). entropies: `one`, or `falling` where frequent skills have more. `inside` where the interval holds it; the
    three intervals of a graph hold together with 95 %.
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
    """A selection of cells of the training grid: one seed, with a measure of size, without less unique data than `least`."""

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
    """A row of theory/budgets.csv: loss of a model that knows `budget` trigrams minus that of one with all, nats a trigram of
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
    training; 0 for bigrams that do not occur in training. unigram, bigram: losses of count models on the same tokens."""

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
    """A row of theory/quanta.csv: the rank at which a model has learnt a share of what bigram counts add to unigram counts, or
    (share None) the mean ln rank of where the loss falls from the next smaller model to this one."""

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
    """A row of theory/facts.csv: what a cell has learnt after its longest training, beside the theory.

    n: how many facts, the most frequent ones, would leave its gap; inside: the part of the gap at ranks up to n; edge: log2 of
    the ratio of the ranks where the profile crosses 1/4 and 3/4; beyond: mean loss above 4 n over that of an unknown fact.
    change: by which part of the gap before it the last doubling of steps lowers the gap (of seen facts, with finite texts), and
    change_of_last relative to the gap after it; `kept` and `kept_of_last` if that is below 10 %. gap_seen: the part of facts in
    the training texts. charged: the gap, had unseen facts cost what an unknown one does; unseen_ratio: what they cost beside
    that. limited: the gap is that of endless texts, to 10 %, so size limits it.
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
    charged: float
    limited: bool
    change: float
    change_of_last: float
    kept: bool
    kept_of_last: bool
    facts: int
    held: int
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
    """A row of step_radii.csv: up to which |delta| / |theta|, and which KL in nats a position, the quadratic form is accurate to
    10 %; where it is so at every size, `reached` is false and these are the largest that were measured."""

    direction: str
    sign: str
    relative: float
    kl: float
    reached: bool


class Test(StrEnum):
    """Test of the theory. A row of conclusions.csv is named by its test and, where there are several, by its case."""

    ARITHMETIC = "skill-graph-arithmetic"
    RELATION = "exponent-relation"
    RIVAL = "exponent-rival"
    OTHER_RELATIONS = "exponent-relation-sensitivity"
    CURVE = "exact-curve"
    SUM = "sum-on-exact-curve"
    OTHER_CURVES = "exact-curve-sensitivity"
    EXPONENT = "table-exponent"
    ALPHA = "table-alpha"
    BETA = "table-beta"
    OTHER_EXPONENTS = "table-exponent-sensitivity"
    CONSTANT_BUDGET = "budget-constant"
    CLASS_BUDGET = "budget-by-class"
    IDENTITY = "identity"
    CONDITIONAL = "conditional-entropy"
    DOCUMENTS = "between-documents"
    QUANTA = "quanta"
    FACTS_SIZE = "facts-size"
    FACTS_CAPACITY = "facts-one-c"
    FACTS_GAP = "facts-gap"
    FACTS_MOST_FREQUENT = "facts-most-frequent"
    FACTS_EDGE = "facts-edge"
    FACTS_INSIDE = "facts-inside"
    FACTS_BEYOND = "facts-beyond"
    FACTS_DATA = "facts-data"
    FACTS_UNSEEN = "facts-unseen"
    STEPS_BY_CHANCE = "small-steps-chance"
    STEPS_ALONG_GRADIENT = "small-steps-gradient"
    STEPS_OF_TRAINING = "small-steps-training"


YES, NO = ClaimVerdict.SUPPORTED, ClaimVerdict.REFUTED


class Status(StrEnum):
    """The outcome of a test of the theory, with its `verdict`: undecided where a status has none."""

    verdict: ClaimVerdict

    def __new__(cls, word: str, verdict: ClaimVerdict = ClaimVerdict.OPEN) -> Self:
        status = str.__new__(cls, word)
        status._value_, status.verdict = word, verdict
        return status

    UNDECIDED = "undecided"
    UNTESTED = "untested", ClaimVerdict.UNTESTED
    FAILED = "failed"
    EXPLORATORY = "exploratory"
    COUNTED = "counted"
    SUPPORTED = "supported", YES
    CONTRADICTED = "contradicted", NO
    MIXED = "mixed"
    AGREES = "agrees", YES
    DIFFERS = "differs", NO
    THEORY = "theory", YES
    RIVAL = "rival", NO
    NEITHER = "neither", NO
    DESCRIBES = "describes", YES
    DESCRIBES_NOT = "does not describe", NO
    CONVERGED = "converged"
    BOUND_HIT = "bound hit"
    LAW = "law", YES
    NO_LAW = "no asymptotic law", NO
    RIGHT = "right", YES
    BEST_AND_RIGHT = "right, better", YES
    WRONG = "wrong", NO
    BEST_AND_WRONG = "wrong, better", NO
    HOLDS = "holds", YES
    BROKEN = "broken", NO
    BEYOND_WIDTH = "beyond width"
    COVERS_SLOPE = "covers the curve's slope"
    OTHER_SLOPE = "has another slope", NO
    AS_PREDICTED = "as predicted", YES
    SHARP = "sharp", YES
    GRADUAL = "gradual", NO
    MOSTLY_BEYOND = "mostly beyond", YES
    PARTIAL_KNOWLEDGE = "partial knowledge", NO
    CONFIDENT_ERRORS = "confident errors", NO
    RADIUS = "radius", YES
    THROUGHOUT = "holds throughout", NO
    WITHIN = "within", YES
    PARTLY = "partly", NO
    OUTSIDE = "outside", NO


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """A row of theory/conclusions.csv: an effect with its interval, and the predictions of the theory and of a rival.

    scope: models, texts or cells that it speaks of. status: `untested`, with a reason in the note, where there are no numbers.
    spread: the effect is a median, and low and high are the least and the most; else they are ends of a 95 % interval.
    """

    name: str
    scope: str
    question: str
    primary: bool
    status: Status
    unit: str
    effect: float | None
    low: float | None
    high: float | None
    spread: bool
    predicted: float | None
    rival: float | None
    note: str

    @property
    def test(self) -> Test:
        """The test of which the row is a case. Raises ValueError for a name that begins with none."""
        return max((test for test in Test if f"{self.name}-".startswith(f"{test}-")), key=len)
