"""Rows of the ladder's trainings."""

from collections.abc import Mapping
from dataclasses import dataclass

from geomkit.tables.endpoints import Endpoint


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
    """A row of sweep.csv: a training for the choice of the recipe's rate and batch."""

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
    """A row of controls.csv or steps.csv: a model that differs from the ladder as its name says, and its losses.

    Losses are in nats a token, on validation and test text. `step`: after how many steps of the optimizer its weights were taken.
    """

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
class ModelShard:
    """A row of weights/<stage>.csv: a file of a model's weights, and the sha256 of the tensors in it."""

    model: str
    shard: str
    sha256: str
