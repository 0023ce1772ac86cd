"""Claims about where the information sits: in which tokens of a context, which are removed.

docs/protocol_1.md says what each claim is compared with, and what had been seen when that was fixed.
"""

from collections.abc import Sequence

from geomkit.tables.experiments import Removal
from geomkit.tables.findings import Finding, Inputs, claims, estimate, over_documents, same, scope

SINKS = {"removable": "sinks may be removed", "kept": "sinks stay"}
HALF = 0.5
READ: dict[str, set[str | None]] = {
    "residual_gini": {None},
    "divergence_gini": {None},
    "divergence_half_kept": {"attention_mean"},
    "residual_area": {"lasso"},
    "divergence_area": {"lasso", "attention_mean"},
}
"""Summaries of removals that claims read, each with its methods."""
LABELS = {
    "own": "itself",
    "stranger": "that of another document's target",
    "noise": "that of Gaussian rows",
    "minus stranger": "minus that of another document's target",
    "minus noise": "minus that of Gaussian rows",
}


def shipped(rows: Sequence[Removal]) -> list[Removal]:
    """The rows that claims read, which are the ones to ship: no curves over fractions."""
    rows = [row for row in rows if row.fraction is None and row.direction in (None, "highest")]
    return [row for row in rows if row.method in READ.get(row.metric, ())]


def removals(
    inputs: Inputs,
    metric: str,
    null: str,
    method: str | None,
    direction: str | None,
    effect: str,
    against: tuple[str, float],
    claimed: int,
    beside: Sequence[str],
) -> list[Finding]:
    """Findings on summaries of one metric, of models, corpora and both treatments of sinks; those of other nulls in words."""
    rows = [row for row in inputs.rows("ablation_summary.csv", Removal) if row.fraction is None]
    rows = [row for row in rows if (row.metric, row.method, row.direction) == (metric, method, direction)]
    findings = []
    for row in rows:
        if row.null != null:
            continue
        alike = [one for one in rows if same(one, row, "model", "corpus", "layer", "sinks")]
        others = [(name, one) for name in beside for one in alike if one.null == name]
        reason = "; ".join(f"{LABELS[name]} {estimate(one.value, one.low, one.high)}" for name, one in others)
        where = scope(row, row.name or f"layer {row.layer}", SINKS[row.sinks])
        findings.append(over_documents(row, effect, against[0], claimed, reason, against[1], scope=where))
    return findings


@claims.register(
    "information is spread over tokens",
    statement="Information about a token is spread over its context rather than held by few tokens.",
    source="Tan, Li, Huang 2024",
)
def spread_over_tokens(inputs: Inputs) -> list[Finding]:
    findings = []
    for metric, what, null in (
        ("residual_gini", "Gini of each context token's share in the ridge regression", "Gaussian rows of the same shape"),
        ("divergence_gini", "Gini of the KL without each context token", "squares of as many Gaussians"),
    ):
        effect, beside = f"{what}, minus that of {null}", ("own", "noise", "minus stranger")
        findings += removals(inputs, metric, "minus noise", None, None, effect, (null, 0.0), -1, beside)
    return findings


@claims.register(
    "half of the context is needed",
    statement="More than half of the context is needed to keep half of its effect on the prediction.",
    source="ours",
)
def half_is_needed(inputs: Inputs) -> list[Finding]:
    effect = "part of the context, most attended first, that alone keeps half of the KL"
    against = ("even shares that add up", HALF)
    return removals(inputs, "divergence_half_kept", "own", "attention_mean", None, effect, against, 1, ("stranger",))


def areas(inputs: Inputs, metric: str, method: str, effect: str) -> list[Finding]:
    against = ("the order found for another document's target", 0.0)
    beside = ("own", "stranger", "minus noise")
    return removals(inputs, f"{metric}_area", "minus stranger", method, "highest", effect, against, 1, beside)


@claims.register(
    "Lasso finds what tells of a target",
    statement="The tokens that Lasso selects carry the information that the context has about their own target.",
    source="Tan, Li, Huang 2024",
)
def lasso_finds(inputs: Inputs) -> list[Finding]:
    words = "removing Lasso's tokens first: area above chance of {}, minus that of another document's target"
    return [
        *areas(inputs, "residual", "lasso", words.format("the ridge residual")),
        *areas(inputs, "divergence", "lasso", words.format("the model's KL in nats")),
    ]


@claims.register(
    "attention finds what tells of a target",
    statement="The most attended tokens carry the information that the model takes from the context for their own target.",
    source="ours",
)
def attention_finds(inputs: Inputs) -> list[Finding]:
    effect = (
        "removing the most attended tokens first: area above chance of the KL in nats, minus that of another document's target"
    )
    return areas(inputs, "divergence", "attention_mean", effect)
