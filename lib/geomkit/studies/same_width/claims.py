"""Claims about models of one width: trained beside untrained, text beside shuffled text, and the final norm's weights."""

from collections.abc import Sequence
from typing import Any, TypeVar

from geomkit.studies.size_laws.rows import FixedWidth, Trend
from geomkit.tables.findings import (
    Finding,
    Inputs,
    claims,
    estimate,
    from_interval,
    sign_of,
)

R = TypeVar("R", FixedWidth, Trend)

RANK = "erank_covariance"
SHOWN = (
    ("untrained", "unit"),
    ("untrained", "centre-unit"),
    ("shuffled", "centre-unit"),
    ("norm", "unit", "final"),
)
"""Controls with their normalisation, and their layer where it is not the last block."""


def rows_of(inputs: Inputs, name: str, record: type[R], control: str, normalise: str, layer: str) -> list[R]:
    """Rows of a control at one place, at the greatest length of each family and corpus; a length of None is the corpus."""
    rows: list[Any] = inputs.rows(name, record)
    rows = [row for row in rows if (row.control, row.metric, row.normalise, row.layer) == (control, RANK, normalise, layer)]
    most: dict[tuple[str, str], int] = {}
    for row in rows:
        most[row.family, row.corpus] = max(row.length or 0, most.get((row.family, row.corpus), 0))
    return [row for row in rows if row.length and row.length == most[row.family, row.corpus]]


def trends(inputs: Inputs, control: str, normalise: str, layer: str = "last") -> list[Trend]:
    """Level and trend of a control of the effective rank."""
    return rows_of(inputs, "scaling/trends.csv", Trend, control, normalise, layer)


def widths(inputs: Inputs, control: str, normalise: str, layer: str = "last") -> list[FixedWidth]:
    """The differences of a control of the effective rank at each width."""
    rows = rows_of(inputs, "scaling/fixed_width.csv", FixedWidth, control, normalise, layer)
    return [row for row in rows if row.value is not None]


def shipped(rows: Sequence[FixedWidth]) -> list[FixedWidth]:
    """The rows that figures of claims show, which are the ones to ship."""
    inputs = Inputs([])
    inputs.known["scaling/fixed_width.csv"] = list(rows)
    return [row for place in SHOWN for row in widths(inputs, *place)]


def level_of(row: Trend) -> str:
    """The mean over widths, and whether it leaves the direction open."""
    covers = " (open)" if sign_of(row.level_low, row.level_high) == 0 else ""
    return f"mean over {row.sizes} widths {estimate(row.level, row.level_low, row.level_high)}{covers}"


def twins_of(row: Trend) -> str:
    """On how many untrained models of each width it rests."""
    return "" if row.twins is None else f"{row.twins} twins"


def trend_of(row: Trend) -> str:
    return f"slope {estimate(row.trend, row.trend_low, row.trend_high)}"


def planned(row: Trend) -> str:
    """How many sizes would show a slope as large as the estimate, where its interval covers 0."""
    return f"{row.needed} would show a slope with ln N as large as this one with 80 % power" if row.needed else ""


@claims.register(
    "trained over untrained effective rank grows with size",
    statement="The effective rank of trained over untrained models, on unit rows, grows with model size.",
    source="ours",
    headline=5,
)
def training_by_size(inputs: Inputs) -> list[Finding]:
    return [
        Finding.of(
            row,
            "slope with ln N of ln(trained / untrained), unit rows",
            from_interval(row.trend_low, row.trend_high, 1),
            "; ".join(filter(None, [level_of(row), twins_of(row)])),
            value=row.trend,
            low=row.trend_low,
            high=row.trend_high,
            details=planned(row),
        )
        for row in trends(inputs, "untrained", "unit")
    ]


@claims.register(
    "training raises the centred effective rank",
    statement="Training raises the effective rank of rows whose mean is subtracted: Diff-eRank is negative.",
    source="ours, against Wei et al. 2024",
)
def training_raises_centred(inputs: Inputs) -> list[Finding]:
    return [
        Finding.of(
            row,
            "mean over widths of ln(trained / untrained), centred rows",
            from_interval(row.level_low, row.level_high, 1),
            "; ".join(filter(None, [trend_of(row), twins_of(row)])),
            value=row.level,
            low=row.level_low,
            high=row.level_high,
            details=planned(row),
        )
        for row in trends(inputs, "untrained", "centre-unit")
    ]


@claims.register(
    "word order lowers the centred effective rank",
    statement="In models of the ladder, text has a lower centred effective rank than its tokens in random order.",
    source="ours",
)
def word_order(inputs: Inputs) -> list[Finding]:
    """The level needs no null for width. What grows with width has one, the widest model's, and is not claimed."""
    nulls = {(row.family, row.corpus): row for row in trends(inputs, "shuffled-projected", "centre-unit")}
    return [
        Finding.of(
            row,
            "mean over widths of ln(text / shuffled text), centred rows",
            from_interval(row.level_low, row.level_high, -1),
            "; ".join(filter(None, [trend_of(row), projected(nulls.get((row.family, row.corpus)))])),
            value=row.level,
            low=row.level_low,
            high=row.level_high,
            details=planned(row),
        )
        for row in trends(inputs, "shuffled", "centre-unit")
    ]


def projected(null: Trend | None) -> str:
    """The trend of the projected null, in words."""
    return "" if null is None else f"projected null {estimate(null.trend, null.trend_low, null.trend_high)}"


@claims.register(
    "the final norm's weights raise the effective rank",
    statement="The final norm's learnt weights raise the effective rank.",
    source="ours",
)
def norm_raises(inputs: Inputs) -> list[Finding]:
    return [
        Finding.of(
            row,
            "mean over widths of ln(with / without the weights), unit rows",
            from_interval(row.level_low, row.level_high, 1),
            trend_of(row),
            value=row.level,
            low=row.level_low,
            high=row.level_high,
            details=planned(row),
        )
        for row in trends(inputs, "norm", "unit", "final")
    ]
