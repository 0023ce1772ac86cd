"""Charts of attention to sinks by block, with their nulls, and of what comes together along depth."""

from collections.abc import Iterator, Mapping, Sequence

from geomkit.core.variants import TRAINED
from geomkit.studies.portrait import charts
from geomkit.studies.portrait.rows import Facts

UNIFORM = "uniform attention"
"""The variant of rows about equal attention to all tokens that a token sees."""
RANK = charts.FIRST
"""The effective rank."""
FIRST, SINKS, RATIO = "attention_first", "attention_sinks", "norm_ratio"
TOGETHER = {
    "attention_with_rank": "attention to sinks with the effective rank",
    "norm_with_rank": "norm of the first position with the effective rank",
    "attention_with_norm": "attention to sinks with the norm of the first position",
}
"""Correlations along depth, in words."""
LABELS: dict[str, tuple[str, str]] = {
    FIRST: ("attention to the first position", "ratio"),
    SINKS: ("attention to sinks", "ratio"),
    RATIO: ("norm of the first position in medians of its text", "ratio"),
    **{name: (f"rank correlation over blocks, {words}", "correlation") for name, words in TOGETHER.items()},
}
"""Labels and units of the metrics of these rows."""


def attention_charts(rows: charts.Rows, facts: Facts) -> Iterator[charts.Chart]:
    """Yield charts of the attention to the first position and to sinks, with nulls, and the table of what comes together."""
    found = [dict(row) | {"view": ()} for row in rows.get("attention", ())]
    along = [row for row in found if row["layer"] is not None]
    positions = charts.axis_of(along)
    ticks = charts.ticks_of(positions)
    for metric in (FIRST, SINKS):
        mine = [
            row | {"series": row["variant"], "x": x, "place": state}
            for row in along
            if row["metric"] == metric
            for x, state in charts.places_of(row, positions)
        ]
        if mine:
            title = charts.title_of(metric, facts)
            title = f"{title[0].upper()}{title[1:]}, mean over heads, first {mine[0]['n']} tokens"
            series, columns = looks(mine, facts), ("x", "place", "value", "low", "high", "n", "texts")
            yield charts.Chart("aligned", title, series, columns, mine, ("place",), ticks, charts.BLOCKS)
    if along:
        yield table_by_block(rows, along, facts, positions)
    pairs = [
        row | {"series": name, "metric": f"{charts.words_for(row['normalise'])}: {TOGETHER[row['metric']]}", **numbers}
        for row in found
        if row["metric"] in TOGETHER
        for name, numbers in (
            ("value", {}),
            ("shifts", {"value": row["band_high"] if row["value"] > 0 else row["band_low"], "low": None, "high": None}),
        )
    ]
    if pairs:
        series = {"value": charts.Series("rank correlation over blocks", charts.BLUE)}
        series["shifts"] = charts.Series("the nearest to it of all circular shifts", charts.GREY)
        title = f"What comes together over {pairs[0]['n']} blocks"
        yield charts.Chart("", title, series, ("metric", "value", "low", "high"), pairs, ("metric",))


def looks(rows: Sequence[charts.Row], facts: Facts) -> dict[str, charts.Series]:
    """Return how the model, its nulls and equal attention are called and drawn."""
    variants = [name for name in charts.unique(rows, "variant") if name != UNIFORM]
    drawn = {name: charts.variant_series(name, facts) for name in variants}
    return drawn | {UNIFORM: charts.Series("equal attention to all that is seen", charts.GREY, charts.DOTTED)}


def table_by_block(
    rows: charts.Rows, along: Sequence[charts.Row], facts: Facts, positions: Mapping[tuple[int, str], float]
) -> charts.Chart:
    """Return a table with what sinks get, how long they are, and what they do to the effective rank, by block."""
    lines = [row for row in along if row["variant"] == TRAINED]
    lines += [row for row in rows.get("norms", ()) if row["metric"] in ("norm_first", "sink_share")]
    ranks = [row for row in rows.get("depth", ()) if (row["metric"], row["variant"], row["scope"]) == (RANK, TRAINED, "text")]
    if ranks:
        where = (ranks[0]["normalise"], max(charts.unique(ranks, "n")))
        lines += [row for row in ranks if (row["normalise"], row["n"]) == where]

    def name(row: charts.Row) -> str:
        return str(row["metric"]) + (" without" if row["sinks"] == charts.WITHOUT else "")

    found = [
        dict(row) | {"view": (), "series": name(row), "place": state, "x": x}
        for row in lines
        for x, state in charts.places_of(row, positions)
        if row["place"] not in ("plain", "final")
    ]
    found.sort(key=lambda row: row["x"])
    named = (FIRST, SINKS, RATIO, "norm_first", "sink_share")
    series = {metric: charts.Series(facts.labels.get(metric, (metric, ""))[0], charts.BLUE) for metric in named}
    if ranks:
        title = f"effective rank, first {where[1]} tokens, {charts.words_for(where[0])}"
        series |= {
            RANK: charts.Series(title, charts.BLUE),
            f"{RANK} without": charts.Series("without sinks", charts.BLUE),
        }
    known = {row["series"] for row in found}
    series = {one: look for one, look in series.items() if one in known}
    return charts.Chart("", "Sinks by block", series, ("place", "value", "low", "high"), found, ("place",))
