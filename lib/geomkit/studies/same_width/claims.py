"""Claims about models of one width: trained beside untrained, text beside shuffled text, and the final norm's weights."""

from geomkit.studies.size_laws.rows import Trend
from geomkit.tables.findings import (
    Finding,
    Inputs,
    claims,
    estimate,
    from_interval,
)

RANK = "erank_covariance"


def trends(inputs: Inputs, control: str, normalise: str, layer: str = "last") -> list[Trend]:
    """Rows of a control of the effective rank at the greatest length of each family and corpus."""
    rows = inputs.rows("scaling/trends.csv", Trend)
    rows = [row for row in rows if (row.control, row.metric, row.normalise, row.layer) == (control, RANK, normalise, layer)]
    most: dict[tuple[str, str], int] = {}
    for row in rows:
        most[row.family, row.corpus] = max(row.length or 0, most.get((row.family, row.corpus), 0))
    return [row for row in rows if row.length and row.length == most[row.family, row.corpus]]


def level_of(row: Trend) -> str:
    return f"level {estimate(row.level, row.level_low, row.level_high)}"


def trend_of(row: Trend) -> str:
    planned = f"; {row.needed} would detect as much" if row.needed else ""
    return f"trend {estimate(row.trend, row.trend_low, row.trend_high)} with ln N{planned}"


@claims.register(
    "training raises the effective rank more in larger models",
    statement="Training raises the effective rank of unit rows more in larger models.",
    source="ours",
    headline=5,
)
def training_raises(inputs: Inputs) -> list[Finding]:
    return [
        Finding.of(
            row,
            "trend with ln N of ln(trained / untrained), last block, unit rows",
            from_interval(row.trend_low, row.trend_high, 1),
            level_of(row),
            value=row.trend,
            low=row.trend_low,
            high=row.trend_high,
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
            "level of ln(trained / untrained), last block, centred rows",
            from_interval(row.level_low, row.level_high, 1),
            trend_of(row),
            value=row.level,
            low=row.level_low,
            high=row.level_high,
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
            "level of ln(text / shuffled text), last block, centred rows",
            from_interval(row.level_low, row.level_high, -1),
            "; ".join(filter(None, [trend_of(row), projected(nulls.get((row.family, row.corpus)))])),
            value=row.level,
            low=row.level_low,
            high=row.level_high,
        )
        for row in trends(inputs, "shuffled", "centre-unit")
    ]


def projected(null: Trend | None) -> str:
    """The trend of the projected null, in words."""
    return "" if null is None else f"that of the projected null {estimate(null.trend, null.trend_low, null.trend_high)}"


@claims.register(
    "the final norm's weights raise the effective rank",
    statement="The final norm's learnt weights raise the effective rank.",
    source="ours",
)
def norm_raises(inputs: Inputs) -> list[Finding]:
    return [
        Finding.of(
            row,
            "level of ln(with / without the weights), unit rows",
            from_interval(row.level_low, row.level_high, 1),
            f"{trend_of(row)}: what the weights add to the exponent",
            value=row.level,
            low=row.level_low,
            high=row.level_high,
        )
        for row in trends(inputs, "norm", "unit", "final")
    ]
