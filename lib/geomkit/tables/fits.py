"""Fitted laws of metrics and of the loss, and comparisons with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from geomkit.laws.forms import Status
from geomkit.laws.lack_of_fit import Fitness
from geomkit.tables.endpoints import Compared, Endpoint, Interval, Source


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted law (`geomkit.laws.fit.Fit`): no parameters and no numbers where it failed, and a reason."""

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
    """A published parameter, in the sign of ours, and whether our interval contains it.

    None where there is no interval, as of a law that is rejected.
    """

    law: str
    parameter: str
    value: float
    inside: bool | None


@dataclass(frozen=True, kw_only=True)
class SizeLaw(Fitted):
    """A law of the loss with one measure of size, tested against the scatter of seeds.

    One that is rejected has no intervals: they would be those of a law that does not hold.
    """

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
    """Text that a loss was measured on."""

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
    """Number of predicted tokens."""
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
    """An entry of entropy_loss.json: how much a metric, or a null (`variant`), predicts of the loss beyond size.

    `law_...` is the law of the loss that best predicts sizes left out, the baseline; errors are those of the loss at sizes left
    out, in nats a token. `weaker_...` have a power of ln N alone as their baseline, which anything that bends with size beats.

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
