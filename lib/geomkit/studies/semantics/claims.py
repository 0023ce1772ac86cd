"""Claims about where the information sits: in distances of documents. docs/protocol_1.md says what each is compared with."""

from collections.abc import Sequence

from geomkit.tables.experiments import Likeness
from geomkit.tables.findings import SEEN, Finding, Inputs, claims, over_documents, same, scope


def shipped(rows: Sequence[Likeness]) -> list[Likeness]:
    """The rows that claims read, which are the ones to ship."""
    return [row for row in rows if row.distance == "chosen"]


@claims.register(
    "hidden states judge likeness better than words",
    statement="Distances of hidden states agree with people's judgements of documents better than TF-IDF does.",
    source="ours",
)
def judge_likeness(inputs: Inputs) -> list[Finding]:
    findings = []
    rows = shipped(inputs.rows("semantics_summary.csv", Likeness))
    for row in rows:
        if row.kind != "difference" or row.agreement is None:
            continue
        values = {one.kind: one.value for one in rows if same(one, row, "model", "corpus", "agreement")}
        effect = (
            f"{row.agreement.capitalize()} correlation of the distance chosen on halves minus that of TF-IDF on the same halves"
        )
        findings.append(
            over_documents(
                row,
                effect,
                "TF-IDF",
                1,
                f"{values['chosen']:+.2f} against {values['baseline']:+.2f} of TF-IDF",
                scope=scope(row, row.agreement),
                details=f"smallest difference that {row.documents} documents can show with 80 % power: {values['least']:.2f}",
                primary=row.agreement == "pearson" and (row.family, row.corpus) not in SEEN,
            )
        )
    return findings
