"""Claims about tokens: information gain and the next token."""

from collections.abc import Sequence

from geomkit.studies.next_token.rows import NextToken
from geomkit.tables.findings import OPEN, REFUTED, SUPPORTED, Finding, Inputs, claims, estimate, same, scope

EXPLORED = ("sotu",)
"""Corpora that only explore (docs/protocol_results.md)."""
ENTROPY, EVERYTHING = "entropy", "everything"
TRAINED = ("correlation", "trained")


def shipped(rows: Sequence[NextToken]) -> list[NextToken]:
    """The rows that claims read, which are the ones to ship."""
    return [row for row in rows if row.layer == row.depth]


@claims.register(
    "gain knows more than the prediction",
    statement="A token of high information gain is followed by one of low surprisal, beyond the entropy of the prediction.",
    source="ours",
)
def gain_knows_more(inputs: Inputs) -> list[Finding]:
    """A finding for each family and corpus, whose models differ in size."""
    rows = inputs.rows("next_token.csv", NextToken)
    given = [row for row in rows if row.layer == row.depth and (row.kind, row.variant, row.given) == (*TRAINED, ENTROPY)]
    keys = dict.fromkeys((row.family, row.corpus) for row in given)
    return [finding([row for row in given if (row.family, row.corpus) == key], rows) for key in keys]


def finding(models: list[NextToken], rows: list[NextToken]) -> Finding:
    """The partial correlation of the largest model given entropy, beside the other models' and what other controls leave."""
    models = sorted(models, key=lambda row: row.params_nonembedding)
    largest, below = models[-1], [row for row in models if row.high is not None and row.high < 0]
    without = other(largest, rows, *TRAINED, None)
    shuffled = other(largest, rows, "correlation", "shuffled", None)
    numbers = [f"without a control {estimate(one.value, one.low, one.high, 2)}" for one in [without] if one]
    turned = [f"on shuffled text {estimate(one.value, one.low, one.high, 2)}" for one in [shuffled] if one]
    counted = f"{len(below)} of {len(models)} models below 0" if len(models) > 1 else ""
    return Finding.of(
        largest,
        "rank correlation given that entropy, last block",
        SUPPORTED if len(below) == len(models) else OPEN if below or any(row.high is None for row in models) else REFUTED,
        "; ".join([*numbers, *filter(None, [counted])]),
        null="the entropy of the prediction",
        primary=largest.corpus not in EXPLORED,
        scope=scope(largest),
        details="; ".join([*turned, *(words(row, rows) for row in models)]),
    )


def other(row: NextToken, rows: list[NextToken], kind: str, variant: str, given: str | None) -> NextToken | None:
    """Return the same model's row of another kind, variant or control."""
    alike = [one for one in rows if same(one, row, "model", "corpus", "layer")]
    return next((one for one in alike if (one.kind, one.variant, one.given) == (kind, variant, given)), None)


def words(row: NextToken, rows: list[NextToken]) -> str:
    """List what other controls leave of one model's correlation."""
    others = {
        "given everything": other(row, rows, *TRAINED, EVERYTHING),
        "shuffled, given the entropy": other(row, rows, "correlation", "shuffled", ENTROPY),
        "share of the squared error that gain removes": other(row, rows, "explained", "trained", ENTROPY),
    }
    parts = [f"{word} {estimate(one.value, one.low, one.high)}" for word, one in others.items() if one]
    return f"{row.model} {estimate(row.value, row.low, row.high)} ({', '.join(parts)})"
