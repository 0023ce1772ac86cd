"""Claims: what one is, what it reads, and what a verdict on a law or an interval means for it.

A claim is a registered function. It reads the records of other studies and returns a finding for each family, corpus and layer
that it speaks of. Its verdict is computed, never typed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from geomkit.laws.verdicts import Kind
from geomkit.registry import Registry
from geomkit.store.records.claims import ClaimVerdict
from geomkit.store.records.files import read_csv, read_json

R = TypeVar("R")
OF_KIND = {
    Kind.NESTED: ClaimVerdict.WIDTH,
    Kind.UNTESTED: ClaimVerdict.UNTESTED,
    Kind.FAILED: ClaimVerdict.UNTESTED,
}
"""What verdicts on laws mean for a claim, but for `beyond width`, which supports or refutes; all others leave it undecided."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was measured about a claim in one place, with the verdict that the numbers give."""

    scope: str
    """Models, corpus and layer that it speaks of, and no others."""
    effect: str
    """What the number is, with its unit."""
    verdict: ClaimVerdict
    reason: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    null: str | None = None
    against: float = 0.0
    """What the value is held against."""
    sizes: int | None = None
    documents: int | None = None
    primary: bool = False
    details: str = ""
    """What else a reader must know."""


class Inputs:
    """Records by the name of their file. Of files of one name, what a later one says of a family and corpus replaces what an
    earlier one says."""

    def __init__(self, files: Sequence[Path]):
        self.files = files
        self.known: dict[tuple[str, type], list[Any]] = {}

    def rows(self, name: str, record: type[R]) -> list[R]:
        """Rows of a CSV file, or of a JSON file that holds a list; none where no file has that name."""
        if (name, record) not in self.known:
            self.known[name, record] = self._read(name, record)
        return self.known[name, record]

    def single(self, name: str, record: type[R]) -> R | None:
        """The record that a JSON file holds, of the latest file of that name; None where there is none."""
        paths = [path for path in self.files if path.name == name]
        return read_json(paths[-1], record) if paths else None

    def _read(self, name: str, record: type[R]) -> list[R]:
        found: dict[tuple[Any, Any], list[R]] = {}
        for path in self.files:
            if path.name != name:
                continue
            rows = read_json(path, list[record]) if path.suffix == ".json" else read_csv(path, record)  # type: ignore[valid-type]
            own: dict[tuple[Any, Any], list[R]] = {}
            for row in rows:
                own.setdefault((getattr(row, "family", None), getattr(row, "corpus", None)), []).append(row)
            found |= own
        return [row for rows in found.values() for row in rows]


claims: Registry[Callable[[Inputs], list[Finding]]] = Registry("claim")
"""A claim is registered with its `statement`, its `source` (the paper, others, or ours), and its `headline`, its place in the
README's table, if it has one."""


def from_kind(kind: Kind, difference: float | None, claimed: int) -> ClaimVerdict:
    """What a verdict on a law means for a claim that its difference from the null has a sign: 1 or -1."""
    if kind is Kind.BEYOND and difference is not None:
        return ClaimVerdict.SUPPORTED if difference * claimed > 0 else ClaimVerdict.REFUTED
    return OF_KIND.get(kind, ClaimVerdict.UNDECIDED)


def from_interval(low: float | None, high: float | None, claimed: int, against: float = 0.0) -> ClaimVerdict:
    """What an interval means for a claim that a number is above (1) or below (-1) another."""
    if low is None or high is None:
        return ClaimVerdict.UNDECIDED
    if low > against:
        return ClaimVerdict.SUPPORTED if claimed > 0 else ClaimVerdict.REFUTED
    if high < against:
        return ClaimVerdict.SUPPORTED if claimed < 0 else ClaimVerdict.REFUTED
    return ClaimVerdict.UNDECIDED


def every_one(signs: Sequence[int | None], claimed: int) -> ClaimVerdict:
    """What signs of intervals (0 where one covers 0, None without one) mean for a claim of all: one against it refutes."""
    if -claimed in signs:
        return ClaimVerdict.REFUTED
    return ClaimVerdict.SUPPORTED if signs and set(signs) == {claimed} else ClaimVerdict.UNDECIDED


def unless_plain_agrees(own: ClaimVerdict, plain: ClaimVerdict | None) -> tuple[ClaimVerdict, str]:
    """The verdict on the final state, which needs the same one without the final norm's gain and bias, and why it lacks it."""
    if own in (ClaimVerdict.UNDECIDED, ClaimVerdict.UNTESTED) or own is plain:
        return own, ""
    return ClaimVerdict.UNDECIDED, f"; but {plain or ClaimVerdict.UNTESTED} without the final norm's gain and bias"
