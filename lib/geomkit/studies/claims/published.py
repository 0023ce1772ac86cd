"""Claims about Diff-eRank and published tables: what is known without tokens, or without a margin."""

from itertools import groupby

from geomkit.laws.exponents import Verdict
from geomkit.store.findings import Finding, Inputs, claims, every_one, from_interval
from geomkit.store.records.claims import ClaimVerdict
from geomkit.store.records.scaling import FixedWidth, Growth

MATRIX_ENTROPY = "matrix_entropy_over_ln_width"


def growth(inputs: Inputs, measure: str) -> list[Growth]:
    return [row for row in inputs.rows("growth.csv", Growth) if row.measure == measure]


def finding(row: Growth, verdict: ClaimVerdict, effect: str, null: str | None, reason: str) -> Finding:
    tokens = "published" if row.published else f"{row.length} tokens" if row.length else "whole corpus"
    return Finding(
        scope=f"{row.family} on {row.corpus}, {tokens}", effect=effect, value=row.slope, low=row.low, high=row.high, null=null,
        verdict=verdict, reason=reason,
    )  # fmt: skip


def of_nulls(row: Growth) -> str:
    """Slopes of the weaker nulls."""
    found = {"a constant shape": row.fixed_spectrum_slope, "a stretched shape": row.stretched_slope}
    return ", ".join(f"{value:+.3f} for {name}" for name, value in found.items() if value is not None)


@claims.register(
    "published entropies fall beyond their normaliser",
    statement="Published matrix entropies over ln d fall with model size, beyond a constant entropy over ln d.",
    source="Lee et al. 2024, tables 10 and 11",
)
def published_entropies(inputs: Inputs) -> list[Finding]:
    """Tables have no tokens: a slope is judged by two weaker nulls, a constant entropy and a stretched spectrum."""
    found = []
    for row in growth(inputs, MATRIX_ENTROPY):
        verdict = ClaimVerdict.UNDECIDED
        if row.verdict is Verdict.OUTSIDE and None not in (row.slope, row.fixed_spectrum_slope):
            below = (row.slope or 0.0) < (row.fixed_spectrum_slope or 0.0)
            verdict = ClaimVerdict.SUPPORTED if below else ClaimVerdict.REFUTED
        reason = f"{row.verdict}{': ' + row.reason if row.reason else ''}; {of_nulls(row)}"
        found.append(finding(row, verdict, "exponent with N", "no change with size", reason))
    return found


@claims.register(
    "Diff-eRank grows",
    statement="Diff-eRank grows with model size.",
    source="Wei et al. 2024",
)
def diff_erank_grows(inputs: Inputs) -> list[Finding]:
    """Whatever the reason: the interval over sizes alone decides, and nulls for width are printed beside it."""
    return [
        finding(
            row,
            from_interval(row.low, row.high, 1),
            "directions for each e-fold of N",
            "no change with size",
            f"{row.growth or 'no slope'}; {of_nulls(row) or 'no null for width'}",
        )
        for row in growth(inputs, "diff_erank")
    ]


@claims.register(
    "Diff-eRank is positive",
    statement="Trained models have a lower effective rank than untrained ones after centring: Diff-eRank is positive.",
    source="Wei et al. 2024",
)
def diff_erank_is_positive(inputs: Inputs) -> list[Finding]:
    """Of the ladder, at every width; of published values their sign alone is known."""
    rows = [row for row in inputs.rows("fixed_width.csv", FixedWidth) if row.control == "diff_erank"]
    found = []
    for (family, corpus, published, length), group in groupby(
        rows, key=lambda row: (row.family, row.corpus, row.published, row.length or 0)
    ):
        mine = [row for row in group if row.value is not None]
        numbers = ", ".join(f"{row.value:+.1f} at width {row.width}" for row in mine)
        where = f"{family} on {corpus}, " + ("published" if published else f"{length} tokens" if length else "whole corpus")
        if published:
            verdict = ClaimVerdict.UNDECIDED
            reason = f"{numbers}; no intervals were published"
        else:
            verdict = every_one([row.sign for row in mine], 1)
            reason = numbers
        effect = "directions, untrained minus trained, at every width"
        found.append(Finding(scope=where, effect=effect, verdict=verdict, reason=reason, sizes=len(mine)))
    return found
