"""Claims about where the information sits: in distances of documents."""

from collections.abc import Sequence

from geomkit.tables.experiments import Likeness
from geomkit.tables.findings import Finding, Inputs, claims, over_documents, same


def shipped(rows: Sequence[Likeness]) -> list[Likeness]:
    """The rows that claims read, which are the ones to ship."""
    return [row for row in rows if row.distance == "chosen"]


@claims.register(
    "hidden states judge likeness better than words",
    statement="Distances of documents' hidden states agree with people's judgements better than TF-IDF does.",
    source="after Tan, Li, Huang 2024, whose distances these are",
)
def judge_likeness(inputs: Inputs) -> list[Finding]:
    rows = [row for row in shipped(inputs.rows("semantics_summary.csv", Likeness)) if row.agreement == "pearson"]
    findings = []
    for row in rows:
        if row.kind != "difference":
            continue
        values = {one.kind: one.value for one in rows if same(one, row, "model", "corpus")}
        effect = "Pearson correlation of the distance chosen on halves minus that of TF-IDF on the same halves"
        reason = (
            f"{values['chosen']:+.2f} against {values['baseline']:+.2f} of TF-IDF; "
            f"smallest difference detectable {values['least']:.2f}"
        )
        findings.append(over_documents(row, effect, "TF-IDF", 1, reason))
    return findings
