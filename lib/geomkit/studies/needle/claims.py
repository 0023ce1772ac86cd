"""Claims about where the information sits: a fact in filler. docs/protocol_1.md says what each is compared with."""

import math

from geomkit.measures.needle import ClassifiedText, Margins, Scores, outcome
from geomkit.tables.experiments import NeedleText
from geomkit.tables.findings import SUPPORTED, UNDECIDED, UNTESTED, Finding, Inputs, claims


@claims.register(
    "removing tokens finds a fact",
    statement="Removing tokens tells where in a context a fact is, and whether it is told once, many times or never.",
    source="ours",
)
def finds_a_fact(inputs: Inputs) -> list[Finding]:
    findings = []
    rows = inputs.rows("needle/needle.csv", NeedleText)
    for model in dict.fromkeys(row.model for row in rows):
        mine = [row for row in rows if row.model == model]
        texts = [
            ClassifiedText(row.kind, Scores(row.whole, row.none, row.without_one, row.one_kept, row.random or math.nan), row.call)
            for row in mine
        ]
        told = outcome(texts, Margins())
        fillers = len({row.filler for row in mine})
        right = ", ".join(f"{share:.0%} of {kind}" for kind, share in told.right.items())
        findings.append(
            Finding(
                scope=f"{model}, {fillers} fillers in three contexts each",
                effect="loss of the answer without the fact minus with it, nats",
                value=told.none - told.whole,
                null="random removal of as many tokens",
                documents=fillers,
                primary=True,
                verdict=UNTESTED if not told.works else SUPPORTED if told.told_apart else UNDECIDED,
                reason=f"called as they are: {right}; {told.mistaken} called another kind",
                details=f"loss {told.whole:.2f} with the fact, {told.none:.2f} without; by chance {told.random_shift:.3f} off",
            )
        )
    return findings
