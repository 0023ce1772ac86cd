"""Rows of measurements and laws that others published."""

from dataclasses import dataclass


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
