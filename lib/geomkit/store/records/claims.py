"""Rows of the ledger of claims."""

from dataclasses import dataclass
from enum import StrEnum


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
    headline: int | None
    """Its place in the README's table, if it has one."""
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
