"""Claims about where the information sits: in one long token."""

import math
from collections.abc import Sequence

from geomkit.studies.one_token.rows import OneToken
from geomkit.tables.findings import OPEN, REFUTED, SUPPORTED, ClaimVerdict, Finding, Inputs, claims, estimate, scope

RANK, CENTRED, UNIT = "erank_covariance", "centre-unit", "unit"
RATIO = 10.0
"""Medians of its text that the token exceeds at the blocks that are judged (docs/protocol_results.md)."""
MARGIN = math.log(1.1)
EXPLORED = ("sotu",)
"""Corpora on which the effect had been seen before the analysis was fixed."""


def shipped(rows: Sequence[OneToken]) -> list[OneToken]:
    """The rows that claims read, which are the ones to ship."""
    return [row for row in rows if row.metric == RANK and row.normalise in (CENTRED, UNIT)]


@claims.register(
    "one token makes the centred profile",
    statement="One long token sets the centred effective rank of a layer: lengths and the other tokens give it within 10 %.",
    source="ours",
)
def one_token_makes_profile(inputs: Inputs) -> list[Finding]:
    rows = [row for row in inputs.rows("one_token.csv", OneToken) if row.metric == RANK]
    keys = dict.fromkeys((row.model, row.corpus, row.length) for row in rows)
    return [found for key in keys if (found := finding([row for row in rows if (row.model, row.corpus, row.length) == key]))]


def finding(rows: list[OneToken]) -> Finding | None:
    """The layer at which the prediction is worst, of those where the token is long; None if it is long at none."""
    judged = [row for row in rows if row.normalise == CENTRED and row.ratio > RATIO]
    if not judged:
        return None
    worst = max(judged, key=lambda row: abs(row.value))
    least = min(judged, key=lambda row: row.measured)
    unit = max((row for row in rows if row.normalise == UNIT), key=lambda row: abs(math.log(row.measured / row.without)))
    ratios = [row.ratio for row in judged]
    parts = [
        f"{len(judged)} layers where the token is {min(ratios):.0f} to {max(ratios):.0f} medians long; "
        f"lowest at layer {least.layer}: {least.measured:.2f} directions, {least.predicted:.2f} predicted, "
        f"{least.without:.1f} without the token, {least.most:.2f} at most by lengths alone",
        f"uncentred, the token changes the effective rank by at most {100 * (unit.measured / unit.without - 1):+.1f} %",
    ]
    return Finding.of(
        worst,
        "ln(predicted / measured) of the centred effective rank, where it is worst",
        verdict(judged),
        f"{sum(map(inside, judged))} of {len(judged)} layers within 10 %",
        scope=scope(worst, f"first {worst.length} tokens"),
        margin=MARGIN,
        primary=worst.corpus not in EXPLORED,
        details="; ".join([*parts, f"{estimate(worst.value, worst.low, worst.high)} at the worst layer"]),
    )


def inside(row: OneToken) -> bool:
    """Whether the interval lies within the margin."""
    return row.low is not None and row.high is not None and row.low > -MARGIN and row.high < MARGIN


def outside(row: OneToken) -> bool:
    """Whether the interval lies outside of the margin."""
    return row.low is not None and row.high is not None and (row.low > MARGIN or row.high < -MARGIN)


def verdict(rows: list[OneToken]) -> ClaimVerdict:
    """Refuted by one layer outside of the margin, supported by all within it."""
    if any(map(outside, rows)):
        return REFUTED
    return SUPPORTED if all(map(inside, rows)) else OPEN
