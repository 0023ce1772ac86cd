"""Claims about models of one width: trained beside untrained, text beside shuffled text, and seed beside seed."""

from collections.abc import Sequence
from itertools import groupby

from geomkit.store.dumps import PLAIN
from geomkit.store.findings import Finding, Inputs, claims, every_one, from_interval, unless_plain_agrees
from geomkit.store.records.claims import ClaimVerdict
from geomkit.store.records.scaling import FixedWidth

LAYERS = ("last", "final", PLAIN)
RANK, RATIO = "erank_covariance", "rate_distortion_ratio"
AT_EVERY_WIDTH = "ln of the effective rank, {}, at every width"


def controlled(inputs: Inputs, control: str, metric: str) -> list[FixedWidth]:
    """Rows of a control at single texts, in the order of the file."""
    rows = inputs.rows("fixed_width.csv", FixedWidth)
    return [row for row in rows if (row.control, row.metric) == (control, metric) and row.length is not None]


def longest(rows: Sequence[FixedWidth]) -> list[FixedWidth]:
    """Of each family and corpus the rows of the greatest length."""
    most: dict[tuple[str, str], int] = {}
    for row in rows:
        most[row.family, row.corpus] = max(row.length or 0, most.get((row.family, row.corpus), 0))
    return [row for row in rows if row.length == most[row.family, row.corpus]]


def over_widths(rows: Sequence[FixedWidth], claimed: int, effect: str) -> list[Finding]:
    """A finding for each place: supported where the interval at every width has the claimed sign, refuted where one has the
    other. What the final state shows must show without the final norm's gain and bias as well."""
    groups: dict[tuple[str, str, str | None, int | None, str | None], list[FixedWidth]] = {}
    for row in rows:
        if row.layer in LAYERS and row.value is not None:
            groups.setdefault((row.family, row.corpus, row.layer, row.length, row.normalise), []).append(row)
    told = {place: every_one([row.sign for row in mine], claimed) for place, mine in groups.items()}
    found = []
    for (family, corpus, layer, length, normalise), mine in groups.items():
        verdict, but = told[family, corpus, layer, length, normalise], ""
        if layer == "final":
            verdict, but = unless_plain_agrees(verdict, told.get((family, corpus, PLAIN, length, normalise)))
        how = "" if normalise is None else f", {normalise}"
        found.append(
            Finding(
                scope=f"{family} on {corpus}, {layer}, {length} tokens{how}",
                effect=effect,
                verdict=verdict,
                reason=", ".join(at_width(row) for row in sorted(mine, key=lambda row: row.width or 0)) + but,
                sizes=len(mine),
                documents=mine[0].documents,
                details=twins_of(mine),
            )
        )
    return found


def at_width(row: FixedWidth) -> str:
    interval = "" if row.low is None or row.high is None else f" [{row.low:+.2f}, {row.high:+.2f}]"
    return f"{row.value:+.2f}{interval} at width {row.width}"


def twins_of(rows: Sequence[FixedWidth]) -> str:
    numbers = sorted({row.twins for row in rows if row.twins is not None})
    return f"{' or '.join(map(str, numbers))} untrained twins" if numbers else ""


@claims.register(
    "training lowers the effective rank",
    statement="At every width, training lowers the effective rank of hidden states.",
    source="ours",
)
def training_lowers(inputs: Inputs) -> list[Finding]:
    rows = [row for row in longest(controlled(inputs, "untrained", RANK)) if row.normalise == "unit"]
    return over_widths(rows, -1, AT_EVERY_WIDTH.format("trained minus untrained"))


@claims.register(
    "training lowers the centred effective rank",
    statement="At every width, training lowers the effective rank of hidden states whose mean is subtracted.",
    source="Wei et al. 2024",
)
def training_lowers_centred(inputs: Inputs) -> list[Finding]:
    rows = [row for row in longest(controlled(inputs, "untrained", RANK)) if row.normalise == "centre-unit"]
    return over_widths(rows, -1, AT_EVERY_WIDTH.format("trained minus untrained, centred"))


@claims.register(
    "training acts in the mean direction",
    statement="At every width, training lowers the effective rank more with the mean direction than without it.",
    source="ours",
)
def mean_direction(inputs: Inputs) -> list[Finding]:
    rows = longest(controlled(inputs, "mean-direction", RANK))
    return over_widths(rows, -1, AT_EVERY_WIDTH.format("trained minus untrained, uncentred minus centred"))


@claims.register(
    "text has a lower effective rank than shuffled text",
    statement="At every width, hidden states of text have a lower effective rank than those of its tokens in random order.",
    source="ours",
)
def text_beside_shuffled(inputs: Inputs) -> list[Finding]:
    """At every length; without the final state, of which no shuffled text is measured without gain and bias."""
    rows = [row for row in controlled(inputs, "shuffled", RANK) if row.normalise == "unit" and row.layer == "last"]
    return over_widths(rows, -1, AT_EVERY_WIDTH.format("text minus shuffled text"))


@claims.register(
    "the final norm's weights do not matter",
    statement="At every width, the final norm's learnt gain and bias leave the effective rank as it is.",
    source="ours",
)
def norm_matters(inputs: Inputs) -> list[Finding]:
    """Refuted where the interval at one width excludes 0; one that covers 0 shows nothing."""
    rows = [row for row in longest(controlled(inputs, "norm", RANK)) if row.normalise == "unit" and row.value is not None]
    found = []
    for (family, corpus), group in groupby(rows, key=lambda row: (row.family, row.corpus)):
        mine = sorted(group, key=lambda row: row.width or 0)
        found.append(
            Finding(
                scope=f"{family} on {corpus}, final, {mine[0].length} tokens, unit",
                effect=AT_EVERY_WIDTH.format("with gain and bias minus without"),
                verdict=ClaimVerdict.REFUTED if any(row.sign for row in mine) else ClaimVerdict.UNDECIDED,
                reason=", ".join(map(at_width, mine)),
                sizes=len(mine),
                documents=mine[0].documents,
            )
        )
    return found


@claims.register(
    "entropy goes with the loss between seeds",
    statement="Of seeds of one size, those of lower normalised entropy have the lower loss.",
    source="ours",
)
def between_seeds(inputs: Inputs) -> list[Finding]:
    found = []
    rows = [row for row in longest(controlled(inputs, "loss", RATIO)) if row.normalise == "unit" and row.layer in LAYERS]
    told = {(row.family, row.corpus, row.layer): from_interval(row.low, row.high, 1) for row in rows}
    for row in rows:
        verdict, but = told[row.family, row.corpus, row.layer], ""
        if row.layer == "final":
            verdict, but = unless_plain_agrees(verdict, told.get((row.family, row.corpus, PLAIN)))
        power = (
            "" if row.detectable is None else f"; {row.detectable:.2f} is the smallest that so many seeds show with 80 % power"
        )
        found.append(
            Finding(
                scope=f"{row.family} on {row.corpus}, {row.layer}, {row.length} tokens, {row.normalise}",
                effect="correlation over seeds of ln of the ratio with the loss, widths held fixed",
                value=row.value,
                low=row.low,
                high=row.high,
                verdict=verdict,
                reason=f"{row.seeds} models{power}{but}" if row.value is not None else row.reason,
            )
        )
    return found
