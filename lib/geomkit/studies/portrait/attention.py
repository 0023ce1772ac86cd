"""Rows and sentence on attention sinks: whether sinks, massive activations and a valley come together along depth."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.state import State
from geomkit.core.variants import TRAINED, base
from geomkit.laws.resampling import Documents, simultaneous
from geomkit.measures.attention import shifted_correlations
from geomkit.states.spectra import Spectra
from geomkit.studies.portrait import charts
from geomkit.studies.portrait.attention_panel import FIRST, RATIO, SINKS, TOGETHER, UNIFORM
from geomkit.studies.portrait.profiles import Profiles, at
from geomkit.studies.portrait.readout import Row, ends
from geomkit.studies.portrait.sentences import RANK, Estimate, number, said

FEWEST = 8
"""Blocks of which a correlation along depth says anything."""


class Read(NamedTuple):
    """Attention of one variant: n, the tokens of each text that were read; texts (texts,); values (texts, blocks) by name."""

    n: int
    texts: Array
    values: Mapping[str, Array]


def read(file: Spectra, variant: str) -> Read | None:
    """Read the attention of a variant; None where it has none."""
    if (found := file.attention(variant)) is None:
        return None
    n, arrays = found
    return Read(n, arrays.pop("texts"), arrays)


def attention_rows(file: Spectra, own: Profiles, documents: Documents) -> Iterator[Row]:
    """Yield attention to the first position and to sinks by block, that of equal attention, and what comes together."""
    for variant in own.variants:
        if (found := read(file, variant)) is None:
            continue
        drawn = Documents(documents.index[found.texts], documents.counts)
        names = {"first": (variant, FIRST)} | ({"sinks": (variant, SINKS)} if found.values["sinks_uniform"].any() else {})
        if variant == TRAINED:
            names |= {f"{name}_uniform": (UNIFORM, metric) for name, (_, metric) in names.items()}
            names["norm_ratio"] = (TRAINED, RATIO)
        for name, (whose, metric) in names.items():
            start = own.depth + 1 - found.values[name].shape[1]  # the embedding has no attention
            for layer, values in enumerate(found.values[name].T, start):
                mean, low, high, count = drawn.mean(values)
                common = {"section": "attention", "variant": whose, **at(own, State(layer)), "metric": metric, "n": found.n}
                yield {**common, "value": mean, **ends(low, high), "texts": len(values), "documents": count}
        if variant == TRAINED:
            yield from together_rows(found, own, drawn)


def together_rows(found: Read, own: Profiles, drawn: Documents) -> Iterator[Row]:
    """Yield rank correlations over blocks of attention to sinks, norm of the first position, and effective rank.

    Attention in a block is paired with the state that the block reads, which is the one before it.
    """
    if found.n not in own.lengths:
        return
    for mode in own.modes:
        columns = [own.at(TRAINED, state, mode, found.n, RANK) for state in own.blocks]
        if any(one is None for one in columns) or len(columns) <= FEWEST:
            continue
        ranks = np.stack([one[found.texts] for one in columns if one is not None], axis=1)
        states = {"norm": found.values["norm_ratio"], "rank": ranks}
        read_by_blocks = {name: values[:, :-1] for name, values in states.items()} | {"attention": found.values["sinks"]}
        after_blocks = {name: values[:, 1:] for name, values in states.items()}
        for metric in TOGETHER:
            names = metric.split("_with_")
            pair = [(read_by_blocks if "attention" in names else after_blocks)[name] for name in names]
            shifts = shifted_correlations(*(values.mean(axis=0) for values in pair))
            if not np.isfinite(shifts[0]):
                continue
            resampled = [shifted_correlations(*two)[0] for two in zip(*map(drawn.means, pair), strict=True)]
            several = len(set(drawn.index.tolist())) > 1
            low, high = np.nanquantile(resampled, [0.025, 0.975]) if several else (np.nan, np.nan)
            null = {"band_low": float(shifts[1:].min()), "band_high": float(shifts[1:].max())}
            common = {"section": "attention", "variant": TRAINED, "normalise": mode, "metric": metric, "n": len(columns) - 1}
            yield {**common, "value": float(shifts[0]), **ends(low, high), **null, "texts": len(ranks)}


def attention_sentence(file: Spectra, own: Profiles, documents: Documents, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Where attention to sinks is largest, beside equal attention and a twin, and whether the valley lies where sinks are."""
    found = read(file, TRAINED)
    twins = [one for name in own.variants if base(name) == "untrained" and (one := read(file, name)) is not None]
    if found is None or not twins or not np.isfinite(found.values["sinks"]).all():
        return
    drawn = Documents(documents.index[found.texts], documents.counts)
    few = len(twins[0].texts)
    twin = np.mean([one.values["sinks"] for one in twins], axis=0)
    excess = simultaneous(drawn, found.values["sinks"] - found.values["sinks_uniform"])
    beyond = simultaneous(Documents(drawn.index[:few], drawn.counts), found.values["sinks"][:few] - twin)
    profile = found.values["sinks"].mean(axis=0)
    top = int(profile.argmax())
    if min(excess.band_low[top], beyond.band_low[top]) <= 0:
        return
    mass = Estimate(*drawn.mean(found.values["sinks"][:, top])[:3])
    equal = float(found.values["sinks_uniform"][:, top].mean())
    sentence = (
        f"In block {top + 1} of {own.depth}, where it is largest, tokens give {said(mass)} of their attention to sinks; equal "
        f"attention would give {number(equal)}, and an untrained twin gives {number(float(twin[:, top].mean()))}"
    )
    pair = next((row for row in rows if row.get("metric") == "attention_with_rank"), None)
    if pair is not None and outside(pair):
        sentence += (
            f". Over the {pair['n']} blocks, attention to sinks and the effective rank of the states that they read "
            f"({charts.words_for(pair['normalise'])}) have a rank correlation of "
            f"{said(Estimate(pair['value'], pair['low'], pair['high']))}, and no circular shift of the two has one as strong"
        )
    yield sentence + "."


def outside(row: Mapping[str, Any]) -> bool:
    """Whether a correlation's interval excludes 0, and no circular shift is as strong."""
    strongest = max(abs(row["band_low"]), abs(row["band_high"]))
    return row.get("low") is not None and row["low"] * row["high"] > 0 and abs(row["value"]) > strongest
