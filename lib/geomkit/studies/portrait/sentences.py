"""Say in short what is remarkable about a model: only what differs from its nulls, each number with its 95 % interval.

A difference is paired by text, and its interval is over documents. Where the largest of several layers is named, the sentence
stands there only if a band for all layers together excludes 0; the intervals that it prints are those of the layer.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.state import PLAIN, State
from geomkit.core.variants import TRAINED, base
from geomkit.laws.resampling import Documents, simultaneous
from geomkit.measures.valley import valley
from geomkit.studies.portrait.dimension_panel import FIRST, SAME_COVARIANCE, TYPES
from geomkit.studies.portrait.profiles import GAUSSIAN, Cell, Profiles

MOST = 8
RANK = "erank_covariance"
FEW_DOCUMENTS = 10


class Estimate(NamedTuple):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 where the interval excludes 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def in_short(
    own: Profiles, documents: Documents, marked: Sequence[Array], rows: Sequence[Mapping[str, Any]], beside: Sequence[str] = ()
) -> list[str]:
    """Return at most `MOST` sentences. With fewer than two documents there are no intervals, and so no sentences but one.

    beside: sentences on what was measured beside spectra.
    """
    count = len(set(own.documents))
    if count < 2:
        return ["All texts come from one document, so nothing here has an interval, and nothing can be said to differ."]
    found = [
        *directions(own, documents),
        *rank_valley(own, documents),
        *leading(own, documents),
        *word_order(own, documents),
        *sink_effect(own, documents, marked),
        *loss(rows),
        *dimension(rows),
        *beside,
        *stands(own, documents, rows),
        *similarity_of_ends(rows),
    ][:MOST]
    if count < FEW_DOCUMENTS:
        found.append(f"There are only {count} documents, so all intervals are rough.")
    return found or ["Nothing that is listed here differs from its nulls."]


def mean(documents: Documents, values: Array) -> Estimate:
    """Average values of texts."""
    return Estimate(*documents.mean(values)[:3])


def number(value: float) -> str:
    """Format with three digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def said(estimate: Estimate) -> str:
    """Format a value with its interval."""
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"


def twins_of(own: Profiles) -> list[str]:
    """List the untrained twins."""
    return [name for name in own.variants if base(name) == "untrained"]


def twin_mean(own: Profiles, state: State, mode: str, metric: str) -> Array | None:
    """Average a metric of every text over the untrained twins."""
    values = [one for name in twins_of(own) if (one := own.at(name, state, mode, own.longest, metric)) is not None]
    return np.asarray(np.mean(values, axis=0)) if values else None


def place(own: Profiles, state: State) -> str:
    """Name a state in a sentence."""
    words = {"embedding": "at the embedding", "last": "after the last block", "final": "after the final norm"}
    words[PLAIN] = "after the final norm without its weights"
    return words.get(name := own.place(state), f"after block {name} of {own.depth}")


ROWS = {"unit": "unit rows", "centre-unit": "centred rows"}
"""Normalisations in sentences."""


def directions(own: Profiles, documents: Documents) -> Iterator[str]:
    """How many directions the last block's states take, beside random rows and the untrained twin."""
    mode = "centre-unit" if "centre-unit" in own.modes else own.modes[0]
    values = own.at(TRAINED, own.last, mode, own.longest, RANK)
    drawn = own.at(GAUSSIAN, own.last, mode, own.longest, RANK)
    if values is None or drawn is None:
        return
    value, random = mean(documents, values), float(np.mean(drawn))
    if not value.low <= random <= value.high:
        most = min(own.longest - (mode == "centre-unit"), own.widths[own.last])
        sentence = (
            f"After the last block, {own.longest} tokens have an effective rank of {said(value)} of at most {most} directions "
            f"({ROWS.get(mode, mode)}). Gaussian rows of this shape have {number(random)}"
        )
        twin = twin_mean(own, own.last, mode, RANK)
        if twin is not None and (change := mean(documents, values - twin)).sign:
            more = "fewer" if change.sign > 0 else "more"
            sentence += f", and an untrained twin has {number(mean(documents, twin).value)}: {said(abs_of(change))} {more}"
        yield sentence + "."


def abs_of(estimate: Estimate) -> Estimate:
    """Return an estimate whose sign is known without it."""
    return estimate if estimate.value >= 0 else Estimate(-estimate.value, -estimate.high, -estimate.low)


def rank_valley(own: Profiles, documents: Documents) -> Iterator[str]:
    """Where along depth the effective rank is lowest, if it is lower there than at both ends, and deeper than the twin's."""
    mode = "centre-unit" if "centre-unit" in own.modes else own.modes[0]
    states, profile = own.blocks, own.profile(TRAINED, mode, RANK)
    if len(states) < 4 or profile is None:
        return
    drawn, lowest = valley(np.exp(documents.means(np.log(profile)))), int(valley(mean_profile(profile)).layer)
    twins = [one for state in states if (one := twin_mean(own, state, mode, RANK)) is not None]
    has_twin = len(twins) == len(states)
    if np.nanquantile(drawn.depth, 0.025) <= 0:
        return
    if has_twin:
        null = np.log(np.stack(twins, axis=1))
        same = np.where(np.isfinite(null), np.log(profile), np.nan)  # nulls may have been measured on some of the texts
        own_depth, null_depth = (valley(np.exp(documents.means(one))).depth for one in (same, null))
        if np.nanquantile(own_depth - null_depth, 0.025) <= 0:
            return
    columns = list(profile.T)
    first, last = (number(mean(documents, columns[end]).value) for end in (0, -1))
    sentence = (
        f"Along depth, the effective rank ({ROWS.get(mode, mode)}) is {first} at the embedding, falls to "
        f"{said(mean(documents, columns[lowest]))} {place(own, states[lowest])}, and is {last} after the last block"
    )
    without = own.at(TRAINED, states[lowest], mode, own.longest, RANK, "without")
    if without is not None and mean(documents, without - columns[lowest]).sign > 0:
        sentence += f"; without attention sinks it is {number(mean(documents, without).value)} there"
    yield sentence + (". An untrained twin has no valley as deep." if has_twin else ".")


def mean_profile(values: Array) -> Array:
    """Average values (texts, layers) over texts by their geometric mean."""
    return np.asarray(np.exp(np.nanmean(np.log(values), axis=0)))


def leading(own: Profiles, documents: Documents) -> Iterator[str]:
    """Share of the first direction, where it is largest, if it is larger than in the untrained twin."""
    mode = "unit" if "unit" in own.modes else own.modes[0]
    columns = {state: own.at(TRAINED, state, mode, own.longest, "top_1_share") for state in own.blocks}
    columns = {state: values for state, values in columns.items() if values is not None}
    twins = {state: twin_mean(own, state, mode, "top_1_share") for state in columns}
    if not columns or any(one is None for one in twins.values()):
        return
    differences = np.stack([columns[state] - twins[state] for state in columns], axis=1)  # type: ignore[operator]
    band = simultaneous(documents, differences)
    top = max(range(len(columns)), key=lambda number: float(np.nanmean(list(columns.values())[number])))  # type: ignore[arg-type]
    state = list(columns)[top]
    if band.band_low[top] > 0:
        share, twin = mean(documents, columns[state]), mean(documents, twins[state])  # type: ignore[arg-type]
        yield (
            f"One direction has {said(share)} of the mean square of {mode} rows {place(own, state)}, where this share is "
            f"largest; the untrained twin has {number(twin.value)} there."
        )


def word_order(own: Profiles, documents: Documents) -> Iterator[str]:
    """What the order of words does to the effective rank of the last block."""
    mode = "centre-unit" if "centre-unit" in own.modes else own.modes[0]
    text = own.at(TRAINED, own.last, mode, own.longest, RANK)
    other = own.at("shuffled", own.last, mode, own.longest, RANK)
    if text is None or other is None:
        return
    change = mean(documents, text - other)
    if change.sign:
        more = "fewer" if change.sign > 0 else "more"
        yield (
            f"The same tokens in random order have {number(mean(documents, other).value)} directions after the last block: "
            f"{said(abs_of(change))} {more} than the text itself ({ROWS.get(mode, mode)})."
        )


def sink_effect(own: Profiles, documents: Documents, marked: Sequence[Array]) -> Iterator[str]:
    """What attention sinks do to the effective rank, at the layer and in the normalisation where they do most."""
    effects: list[tuple[State, str, Array]] = []
    for mode in own.modes:
        for state in own.blocks:
            within = own.at(TRAINED, state, mode, own.longest, RANK)
            without = own.at(TRAINED, state, mode, own.longest, RANK, "without")
            if within is not None and without is not None:
                effects.append((state, mode, np.log(without) - np.log(within)))
    if not effects:
        return
    band = simultaneous(documents, np.stack([values for _, _, values in effects], axis=1))
    top = int(np.nanargmax(np.abs(band.value)))
    if band.band_low[top] > 0 or band.band_high[top] < 0:
        state, mode, change = effects[top]
        without = own.values[Cell(TRAINED, state, mode, own.longest, "without")][RANK]
        within = without / np.exp(change)
        count = mean(documents, np.array([float(mask.sum()) for mask in marked]))
        first = float(np.mean([bool(mask[0]) for mask in marked]))
        yield (
            f"In each text, {said(count)} tokens are over ten times as long as the median token at some block (attention sinks); "
            f"the first token is one in {first:.0%} of texts. Without them, the effective rank {place(own, state)} is "
            f"{said(mean(documents, without))} instead of {said(mean(documents, within))} ({ROWS.get(mode, mode)}), the largest "
            "change in ratio over blocks and normalisations."
        )


def loss(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The loss, beside that of a uniform guess."""
    found = {row["metric"]: row for row in rows if row["section"] == "loss"}
    if "loss" not in found or found["loss"]["low"] is None:
        return
    row = found["loss"]
    sentence = f"The loss is {said(Estimate(row['value'], row['low'], row['high']))} nats a token"
    if "loss_per_byte" in found and found["loss_per_byte"]["low"] is not None:
        own = found["loss_per_byte"]
        sentence += f", {said(Estimate(own['value'], own['low'], own['high']))} a byte"
    if row["bound"] is not None and row["high"] < row["bound"]:
        sentence += f"; a uniform guess has {number(row['bound'])} a token"
    yield sentence + "."


def dimension(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The last block's intrinsic dimension, beside Gaussian rows of its covariance and the untrained twin."""
    here = [row for row in rows if row["section"] == "dimension" and (row["scope"], row["place"]) == (TYPES, "last")]
    first = [row for row in here if (row["metric"], row.get("rank")) == FIRST]
    found = {row["variant"]: estimate for row in first if (estimate := estimate_of(row))}
    own, drawn = (found.get(name) for name in (TRAINED, SAME_COVARIANCE))
    if own is None or drawn is None or not apart(own, drawn):
        return
    tokens = next(row["n"] for row in first if row["variant"] == TRAINED)
    sentence = (
        f"After the last block, vectors of {tokens} different tokens have an intrinsic dimension of {said(own)} "
        f"at the distance of {FIRST[1]} neighbours; Gaussian rows of the same covariance have {said(drawn)}"
    )
    twin = found.get("untrained-0")
    yield sentence + (f", and an untrained twin has {said(twin)}." if twin and apart(own, twin) else ".")


def apart(one: Estimate, other: Estimate) -> bool:
    """Whether two intervals do not overlap."""
    return one.high < other.low or other.high < one.low


def stands(own: Profiles, documents: Documents, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The effective rank of the last block beside the line that width alone would give."""
    mode = "unit" if "unit" in own.modes else own.modes[0]
    line = [
        (row["d"], row["value"])
        for row in rows
        if row["section"] == "width" and (row["metric"], row["normalise"], row["n"]) == (RANK, mode, own.longest)
    ]
    values, width = own.at(TRAINED, own.last, mode, own.longest, RANK), own.widths[own.last]
    widths = sorted({d for d, _ in line})
    if values is None or not widths or not widths[0] <= width <= widths[-1]:
        return
    logs = [np.log([value for d, value in line if d == width]).mean() for width in widths]
    expected = float(np.exp(np.interp(np.log(width), np.log(widths), logs)))
    value = mean(documents, values)
    if not value.low <= expected <= value.high:
        yield (
            f"After the last block its effective rank ({mode} rows) is {said(value)}; the widest shipped model's states, "
            f"projected to {width} directions, have {number(expected)}."
        )


def similarity_of_ends(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is left of the embedding's geometry after the last block, where it differs from the null and from the twin."""
    ends = [row for row in rows if row["section"] == "similarity" and (row["place"], row["other_place"]) == ("embedding", "last")]
    found = [(row["variant"], estimate) for row in ends if row["metric"] == "cka" and (estimate := estimate_of(row))]
    own = dict(found).get(TRAINED)
    twin = next((estimate for variant, estimate in found if variant != TRAINED), None)
    if own is None or own.sign < 1 or (twin is not None and not apart(own, twin)):
        return
    sentence = f"Between the embedding and the last block the similarity of token vectors (debiased CKA) is {said(own)} of 1"
    yield sentence + (f"; in an untrained twin it is {said(twin)}." if twin else ".")


def similarity_of_models(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """How alike two models' last blocks are, where they are more alike than exchanged documents."""
    for scope in dict.fromkeys(row["scope"] for row in rows):
        at = [row for row in rows if (row["place"], row["other_place"], row["scope"]) == ("last", "last", scope)]
        found = {row["metric"]: estimate for row in at if (estimate := estimate_of(row)) and estimate.sign > 0}
        words = {"cka": "debiased CKA is {} of 1", "mutual_neighbours": "a share of {} of nearest neighbours is common"}
        parts = [text.format(said(found[metric])) for metric, text in words.items() if metric in found]
        if parts:
            rows_of = {"tokens": "token vectors", "last": "last tokens of texts", "mean": "means of texts"}[scope]
            yield f"After their last blocks, the two models' {rows_of} are alike beyond their null: {', and '.join(parts)}."
            return


def estimate_of(row: Mapping[str, Any]) -> Estimate | None:
    """Return the value of a row with its interval, or None where it has none."""
    return None if row.get("low") is None or row.get("high") is None else Estimate(row["value"], row["low"], row["high"])
