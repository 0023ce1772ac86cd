"""Claims about width, depth, seeds and training: the course of metrics over the steps of a training."""

from geomkit.studies.width_depth.rows import StepLaw, StepTurn
from geomkit.tables.findings import REFUTED, SUPPORTED, UNDECIDED, Finding, Inputs, claims, same, scope


@claims.register(
    "metrics follow the loss along training",
    statement="While the width does not move, effective rank and normalised entropy go with the loss beyond the number of steps.",
    source="ours",
)
def training(inputs: Inputs) -> list[Finding]:
    rows = inputs.rows("trajectory/laws.csv", StepLaw)
    findings = []
    for row in rows:
        if not row.primary or row.training is not None or row.value is None:
            continue
        own = [one for one in rows if one.training and one.predictor == "metric" and same(one, row, "metric", "layer")]
        lower = [one for one in own if (one.error_step_and_metric or 0.0) < (one.error_step or 0.0)]
        different = row.p_adjusted is not None and row.p_adjusted < 0.05
        findings.append(
            Finding.of(
                row,
                "partial correlation of ln metric with ln loss over steps, ln step held fixed; mean over trainings",
                SUPPORTED if different else UNDECIDED,
                f"{row.trainings} trainings; it lowers the error on steps left out in {len(lower)} of {len(own)}",
                scope=scope(row, row.metric),
                primary=True,
                details="" if row.detectable is None else f"smallest mean correlation detectable: {row.detectable:.2f}",
            )
        )
    return findings


@claims.register(
    "RankMe falls, rises and falls in training",
    statement="Over pretraining RankMe falls, rises and falls again.",
    source="Li et al. 2025",
)
def phases(inputs: Inputs) -> list[Finding]:
    rows = [
        row for row in inputs.rows("trajectory/turns.csv", StepTurn) if row.metric == "erank_singular" and row.layer == "last"
    ]
    findings = []
    for family, corpus, width, length in dict.fromkeys((row.family, row.corpus, row.width, row.length) for row in rows):
        legs = [row for row in rows if (row.family, row.corpus, row.width, row.length) == (family, corpus, width, length)]
        words = [
            f"{'rises' if leg.change > 0 else 'falls'} by {abs(leg.change):.2f} to step {leg.stop}" for leg in legs if leg.counts
        ]
        known = {"follows": SUPPORTED, "differs": REFUTED} if legs[0].seeds > 1 else {}
        findings.append(
            Finding(
                scope=f"{family} on {corpus}, width {width}, last, {f'{length} tokens' if length else 'the corpus'}",
                effect="legs of ln RankMe over training",
                verdict=known.get(legs[0].phases, UNDECIDED),
                reason=f"{legs[0].phases}: {', '.join(words) or 'no change that can be seen'} (seeds: {legs[0].seeds})",
            )
        )
    return findings
