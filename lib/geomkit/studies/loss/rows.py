"""Rows about the loss: its laws over model size and data, and what metrics add to them."""

from collections.abc import Mapping
from dataclasses import dataclass

from geomkit.tables.endpoints import Endpoint, Interval
from geomkit.tables.fits import Fitted, PeerValue


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
    """Gain in the loss's prediction from ln of a metric, on a grid over size and data."""

    correlations: Correlations
    correlations_without_least_data: Correlations
    over_data_by_size: Mapping[str, float | None]
    errors: Errors
    null_errors: Errors | None


@dataclass(frozen=True, kw_only=True)
class GridDraw:
    """Laws and metrics of the trainings of one seed, which draws the documents."""

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
    """Effects of the seed: ranges of the best losses by unique tokens, and correlations over seeds with all else fixed."""

    loss_range: Mapping[str, float]
    correlations: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class DataLaws(Endpoint):
    """data_laws.json: the endpoint at which the grid's metrics were measured, and the results of each draw."""

    draws: tuple[GridDraw, ...]
    between_draws: BetweenDraws
