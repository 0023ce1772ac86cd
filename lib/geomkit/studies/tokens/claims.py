"""Claims about tokens: information gain, and Lasso against attention."""

from collections.abc import Iterable, Sequence

from geomkit.studies.tokens.rows import TokenScore
from geomkit.tables.findings import (
    SUPPORTED,
    UNDECIDED,
    ClaimVerdict,
    Finding,
    Inputs,
    claims,
    estimate,
    from_interval,
    nearest,
    same,
    scope,
)

BUDGET = 8
"""Tokens that a method selects, by which claims are judged; a run without this budget is judged by the nearest one."""
NUMBERS = {1: "one", 2: "two", 4: "four", 8: "eight"}
LASSO, ATTENTION, CHANCE = "lasso", "attention_mean", "random"
HALF = 0.5
LAYERS = ("middle", "last")
CORRELATIONS = ("gain_surprisal", "gain_next_surprisal")
SCORES = ("divergence", "removed_divergence", "reconstruction", "reconstruction_unseen")


def summary(inputs: Inputs) -> list[TokenScore]:
    return inputs.rows("tokens_summary.csv", TokenScore)


def budget_of(rows: Iterable[TokenScore]) -> float | None:
    """The number of selected tokens at which these rows are judged."""
    return nearest(BUDGET, {row.k for row in rows if row.k is not None})


def shipped(rows: Sequence[TokenScore]) -> list[TokenScore]:
    """The rows that claims read, which are the ones to ship."""
    budget = budget_of(rows)
    return [row for row in rows if (row.name in LAYERS if row.metric in CORRELATIONS else judged(row, budget))]


def judged(row: TokenScore, budget: float | None) -> bool:
    """Whether a row is a score of a compared method in the last block."""
    methods = (LASSO, ATTENTION, CHANCE)
    return row.metric.removesuffix("_win") in SCORES and row.method in methods and row.k == budget and row.name == "last"


def finding(row: TokenScore, effect: str, null: str, verdict: ClaimVerdict, reason: str, against: float = 0.0) -> Finding:
    return Finding.of(row, effect, verdict, reason, scope=scope(row, row.name), null=null, against=against)


def correlations(inputs: Inputs, metric: str, claimed: int, effect: str) -> list[Finding]:
    """Partial rank correlations at the middle and the last block: supported only where shuffled text does not show as much."""
    rows = [row for row in summary(inputs) if row.metric == metric and row.name in LAYERS]
    partial = {(row.model, row.corpus, row.name, row.variant): row for row in rows if row.method == "partial"}
    raw = {(row.model, row.corpus, row.name, row.variant): row for row in rows if row.method == "raw"}
    findings = []
    for (model, corpus, name, variant), row in partial.items():
        if variant != "trained" or row.value is None:
            continue
        null = partial.get((model, corpus, name, "shuffled"))
        verdict = from_interval(row.low, row.high, claimed)
        reason = "no shuffled text beside it"
        if null is not None and null.value is not None and null.low is not None and null.high is not None:
            reason = f"shuffled text {estimate(null.value, null.low, null.high, 2)}"
            overlaps = row.low is None or row.high is None or (row.low <= null.high and null.low <= row.high)
            if verdict is SUPPORTED and overlaps:
                verdict, reason = UNDECIDED, f"{reason}, whose interval overlaps"
        plain = raw.get((model, corpus, name, variant))
        if plain is not None and plain.value is not None:
            reason += f"; {plain.value:+.2f} with nothing held fixed"
        findings.append(finding(row, effect, "shuffled text", verdict, reason))
    return findings


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


def wins(inputs: Inputs, metric: str, effect: str, other: str = ATTENTION) -> list[Finding]:
    """Share of the last block's targets on which Lasso beats another method, against one half; `{}` in `effect` is the budget."""
    rows = summary(inputs)
    budget = budget_of(rows)
    findings = []
    for first, candidates in enumerate(("the first token among the candidates", "without the first token")):
        for row in rows:
            if (row.metric, row.method, row.k, row.first) != (f"{metric}_win", other, budget, first):
                continue
            if row.name != "last" or row.value is None:
                continue
            number = NUMBERS.get(row.k or 0, str(row.k))
            verdict = from_interval(row.low, row.high, 1, HALF)
            reason = f"{row.n} targets{levels(inputs, row, metric, other)}"
            findings.append(finding(row, f"{effect.format(number)}, {candidates}", "one half", verdict, reason, HALF))
    return findings


def levels(inputs: Inputs, row: TokenScore, metric: str, other: str) -> str:
    """The mean scores of both compared methods."""
    alike = [
        one
        for one in summary(inputs)
        if one.metric == metric and same(one, row, "model", "corpus", "layer", "variant", "k", "first")
    ]
    scores = {one.method: one.value for one in alike if one.value is not None}
    if not {LASSO, other} <= scores.keys():
        return ""
    return f"; means {scores[LASSO]:.2f} for Lasso, {scores[other]:.2f} for {other.replace('_', ' ')}"


@claims.register(
    "Lasso outperforms attention for the model",
    statement="Tokens that Lasso selects serve the model's prediction better than those of highest attention.",
    source="Tan, Li, Huang 2024",
    headline=5,
)
def lasso_for_the_model(inputs: Inputs) -> list[Finding]:
    return wins(inputs, "divergence", "share of targets on which Lasso's {} tokens leave the lower KL than mean attention's")


@claims.register(
    "Lasso outperforms attention in reconstruction",
    statement="Tokens that Lasso selects rebuild a hidden state better than those of highest attention, on coordinates not seen.",
    source="Tan, Li, Huang 2024",
)
def lasso_in_reconstruction(inputs: Inputs) -> list[Finding]:
    return wins(inputs, "reconstruction_unseen", "share of targets that {} tokens of Lasso rebuild better than mean attention's")


@claims.register(
    "Lasso outperforms attention on what it has seen",
    statement="Tokens that Lasso selects rebuild the state that it has seen better than those of highest attention.",
    source="Tan, Li, Huang 2024",
)
def lasso_on_what_it_has_seen(inputs: Inputs) -> list[Finding]:
    return wins(inputs, "reconstruction", "share of targets that {} tokens of Lasso rebuild better than mean attention's")


@claims.register(
    "Lasso outperforms attention when other tokens are removed",
    statement="With all other tokens removed, Lasso's tokens serve the prediction better than those of highest attention.",
    source="ours",
)
def lasso_alone(inputs: Inputs) -> list[Finding]:
    return wins(inputs, "removed_divergence", "share of targets on which {} tokens alone leave the lower KL")


@claims.register(
    "Lasso outperforms chance",
    statement="Tokens that Lasso selects serve the model's prediction better than random ones.",
    source="ours",
)
def lasso_beside_chance(inputs: Inputs) -> list[Finding]:
    effect = "share of targets on which Lasso's {} tokens leave the lower KL than random ones"
    return wins(inputs, "divergence", effect, CHANCE)
