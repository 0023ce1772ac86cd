"""Findings, each a measurement about a claim with its verdict, and the registry of claims.

A claim is a registered function. It reads the records of studies and returns a finding for each scope: models, a corpus and a
layer. Its verdict is computed, never typed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeVar

from geomkit.core.registry import Registry
from geomkit.laws.verdicts import Kind
from geomkit.tables.rows import read_csv, read_json

R = TypeVar("R")


class ClaimVerdict(StrEnum):
    """Verdict of the measurements on a claim, in its scope and nowhere else."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    WIDTH = "explained by width"
    UNDECIDED = "undecided"
    UNTESTED = "untested"


SUPPORTED, REFUTED, WIDTH, UNDECIDED, UNTESTED = ClaimVerdict


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A claim in words, and where it was made."""

    chapter: str
    claim: str
    statement: str
    source: str
    headline: int | None
    """Its place in the README's table, if it has one."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A measurement about a claim in one scope, with the verdict that follows from the numbers."""

    scope: str
    """Models, corpus and layer that it speaks of, and no others."""
    effect: str
    """Name of the measured number, with its unit."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    null: str | None = None
    against: float = 0.0
    """Reference of the value: 0 for a difference, one half for a share."""
    sizes: int | None = None
    documents: int | None = None
    primary: bool = False
    verdict: ClaimVerdict
    reason: str
    details: str = ""
    """Further remarks for a reader: which effect could have been found, and what the null keeps."""

    @classmethod
    def of(cls, row: Any, effect: str, verdict: ClaimVerdict, reason: str, **columns: Any) -> Self:
        """Build a finding from a row of a study, whose columns it takes except those in `columns`.

        Scope, value, interval, margin, sizes and documents are the row's.
        """
        names = ("value", "low", "high", "margin", "sizes", "documents")
        own: dict[str, Any] = {name: getattr(row, name, None) for name in names} | columns
        if "scope" not in own:
            own["scope"] = scope(row)
        return cls(effect=effect, verdict=verdict, reason=reason, **own)


@dataclass(frozen=True, kw_only=True)
class Claim(Finding, Statement):
    """A row of claims.csv: a claim, its measurement in one scope, and the verdict."""


class Inputs:
    """Records by the path of their file below `results/`."""

    def __init__(self, files: Iterable[Path]):
        self.files = list(files)
        self.known: dict[str, list[Any]] = {}

    def rows(self, name: str, record: type[R]) -> list[R]:
        """Read rows of a CSV file, or of a JSON file with a list, by family and corpus; none without such a file."""
        if name not in self.known:
            path = self.path(name)
            rows: list[R] = []
            if path is not None:
                rows = read_json(path, list[record]) if path.suffix == ".json" else read_csv(path, record)  # type: ignore[valid-type]
            sources = list(dict.fromkeys(map(source_of, rows)))
            self.known[name] = sorted(rows, key=lambda row: sources.index(source_of(row)))
        return self.known[name]

    def single(self, name: str, record: type[R]) -> R | None:
        """Read the record in a JSON file; None where there is no such file."""
        path = self.path(name)
        return None if path is None else read_json(path, record)

    def path(self, name: str) -> Path | None:
        return next((path for path in self.files if path.match(name)), None)


def source_of(row: Any) -> tuple[str | None, str | None]:
    """Return family and corpus, where a row has them."""
    return getattr(row, "family", None), getattr(row, "corpus", None)


claims: Registry[Callable[[Inputs], list[Finding]]] = Registry("claim")
"""A claim is registered with its `statement`, its `source` (the paper, others, or ours), and its `headline`, its place in the
README's table, if it has one."""


# words


def scope(row: Any, *particulars: str | None, models: str | None = None) -> str:
    """Describe models, corpus, particulars, and where a row was measured: `ladder on sotu, last, 64 tokens, unit`."""
    return ", ".join(
        [f"{models or getattr(row, 'model', None) or row.family} on {row.corpus}", *filter(None, (*particulars, *place(row)))]
    )


def place(row: Any) -> list[str | None]:
    """Describe layer, number of tokens and normalisation, where a row has them as its own: a layer's number is none."""
    length = getattr(row, "follows", getattr(row, "length", None))
    layer = row.layer if isinstance(getattr(row, "layer", None), str) else None
    return [layer, f"{length} tokens" if length else None, getattr(row, "normalise", None)]


def estimate(value: float | None, low: float | None = None, high: float | None = None, digits: int = 3, sign: str = "+") -> str:
    """Format a number with its interval: `+0.120 [+0.100, …]`.

    An open end is an ellipsis; without both ends there is no interval.
    """
    if value is None:
        return "unknown"
    ends = (
        "" if low is high is None else f" [{', '.join('…' if end is None else f'{end:{sign}.{digits}f}' for end in (low, high))}]"
    )
    return f"{value:{sign}.{digits}f}{ends}"


def nearest(wanted: float, values: Iterable[float]) -> float | None:
    """Return the measured value nearest to one that was fixed beforehand, the smaller of two; None without any."""
    return min(sorted(values), key=lambda value: abs(value - wanted), default=None)


# verdicts


def sign_of(low: float | None, high: float | None, against: float = 0.0) -> int:
    """Return 1 where an interval lies above a number, -1 below it, 0 where it does not exclude it. None is an open end."""
    return int(low is not None and low > against) - int(high is not None and high < against)


def from_sign(sign: int | None, claimed: int) -> ClaimVerdict:
    """Judge the claim that a sign is `claimed`, 1 or -1, by a measured sign (0 or None: not known)."""
    return {claimed: SUPPORTED, -claimed: REFUTED}.get(sign or 0, UNDECIDED)


def from_interval(low: float | None, high: float | None, claimed: int, against: float = 0.0) -> ClaimVerdict:
    """Judge the claim that a number is above (1) or below (-1) another, by an interval."""
    return from_sign(sign_of(low, high, against), claimed)


def from_kind(kind: Kind, difference: float | None, claimed: int) -> ClaimVerdict:
    """Judge the claim that a law's difference from the null has a sign, 1 or -1, by the test of the law."""
    if kind is Kind.BEYOND:
        return from_sign(0 if difference is None else 1 if difference > 0 else -1, claimed)
    return {Kind.NESTED: WIDTH, Kind.UNTESTED: UNTESTED, Kind.FAILED: UNTESTED}.get(kind, UNDECIDED)


def conjunction(verdicts: Sequence[ClaimVerdict]) -> ClaimVerdict:
    """Judge a claim about all: one that is refuted refutes it, and all that are supported support it."""
    if REFUTED in verdicts:
        return REFUTED
    return SUPPORTED if set(verdicts) == {SUPPORTED} else UNDECIDED


SEEN = {("ladder", "sotu"), ("ladder", "lee")}
"""Families and corpora whose experiments had been run before the claims were fixed (docs/protocol_1.md): they explore."""


def over_documents(
    row: Any, effect: str, null: str, claimed: int, reason: str = "", against: float = 0.0, **columns: Any
) -> Finding:
    """Build a finding of an experiment, by whether its interval over documents lies above (1) or below (-1) a number."""
    verdict = from_interval(row.low, row.high, claimed, against)
    own = {"null": null, "against": against, "primary": (row.family, row.corpus) not in SEEN} | columns
    return Finding.of(row, effect, verdict, reason or "the interval over documents", **own)


FINAL, PLAIN = "final", "plain"
"""The state after the final norm, and that state without the norm's gain and bias."""
OF_ROW = ("family", "published", "corpus", "length", "follows", "normalise", "metric", "of", "design", "cells", "column", "fixed")
"""Columns that say what a row is of, but for its layer."""


def same(row: Any, other: Any, *columns: str) -> bool:
    """Whether two rows describe one thing: their columns are equal, those of `OF_ROW` where none are named."""
    return all(getattr(row, name, None) == getattr(other, name, None) for name in columns or OF_ROW)


def plain_row(row: R, rows: Iterable[R]) -> R | None:
    """Return the row of the final state without the final norm's gain and bias, if it was measured."""
    return next((one for one in rows if one.layer == PLAIN and same(one, row)), None)  # type: ignore[attr-defined]


def agreed(row: R, rows: Iterable[R], verdict: Callable[[R], ClaimVerdict]) -> tuple[ClaimVerdict, str]:
    """Return the verdict on a row, and why it is withdrawn.

    Nothing is claimed about the final state that does not hold without the final norm's gain and bias.
    """
    own = verdict(row)
    if row.layer != FINAL or own in (UNDECIDED, UNTESTED):  # type: ignore[attr-defined]
        return own, ""
    plain = plain_row(row, rows)
    other = UNTESTED if plain is None else verdict(plain)
    return (own, "") if other is own else (UNDECIDED, f"; but {other} without the final norm's gain and bias")
