"""Rows of what was not measured, with the reason."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A row of a list of what a table does not hold, and why."""

    model: str
    corpus: str
    absent: str
    reason: str
