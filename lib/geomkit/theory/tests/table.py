"""Helpers of the tests: rows of conclusions.csv, the primary row of a table, counts of statuses, and slopes on sizes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from geomkit.core.errors import DataError
from geomkit.laws.statistics import Estimate, slope
from geomkit.theory.rows import Conclusion, Status, Test

R = TypeVar("R")


def row(
    test: Test, scope: str, question: str, status: Status, effect: Estimate | float | None = None, case: str = "", **more: Any
) -> Conclusion:
    """Make the row of a test, or of a case of it. What is not given is empty. An estimate brings its interval."""
    columns: dict[str, Any] = dict.fromkeys(("low", "high", "predicted", "rival"))
    columns |= {"primary": False, "spread": False, "unit": "", "note": ""}
    columns["effect"] = effect
    if isinstance(effect, Estimate):
        columns |= {"effect": effect.value, "low": effect.low, "high": effect.high}
    return Conclusion(name="-".join(filter(None, (test, case))), scope=scope, question=question, status=status, **columns | more)


def one(rows: Iterable[R]) -> R:
    """The primary row of a table. Raises DataError unless there is exactly one."""
    primary = [each for each in rows if each.primary]  # type: ignore[attr-defined]
    if len(primary) != 1:
        raise DataError(f"theory: {len(primary)} primary rows, and there is to be one")
    return primary[0]


def counted(statuses: Iterable[str]) -> str:
    """Count each status, most frequent first."""
    return ", ".join(f"{number} {status}" for status, number in Counter(statuses).most_common())


def on_sizes(sizes: Sequence[float], values: Sequence[Any], level: float = 0.95) -> Estimate:
    """Slope of ln value on ln size, values of one size averaged in logarithm."""
    x, index = np.unique(np.asarray(sizes, dtype=float), return_inverse=True)
    y = np.bincount(index, np.log(np.asarray(values, dtype=float))) / np.bincount(index)
    return slope(np.log(x), y, level)


def status_of(words: str) -> tuple[Status, str]:
    """Split the status of a fit from the reason after the colon."""
    word, _, reason = words.partition(": ")
    return Status(word), reason
