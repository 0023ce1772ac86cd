"""Claims about training: phases of the effective rank and of the spectrum's decay."""

from collections.abc import Sequence
from itertools import groupby

from geomkit.studies.training.published import ALPHA, CLOUD, PUBLISHED, RANKME, columns_of
from geomkit.studies.width_depth.rows import StepTurn
from geomkit.tables.findings import OPEN, REFUTED, SUPPORTED, UNTESTED, ClaimVerdict, Finding, Inputs, claims, estimate, scope

VERDICTS = {"follows": SUPPORTED, "in part": OPEN, "differs": REFUTED}


@claims.register(
    "effective rank has three phases in training",
    statement="In training, the effective rank of the last tokens of texts falls, rises and falls again.",
    source="Li et al. 2025, arXiv 2509.23024",
)
def rank_has_phases(inputs: Inputs) -> list[Finding]:
    return [finding(legs, "effective rank") for legs in curves(inputs, RANKME)]


@claims.register(
    "decay has three phases in training",
    statement="In training, the decay of the last tokens' spectrum rises, falls and rises again.",
    source="Li et al. 2025, arXiv 2509.23024",
)
def decay_has_phases(inputs: Inputs) -> list[Finding]:
    """A curve for each width that has as many dimensions as the fit takes ranks."""
    measured = {place_of(legs[0]) for legs in curves(inputs, ALPHA)}
    last = CLOUD.parameters["alpha_last"]
    without = [legs[0] for legs in curves(inputs, RANKME) if place_of(legs[0]) not in measured]
    return [finding(legs, "decay") for legs in curves(inputs, ALPHA)] + [
        Finding(
            scope=scope(row, f"width {row.width}"),
            effect=effect("decay"),
            verdict=UNTESTED,
            reason=f"the fit takes ranks up to {last:g}, and there are {row.width} dimensions",
        )
        for row in without
    ]


def place_of(row: StepTurn) -> tuple[str, str, int]:
    return row.family, row.corpus, row.width


def curves(inputs: Inputs, metric: str) -> list[list[StepTurn]]:
    """The legs of each family, corpus and width at the published place."""
    rows = [row for row in inputs.rows("trajectory/turns.csv", StepTurn) if row.metric == metric and columns_of(row) in PUBLISHED]
    return [list(group) for _, group in groupby(sorted(rows, key=lambda row: (*place_of(row), row.number)), key=place_of)]


def effect(name: str) -> str:
    return f"change of ln {name} in the last phase, last tokens after the final norm, {CLOUD.normalise}"


def finding(legs: Sequence[StepTurn], name: str) -> Finding:
    """How a curve runs, beside the published phases; one training alone cannot refute them."""
    counted = [leg for leg in legs if leg.counts]
    ways = [f"{leg.way} to step {leg.stop}" for leg in counted]
    verdict: ClaimVerdict = VERDICTS[legs[0].phases]
    if legs[0].seeds == 1 and verdict is REFUTED:
        verdict = OPEN
    last = counted[-1] if counted else None
    return Finding(
        scope=scope(legs[0], f"width {legs[0].width}"),
        effect=effect(name),
        value=None if last is None else last.change,
        low=None if last is None else last.low,
        high=None if last is None else last.high,
        verdict=verdict,
        reason=f"{', '.join(ways) or 'no change that counts'}: {in_words(legs[0].phases)}",
        details="; ".join(
            [*(f"{leg.way} by {estimate(leg.change, leg.low, leg.high)}" for leg in counted), f"{legs[0].seeds} seeds"]
        ),
    )


def in_words(phases: str) -> str:
    return {"follows": "as published", "in part": "part of the published phases", "differs": "not the published phases"}[phases]
