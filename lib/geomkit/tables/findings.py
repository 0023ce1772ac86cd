"""Findings, each a measurement about a claim with its verdict, and the registry of claims.

A claim is a registered function. It reads the records of studies and returns one effect, with a finding for each model or
family and corpus. Its verdict is computed, never typed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeVar

from geomkit.core.registry import Registry
from geomkit.laws.pairs import Verdict
from geomkit.tables.rows import read_csv, read_json

R = TypeVar("R")


class ClaimVerdict(StrEnum):
    """Verdict of the measurements on a claim, in its scope and nowhere else, by the words of docs/protocol.md."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    OPEN = "open"
    UNTESTED = "untested"


SUPPORTED, REFUTED, OPEN, UNTESTED = ClaimVerdict


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A claim in words, and where it was made."""

    chapter: str
    claim: str
    statement: str
    source: str
    headline: int | None
    """Its place in the README's table, if it has one."""
    exists: bool
    """Whether it says that something is so sometimes: then one case supports it."""
    exact: bool
    """Whether it is arithmetic, which a measurement can only confirm: pages then call it exact in place of supported."""


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

    def path(self, name: str) -> Path | None:
        return next((path for path in self.files if path.match(name)), None)


def source_of(row: Any) -> tuple[str | None, str | None]:
    """Return family and corpus, where a row has them."""
    return getattr(row, "family", None), getattr(row, "corpus", None)


claims: Registry[Callable[[Inputs], list[Finding]]] = Registry("claim")
"""A claim is registered with its `statement`, its `source` (the paper, others, or ours), and where it has them with `headline`,
its place in the README's table, `exists=True`, if it says that something is so sometimes, and `exact=True`, if it is
arithmetic."""


def status(rows: Sequence[Claim]) -> ClaimVerdict:
    """Give a claim its one status: that of its primary findings where there are any, else of all.

    Findings that differ leave it open. Of a claim that something is so sometimes, one that is supported supports it.
    """
    tested = [row for row in rows if row.verdict is not UNTESTED]
    verdicts = {row.verdict for row in [row for row in tested if row.primary] or tested}
    if not verdicts:
        return UNTESTED
    if rows[0].exists and SUPPORTED in verdicts:
        return SUPPORTED
    return verdicts.pop() if len(verdicts) == 1 else OPEN


# words


def scope(row: Any, *particulars: str | None) -> str:
    """Describe models and corpus: `ladder on sotu`."""
    return ", ".join([f"{getattr(row, 'model', None) or row.family} on {row.corpus}", *filter(None, particulars)])


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
    return {claimed: SUPPORTED, -claimed: REFUTED}.get(sign or 0, OPEN)


def from_interval(low: float | None, high: float | None, claimed: int, against: float = 0.0) -> ClaimVerdict:
    """Judge the claim that a number is above (1) or below (-1) another, by an interval."""
    return from_sign(sign_of(low, high, against), claimed)


def from_law(verdict: Verdict | None, slope: float | None, claimed: int) -> ClaimVerdict:
    """Judge the claim that a law differs from what width gives with a sign, 1 or -1, by the pair model's verdict.

    *Width suffices on average* refutes nothing: its sag or level may lie outside the margin.
    """
    if verdict is None or slope is None:
        return UNTESTED
    match verdict:
        case Verdict.BEYOND:
            return from_sign(1 if slope > 0 else -1, claimed)
        case Verdict.SUFFICES:
            return REFUTED
    return OPEN


def conjunction(verdicts: Sequence[ClaimVerdict]) -> ClaimVerdict:
    """Judge a claim about all: one that is refuted refutes it, and all that are supported support it."""
    if REFUTED in verdicts:
        return REFUTED
    return SUPPORTED if set(verdicts) == {SUPPORTED} else OPEN


SEEN = {("ladder", "sotu"), ("ladder", "lee")}
"""Families and corpora whose experiments had been run before the claims were fixed (docs/protocol_1.md): they explore."""


def over_documents(
    row: Any, effect: str, null: str, claimed: int, reason: str = "", against: float = 0.0, **columns: Any
) -> Finding:
    """Build a finding of an experiment, by whether its interval over documents lies above (1) or below (-1) a number."""
    verdict = from_interval(row.low, row.high, claimed, against)
    own = {"null": null, "against": against, "primary": (row.family, row.corpus) not in SEEN} | columns
    return Finding.of(row, effect, verdict, reason or "the interval over documents", **own)


OF_ROW = ("family", "published", "corpus", "length", "normalise", "metric")
"""Columns that say what a row is of, but for its layer."""


def same(row: Any, other: Any, *columns: str) -> bool:
    """Whether two rows describe one thing: their columns are equal, those of `OF_ROW` where none are named."""
    return all(getattr(row, name, None) == getattr(other, name, None) for name in columns or OF_ROW)
