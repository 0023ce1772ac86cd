"""What conclusions share: a row, the primary row, counts of statuses, slopes on sizes, and numbers in words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from geomkit.errors import DataError
from geomkit.laws.statistics import Estimate, slope
from geomkit.store.records.theory import Conclusion

R = TypeVar("R")


def row(name: str, scope: str, question: str, status: str, effect: Estimate | float | None = None, **more: Any) -> Conclusion:
    """What is not said is nothing. An estimate brings its interval."""
    columns: dict[str, Any] = dict.fromkeys(("low", "high", "predicted", "rival"))
    columns |= {"primary": False, "spread": False, "unit": "", "note": ""}
    columns["effect"] = effect
    if isinstance(effect, Estimate):
        columns |= {"effect": effect.value, "low": effect.low, "high": effect.high}
    return Conclusion(name=name, scope=scope, question=question, status=status, **columns | more)


def one(rows: Iterable[R]) -> R:
    """The primary row. Raises DataError unless there is one."""
    found = [each for each in rows if each.primary]  # type: ignore[attr-defined]
    if len(found) != 1:
        raise DataError(f"theory: {len(found)} primary rows, and there is to be one")
    return found[0]


def counted(statuses: Iterable[str]) -> str:
    """How often each status is there, most frequent first."""
    return ", ".join(f"{number} {status}" for status, number in Counter(statuses).most_common())


def on_sizes(sizes: Sequence[float], values: Sequence[Any], level: float = 0.95) -> Estimate:
    """Slope of ln value on ln size, values of one size averaged in logarithm."""
    x, index = np.unique(np.asarray(sizes, dtype=float), return_inverse=True)
    y = np.bincount(index, np.log(np.asarray(values, dtype=float))) / np.bincount(index)
    return slope(np.log(x), y, level)


def shown(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A number with its interval, where it has one; an open end is an ellipsis."""
    if value is None:
        return "none"
    if low is None and high is None:
        return f"{value:.3f}"
    return f"{value:.3f} [{', '.join('…' if each is None else f'{each:.3f}' for each in (low, high))}]"
