"""Claims about the theory of skills: conditional entropy behind the laws of size and data."""

from geomkit.tables.findings import SUPPORTED, UNTESTED, ClaimVerdict, Finding, Inputs, claims, from_interval
from geomkit.theory.rows import Conclusion, Status, Test


def conclusions(inputs: Inputs, test: Test) -> list[Conclusion]:
    return [row for row in inputs.rows("theory/conclusions.csv", Conclusion) if row.test is test]


def finding(row: Conclusion, verdict: ClaimVerdict, null: str, against: float = 0.0) -> Finding:
    """A test as a finding. The least and the most beside a median are no interval: they are given in words."""
    spread = [f"from {row.low:.2f} to {row.high:.2f}"] if row.spread else []
    return Finding(
        scope=row.scope,
        effect=row.unit or "no number",
        verdict=verdict,
        reason="; ".join(filter(None, [*spread, row.note])) or str(row.status),
        value=row.effect,
        low=None if row.spread else row.low,
        high=None if row.spread else row.high,
        null=null if row.effect is not None else None,
        against=against,
        primary=row.primary,
    )


@claims.register(
    "gain is a ridge regression",
    statement="The information gain of a new token is its residual in a ridge regression on the tokens before it.",
    source="Tan, Li, Huang 2024",
    exact=True,
)
def identities(inputs: Inputs) -> list[Finding]:
    """An identity: the gains, token by token, add up to the entropy. Numbers near 10^-15 are given in words."""
    return [
        Finding(
            scope=row.scope,
            effect="largest relative error of the sum of gains",
            verdict=SUPPORTED if row.status is Status.HOLDS else row.status.verdict,
            reason=f"the gains add up to the entropy, to a relative {row.effect:.0e}",
        )
        for row in conclusions(inputs, Test.IDENTITY)
        if "chain rule" in row.question
    ]


@claims.register(
    "documents take a growing share of variance",
    statement="The share of variance that lies between documents grows with model size beyond what width gives.",
    source="ours",
)
def between_documents(inputs: Inputs) -> list[Finding]:
    """At the last block."""
    rows = [row for row in conclusions(inputs, Test.DOCUMENTS) if row.scope.endswith("layer last")]
    return [
        finding(row, UNTESTED if row.status is Status.UNTESTED else from_interval(row.low, row.high, 1), "projected")
        for row in rows
    ]


@claims.register(
    "models hold the most frequent facts",
    statement="The planted facts that a model holds are the most frequent ones, as the theory of skills selects them.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_most_frequent(inputs: Inputs) -> list[Finding]:
    return [finding(row, row.status.verdict, "the theory", 1.0) for row in conclusions(inputs, Test.FACTS_MOST_FREQUENT)]
