"""Claims about laws with model size: texts that grow with width."""

from collections.abc import Sequence
from typing import NamedTuple

from geomkit.studies.width_share.rows import Along, WidthExponent, WidthPoint, WidthPrediction
from geomkit.tables.findings import OPEN, REFUTED, SUPPORTED, ClaimVerdict, Finding, Inputs, claims, estimate, scope

RANK, RATIO, UNIT = "erank_covariance", "rate_distortion_ratio", "unit"
LEAST = 0.9
"""Share of the exponent that width has to account for (docs/protocol_results.md)."""
EXPLORED = ("sotu",)
"""Corpora that only explore."""


def shipped(rows: Sequence[WidthPoint]) -> list[WidthPoint]:
    """The points that figures of claims draw, which are the ones to ship."""
    return [row for row in rows if row.normalise == UNIT]


class Source(NamedTuple):
    """A family on a corpus."""

    family: str
    corpus: str


def by_source(rows: Sequence[Along]) -> dict[Source, list]:
    """Group rows on unit-length tokens by family and corpus."""
    grouped: dict[Source, list] = {}
    for row in rows:
        if row.normalise == UNIT:
            grouped.setdefault(Source(row.family, row.corpus), []).append(row)
    return grouped


@claims.register(
    "width accounts for growth along width",
    statement="Where texts grow with width, width accounts for at least 90 % of effective rank's exponent.",
    source="ours",
)
def width_accounts(inputs: Inputs) -> list[Finding]:
    grouped = by_source(inputs.rows("width_share/exponents.csv", WidthExponent))
    return [found for rows in grouped.values() if (found := of_shares(rows))]


def of_shares(rows: Sequence[WidthExponent]) -> Finding | None:
    """The lowest share of the effective rank over ratios; None where no share is defined."""
    shares = [row for row in rows if row.metric == RANK and row.share is not None]
    if not shares:
        return None
    lowest = min(shares, key=low_end)
    others = [row for row in rows if row.metric == RATIO and row.share is not None]
    parts = [f"r = {row.ratio:g}: exponent {row.exponent:.3f}, share {words(row)}" for row in shares]
    parts += [f"ratio at r = {row.ratio:g}: exponent {row.exponent:.3f}, share {words(row)}" for row in others]
    return Finding.of(
        lowest,
        "lowest share over r",
        verdict_of_shares(shares),
        f"{sum(low_end(row) > LEAST for row in shares)} of {len(shares)} above {LEAST:g}",
        value=lowest.share,
        low=lowest.share_low,
        high=lowest.share_high,
        null="the projected donor",
        against=LEAST,
        primary=lowest.corpus not in EXPLORED,
        details="; ".join(parts),
    )


def verdict_of_shares(shares: Sequence[WidthExponent]) -> ClaimVerdict:
    """Supported if every interval lies above `LEAST`, refuted if one lies below."""
    if any(row.share_high is not None and row.share_high < LEAST for row in shares):
        return REFUTED
    return SUPPORTED if all(low_end(row) > LEAST for row in shares) else OPEN


def low_end(row: WidthExponent) -> float:
    """Low end of a share's interval."""
    return -float("inf") if row.share_low is None else row.share_low


def words(row: WidthExponent) -> str:
    return estimate(row.share, row.share_low, row.share_high, 2, "")


@claims.register(
    "one spectrum predicts wider models",
    statement="One spectrum, learnt on narrow models, predicts wide ones better than stretching or a constant.",
    source="ours",
)
def one_spectrum(inputs: Inputs) -> list[Finding]:
    return [of_predictions(rows) for rows in by_source(inputs.rows("width_share/predictions.csv", WidthPrediction)).values()]


def of_predictions(rows: Sequence[WidthPrediction]) -> Finding:
    """The metric that is predicted worse, beside the other."""
    worse = max(rows, key=lambda row: row.value)
    verdict = REFUTED if worse.value >= 0 else SUPPORTED if all(row.high < 0 for row in rows) else OPEN
    parts = [
        f"{'effective rank' if row.metric == RANK else 'ratio'} {row.error_curve:.3f}, stretched {row.error_stretched:.3f}, "
        f"constant {row.error_constant:.3f}, power law {row.error_power:.3f}"
        for row in rows
    ]
    return Finding.of(
        worse,
        "ln(error / rival's), worse metric",
        verdict,
        "a free power law errs less" if any(row.error_power < row.error_curve for row in rows) else "",
        null="the stretched spectrum and a constant",
        primary=worse.corpus not in EXPLORED,
        scope=scope(worse),
        details="; ".join(
            [
                f"learnt at {ends(worse.learnt)}, predicted at {ends(worse.held_out)}; errors in ln",
                *parts,
                f"a = {worse.decay:.2f}",
            ]
        ),
    )


def ends(widths: str) -> str:
    """First and last of some widths, in words."""
    own = widths.split()
    return f"{own[0]} to {own[-1]}"
