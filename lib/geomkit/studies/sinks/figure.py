"""Draw the claim about attention sinks: the effective rank over depth, with all tokens and without sinks."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomkit.figures.claims import claim_figures
from geomkit.figures.style import BLACK, VERMILION, WIDTH
from geomkit.studies.sinks.claims import CENTRED, RANK, judged
from geomkit.tables.experiments import SinkEffect
from geomkit.tables.findings import Inputs

MODES = {CENTRED: "centred rows", "unit": "unit rows"}


@claim_figures.register(
    "sinks",
    claims=("sinks make the centred depth profile",),
    caption="Effective rank of texts over depth, with all tokens (black) and without sinks (dashed), in models that have some.",
)
def sinks(inputs: Inputs) -> Figure | None:
    rows = [row for row in judged(inputs) if row.metric == RANK or row.kind == "sinks"]
    places = [(row.model, row.corpus) for row in rows if row.kind == "sinks" and row.value > 0]
    if not places:
        return None
    figure = Figure(figsize=(WIDTH, 0.3 + 1.35 * len(places)))
    axes = figure.subplots(len(places), len(MODES), squeeze=False, sharex="row")
    for line, place in zip(axes, places, strict=True):
        for axis, (mode, name) in zip(line, MODES.items(), strict=True):
            mine = [row for row in rows if (row.model, row.corpus, row.normalise) == (*place, mode)]
            profile(axis, [row for row in mine if row.kind == "all"], BLACK, "-")
            profile(axis, [row for row in mine if row.kind == "without"], VERMILION, "--")
            axis.set_title(f"{place[0]} on {place[1]}, {name}", fontsize=6)
            axis.set_ylim(bottom=0)
        line[0].set_ylabel("directions")
    for axis in axes[-1]:
        axis.set_xlabel("block (0: the embedding)")
    return figure


def profile(axis: Axes, rows: Sequence[SinkEffect], colour: str, line: str) -> None:
    """Draw means over texts by layer, with their intervals over documents as a band."""
    points = sorted((row.layer, row.value, row.low, row.high) for row in rows)
    if not points:
        return
    x, value, low, high = zip(*points, strict=True)
    axis.plot(x, value, line, color=colour, lw=1)
    if None not in (*low, *high):
        axis.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
