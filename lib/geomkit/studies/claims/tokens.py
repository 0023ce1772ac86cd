"""Claims about tokens: information gain, and Lasso against attention."""

from geomkit.store.records.claims import ClaimVerdict
from geomkit.store.records.tokens import TokenScore
from geomkit.studies.claims.registry import Finding, Inputs, claims, from_interval

LASSO_BUDGET = 8
HALF = 0.5


def summary(inputs: Inputs) -> list[TokenScore]:
    return inputs.rows("tokens_summary.csv", TokenScore)


def scope(row: TokenScore) -> str:
    return f"{row.model} on {row.corpus}, {row.name or row.layer}"


def finding(row: TokenScore, effect: str, null: str, verdict: ClaimVerdict, reason: str, against: float = 0.0) -> Finding:
    return Finding(
        scope=scope(row), effect=effect, value=row.value, low=row.low, high=row.high, null=null, against=against,
        documents=row.documents, verdict=verdict, reason=reason,
    )  # fmt: skip


def correlations(inputs: Inputs, metric: str, claimed: int, effect: str) -> list[Finding]:
    """Partial rank correlations at the last block: supported only where shuffled text does not show as much."""
    rows = [row for row in summary(inputs) if row.metric == metric and row.method == "partial" and row.name == "last"]
    shuffled = {(row.model, row.corpus): row for row in rows if row.variant == "shuffled"}
    found = []
    for row in rows:
        if row.variant != "trained" or row.value is None:
            continue
        null = shuffled.get((row.model, row.corpus))
        verdict = from_interval(row.low, row.high, claimed)
        reason = "no shuffled text beside it"
        if null is not None and null.value is not None and null.low is not None and null.high is not None:
            reason = f"shuffled text {null.value:+.2f} [{null.low:+.2f}, {null.high:+.2f}]"
            overlaps = row.low is None or row.high is None or (row.low <= null.high and null.low <= row.high)
            if verdict is ClaimVerdict.SUPPORTED and overlaps:
                verdict, reason = ClaimVerdict.UNDECIDED, f"{reason}, whose interval overlaps"
        found.append(finding(row, effect, "shuffled text", verdict, reason))
    return found


@claims.register(
    "information gain is surprisal",
    statement="A token's information gain goes with its surprisal, beyond position, frequency and earlier occurrence.",
    source="Tan, Li, Huang 2024",
)
def gain_is_surprisal(inputs: Inputs) -> list[Finding]:
    return correlations(inputs, "gain_surprisal", 1, "partial rank correlation of gain with the token's own surprisal")


@claims.register(
    "gain foretells the next token",
    statement="A token of high information gain is followed by one of low surprisal, beyond position, frequency and occurrence.",
    source="ours",
)
def gain_foretells(inputs: Inputs) -> list[Finding]:
    return correlations(inputs, "gain_next_surprisal", -1, "partial rank correlation of gain with the next token's surprisal")


def wins(inputs: Inputs, metric: str, effect: str) -> list[Finding]:
    """How often Lasso beats mean attention at a budget of eight tokens in the last block, against one half."""
    found = []
    for first in (0, 1):
        for row in summary(inputs):
            if (row.metric, row.method, row.k, row.first) != (f"{metric}_win", "attention_mean", LASSO_BUDGET, first):
                continue
            if row.name != "last" or row.value is None:
                continue
            candidates = "the first token among the candidates" if first == 0 else "without the first token"
            verdict = from_interval(row.low, row.high, 1, HALF)
            found.append(finding(row, f"{effect}, {candidates}", "one half", verdict, f"{row.n} targets", HALF))
    return found


@claims.register(
    "Lasso outperforms attention for the model",
    statement="Tokens that Lasso selects serve the model's prediction better than those of highest attention.",
    source="Tan, Li, Huang 2024",
    headline=5,
)
def lasso_for_the_model(inputs: Inputs) -> list[Finding]:
    return wins(inputs, "divergence", "share of targets on which Lasso's eight tokens leave the lower KL than mean attention's")


@claims.register(
    "Lasso outperforms attention in reconstruction",
    statement="Tokens that Lasso selects rebuild a hidden state better than those of highest attention, on coordinates not seen.",
    source="Tan, Li, Huang 2024",
)
def lasso_in_reconstruction(inputs: Inputs) -> list[Finding]:
    return wins(
        inputs, "reconstruction_unseen", "share of targets that eight tokens of Lasso rebuild better than mean attention's"
    )
