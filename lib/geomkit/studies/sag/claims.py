"""Claims about laws with model size: their sag."""

from collections.abc import Sequence

from geomkit.laws.pairs import CONFIRMATION
from geomkit.studies.sag.rows import Sag, SagCause
from geomkit.tables.findings import (
    OPEN,
    REFUTED,
    SUPPORTED,
    UNTESTED,
    ClaimVerdict,
    Finding,
    Inputs,
    claims,
    estimate,
    same,
)

ERANK, RULE = "erank_covariance", "2d"
PRIMARY = "wikipedia"
"""The corpus that decides (docs/protocol_results.md)."""
PLACE = ("family", "corpus", "layer", "normalise", "metric")


@claims.register(
    "wide models sag below projection",
    statement="The widest models fall below projection also where texts grow with width.",
    source="ours",
)
def sag_stays(inputs: Inputs) -> list[Finding]:
    rows = [row for row in inputs.rows("sag/sags.csv", Sag) if row.metric == ERANK]
    causes = [row for row in inputs.rows("sag/causes.csv", SagCause) if row.metric == ERANK]
    return [finding(row, rows, causes) for row in rows if (row.tokens, row.seed) == (RULE, None)]


def finding(row: Sag, rows: Sequence[Sag], causes: Sequence[SagCause]) -> Finding:
    """The sag at n = 2d, beside that at the primary length, that with each new seed, and those that causes make."""
    mine = [one for one in rows if same(one, row, *PLACE)]
    reference = next(one for one in mine if one.change is None and one.seed is None)
    seeds = [one for one in mine if one.tokens == reference.tokens and one.seed in CONFIRMATION.seeds.get(one.widest, ())]
    parts = [
        f"{estimate(reference.value, reference.low, reference.high, 2)} at n = {reference.tokens}",
        *(f"seed {one.seed} of width {one.widest} {estimate(one.value, one.low, one.high, 2)}" for one in seeds),
    ]
    others = [f"n = {one.tokens} {estimate(one.value, one.low, one.high)}" for one in mine if one.seed is None]
    made = [
        f"{one.cause} would make {estimate(one.value, one.low, one.high)} on {one.corpus}, n = {one.length}" for one in causes
    ]
    return Finding.of(
        row,
        f"sag at n = {RULE}",
        verdict(reference, row, seeds),
        "; ".join(parts),
        primary=row.corpus == PRIMARY,
        null="projected",
        details="; ".join(
            [
                f"change {estimate(row.change, row.change_low, row.change_high)}",
                *others,
                *([] if seeds else ["no new seed of the widest width"]),
                *made,
            ]
        ),
    )


def verdict(reference: Sag, row: Sag, seeds: Sequence[Sag]) -> ClaimVerdict:
    """Judge as docs/protocol_results.md fixes: what lies within the margin kills, and what lies below 0 supports."""
    if not reference.high < 0:
        return UNTESTED
    if vanishes(row) or (seeds and all(map(vanishes, seeds))):
        return REFUTED
    return SUPPORTED if all(one.high < 0 for one in (row, *seeds)) else OPEN


def vanishes(row: Sag) -> bool:
    """Whether the 90 % interval of a sag lies within its margin."""
    return row.low_90 > -row.margin and row.high_90 < row.margin
