"""Claims about where the information sits: in attention sinks. docs/protocol_1.md says what each is compared with."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from geomkit.tables.experiments import SinkEffect
from geomkit.tables.findings import REFUTED, Finding, Inputs, claims, nearest, over_documents

THRESHOLD = 10.0
"""A sink's length in medians of its text, by which claims are judged; a run without it is judged by the nearest one."""
MODES = ("unit", "centre-unit", "raw")


@claims.register(
    "sinks make the depth profile",
    statement="Attention sinks lower the effective rank of the middle block.",
    source="ours",
)
def sinks_make_profile(inputs: Inputs) -> list[Finding]:
    rows = [row for row in inputs.rows("sinks_summary.csv", SinkEffect) if row.metric in ("erank_covariance", "sinks")]
    findings = []
    for model, corpus in dict.fromkeys((row.model, row.corpus) for row in rows):
        mine = [row for row in rows if (row.model, row.corpus) == (model, corpus)]
        numbers = by_threshold(row for row in mine if row.kind == "sinks")
        for mode in MODES:
            of_mode = [row for row in mine if row.normalise == mode]
            middle = [row for row in of_mode if row.kind == "difference" and row.layer == -(-row.depth // 2)]
            findings += at_middle(of_mode, by_threshold(middle), numbers, mode)
    return findings


def by_threshold(rows: Iterable[SinkEffect]) -> dict[float, SinkEffect]:
    """Rows by their threshold, lowest first."""
    return dict(sorted({row.threshold: row for row in rows if row.threshold is not None}.items()))


def at_middle(
    rows: list[SinkEffect], gaps: Mapping[float, SinkEffect], numbers: Mapping[float, SinkEffect], mode: str
) -> list[Finding]:
    """The difference at the middle block under one normalisation, and the profile's range over blocks with and without sinks."""
    threshold = nearest(THRESHOLD, gaps)
    if threshold is None:
        return []
    row = gaps[threshold]
    whole = profile_range(one for one in rows if one.kind == "all")
    without = profile_range(one for one in rows if one.kind == "without" and one.threshold == threshold)
    number = "; ".join(f"above {least:g} medians {one.value:.2f}" for least, one in numbers.items())
    others = "; ".join(f"at {least:g} medians {gap.value:+.2f}" for least, gap in gaps.items() if gap is not row)
    difference = over_documents(
        row,
        f"effective rank without sinks minus with them at the middle block (layer {row.layer}), {mode} rows",
        "all tokens",
        1,
        f"ln of the largest over the smallest effective rank of any block {whole:.2f} with sinks, {without:.2f} without",
        scope=f"{row.model} on {row.corpus}",
        details=f"sinks a text: {number}; the difference {others}",
        primary=False,
    )
    there = threshold in numbers and numbers[threshold].value
    return [difference if there else replace(difference, verdict=REFUTED)]


def profile_range(rows: Iterable[SinkEffect]) -> float:
    """ln of the largest over the smallest value of any block: neither the embedding nor what follows the final norm."""
    values = [row.value for row in rows if 1 <= row.layer <= row.depth]
    return math.log(max(values) / min(values)) if values else math.nan
