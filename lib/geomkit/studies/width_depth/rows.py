"""Rows about what varies beside size: width and depth apart, seeds, training steps."""

from dataclasses import dataclass

from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.verdicts import Kind
from geomkit.tables.endpoints import Endpoint


@dataclass(frozen=True, kw_only=True)
class CellPoint(Endpoint):
    """A row of width_depth_points.csv: a training's value at one endpoint (its loss has none), the mean over texts. `null`: what
    the ladder's widest model shows on as many leading directions; `group`: why it was trained."""

    corpus: str
    model: str
    group: str
    width: int
    layers: int
    mlp: int
    tied: bool
    seed: int
    peak_rate: float | None
    weight_decay: float | None
    params_nonembedding: int
    params_total: int
    metric: str
    value: float
    null: float | None


@dataclass(frozen=True, kw_only=True)
class Effect(Endpoint):
    """A row of width_depth.csv: how ln of a metric, or (`of` is `difference`) ln(metric / projected null), goes with ln of
    one measure (`column`), the other columns of its `design` held fixed. No numbers where the design is refused; `reason` says
    why."""

    corpus: str
    of: str
    metric: str
    design: str
    cells: str
    """Cells of the fit: `all`, or the widths that are left."""
    column: str
    primary: bool
    value: float | None
    low: float | None
    high: float | None
    low_90: float | None
    high_90: float | None
    error_scatter: float | None
    error_pure: float | None
    error_documents: float | None
    p: float | None
    p_adjusted: float | None
    tests: int | None
    margin: float | None
    verdict: Kind
    detectable: float | None
    number: int
    """Of cells."""
    condition: float | None
    fit: Fitness | None
    fit_p: float | None
    flags: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TiedShare:
    """A row of tied.csv: how much worse a model with one embedding matrix is than the untied one of its width, beside what an
    untied model of as many parameters in all would be (`expected`), both in ln loss; without a width the share of the one in the
    other, with its t interval over widths. 0: the loss follows parameters without embeddings, or width; 1: all parameters."""

    corpus: str
    width: int | None
    params_total: int | None
    expected: float | None
    value: float
    low: float | None
    high: float | None
    follows: str


@dataclass(frozen=True, kw_only=True)
class RateCheck:
    """A row of rates.csv: whether the recipe's peak rate is good at another depth: its validation loss above the least of the
    rates that were tried, in ln loss, and what two seeds would differ by."""

    width: int
    layers: int
    recipe: float
    best: float
    excess: float
    allowed: float
    good: bool


@dataclass(frozen=True, kw_only=True)
class SeedCorrelation(Endpoint):
    """A row of seeds.csv: the correlation of ln of a metric with ln loss over trainings, with everything in `fixed` held
    constant."""

    corpus: str
    metric: str
    fixed: str
    primary: bool
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    tests: int | None
    models: int
    freedom: int | None
    detectable: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class StepPoint(Endpoint):
    """A row of trajectory/points.csv: one training's value after a step, the mean over texts (length empty: of the corpus's
    cloud of other `rows`). `layer` is a number, or empty for the loss and for drawn rows."""

    family: str
    corpus: str
    training: str
    seed: int | None
    step: int
    params_nonembedding: int
    width: int
    depth: int
    variant: str
    metric: str
    value: float


@dataclass(frozen=True, kw_only=True)
class StepTurn(Endpoint):
    """A row of trajectory/turns.csv: a leg of a metric's course over training, the mean over seeds, from step `start` to `stop`.
    A leg that ends in a turn has the turn's interval of steps. `change`: of ln value, with its interval over documents."""

    family: str
    corpus: str
    params_nonembedding: int
    width: int
    metric: str
    number: int
    start: int
    stop: int
    turn_low: int | None
    turn_high: int | None
    change: float
    low: float
    high: float
    counts: bool
    seeds: int
    phases: str
    """The legs compared with fall, rise, fall (for alpha-ReQ rise, fall, rise); empty away from the place of published phases."""

    @property
    def way(self) -> str:
        """Whether the leg rises or falls."""
        return "rises" if self.change > 0 else "falls"


@dataclass(frozen=True, kw_only=True)
class StepLaw(Endpoint):
    """A row of trajectory/laws.csv: along training at fixed width, the partial correlation of ln of a metric with ln loss, ln
    step held fixed, or of the rival, ln step with ln loss, the metric held fixed; a training's own, or (without one) their
    mean."""

    family: str
    corpus: str
    metric: str
    predictor: str
    training: str | None
    value: float | None
    low: float | None
    high: float | None
    p_adjusted: float | None
    tests: int | None
    trainings: int
    freedom: int | None
    detectable: float | None
    error_step: float | None
    """Of ln loss at steps left out: by a parabola in ln step."""
    error_step_and_metric: float | None
    primary: bool
    reason: str
