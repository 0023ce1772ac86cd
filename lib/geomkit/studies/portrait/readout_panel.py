"""The section of the page on the readout: the logit lens and the unembedding along depth, with their nulls."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from geomkit.core.variants import TRAINED
from geomkit.studies.portrait import charts
from geomkit.studies.portrait.rows import Facts

RANDOM = "random subspace"
"""The variant of rows about random subspaces."""
LENS = {
    "logit_lens_divergence": ("KL(final prediction || prediction of the state)", "nats"),
    "logit_lens_loss": ("loss of the prediction", "nats a token"),
    "logit_lens_entropy": ("entropy of the prediction", "nats"),
}
SHARE, RANK = "unembedding_share", "unembedding_erank"
LABELS: dict[str, tuple[str, str]] = {
    **LENS,
    SHARE: ("share of the variance in the leading directions of the unembedding", "ratio"),
    RANK: ("effective rank of the unembedding", "directions"),
}
"""Labels and units of the metrics of these rows."""


UNIFORM = "uniform"
"""The series of the bound of a uniform guess."""


def readout_panel(rows: charts.Rows, facts: Facts) -> dict[str, Any]:
    """Return the curves of the logit lens and the shares of the unembedding along depth, each with its null."""
    return charts.panel(caption(rows["readout"], facts), list(readout_charts(rows["readout"], facts)), {})


def readout_charts(rows: Sequence[charts.Row], facts: Facts) -> Iterator[charts.Chart]:
    """Yield a chart for each score of the lens, and one for the shares of the unembedding."""
    along = [row for row in rows if row["layer"] is not None]
    positions = charts.axis_of(along)
    compared = facts.kind == "comparison"
    inside = {x: label for x, label in charts.RELATIVE.items() if x <= 1}
    axis = (inside, charts.DEPTH) if compared else (charts.ticks_of(positions), charts.BLOCKS)
    looks = series_of(along, facts)
    for metric in [*LENS, SHARE]:
        found: list[charts.Row] = []
        for row in (row for row in along if row["metric"] == metric and not (compared and row["variant"] == RANDOM)):
            x = charts.relative(row) if compared else positions[row["layer"], row["place"]]
            one = dict(row) | {"view": (), "x": x, "place": charts.state_name(row["layer"], row["place"])}
            found.append(one | {"series": row["model"] if compared else row["variant"]})
            if row["bound"] is not None and row["variant"] == TRAINED and not compared:
                found.append(one | {"series": UNIFORM, "value": row["bound"], "low": None, "high": None})
        names = {row["series"] for row in found}
        if found:
            series = {name: look for name, look in looks.items() if name in names}
            columns = ("x", "place", "value", "low", "high", "n", "documents")
            yield charts.Chart("profile", titled(metric, found, facts), series, columns, found, ("place",), *axis)


def titled(metric: str, rows: Sequence[charts.Row], facts: Facts) -> str:
    """Return the title of a chart."""
    title = charts.title_of(metric, facts)
    if metric == SHARE:
        title = f"share of the variance in the {rows[0]['rank']} leading of {rows[0]['d']} directions of the unembedding"
    return title[0].upper() + title[1:]


def series_of(rows: Sequence[charts.Row], facts: Facts) -> Mapping[str, charts.Series]:
    """Return how models, or variants and nulls, are called and drawn."""
    if facts.kind == "comparison":
        return charts.models_series(facts)
    variants = [name for name in charts.unique(rows, "variant") if name != RANDOM]
    drawn = {name: charts.variant_series(name, facts) for name in variants}
    return drawn | {
        UNIFORM: charts.Series("a uniform guess", charts.GREY, charts.DOTTED),
        RANDOM: charts.Series("a random subspace of this size", charts.GREY, charts.DASHED),
    }


def caption(rows: Sequence[charts.Row], facts: Facts) -> str:
    """Return the caption, with the effective ranks of the unembeddings."""
    words = (
        "Each state is read out as if it came after the last block: through the model's own final norm and head (logit lens). "
        "The prediction of the last block is the model's own. Look where the loss leaves that of a uniform guess, which an "
        "untrained twin does at no depth, and where the divergence from the final prediction falls; that of a twin is small "
        "because all of its predictions are nearly uniform. A state may hold what the head cannot read, so a high loss does not "
        "say that it knows nothing."
    )
    ranks = [row for row in rows if row["metric"] == RANK]
    for row in ranks:
        who = row["model"] if facts.kind == "comparison" else charts.variant_series(row["variant"], facts).label
        words += f" Effective rank of the unembedding, {who}: {row['value']:.3g} of {row['d']} directions."
    return words
