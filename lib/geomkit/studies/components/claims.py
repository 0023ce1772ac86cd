"""Claims about where the information sits: in attention or in MLPs. docs/protocol_1.md says what each is compared with."""

from collections.abc import Sequence

from geomkit.tables.experiments import SublayerEffect
from geomkit.tables.findings import Finding, Inputs, claims, estimate, over_documents

CONTRAST = "mlp minus attention"


def shipped(rows: Sequence[SublayerEffect]) -> list[SublayerEffect]:
    """The rows that claims read, which are the ones to ship."""
    return [row for row in rows if row.sublayer == CONTRAST]


def contrasts(inputs: Inputs, kind: str, metric: str) -> list[SublayerEffect]:
    rows = shipped(inputs.rows("components_summary.csv", SublayerEffect))
    return [row for row in rows if (row.kind, row.metric) == (kind, metric)]


@claims.register(
    "MLPs carry more of the loss",
    statement="Taking out an MLP costs more than taking out attention.",
    source="ours",
)
def mlps_cost_more(inputs: Inputs) -> list[Finding]:
    effect = "rise of the loss with a sublayer's mean in its place, MLP minus attention, averaged over blocks but the first, nats"
    zero = {(row.model, row.corpus): row for row in contrasts(inputs, "zero", "loss")}
    findings = []
    for row in contrasts(inputs, "mean", "loss"):
        other = zero[row.model, row.corpus]
        reason = f"zero in its place {estimate(other.value, other.low, other.high)}"
        findings.append(over_documents(row, effect, "equal parts", 1, reason))
    return findings


@claims.register(
    "MLPs raise the effective rank more",
    statement="MLPs raise the effective rank of hidden states more than attention does.",
    source="ours",
)
def mlps_raise_rank(inputs: Inputs) -> list[Finding]:
    effect = "effective rank after the MLP alone minus that after attention alone, averaged over blocks but the first"
    return [over_documents(row, effect, "equal parts", 1) for row in contrasts(inputs, "after", "erank_covariance")]
