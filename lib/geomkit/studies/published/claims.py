"""Claims about Diff-eRank and published tables: what is known without tokens, or without a margin."""

from itertools import groupby

from geomkit.laws.exponents import Verdict
from geomkit.studies.size_laws.rows import FixedWidth, Growth
from geomkit.tables.findings import (
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    ClaimVerdict,
    Finding,
    Inputs,
    claims,
    conjunction,
    from_interval,
    from_sign,
)

MATRIX_ENTROPY = "matrix_entropy_over_ln_width"


def growth(inputs: Inputs, measure: str) -> list[Growth]:
    return [row for row in inputs.rows("scaling/growth.csv", Growth) if row.measure == measure]


def where(row: Growth | FixedWidth) -> str:
    tokens = "published" if row.published else f"{row.length} tokens" if row.length else "whole corpus"
    return f"{row.family} on {row.corpus}, {tokens}"


def with_size(row: Growth, effect: str, verdict: ClaimVerdict, reason: str) -> Finding:
    """Reports the slope of a measure on ln N."""
    return Finding.of(row, effect, verdict, reason, scope=where(row), value=row.slope, null="no change with size")


def of_nulls(row: Growth) -> str:
    """The slopes of the weaker nulls."""
    slopes = {"a constant shape": row.fixed_spectrum_slope, "a stretched shape": row.stretched_slope}
    return ", ".join(f"{value:+.3f} for {name}" for name, value in slopes.items() if value is not None)


@claims.register(
    "published entropies fall beyond their normaliser",
    statement="Published matrix entropies over ln d fall with model size, beyond a constant entropy over ln d.",
    source="Lee et al. 2024, tables 10 and 11",
)
def published_entropies(inputs: Inputs) -> list[Finding]:
    """Tables have no tokens: a slope is judged by two weaker nulls, a constant entropy and a stretched spectrum."""
    findings = []
    for row in growth(inputs, MATRIX_ENTROPY):
        verdict = UNDECIDED
        if row.verdict is Verdict.OUTSIDE and None not in (row.slope, row.fixed_spectrum_slope):
            below = (row.slope or 0.0) < (row.fixed_spectrum_slope or 0.0)
            verdict = SUPPORTED if below else REFUTED
        reason = f"{row.verdict}{': ' + row.reason if row.reason else ''}; {of_nulls(row)}"
        findings.append(with_size(row, "exponent with N", verdict, reason))
    return findings


@claims.register(
    "Diff-eRank grows",
    statement="Diff-eRank grows with model size.",
    source="Wei et al. 2024",
)
def diff_erank_grows(inputs: Inputs) -> list[Finding]:
    """Whatever the reason: the interval over sizes alone decides, and nulls for width are printed beside it."""
    return [
        with_size(
            row,
            "directions for each e-fold of N",
            from_interval(row.low, row.high, 1),
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
    rows = [row for row in inputs.rows("scaling/fixed_width.csv", FixedWidth) if row.control == "diff_erank"]
    findings = []
    for scope, group in groupby(rows, key=where):
        mine = [row for row in group if row.value is not None]
        published = any(row.published for row in mine)
        numbers = ", ".join(f"{row.value:+.1f} at width {row.width}" for row in mine)
        findings.append(
            Finding(
                scope=scope,
                effect="directions, untrained minus trained, at every width",
                verdict=UNDECIDED if published else conjunction([from_sign(row.sign, 1) for row in mine]),
                reason=f"{numbers}; no intervals were published" if published else numbers,
                sizes=len(mine),
            )
        )
    return findings
