"""Rows of measurements that are missing, with the reason."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A row of a list of missing measurements: what is missing, and why."""

    model: str
    corpus: str
    absent: str
    reason: str
