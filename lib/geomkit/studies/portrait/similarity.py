"""Similarity of all pairs of states, of one model or of two: the rows of the table, and the panel of the page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.variants import TRAINED, base
from geomkit.laws.resampling import documents_in_words
from geomkit.measures.similarity import Clouds, similarities
from geomkit.measures.spectra import normalise
from geomkit.states.extracts import POOLED
from geomkit.states.spectra import Spectra
from geomkit.studies.portrait.charts import (
    BLOCKS,
    BLUE,
    DEPTH,
    RELATIVE,
    SOLID,
    Chart,
    Row,
    Rows,
    Series,
    Switch,
    panel,
    relative,
    state_name,
    ticks_of,
    title_of,
    unique,
    variant_series,
)
from geomkit.studies.portrait.profiles import Profiles
from geomkit.studies.portrait.rows import Facts

MODE = "unit"
"""Vectors have length 1, so that a few long ones do not decide."""
NEIGHBOURS = 10
TOKENS = "tokens"
ROWS = {TOKENS: "sampled tokens", "last": "last token of each text", "mean": "mean of each text"}
"""What the rows of a cloud are."""


# Rows of the table


def states_rows(file: Spectra, own: Profiles) -> Iterator[dict[str, Any]]:
    """Yield the similarity of every pair of states, of the trained model and of its first untrained twin."""
    twins = [name for name in own.variants if base(name) == "untrained"]
    for variant in [TRAINED, *twins[:1]]:
        rows, documents = sampled(file, own, variant)
        for i, j, row in compared(rows, rows, own, own, documents):
            if i <= j:
                yield {"variant": variant, "scope": TOKENS, **row}


def models_rows(first: Spectra, second: Spectra, a: Profiles, b: Profiles, alike: bool) -> Iterator[dict[str, Any]]:
    """Yield the similarity of every state of one model and every state of another.

    alike: whether both have read the same tokens. If not, their texts are the same passages, and each text has one row.
    """
    for scope in [TOKENS] if alike else POOLED:
        (rows, documents), (others, _) = (
            sampled(file, own, TRAINED) if alike else pooled(file, own, scope) for file, own in ((first, a), (second, b))
        )
        for _, _, row in compared(rows, others, a, b, documents):
            yield {"variant": TRAINED, "scope": scope, **row}


def sampled(file: Spectra, own: Profiles, variant: str) -> tuple[list[Array], list[str]]:
    """Read the rows of sampled tokens at every state, and the document of each."""
    texts = np.searchsorted(file.text_list.offset, file.sampled_tokens(variant), side="right") - 1
    return [unit(file, file.sample(variant, state)) for state in own.states], [file.text_list.document[text] for text in texts]


def pooled(file: Spectra, own: Profiles, kind: str) -> tuple[list[Array], list[str]]:
    """Read one row of each text at every state, and its document."""
    return [unit(file, file.pooled(TRAINED, state, kind)) for state in own.states], list(file.text_list.document)


def unit(file: Spectra, rows: Array) -> Array:
    return normalise(rows, MODE, dtype=str(file.attributes.get("dtype", "float32")))


def compared(
    rows: Sequence[Array], others: Sequence[Array], a: Profiles, b: Profiles, documents: Sequence[str]
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield a row for each measure and pair of states, with the states' numbers. What is missing is said in `a`."""
    if (count := len(set(documents))) < 2 or len(documents) < 4:
        a.missing["similarity"] = f"{len(documents)} rows of {documents_in_words(count)} cannot be exchanged between documents"
        return
    first = Clouds(rows, documents)
    second = first if others is rows else Clouds(others, documents)
    for name, measure in similarities.items():
        neighbours = {"k": NEIGHBOURS} if "k" in similarities.keywords(name) else {}
        if neighbours and first.others.min() < 2 * NEIGHBOURS:
            a.missing[name] = f"other documents have {first.others.min()} rows, fewer than twice {NEIGHBOURS}"
            continue
        found = measure(first, second, **neighbours)
        for i, j in np.ndindex(found.value.shape):
            one, other = a.states[i], b.states[j]
            own = {"layer": one.layer, "state": one.sublayer, "place": a.place(one), "depth": a.relative(one), "d": a.widths[one]}
            pair = {**own, "other_layer": other.layer, "other_place": b.place(other), "normalise": MODE, "metric": name}
            numbers = {column: float(getattr(found, column)[i, j]) for column in ("value", "low", "high", "null")}
            known = {column: number for column, number in numbers.items() if np.isfinite(number)}
            if "value" in known:  # of equal rows there is none
                yield i, j, {**pair, **known, "n": len(documents), "documents": count}


# The panel of the page


CURVE = Series("at equal relative depth", BLUE, SOLID)


def similarity_panel(rows: Rows, facts: Facts) -> dict[str, Any]:
    """Return the similarity of all pairs of states: of a model and of its twin, or of two models, also at equal depth."""
    own = rows["similarity"]
    columns = ("x", "place", "y", "other", "value", "low", "high", "null", "n", "documents")
    places = {"first": axis_of_states(own, "layer", "place"), "second": axis_of_states(own, "other_layer", "other_place")}
    found = [
        dict(row)
        | {
            "view": (row["metric"], row["scope"]),
            "series": row["variant"],
            "x": places["first"][row["layer"], row["place"]],
            "y": places["second"][row["other_layer"], row["other_place"]],
            "place": state_name(row["layer"], row["place"]),
            "other": state_name(row["other_layer"], row["other_place"]),
        }
        for row in own
    ]
    ticks = [labels(positions) for positions in places.values()]
    if facts.kind == "comparison":
        axes = [f"{model}: {BLOCKS}" for model in facts.models]
        series = {TRAINED: Series(" and ".join(facts.models), BLUE)}
        charts = [
            Chart("similarity", "", series, columns, found, ("place", "other"), ticks[0], axes[0], ticks[1], axes[1]),
            curve(own, facts),
        ]
        look = "Look along the diagonal: models that come to the same states at the same relative depth are alike there."
    else:
        charts = []
        for variant in unique(found, "variant"):
            series = {variant: variant_series(variant, facts)}
            mine = [row for row in found if row["variant"] == variant]
            charts.append(Chart("similarity", "", series, columns, mine, ("place", "other"), ticks[0], BLOCKS))
        look = (
            "Look for squares along the diagonal: stages of depth whose states are alike. The untrained twin shows what the "
            "architecture alone does."
        )
    caption = (
        "The stronger the colour, the more alike: 1 is equal up to rotation, shift and scale, and 0 is what remains if documents "
        f"are exchanged in one of the two states. {look} CKA weighs all pairs of tokens; shared neighbours are among the "
        f"{NEIGHBOURS} nearest tokens of other documents. Vectors have unit length."
    )
    switches = {
        "metric": Switch("Measure", {name: title_of(name, facts) for name in unique(own, "metric")}),
        "rows": Switch("Rows", {scope: ROWS[scope] for scope in unique(own, "scope")}),
    }
    return panel(caption, charts, switches)


def axis_of_states(rows: Sequence[Row], layer: str, place: str) -> dict[tuple[int, str], float]:
    """Return where each state is on an axis that has all of them side by side, in order of depth."""
    states = {(row[layer], row[place]): row[place] == "final" for row in rows}
    return {state: float(number) for number, state in enumerate(sorted(states, key=lambda state: (state[0], states[state])))}


def labels(positions: Mapping[tuple[int, str], float]) -> dict[float, str]:
    """Return the labels on such an axis, without those for which there is no room beside the last one."""
    last = max(positions.values())
    return {x: label for x, label in ticks_of(positions).items() if x == last or last - x >= last / 10}


def curve(rows: Sequence[Row], facts: Facts) -> Chart:
    """Return the similarity of two models' states at equal relative depth."""
    found = [
        dict(row)
        | {
            "view": (row["metric"], row["scope"]),
            "series": TRAINED,
            "x": relative(row),
            "place": state_name(row["layer"], row["place"]),
            "other": state_name(row["other_layer"], row["other_place"]),
        }
        for row in equally_deep(rows)
    ]
    columns = ("x", "place", "other", "value", "low", "high", "null", "n", "documents")
    return Chart("curve", "", {TRAINED: CURVE}, columns, found, ("place", "other"), RELATIVE, DEPTH)


def equally_deep(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of two models' states at equal relative depth, the nearest state of the second for each of the first."""
    blocks = [row for row in rows if not {row["place"], row["other_place"]} & FINAL_PLACES]
    depth, other_depth = (max((row[layer] for row in blocks), default=0) for layer in ("layer", "other_layer"))
    beside = [row for row in blocks if depth and row["other_layer"] == round(row["layer"] * other_depth / depth)]
    return beside + [row for row in rows if row["place"] == row["other_place"] and row["place"] in FINAL_PLACES]


FINAL_PLACES = {"plain", "final"}
"""Places after the blocks."""
