"""Claims about tokens: information gain and the next token."""

from collections.abc import Sequence

from geomkit.studies.next_token.rows import NextToken
from geomkit.tables.findings import REFUTED, SUPPORTED, Finding, Inputs, claims, estimate, same, scope

EXPLORED = ("sotu",)
"""Corpora that only explore (docs/protocol_results.md)."""
ENTROPY, EVERYTHING = "entropy", "everything"


def shipped(rows: Sequence[NextToken]) -> list[NextToken]:
    """The rows that claims read, which are the ones to ship."""
    return [row for row in rows if row.layer == row.depth]


@claims.register(
    "gain knows more than the prediction",
    statement="A token of high information gain is followed by one of low surprisal, beyond the entropy of the prediction.",
    source="ours",
)
def gain_knows_more(inputs: Inputs) -> list[Finding]:
    rows = inputs.rows("next_token.csv", NextToken)
    last = [row for row in rows if row.layer == row.depth and row.kind == "correlation"]
    return [finding(row, rows) for row in last if (row.variant, row.given) == ("trained", ENTROPY)]


def finding(row: NextToken, rows: list[NextToken]) -> Finding:
    """The partial correlation given entropy, beside those without controls, with all of them, and on shuffled text."""
    mine = [one for one in rows if same(one, row, "model", "corpus", "layer")]
    known = {(one.variant, one.kind, one.given): one for one in mine}
    words = {
        ("trained", "correlation", None): "without controls",
        ("trained", "correlation", EVERYTHING): "given everything",
        ("shuffled", "correlation", None): "on shuffled text without controls",
        ("shuffled", "correlation", ENTROPY): "on shuffled text given the entropy",
        ("trained", "explained", ENTROPY): "share of the squared error that gain removes",
    }
    parts = [f"{word} {estimate(own.value, own.low, own.high, 2)}" for key, word in words.items() if (own := known.get(key))]
    return Finding.of(
        row,
        "partial rank correlation of gain and the next token's surprisal, given the entropy of the prediction, last block",
        SUPPORTED if row.high is not None and row.high < 0 else REFUTED,
        "; ".join(parts),
        null="the entropy of the prediction",
        primary=row.corpus not in EXPLORED,
        scope=scope(row),
    )
