"""Claims about where the information sits: in which tokens of a context, which are removed."""

from collections.abc import Sequence

from geomkit.tables.experiments import Removal
from geomkit.tables.findings import Finding, Inputs, claims, estimate, over_documents, same

GINI = "residual_gini"
NULLS = {"minus stranger": "that of another document's target", "minus noise": "that of Gaussian rows"}


def shipped(rows: Sequence[Removal]) -> list[Removal]:
    """The rows that claims read, which are the ones to ship."""
    return [row for row in rows if row.metric == GINI and row.null in NULLS and row.sinks == "kept"]


@claims.register(
    "information is spread over tokens",
    statement="Information about a token is spread over its context rather than held by few tokens.",
    source="Tan, Li, Huang 2024",
)
def spread_over_tokens(inputs: Inputs) -> list[Finding]:
    """A context that holds nothing of its own target is the null: another document's. Gaussian rows are given in words."""
    rows = shipped(inputs.rows("ablation_summary.csv", Removal))
    findings = []
    for row in rows:
        if row.null != "minus stranger":
            continue
        others = [one for one in rows if one.null == "minus noise" and same(one, row, "model", "corpus", "layer")]
        reason = "; ".join(f"minus {NULLS[str(one.null)]} {estimate(one.value, one.low, one.high)}" for one in others)
        effect = "Gini of context tokens' shares in the ridge regression, minus that of another document's target"
        findings.append(over_documents(row, effect, NULLS["minus stranger"], -1, reason))
    return findings
