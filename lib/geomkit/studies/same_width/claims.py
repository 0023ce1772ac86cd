"""Claims about models of one width: trained beside untrained, text beside shuffled text, and seed beside seed."""

from collections.abc import Iterable, Sequence

from geomkit.studies.size_laws.rows import FixedWidth
from geomkit.tables.findings import (
    FINAL,
    PLAIN,
    REFUTED,
    UNDECIDED,
    ClaimVerdict,
    Finding,
    Inputs,
    agreed,
    claims,
    conjunction,
    estimate,
    from_interval,
    from_sign,
    scope,
)

LAYERS = ("last", FINAL, PLAIN)
RANK, RATIO = "erank_covariance", "rate_distortion_ratio"


def controlled(inputs: Inputs, control: str, metric: str, normalise: str | None, every_length: bool = False) -> list[FixedWidth]:
    """Rows of a control at single texts, in the order of the file: of each family and corpus those of the greatest length, or
    of every one."""
    rows = inputs.rows("scaling/fixed_width.csv", FixedWidth)
    rows = [row for row in rows if (row.control, row.metric) == (control, metric) and row.length is not None]
    most: dict[tuple[str, str], int] = {}
    for row in rows:
        most[row.family, row.corpus] = max(row.length or 0, most.get((row.family, row.corpus), 0))
    kept = rows if every_length else [row for row in rows if row.length == most[row.family, row.corpus]]
    return [row for row in kept if row.normalise == normalise]


def by_place(rows: Iterable[FixedWidth]) -> list[list[FixedWidth]]:
    """Rows with a value, grouped by place, narrowest first."""
    groups: dict[str, list[FixedWidth]] = {}
    for row in rows:
        if row.value is not None and row.layer in LAYERS:
            groups.setdefault(scope(row), []).append(row)
    return [sorted(group, key=lambda row: row.width or 0) for group in groups.values()]


def at_widths(rows: Sequence[FixedWidth], effect: str, verdict: ClaimVerdict, but: str = "", details: str = "") -> Finding:
    """Make one finding from the rows of all widths."""
    return Finding(
        scope=scope(rows[0]),
        effect=f"ln of the effective rank, {effect}, at every width",
        verdict=verdict,
        reason=", ".join(f"{estimate(row.value, row.low, row.high, 2)} at width {row.width}" for row in rows) + but,
        sizes=len(rows),
        documents=rows[0].documents,
        details=details,
    )


def at_every_width(rows: Sequence[FixedWidth], claimed: int, effect: str) -> list[Finding]:
    """A finding for each place: supported where the interval at every width has the claimed sign, refuted where one has the
    other."""
    groups = {group[0]: group for group in by_place(rows)}
    findings = []
    for first, mine in groups.items():
        verdict, but = agreed(first, groups, lambda row: conjunction([from_sign(one.sign, claimed) for one in groups[row]]))
        findings.append(at_widths(mine, effect, verdict, but, twins_of(mine)))
    return findings


def twins_of(rows: Sequence[FixedWidth]) -> str:
    numbers = sorted({row.twins for row in rows if row.twins is not None})
    return f"{' or '.join(map(str, numbers))} untrained twins" if numbers else ""


@claims.register(
    "training lowers the effective rank",
    statement="At every width, training lowers the effective rank of hidden states.",
    source="ours",
)
def training_lowers(inputs: Inputs) -> list[Finding]:
    return at_every_width(controlled(inputs, "untrained", RANK, "unit"), -1, "trained minus untrained")


@claims.register(
    "training lowers the centred effective rank",
    statement="At every width, training lowers the effective rank of hidden states whose mean is subtracted.",
    source="Wei et al. 2024",
)
def training_lowers_centred(inputs: Inputs) -> list[Finding]:
    return at_every_width(controlled(inputs, "untrained", RANK, "centre-unit"), -1, "trained minus untrained, centred")


@claims.register(
    "training acts in the mean direction",
    statement="At every width, training lowers the effective rank more with the mean direction than without it.",
    source="ours",
)
def mean_direction(inputs: Inputs) -> list[Finding]:
    rows = controlled(inputs, "mean-direction", RANK, None)
    return at_every_width(rows, -1, "trained minus untrained, uncentred minus centred")


@claims.register(
    "text has a lower effective rank than shuffled text",
    statement="At every width, hidden states of text have a lower effective rank than those of its tokens in random order.",
    source="ours",
)
def text_beside_shuffled(inputs: Inputs) -> list[Finding]:
    """At every length; without the final state, of which no shuffled text is measured without gain and bias."""
    rows = controlled(inputs, "shuffled", RANK, "unit", every_length=True)
    return at_every_width([row for row in rows if row.layer == "last"], -1, "text minus shuffled text")


@claims.register(
    "the final norm's weights do not matter",
    statement="At every width, the final norm's learnt gain and bias leave the effective rank as it is.",
    source="ours",
)
def norm_matters(inputs: Inputs) -> list[Finding]:
    """Refuted where the interval at one width excludes 0; one that covers 0 shows nothing."""
    return [
        at_widths(mine, "with gain and bias minus without", REFUTED if any(row.sign for row in mine) else UNDECIDED)
        for mine in by_place(controlled(inputs, "norm", RANK, "unit"))
    ]


@claims.register(
    "entropy goes with the loss between seeds",
    statement="Of seeds of one size, those of lower normalised entropy have the lower loss.",
    source="ours",
)
def between_seeds(inputs: Inputs) -> list[Finding]:
    rows = [row for row in controlled(inputs, "loss", RATIO, "unit") if row.layer in LAYERS]
    findings = []
    for row in rows:
        verdict, but = agreed(row, rows, lambda one: from_interval(one.low, one.high, 1))
        power = (
            "" if row.detectable is None else f"; {row.detectable:.2f} is the smallest that so many seeds show with 80 % power"
        )
        reason = f"{row.seeds} models{power}{but}" if row.value is not None else row.reason
        effect = "correlation over seeds of ln of the ratio with the loss, widths held fixed"
        findings.append(Finding.of(row, effect, verdict, reason, documents=None))
    return findings
