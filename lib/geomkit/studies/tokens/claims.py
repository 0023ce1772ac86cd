"""Claims about tokens: information gain, and Lasso against attention."""

from collections.abc import Iterable, Sequence

from geomkit.studies.tokens.rows import TokenScore
from geomkit.tables.findings import OPEN, SUPPORTED, Finding, Inputs, claims, estimate, from_interval, nearest, same

BUDGET = 8
"""Tokens that a method selects, by which claims are judged; a run without this budget is judged by the nearest one."""
NUMBERS = {1: "one", 2: "two", 4: "four", 8: "eight"}
LASSO, ATTENTION = "lasso", "attention_mean"
HALF = 0.5
LAYERS = ("middle", "last")
CORRELATIONS = ("gain_next_surprisal",)
SCORES = ("divergence", "reconstruction_unseen")


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
    methods = (LASSO, ATTENTION)
    return row.metric.removesuffix("_win") in SCORES and row.method in methods and row.k == budget and row.name == "last"


def foretelling(inputs: Inputs) -> list[TokenScore]:
    """The partial correlations of gain with the next token's surprisal."""
    return [
        row
        for row in summary(inputs)
        if (row.metric, row.method) == ("gain_next_surprisal", "partial") and row.name in LAYERS and row.value is not None
    ]


@claims.register(
    "gain foretells the next token",
    statement="A token of high information gain is followed by one of low surprisal, beyond position, frequency and occurrence.",
    source="ours",
)
def gain_foretells(inputs: Inputs) -> list[Finding]:
    """At the last block; supported only where shuffled text does not show as much."""
    known = {(row.model, row.corpus, row.name, row.variant): row for row in foretelling(inputs)}
    findings = []
    for (model, corpus, name, variant), row in known.items():
        if (name, variant) != ("last", "trained"):
            continue
        verdict = from_interval(row.low, row.high, -1)
        null, middle = known.get((model, corpus, name, "shuffled")), known.get((model, corpus, "middle", variant))
        reason = "no shuffled text beside it"
        if null is not None:
            reason = f"shuffled text {estimate(null.value, null.low, null.high, 2)}"
            overlaps = row.low is None or null.high is None or (row.low <= null.high and (null.low or 0.0) <= (row.high or 0.0))
            verdict = OPEN if verdict is SUPPORTED and overlaps else verdict
        details = "" if middle is None else f"at the middle block {estimate(middle.value, middle.low, middle.high, 2)}"
        effect = "partial rank correlation of gain with the next token's surprisal"
        findings.append(Finding.of(row, effect, verdict, reason, null="shuffled text", details=details))
    return findings


def wins(inputs: Inputs, metric: str, effect: str) -> list[Finding]:
    """Share of the last block's targets on which Lasso beats mean attention, against one half.

    The first token is among the candidates; without it in words. `{}` in `effect` is the number of selected tokens.
    """
    mine = winning(inputs, metric)
    findings = []
    for row in mine:
        if row.first:
            continue
        number = NUMBERS.get(row.k or 0, str(row.k))
        other = [one for one in mine if one.first and same(one, row, "model", "corpus", "variant")]
        beside = [f"without the first token {estimate(one.value, one.low, one.high, 2, '')}" for one in other]
        findings.append(
            Finding.of(
                row,
                effect.format(number),
                from_interval(row.low, row.high, 1, HALF),
                levels(inputs, row, metric) or f"{row.n} targets",
                null="one half",
                against=HALF,
                details="; ".join([f"{row.n} targets", *beside]),
            )
        )
    return findings


def winning(inputs: Inputs, metric: str) -> list[TokenScore]:
    """Shares of targets on which Lasso beats mean attention, with the first token among the candidates and without."""
    rows = summary(inputs)
    wanted = (f"{metric}_win", ATTENTION, budget_of(rows), "last")
    return [row for row in rows if (row.metric, row.method, row.k, row.name) == wanted and row.value is not None]


def levels(inputs: Inputs, row: TokenScore, metric: str) -> str:
    """The mean scores of both compared methods."""
    alike = [
        one
        for one in summary(inputs)
        if one.metric == metric and same(one, row, "model", "corpus", "layer", "variant", "k", "first")
    ]
    scores = {one.method: one.value for one in alike if one.value is not None}
    if not {LASSO, ATTENTION} <= scores.keys():
        return ""
    return f"means: Lasso {scores[LASSO]:.2f}, attention {scores[ATTENTION]:.2f}"


@claims.register(
    "Lasso sometimes outperforms attention in reconstruction",
    statement="Tokens that Lasso selects sometimes rebuild a hidden state better than those of highest attention.",
    source="Tan, Li, Huang 2024",
    exists=True,
)
def lasso_in_reconstruction(inputs: Inputs) -> list[Finding]:
    """On coordinates that Lasso has not seen."""
    return wins(inputs, "reconstruction_unseen", "share of targets that {} tokens of Lasso rebuild better, on unseen coordinates")


@claims.register(
    "Lasso outperforms attention for the prediction",
    statement="Tokens that Lasso selects serve the model's prediction better than those of highest attention.",
    source="ours, after Tan, Li, Huang 2024",
    headline=6,
)
def lasso_for_the_model(inputs: Inputs) -> list[Finding]:
    return wins(inputs, "divergence", "share of targets on which {} tokens of Lasso leave the lower KL")
