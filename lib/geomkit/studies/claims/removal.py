"""Claims about where the information sits: removed tokens, sublayers, sinks, documents, and a fact in filler.

docs/protocol_1.md says what each claim is held against, and what had been seen when that was fixed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from geomkit.measures.needle import Margins, Scores, Told, outcome
from geomkit.store.findings import Finding, Inputs, claims, from_interval
from geomkit.store.records.claims import ClaimVerdict
from geomkit.store.records.endpoints import Measured
from geomkit.store.records.experiments import Likeness, NeedleText, Removal, SinkEffect, SublayerEffect

T = TypeVar("T")
SINKS = {"removable": "sinks may be removed", "kept": "sinks stay"}
THRESHOLD = 10.0
"""A sink's length in medians of its text, by which claims are judged; others are printed beside it."""
MODES = ("unit", "centre-unit", "raw")
HALF = 0.5
CONTRAST = "mlp minus attention"
SEEN = {("ladder", "sotu"), ("ladder", "lee")}
"""Families and corpora whose experiments had been run before the claims were fixed: they explore."""


REMOVALS: dict[str, set[str | None]] = {
    "residual_gini": {None},
    "divergence_gini": {None},
    "divergence_half_kept": {"attention_mean"},
    "residual_area": {"lasso"},
    "divergence_area": {"lasso", "attention_mean"},
}
"""Summaries of removals that claims read, each with its methods."""


def reads_removal(row: Removal) -> bool:
    """Whether a claim reads a row."""
    return row.fraction is None and row.method in REMOVALS.get(row.metric, ()) and row.direction in (None, "highest")


def reads_sublayer(row: SublayerEffect) -> bool:
    """Whether a claim reads a row."""
    return row.sublayer == CONTRAST


def reads_likeness(row: Likeness) -> bool:
    """Whether a claim reads a row."""
    return row.distance == "chosen"


def removals(inputs: Inputs, metric: str, null: str, method: str | None, direction: str | None) -> list[Removal]:
    """Summaries of one metric, of models, corpora and both treatments of sinks."""
    rows = inputs.rows("ablation_summary.csv", Removal)
    wanted = (metric, null, method, direction, None)
    return [row for row in rows if (row.metric, row.null, row.method, row.direction, row.fraction) == wanted]


def beside(inputs: Inputs, row: Removal, *nulls: str) -> str:
    """The same summary by other nulls, in words."""
    found = []
    for null in nulls:
        for other in removals(inputs, row.metric, null, row.method, row.direction):
            if (other.model, other.corpus, other.layer, other.sinks) == (row.model, row.corpus, row.layer, row.sinks):
                found.append(f"{LABELS[null]} {interval(other)}")
    return "; ".join(found)


LABELS = {
    "own": "itself",
    "stranger": "that of another document's target",
    "noise": "that of Gaussian rows",
    "minus stranger": "minus that of another document's target",
    "minus noise": "minus that of Gaussian rows",
}


def interval(row: Measured) -> str:
    ends = "no interval" if row.low is None or row.high is None else f"{row.low:+.3f} to {row.high:+.3f}"
    return f"{row.value:+.3f} [{ends}]"


def finding(row: Measured, where: str, effect: str, null: str, claimed: int, reason: str, against: float = 0.0) -> Finding:
    return Finding(
        scope=f"{row.model} on {row.corpus}{where}", effect=effect, value=row.value, low=row.low, high=row.high, null=null,
        against=against, documents=row.documents, verdict=from_interval(row.low, row.high, claimed, against),
        reason=reason or "the interval over documents", primary=(row.family, row.corpus) not in SEEN,
    )  # fmt: skip


def of_removal(
    inputs: Inputs, row: Removal, effect: str, null: str, claimed: int, shown: Sequence[str], against: float = 0.0
) -> Finding:
    where = f", {row.name or f'layer {row.layer}'}, {SINKS[row.sinks]}"
    return finding(row, where, effect, null, claimed, beside(inputs, row, *shown), against)


@claims.register(
    "information is spread over tokens",
    statement="Information about a token is spread over its context rather than held by few tokens.",
    source="Tan, Li, Huang 2024",
)
def spread_over_tokens(inputs: Inputs) -> list[Finding]:
    found = []
    for metric, what, null in (
        ("residual_gini", "Gini of each context token's share in the ridge regression", "Gaussian rows of the same shape"),
        ("divergence_gini", "Gini of the KL without each context token", "squares of as many Gaussians"),
    ):
        for row in removals(inputs, metric, "minus noise", None, None):
            shown = ("own", "noise", "minus stranger")
            found.append(of_removal(inputs, row, f"{what}, minus that of {null}", null, -1, shown))
    return found


@claims.register(
    "half of the context is needed",
    statement="More than half of the context is needed to keep half of its effect on the prediction.",
    source="ours",
)
def half_is_needed(inputs: Inputs) -> list[Finding]:
    effect = "part of the context, most attended first, that alone keeps half of the KL"
    rows = removals(inputs, "divergence_half_kept", "own", "attention_mean", None)
    return [of_removal(inputs, row, effect, "even shares that add up", 1, ("stranger",), HALF) for row in rows]


def areas(inputs: Inputs, metric: str, method: str, effect: str) -> list[Finding]:
    rows = removals(inputs, f"{metric}_area", "minus stranger", method, "highest")
    return [
        of_removal(inputs, row, effect, "the order found for another document's target", 1, ("own", "stranger", "minus noise"))
        for row in rows
    ]


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


def contrasts(inputs: Inputs, kind: str, metric: str) -> list[SublayerEffect]:
    rows = inputs.rows("components_summary.csv", SublayerEffect)
    return [row for row in rows if reads_sublayer(row) and (row.kind, row.metric) == (kind, metric)]


@claims.register(
    "MLPs carry more of the loss",
    statement="Taking out an MLP costs more than taking out attention.",
    source="ours",
)
def mlps_cost_more(inputs: Inputs) -> list[Finding]:
    effect = "rise of the loss with a sublayer's mean in its place, MLP minus attention, averaged over blocks but the first, nats"
    zero = {(row.model, row.corpus): row for row in contrasts(inputs, "zero", "loss")}
    return [
        finding(row, "", effect, "equal parts", 1, f"zero in its place {interval(zero[row.model, row.corpus])}")
        for row in contrasts(inputs, "mean", "loss")
    ]


@claims.register(
    "MLPs raise the effective rank more",
    statement="MLPs raise the effective rank of hidden states more than attention does.",
    source="ours",
)
def mlps_raise_rank(inputs: Inputs) -> list[Finding]:
    effect = "effective rank after the MLP alone minus that after attention alone, averaged over blocks but the first"
    return [finding(row, "", effect, "equal parts", 1, "") for row in contrasts(inputs, "after", "erank_covariance")]


@claims.register(
    "sinks make the depth profile",
    statement="Attention sinks lower the effective rank of the middle block.",
    source="ours",
)
def sinks_make_profile(inputs: Inputs) -> list[Finding]:
    rows = [row for row in inputs.rows("sinks_summary.csv", SinkEffect) if row.metric in ("erank_covariance", "sinks")]
    found = []
    for model, corpus in dict.fromkeys((row.model, row.corpus) for row in rows):
        mine = [row for row in rows if (row.model, row.corpus) == (model, corpus)]
        counts = {row.threshold: row.value for row in mine if row.kind == "sinks"}
        for mode in MODES:
            at_middle = [row for row in mine if row.normalise == mode and row.layer == -(-row.depth // 2)]
            gaps = {row.threshold: row for row in at_middle if row.kind == "difference"}
            if THRESHOLD not in gaps:
                continue
            found.append(sink_finding(gaps[THRESHOLD], [row for row in mine if row.normalise == mode], mode, counts, gaps))
    return found


def sink_finding(
    row: SinkEffect,
    rows: Sequence[SinkEffect],
    mode: str,
    counts: dict[float | None, float],
    gaps: dict[float | None, SinkEffect],
) -> Finding:
    """One normalisation: the difference at the middle block, and the profile's range over blocks with and without sinks."""
    effect = f"effective rank without sinks minus with them at the middle block (layer {row.layer}), {mode} rows"
    whole = profile_range(one for one in rows if one.kind == "all")
    without = profile_range(one for one in rows if one.kind == "without" and one.threshold == THRESHOLD)
    number = "; ".join(f"above {threshold:g} medians {count:.2f}" for threshold, count in sorted_pairs(counts))
    others = "; ".join(f"at {threshold:g} medians {gap.value:+.2f}" for threshold, gap in sorted_pairs(gaps) if gap is not row)
    reason = f"ln of the largest over the smallest effective rank of any block {whole:.2f} with sinks, {without:.2f} without"
    result = finding(row, "", effect, "all tokens", 1, reason)
    verdict = ClaimVerdict.REFUTED if not counts.get(THRESHOLD) else result.verdict
    return Finding(
        **vars(result) | {"verdict": verdict, "primary": False, "details": f"sinks a text: {number}; the difference {others}"}
    )


def sorted_pairs(pairs: Mapping[float | None, T]) -> list[tuple[float, T]]:
    return sorted(((key, value) for key, value in pairs.items() if key is not None), key=lambda pair: pair[0])


def profile_range(rows: Iterable[SinkEffect]) -> float:
    """ln of the largest over the smallest value of any block: neither the embedding nor what follows the final norm."""
    values = [row.value for row in rows if 1 <= row.layer <= row.depth]
    return math.log(max(values) / min(values)) if values else math.nan


@claims.register(
    "hidden states judge likeness better than words",
    statement="Distances of hidden states agree with people's judgements of documents better than TF-IDF does.",
    source="ours",
)
def judge_likeness(inputs: Inputs) -> list[Finding]:
    found = []
    rows = [row for row in inputs.rows("semantics_summary.csv", Likeness) if reads_likeness(row)]
    for row in rows:
        if row.kind != "difference" or row.agreement is None:
            continue
        place = (row.model, row.corpus, row.agreement)
        mine = {one.kind: one for one in rows if (one.model, one.corpus, one.agreement) == place}
        effect = (
            f"{row.agreement.capitalize()} correlation of the distance chosen on halves minus that of TF-IDF on the same halves"
        )
        reason = f"{mine['chosen'].value:+.2f} against {mine['baseline'].value:+.2f} of TF-IDF"
        result = finding(row, f", {row.agreement}", effect, "TF-IDF", 1, reason)
        least = f"smallest difference that {row.documents} documents can show with 80 % power: {mine['least'].value:.2f}"
        found.append(Finding(**vars(result) | {"details": least, "primary": result.primary and row.agreement == "pearson"}))
    return found


@claims.register(
    "removing tokens finds a fact",
    statement="Removing tokens tells where in a context a fact is, and whether it is told once, many times or never.",
    source="ours",
)
def finds_a_fact(inputs: Inputs) -> list[Finding]:
    found = []
    rows = inputs.rows("needle.csv", NeedleText)
    for model in dict.fromkeys(row.model for row in rows):
        mine = [row for row in rows if row.model == model]
        texts = [
            Told(row.kind, Scores(row.whole, row.none, row.without_one, row.one_kept, row.random or math.nan), row.call)
            for row in mine
        ]
        told = outcome(texts, Margins())
        verdict = ClaimVerdict.SUPPORTED if told.told_apart else ClaimVerdict.UNDECIDED
        if not told.works:
            verdict = ClaimVerdict.UNTESTED
        right = ", ".join(f"{share:.0%} of {kind}" for kind, share in told.right.items())
        found.append(
            Finding(
                scope=f"{model}, {len({row.filler for row in mine})} fillers in three contexts each",
                effect="loss of the answer without the fact minus with it, nats",
                value=told.none - told.whole,
                null="random removal of as many tokens",
                documents=len({row.filler for row in mine}),
                primary=True,
                verdict=verdict,
                reason=f"called as they are: {right}; {told.mistaken} called another kind",
                details=f"loss {told.whole:.2f} with the fact, {told.none:.2f} without; by chance {told.random_shift:.3f} off",
            )
        )
    return found
