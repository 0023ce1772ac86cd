"""Claims about where the information sits: in attention sinks."""

from collections.abc import Sequence

from geomkit.tables.experiments import SinkEffect
from geomkit.tables.findings import UNTESTED, Finding, Inputs, claims, estimate, nearest, over_documents, same, scope

THRESHOLD = 10.0
"""A sink's length in medians of its text, by which claims are judged; a run without it is judged by the nearest one."""
RANK, CENTRED = "erank_covariance", "centre-unit"


@claims.register(
    "sinks make the centred depth profile",
    statement="Attention sinks lower the centred effective rank of the middle block.",
    source="ours",
)
def sinks_make_profile(inputs: Inputs) -> list[Finding]:
    chosen = judged(inputs)
    return [finding(row, chosen) for row in chosen if at_middle(row) and row.normalise == CENTRED]


def judged(inputs: Inputs) -> list[SinkEffect]:
    """The rows at the threshold by which claims are judged, and those of all tokens."""
    rows = inputs.rows("sinks_summary.csv", SinkEffect)
    thresholds = {row.threshold for row in rows if row.threshold is not None}
    return [row for row in rows if row.threshold is None or row.threshold == nearest(THRESHOLD, thresholds)]


def at_middle(row: SinkEffect) -> bool:
    """Whether a row is the effect of sinks at the middle block."""
    return (row.kind, row.metric, row.layer) == ("difference", RANK, -(-row.depth // 2))


def finding(row: SinkEffect, rows: Sequence[SinkEffect]) -> Finding:
    """The effect on centred rows, with its level, that on rows that are not centred, and the number of sinks."""
    mine = [one for one in rows if same(one, row, "model", "corpus")]
    number = next((one.value for one in mine if one.kind == "sinks"), 0.0)
    effect = "effective rank without sinks minus with them, middle block, centred rows"
    if not number:
        nothing = dict.fromkeys(("value", "low", "high", "documents"))
        return Finding.of(row, effect, UNTESTED, "the model has no sinks", scope=scope(row), **nothing)
    levels = {one.kind: one.value for one in mine if same(one, row, "layer", "normalise", "metric")}
    others = [one for one in mine if at_middle(one) and one.normalise == "unit"]
    texts = f"{row.n} texts of {row.length} tokens with {number:.1f} sinks each"
    parts = [f"{levels['all']:.1f} directions with them, {levels['without']:.1f} without; {texts}"]
    parts += [f"uncentred {estimate(one.value, one.low, one.high)}" for one in others]
    return over_documents(row, effect, "all tokens", 1, "; ".join(parts), primary=False)
