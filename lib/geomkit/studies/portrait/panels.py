"""Turn the table of a portrait into the sections of its page, each with panels of charts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any

from geomkit.core.variants import TRAINED
from geomkit.studies.portrait.attention_panel import attention_charts
from geomkit.studies.portrait.charts import (
    BLOCKS,
    BLUE,
    DASHED,
    DEPTH,
    DOTTED,
    EDGE,
    FIRST,
    GREEN,
    GREY,
    HERE,
    ORANGE,
    REFERENCE,
    RELATIVE,
    SHARES,
    SOLID,
    VERMILION,
    WIDTH,
    WITHOUT,
    Chart,
    Row,
    Rows,
    Series,
    Switch,
    axis_of,
    digits,
    is_trained,
    lengths_in,
    models_series,
    normalise_switch,
    panel,
    places_of,
    reason,
    relative,
    series_in,
    series_of,
    state_name,
    states_of,
    switches_of,
    ticks_of,
    title_of,
    unique,
    variant_series,
    view_of,
    words_for,
)
from geomkit.studies.portrait.dimension_panel import dimension_parts, estimates, scale_of, scale_switches
from geomkit.studies.portrait.readout_panel import readout_panel
from geomkit.studies.portrait.rows import Facts
from geomkit.studies.portrait.similarity_panel import similarity_panel

# Sections


def sections(rows: Rows, facts: Facts) -> Iterator[dict[str, Any]]:
    """Yield the sections of the page, in order. One whose rows are missing has the reason in their place."""
    yield {"id": "short", "title": "In short", "sentences": facts.sentences}
    if facts.kind == "comparison":
        yield section("depth", "Depth", "difference", rows, facts, lambda: {"panels": [difference_panel(rows, facts)]})
        yield section("similarity", "Similarity of states", "similarity", rows, facts, lambda: similar(rows, facts))
        yield section(
            "dimension", "Intrinsic dimension", "dimension", rows, facts, lambda: {"panels": [dimensions_panel(rows, facts)]}
        )
        yield section("readout", "Readout", "readout", rows, facts, lambda: {"panels": [readout_panel(rows, facts)]})
        yield section("loss", "Loss", "loss", rows, facts, lambda: {"losses": losses(rows, facts)})
    else:
        yield section("depth", "Depth", "depth", rows, facts, lambda: depth_parts(rows, facts))
        yield section("spectra", "Spectra", "spectrum", rows, facts, lambda: {"panels": [spectra_panel(rows, facts)]})
        yield section("similarity", "Similarity of layers", "similarity", rows, facts, lambda: similar(rows, facts))
        yield section("norms", "Norms and sinks", "norms", rows, facts, lambda: norms_parts(rows, facts))
        yield section("dimension", "Intrinsic dimension", "dimension", rows, facts, lambda: dimension_parts(rows, facts))
        yield section("readout", "Readout", "readout", rows, facts, lambda: {"panels": [readout_panel(rows, facts)]})
        yield section("tokens", "Tokens", "tokens", rows, facts, lambda: tokens_parts(rows, facts))
        yield section("standing", "Where it stands", "reference", rows, facts, lambda: {"panels": [standing_panel(rows, facts)]})
    yield {
        "id": "measured",
        "title": "What was measured",
        "facts": list(map(list, facts.measured)),
        "absences": list(map(list, facts.absent.items())),
        "command": facts.command,
    }


def section(
    name: str, title: str, needs: str, rows: Rows, facts: Facts, parts: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a section with its parts, or with the reason why the rows that it needs are absent."""
    return {"id": name, "title": title, **(parts() if rows.get(needs) else {"absent": reason(needs, facts)})}


def depth_parts(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the panel of metrics against layers, and the valley of the effective rank, of each variant and normalisation."""
    found, key = rows.get("valley", ()), itemgetter("variant", "normalise")
    layers = {key(row): numbers_of(row) for row in found if row["metric"] == "valley_layer"}
    lines = [
        [*(variant_series(row["variant"], facts).label, words_for(row["normalise"])), *(numbers_of(row), layers[key(row)])]
        for row in found
        if row["metric"] == "valley_depth"
    ]
    return {"panels": [depth_panel(rows, facts)], "valley": lines}


def numbers_of(row: Row) -> list[Any]:
    """Return a value with the ends of its interval, rounded."""
    return [digits(row[column]) for column in ("value", "low", "high")]


def similar(rows: Rows, facts: Facts) -> dict[str, Any]:
    return {"panels": [similarity_panel(rows, facts)]}


def depth_panel(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return every metric against layers, with the nulls beside the trained model."""
    positions = axis_of(rows["depth"])
    found = [
        dict(row) | {"view": view_of(row), "series": series_of(row), "x": x, "place": place}
        for row in rows["depth"]
        for x, place in places_of(row, positions)
    ]
    caption = (
        "Look where the trained model leaves its nulls: Gaussian rows show what the numbers of tokens and dimensions "
        "alone give, an untrained twin what the architecture gives, and shuffled tokens what is left without their order. "
        "Shading is the 95 % interval over documents; the states after the final norm, without its learnt weights (plain) "
        "and with them (final), stand apart from the blocks."
    )
    columns = ("x", "place", "value", "low", "high", "bound", "n", "d", "texts", "documents")
    ticks = ticks_of(positions)
    chart = Chart("depth", "", series_in(found, facts), columns, found, ("place",), ticks, BLOCKS)
    return panel(caption, [chart], switches_of(rows["depth"], facts))


# Spectra


MARCHENKO_PASTUR = Series("Marchenko-Pastur edge", GREY, SOLID)


def spectra_panel(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the eigenvalues of each state beside its nulls, with the shares of its leading directions."""
    positions = axis_of(rows["spectrum"])
    number = {state: str(place) for place, state in enumerate(positions)}
    start = next((place for (_, name), place in number.items() if name == "last"), "")

    def at_states(of: Iterable[Row], name: Callable[[Row], str]) -> list[Row]:
        return [
            dict(row) | {"view": (number[state], row["normalise"], str(row["n"])), "series": name(row)}
            for row in of
            for state in states_of(row, positions)
        ]

    found = at_states(rows["spectrum"], lambda row: EDGE if row["metric"] else str(row["variant"]))
    views = {row["view"] for row in found}
    shares = at_states((row for row in rows.get("depth", ()) if row["metric"] in SHARES and row["scope"] == "text"), series_of)
    shares = [dict(row) | {"metric": title_of(row["metric"], facts)} for row in shares if row["view"] in views]
    series = series_in((row for row in found if row["series"] != EDGE), facts) | {EDGE: MARCHENKO_PASTUR}
    switches = {
        "state": Switch("State", {place: state_name(*state) for state, place in number.items()}, start),
        "normalise": normalise_switch(rows["spectrum"]),
        "tokens": Switch("Tokens", lengths_in(rows["spectrum"])),
    }
    caption = (
        "Rows without structure stay below the Marchenko-Pastur edge for this number of tokens and dimensions, as "
        "Gaussian rows do up to chance; directions above it carry structure. Look at the first one: far above the others, "
        "it is a direction that most tokens share, often that of an attention sink."
    )
    charts = [Chart("spectrum", "", series, ("rank", "value", "n", "d"), found, ("rank",))]
    if shares:
        charts.append(
            Chart("", "Leading directions", series_in(shares, facts), ("metric", "value", "low", "high"), shares, ("metric",))
        )
    return panel(caption, charts, switches)


# Norms and sinks


NORMS = {
    "norm_largest": Series("largest of a text", VERMILION, DASHED),
    "norm_first": Series("first token", ORANGE, DOTTED),
    "norm_median": Series("median of a text", BLUE, SOLID),
}
ALIGNED = {
    "sink_share": Series("share of sinks in the squared norm", VERMILION, DASHED),
    "mean_cosine": Series("mean cosine of two tokens", GREEN, SOLID),
}


def norms_parts(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return norms by layer, what sinks do to them and to the effective rank, and a list of the sinks."""
    positions = axis_of(rows["norms"])
    ticks = ticks_of(positions)
    columns = ("x", "place", "value", "low", "high")

    def along(of: Iterable[Row], name: Callable[[Row], str]) -> list[Row]:
        return [
            dict(row) | {"view": (), "series": name(row), "x": x, "place": place}
            for row in of
            for x, place in places_of(row, positions)
        ]

    norms = along(rows["norms"], lambda row: str(row["metric"]))
    charts = [
        Chart(
            "norms",
            "Norm of a token's vector",
            NORMS,
            columns,
            [row for row in norms if row["series"] in NORMS],
            ("place",),
            ticks,
            BLOCKS,
        ),
        Chart(
            "aligned",
            "Share of sinks, and mean cosine",
            ALIGNED,
            columns,
            [row for row in norms if row["series"] in ALIGNED],
            ("place",),
            ticks,
            BLOCKS,
        ),
    ]
    ranks = [
        row for row in rows.get("depth", ()) if row["metric"] == FIRST and row["variant"] == TRAINED and row["scope"] == "text"
    ]
    ranks = [row for row in ranks if (row["normalise"], row["n"]) == (unique(ranks, "normalise")[0], max(unique(ranks, "n")))]
    if any(row["sinks"] == WITHOUT for row in ranks):
        title = f"Effective rank, first {ranks[0]['n']} tokens, {words_for(ranks[0]['normalise'])}"
        found = along(ranks, series_of)
        charts.append(Chart("profile", title, series_in(found, facts), columns, found, ("place",), ticks, BLOCKS))
    charts += attention_charts(rows, facts)
    caption = (
        "A sink is a token whose norm is many times the median of its text: look for a gap between the largest norm and "
        "the median, and for what the effective rank is without sinks. Rows of independent numbers have no such gap, and "
        "a mean cosine near 0. Attention to sinks is that of tokens that are none, a mean over heads; the first position is that "
        "of the token which the model puts before a text, if it puts one there. Layers are alike from one to the next, so a rank "
        "correlation over blocks says little where a circular shift of one profile gives as much."
    )
    if not rows.get("attention"):
        caption += f" Attention is absent: {reason('attention', facts)}."
    return {"panels": [panel(caption, charts, {})], "sinks": list(sinks_of(rows)), "nosinks": reason("sinks", facts)}


def sinks_of(rows: Rows) -> Iterator[list[Any]]:
    """Yield position, token, number of texts, texts, ratio and layer of each sink, the most frequent first."""
    found = rows.get("sinks", ())
    ratios = {(row["position"], row["token"]): row for row in found if row["metric"] == "sink_ratio"}
    for row in sorted((row for row in found if row["metric"] == "sinks"), key=lambda row: -row["value"]):
        ratio = ratios.get((row["position"], row["token"]), {})
        yield [row["position"], row["token"], row["value"], row["texts"], digits(ratio.get("value")), ratio.get("layer")]


# Tokens and losses


def tokens_parts(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the shown texts: each token with its gain, its surprisal, and the earlier tokens that Lasso chose for it."""
    texts: dict[int, dict[str, Any]] = {}
    for row in sorted(rows["tokens"], key=lambda row: (row["text"], row["position"])):
        text = texts.setdefault(row["text"], {"tokens": {}, "gain": {}, "surprisal": {}, "chosen": {}})
        text["tokens"][row["position"]] = row["token"]
        text[row["metric"]][row["position"]] = row["value"]
    for row in sorted(rows.get("selection", ()), key=lambda row: row["rank"]):
        texts[row["text"]]["chosen"].setdefault(row["position"], []).append(row["past"])
    return {
        "texts": [
            {
                "name": facts.texts[text] if text < len(facts.texts) else f"text {text + 1}",
                "tokens": list(one["tokens"].values()),
                **{view: [digits(one[view].get(position)) for position in one["tokens"]] for view in ("gain", "surprisal")},
                "chosen": one["chosen"],
            }
            for text, one in texts.items()
        ],
        "noselection": "" if rows.get("selection") else reason("selection", facts),
        "losses": losses(rows, facts),
    }


def losses(rows: Rows, facts: Facts) -> list[list[Any]]:
    """Return losses: of whom, metric, value, ends of its interval, and the bound of a uniform guess."""
    found: list[list[Any]] = []
    for row in [*rows.get("loss", ()), *(row for row in rows.get("difference", ()) if str(row["metric"]).startswith("loss"))]:
        variant = variant_series(row["variant"], facts).label if row["variant"] else f"{facts.models[-1]} minus {facts.models[0]}"
        who = f"{row['model']}, {variant}" if row["model"] and row["variant"] else variant
        numbers = [digits(row[column]) for column in ("value", "low", "high", "bound")]
        found.append([who, row["metric"], *numbers])
    return found


# Beside other models


def standing_panel(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the model's values at the last block beside those of reference models, against width."""
    found: list[Row] = []
    for section, name in (("reference", REFERENCE), ("width", WIDTH)):
        found += [dict(row) | {"view": standing_view(row), "series": name} for row in rows.get(section, ())]
    views = {row["view"] for row in found}
    for row in rows.get("depth", ()):
        if is_here(row) and standing_view(row) in views:
            found.append(dict(row) | {"view": standing_view(row), "series": HERE, "model": facts.models[0]})
    series = standing_series(facts)
    caption = (
        "The dashed line is what width alone gives: the widest reference model's own vectors in fewer directions. Look "
        "how far this model is from the line and from the models beside it, at the last block and on as many tokens; "
        "models on the line differ in width and in nothing else that the metric sees."
    )
    known = {row["series"] for row in found}
    chart = Chart(
        "standing",
        "",
        {name: one for name, one in series.items() if name in known},
        ("model", "d", "value", "low", "high", "n"),
        found,
        ("model", "d"),
    )
    options = switches_of([row for name in ("reference", "width") for row in rows.get(name, ())], facts)
    return panel(caption, [chart], options)


def is_here(row: Row) -> bool:
    """Whether a row of depth says where the model stands."""
    return is_trained(row) and (row["place"], row["scope"]) == ("last", "text")


def standing_series(facts: Facts) -> dict[str, Series]:
    """Return how the model, those beside it, and the line of width alone are called and drawn."""
    return {
        HERE: Series(f"{facts.models[0]}, this portrait", VERMILION, SOLID),
        REFERENCE: Series("reference models that ship", BLUE, SOLID),
        WIDTH: Series("width alone: the widest reference in fewer directions", GREY, DASHED),
    }


def standing_view(row: Row) -> tuple[str, str, str]:
    return row["metric"], row["normalise"], str(row["n"])


# Two models


def difference_panel(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the paired difference of every metric along relative depth, and both models' own values."""
    found = [row for row in rows["difference"] if row["layer"] is not None]
    views = set(map(view_of, found))
    own = [row for row in rows.get("depth", ()) if is_trained(row) and view_of(row) in views]
    caption = (
        "Look where the lighter band, which holds at all layers together, leaves 0: there the models part. Two models "
        "that do not differ leave 0 inside that band everywhere, though the darker 95 % interval of a single layer misses "
        "it at one layer in twenty."
    )
    return panel(caption, paired_charts(found, own, view_of, facts), switches_of(rows["difference"], facts))


def dimensions_panel(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the paired difference of intrinsic dimensions along relative depth, and both models' own."""
    found = estimates(rows)
    own = [row for row in found if row["variant"] == TRAINED]
    caption = (
        "The dimension of a cloud of tokens' vectors at the distance of two neighbours. Vectors of one token lie together, so "
        "look at one vector of each token first. Where both models read the same tokens, the difference has a 95 % interval over "
        "documents, of a single layer: of layers where the models do not differ, it misses 0 at one in twenty."
    )
    charts = paired_charts([row for row in found if row["variant"] is None], own, scale_of, facts)
    return panel(caption, charts, scale_switches(rows, facts))


def paired_charts(found: Iterable[Row], own: Iterable[Row], view: Callable[[Row], tuple[str, ...]], facts: Facts) -> list[Chart]:
    """Return a chart of differences along relative depth, and one of both models' own values, as far as there are any."""

    def along(of: Iterable[Row], series: Callable[[Row], str]) -> list[Row]:
        return [
            dict(row)
            | {"view": view(row), "series": series(row), "x": relative(row), "place": state_name(row["layer"], row["place"])}
            for row in of
        ]

    columns = ("x", "place", "value", "low", "high")
    differences, models = along(found, lambda row: "difference"), along(own, lambda row: str(row["model"]))
    title = f"{facts.models[-1]} minus {facts.models[0]}"
    more = ("band_low", "band_high", "n", "texts", "documents")
    of_pair = Chart("difference", title, {"difference": DIFFERENCE}, (*columns, *more), differences, ("place",), RELATIVE, DEPTH)
    of_each = Chart("models", "Both models", models_series(facts), columns, models, ("place",), RELATIVE, DEPTH)
    return [chart for chart in (of_pair, of_each) if chart.rows]


DIFFERENCE = Series("difference", BLUE, SOLID)
