"""Claims about width, depth, seeds and training."""

from collections.abc import Sequence

from geomkit.laws.verdicts import Kind
from geomkit.store.findings import Finding, Inputs, claims
from geomkit.store.records.axes import Effect, SeedCorrelation, StepLaw, StepTurn, TiedShare
from geomkit.store.records.claims import ClaimVerdict

DECIDES = "width and N"
ASIDE = "final"
"""The state of which nothing is claimed unless it agrees with the state without the norm's gain and bias."""


def effects(inputs: Inputs) -> list[Effect]:
    return inputs.rows("width_depth.csv", Effect)


def decided(inputs: Inputs, of: str, small: ClaimVerdict, null: str | None, effect: str) -> list[Finding]:
    """The primary tests of one question as findings: different and not small supports, small and not different is `small`."""
    rows = effects(inputs)
    found = []
    for row in rows:
        if not row.primary or row.of != of:
            continue
        verdict = {Kind.BEYOND: ClaimVerdict.SUPPORTED, Kind.NESTED: small}.get(row.verdict, ClaimVerdict.UNDECIDED)
        reason = f"{row.verdict}: {row.reason}"
        plain = next((one for one in rows if same_test(one, row) and one.layer == "plain"), None)
        if row.layer == ASIDE and (plain is None or plain.verdict is not row.verdict):
            verdict = ClaimVerdict.UNDECIDED
            seen = "not measured" if plain is None else str(plain.verdict)
            reason += f"; without the final norm's gain and bias: {seen}, so nothing is claimed"
        found.append(
            Finding(
                scope=f"{row.number} cells on {row.corpus}, {row.metric}, {row.layer}, {row.length} tokens, {row.normalise}",
                effect=effect,
                value=row.value,
                low=row.low,
                high=row.high,
                margin=row.margin,
                null=null,
                sizes=row.number,
                primary=True,
                verdict=verdict,
                reason=reason,
                details=details(row, rows),
            )
        )
    return found


def same_test(one: Effect, other: Effect) -> bool:
    names = ("corpus", "of", "metric", "design", "cells", "column", "length", "normalise")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def details(row: Effect, rows: Sequence[Effect]) -> str:
    """What the test could have found, lack of fit, and the same coefficient in other designs and cells."""
    found = [f"p = {row.p_adjusted:.2g}, adjusted over {row.tests} tests"] if row.p_adjusted is not None else []
    if row.detectable is not None:
        found.append(f"smallest effect detectable with 80 % power: {row.detectable:.3f}")
    found.append(f"lack of fit: {row.fit}")
    for one in rows:
        same = (one.corpus, one.of, one.metric, one.layer, one.column) == (row.corpus, row.of, row.metric, row.layer, row.column)
        if same and (one.design, one.cells) != (row.design, row.cells) and one.value is not None:
            ends = "" if one.low is None or one.high is None else f" [{one.low:+.3f}, {one.high:+.3f}]"
            found.append(f"on {one.design}, {one.cells} cells: {one.value:+.3f}{ends}")
    found.append(row.flags) if row.flags else None
    return "; ".join(found)


@claims.register(
    "size at fixed width",
    statement="At one width, models of more parameters have another effective rank or normalised entropy.",
    source="ours",
)
def size_at_fixed_width(inputs: Inputs) -> list[Finding]:
    return decided(inputs, "metric", ClaimVerdict.WIDTH, None, "exponent with N, width held fixed")


@claims.register(
    "width at fixed size",
    statement="At one number of parameters, wider models differ from what the widest one's leading directions show.",
    source="ours",
)
def width_at_fixed_size(inputs: Inputs) -> list[Finding]:
    return decided(
        inputs, "difference", ClaimVerdict.REFUTED, "projected", "exponent with width minus that of the null, N held fixed"
    )


@claims.register(
    "the loss follows parameters without embeddings",
    statement="With one matrix for both embeddings the loss is that of the parameters without embeddings, not of all parameters.",
    source="Kaplan et al. 2020",
)
def tied(inputs: Inputs) -> list[Finding]:
    follows = {"N or width": ClaimVerdict.SUPPORTED, "all parameters": ClaimVerdict.REFUTED, "neither": ClaimVerdict.REFUTED}
    return [
        Finding(
            scope=f"tied ladder models on {row.corpus}",
            effect="share of the loss of the embeddings that are not there (1: the loss follows all parameters)",
            value=row.value,
            low=row.low,
            high=row.high,
            verdict=follows.get(row.follows, ClaimVerdict.UNDECIDED),
            reason=f"{row.follows}; parameters without embeddings and width cannot be separated here",
        )
        for row in inputs.rows("tied.csv", TiedShare)
        if row.width is None
    ]


@claims.register(
    "metrics follow the loss over seeds",
    statement="Among trainings of one width, effective rank and normalised entropy go with the loss.",
    source="ours",
)
def seeds(inputs: Inputs) -> list[Finding]:
    rows = inputs.rows("seeds.csv", SeedCorrelation)
    found = []
    for row in rows:
        if not row.primary or row.value is None:
            continue
        beside = next(
            (
                one
                for one in rows
                if not one.primary and (one.metric, one.layer, one.corpus) == (row.metric, row.layer, row.corpus)
            ),
            None,
        )
        plain = next((one for one in rows if (one.metric, one.layer, one.fixed) == (row.metric, "plain", row.fixed)), None)
        different = row.p_adjusted is not None and row.p_adjusted < 0.05
        reason = f"{row.models} trainings, p = {row.p_adjusted or 1.0:.2g} over {row.tests} tests"
        if row.layer == ASIDE and (plain is None or plain.value is None or plain.value * row.value <= 0 or covers(plain)):
            different = False
            reason += "; not so without the final norm's gain and bias"
        if beside is not None and beside.value is not None:
            reason += f"; with rate and decay held fixed {beside.value:+.2f}"
            reason += ": the recipe alone may carry it" if covers(beside) else ""
        found.append(
            Finding(
                scope=f"trainings of one width on {row.corpus}, {row.metric}, {row.layer}, {row.length} tokens, {row.normalise}",
                effect="correlation of ln metric with ln loss, width held fixed",
                value=row.value,
                low=row.low,
                high=row.high,
                primary=True,
                verdict=ClaimVerdict.SUPPORTED if different else ClaimVerdict.UNDECIDED,
                reason=reason,
                details=""
                if row.detectable is None
                else f"smallest correlation detectable with 80 % power: {row.detectable:.2f}",
            )
        )
    return found


def covers(row: SeedCorrelation) -> bool:
    return row.low is None or row.high is None or row.low <= 0 <= row.high


@claims.register(
    "metrics follow the loss along training",
    statement="While the width does not move, effective rank and normalised entropy go with the loss beyond the number of steps.",
    source="ours",
)
def training(inputs: Inputs) -> list[Finding]:
    rows = inputs.rows("steps_laws.csv", StepLaw)
    found = []
    for row in rows:
        if not row.primary or row.training is not None or row.value is None:
            continue
        own = [
            one for one in rows if one.training and (one.metric, one.layer, one.predictor) == (row.metric, row.layer, "metric")
        ]
        lower = [one for one in own if (one.error_step_and_metric or 0.0) < (one.error_step or 0.0)]
        different = row.p_adjusted is not None and row.p_adjusted < 0.05
        found.append(
            Finding(
                scope=f"{row.family} on {row.corpus}, {row.metric}, {row.layer}, {row.length} tokens, {row.normalise}",
                effect="partial correlation of ln metric with ln loss over steps, ln step held fixed; mean over trainings",
                value=row.value,
                low=row.low,
                high=row.high,
                primary=True,
                verdict=ClaimVerdict.SUPPORTED if different else ClaimVerdict.UNDECIDED,
                reason=f"{row.trainings} trainings; it lowers the error on steps left out in {len(lower)} of {len(own)}",
                details="" if row.detectable is None else f"smallest mean correlation detectable: {row.detectable:.2f}",
            )
        )
    return found


@claims.register(
    "RankMe falls, rises and falls in training",
    statement="Over pretraining RankMe falls, rises and falls again.",
    source="Li et al. 2025",
)
def phases(inputs: Inputs) -> list[Finding]:
    rows = [row for row in inputs.rows("steps_turns.csv", StepTurn) if row.metric == "erank_singular" and row.layer == "last"]
    found = []
    for place in dict.fromkeys((row.family, row.corpus, row.width, row.length) for row in rows):
        legs = [row for row in rows if (row.family, row.corpus, row.width, row.length) == place]
        family, corpus, width, length = place
        words = [
            f"{'rises' if leg.change > 0 else 'falls'} by {abs(leg.change):.2f} to step {leg.stop}" for leg in legs if leg.counts
        ]
        known = {"follows": ClaimVerdict.SUPPORTED, "differs": ClaimVerdict.REFUTED} if legs[0].seeds > 1 else {}
        verdict = known.get(legs[0].phases, ClaimVerdict.UNDECIDED)
        found.append(
            Finding(
                scope=f"{family} on {corpus}, width {width}, last, {f'{length} tokens' if length else 'the corpus'}",
                effect="legs of ln RankMe over training",
                verdict=verdict,
                reason=f"{legs[0].phases}: {', '.join(words) or 'no change that can be seen'} (seeds: {legs[0].seeds})",
            )
        )
    return found
