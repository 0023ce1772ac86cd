"""Rows of metrics beside scores, and of their rank correlations."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelScore:
    """A metric and a score of one model."""

    model: str
    metric: str
    task: str
    score_metric: str
    """As lm-evaluation-harness names it, with its filter, such as `exact_match,strict-match`; the filter `none` is left out."""
    value: float
    """Of the metric."""
    score: float
    stderr: float | None
    """Standard error of the score over the task's items; None where there is none."""
    higher_is_better: bool | None
    """Of the score; None where the harness does not say."""


@dataclass(frozen=True, kw_only=True)
class ScoreCorrelation:
    """Spearman's correlation of a metric and a score over models, with its 95 % interval."""

    metric: str
    task: str
    score_metric: str
    models: int
    value: float | None
    """Of this and what follows, None with its reason where models are too few, or do not differ."""
    low: float | None
    high: float | None
    p: float | None
    """Of independence, two-sided."""
    p_adjusted: float | None
    """By Holm, over all correlations that were looked at together."""
    reason: str
