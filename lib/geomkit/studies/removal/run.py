"""Hide growing parts of a target's context from a model, in orders of importance by several methods and in random orders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.config import ModelSpec, resolve_layers
from geomkit.core.errors import DataError
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.measures.ablation import DRAWS, Positions, counts, noise_rows, orders, stretched, takes_noise
from geomkit.measures.controls import strangers
from geomkit.measures.sinks import sinks
from geomkit.measures.spectra import normalise
from geomkit.models.intervene import Pass, attending, check, leave_one_out, masked, run
from geomkit.models.load import blocks, load_model, load_tokenizer, prefix
from geomkit.models.probe import distinct
from geomkit.states.probes import Probe
from geomkit.states.refusals import refused_files
from geomkit.states.spectra import gain_constants
from geomkit.studies.removal.removals import DIRECTIONS, SINKS, write_removals

Ordered = dict[tuple[int, str, str], Positions]
"""One target's orders, by layer, null and method."""


def remove_tokens(
    folder: Path,
    probe: Path,
    output: Path,
    removal: Mapping[str, Any],
    methods: Sequence[str],
    spec: ModelSpec,
    seed: int,
) -> None:
    """Write removals at some of a probe's targets; refused, if the probe is. removal: texts, targets of each, layers,
    fractions."""
    fractions = sorted({0.0, *removal["fractions"]})
    with refused_files([output]), Probe(probe) as known:
        spec = spec.at(folder)
        tokenizer, model = load_tokenizer(spec), load_model(spec)
        attending(model)
        start = prefix(tokenizer)
        layers = resolve_layers(removal["layers"], len(blocks(model)))
        if missing := [layer for layer in layers if layer not in known.layers]:
            raise DataError(f"{probe}: it has no choices by layer {missing[0]}; add it to tokens.selection.layers")
        chosen = choose_targets(known, removal["texts"], removal["targets"])
        documents = [known.document[number] for number in chosen]
        other, length = strangers(documents), int(known.position[chosen].max())
        gain = gain_constants(known.attributes)
        ordered = [
            target_orders(known, chosen, number, int(other[number]), layers, methods, gain, seed) for number in range(len(chosen))
        ]
        outliers = {int(text): text_sinks(known, int(text)) for text in known.text[chosen]}
        arrays = blank_arrays(ordered, len(chosen), length, len(fractions))
        for text in progress(sorted(outliers), output.parent.name):
            mine = [number for number, target in enumerate(chosen) if known.text[target] == text]
            ran = run(model, start, known.ids(text))
            if text == min(outliers):
                check(model, ran)
            measure_text(model, ran, known.position[chosen], mine, ordered, outliers[text], fractions, arrays)
        arrays |= {f"targets/{name}": getattr(known, name)[chosen] for name in ("text", "position")}
        arrays |= {"targets/document": np.array(documents), "targets/stranger": other}
        attributes = {**known.attributes, "seed": seed, "fractions": fractions}
        write_removals(output, arrays, attributes, known.absent)


def choose_targets(known: Probe, texts: int, targets: int) -> list[int]:
    """Choose the last targets of the first texts of a probe, by number."""
    numbers = [np.flatnonzero(known.text == text)[-targets:] for text in np.unique(known.text)[:texts]]
    return [int(number) for each in numbers for number in each]


def text_sinks(known: Probe, text: int) -> np.ndarray:
    """A mask of the tokens of a text (T,) that are attention sinks: the first, and those far longer than others at some layer."""
    marked = sinks(known.lengths(text))
    marked[0] = True
    return marked


def target_orders(
    known: Probe,
    chosen: Sequence[int],
    number: int,
    other: int,
    layers: Sequence[int],
    methods: Sequence[str],
    gain: Mapping[str, float],
    seed: int,
) -> Ordered:
    """Orders for one target: its own, those for the target of another document, those of noise, and random ones."""
    target, stranger = chosen[number], chosen[other]
    text, place, document = int(known.text[target]), int(known.position[target]), known.document[target]
    by_null: Ordered = {}
    for layer in layers:
        raw = known.rows(layer, text)[: place + 1].astype(np.float64)
        rows, norms = normalise(raw, "unit"), np.linalg.norm(raw, axis=1)
        foreign = normalise(known.rows(layer, int(known.text[stranger])), "unit")
        importance = {name: values for name, values in known.importance(layer).items() if name != "lasso"}
        own = {name: values[target, :place].astype(np.float64) for name, values in importance.items()}
        away = int(known.position[stranger])
        theirs = {name: stretched(values[stranger, :away], place) for name, values in importance.items()}
        swapped = np.vstack([rows[:-1], foreign[away]])
        for null, cloud, scores in (("own", rows, own), ("stranger", swapped, theirs), ("noise", None, {})):
            draw = rng(seed, "removal", null, document, place)
            names, lengths = methods, norms
            if cloud is None:
                cloud, names, lengths = noise_rows(place, rows.shape[1], draw), [m for m in methods if takes_noise(m)], None
            for method, order in orders(
                cloud, names, budget=max(known.budgets), penalty=gain["n"] * gain["eps2"] / rows.shape[1],
                rng=draw, norms=lengths, scores=scores,
            ).items():  # fmt: skip
                by_null[layer, null, method] = order
        draw = rng(seed, "removal", "random", document, place)
        for turn in range(DRAWS):
            by_null[layer, "own", f"random-{turn}"] = draw.permutation(place)
    return by_null


def blank_arrays(found: Sequence[Ordered], targets: int, length: int, fractions: int) -> dict[str, np.ndarray]:
    """All arrays of the file, filled with missing values except the orders."""
    arrays: dict[str, np.ndarray] = {f"reference/{name}": np.full(targets, np.nan) for name in ("loss", "alone", "sinks_alone")}
    arrays |= {"leave_one_out": np.full((targets, length), np.nan), "sinks": np.zeros((targets, length), dtype=np.int8)}
    for number, mine in enumerate(found):
        for (where, found_for, by), order in mine.items():
            path = f"{where}/{found_for}/{by}"
            arrays.setdefault(f"orders/{path}", np.full((targets, length), -1, dtype=np.int32))[number, : len(order)] = order
    for name in [name for name in arrays if name.startswith("orders/")]:
        _, layer, null, method = name.split("/")
        for sinks_ in SINKS:
            for direction in DIRECTIONS[: 1 if method.startswith("random-") else 2]:
                for score in ("divergence", "loss"):
                    arrays[f"scores/{layer}/{null}/{sinks_}/{method}/{direction}/{score}"] = np.full((targets, fractions), np.nan)
    return arrays


def removed_sets(order: Positions, fractions: Sequence[float], direction: str) -> list[Positions]:
    """Positions that each fraction of an order removes, from its head or its end."""
    ordered = order if direction == "highest" else order[::-1]
    return [ordered[:count] for count in counts(fractions, len(order))]


def measure_text(
    model,
    text: Pass,
    positions: np.ndarray,
    mine: Sequence[int],
    found: Sequence[Ordered],
    outliers: np.ndarray,
    fractions: Sequence[float],
    arrays: dict[str, np.ndarray],
) -> None:
    """Compute the scores of one text's targets; equal sets of visible tokens are run once."""
    length, cells, targets, visible = len(text.ids), [], [], []
    for number in mine:
        place = int(positions[number])
        arrays["leave_one_out"][number, :place] = leave_one_out(model, text, place)
        arrays["sinks"][number, :place] = outliers[:place]
        for (layer, null, method), order in found[number].items():
            for kind in SINKS:
                kept = order[~outliers[order]] if kind == "kept" else order
                for direction in DIRECTIONS[: 1 if method.startswith("random-") else 2]:
                    for column, gone in enumerate(removed_sets(kept, fractions, direction)):
                        seen = np.arange(length) < place
                        seen[gone] = False
                        cells.append((f"scores/{layer}/{null}/{kind}/{method}/{direction}", number, column))
                        targets.append(place)
                        visible.append(seen)
    scores = distinct(lambda t, v: masked(model, text, t, v), np.array(targets), np.array(visible))
    for (path, number, column), divergence, loss in zip(cells, scores.divergence, scores.loss, strict=True):
        arrays[f"{path}/divergence"][number, column] = divergence
        arrays[f"{path}/loss"][number, column] = loss
    places = positions[list(mine)]
    shape = (len(mine), length)
    all_sinks = np.broadcast_to(outliers, shape)
    for name, shown in (("loss", np.ones(shape, bool)), ("alone", np.zeros(shape, bool)), ("sinks_alone", all_sinks)):
        found_ = masked(model, text, places, shown)
        arrays[f"reference/{name}"][list(mine)] = found_.loss if name == "loss" else found_.divergence
