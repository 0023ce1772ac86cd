"""Measure how information about a target is spread over its context, from what growing removals do to a regression and to the
model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from geomkit.core.config import layer_name
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.laws.resampling import Documents
from geomkit.measures.ablation import (
    Explained,
    area,
    crossing,
    effective_number,
    gini,
    halves,
    leave_one_out,
    noise_rows,
    removal,
    without,
)
from geomkit.measures.spectra import normalise
from geomkit.states.probes import Probe
from geomkit.states.refusals import refused_table
from geomkit.states.spectra import gain_constants
from geomkit.studies.removal.removals import DIRECTIONS, NULLS, SINKS, Hidden, Removals
from geomkit.tables.experiments import Removal
from geomkit.tables.rows import defined, write_csv
from geomkit.tables.tidy import REMOVAL_COLUMNS, TableWriter, columns_of

RESAMPLES = 1000
CURVES = ("residual", "coding", "divergence", "loss")
"""Ridge residual over the target's square; coding length of what is left over that of all; the model's KL and loss increase."""

WITHOUT_TARGET = ("recency", "first_recency", "norm")
"""Methods whose order is the same for every target: nulls change their regression alone."""


class Place(NamedTuple):
    """The key of a curve or summary, with the columns of `geomkit.tables.experiments.Removal`."""

    sinks: str
    null: str
    method: str | None
    direction: str | None
    metric: str
    fraction: float | None = None


Values = dict[Place, np.ndarray]
"""Of every target (targets,), NaN where it has none."""


@dataclass(frozen=True)
class Curves:
    """The curves of one layer: for (sinks, null, method, direction, metric) an array (targets, fractions)."""

    fractions: list[float]
    values: dict[tuple[str, str, str, str, str], np.ndarray]

    def method(self, sinks: str, null: str, method: str, direction: str, metric: str) -> np.ndarray:
        return self.values[sinks, null, method, direction, metric]


def measure_removals(
    removals: Path,
    probe: Path,
    output: Path,
    summary: Path,
    family: str,
    model_seed: int | None,
    seed: int,
) -> None:
    """Write the table of all targets, and the summary with intervals over documents."""
    with refused_table(output, REMOVAL_COLUMNS, summary, Removal), Removals(removals) as file, Probe(probe) as known:
        gain = gain_constants(file.attributes)
        common = {**columns_of(removals, file.attributes, family, model_seed), "eps2": gain["eps2"]}
        table = TableWriter(REMOVAL_COLUMNS, **common, variant="trained", sublayer="block", normalise="unit")
        documents = Documents.draw(file.document, RESAMPLES, rng(seed, "ablation", removals.stem))
        rows: list[Removal] = []
        for layer in file.layers:
            width = known.width(layer)
            summaries = layer_values(file, known, layer, gain, seed)
            for place, values in summaries.items():
                number = int(np.isfinite(values).sum())
                table.add(
                    layer=layer, d=width, text=file.text, document=file.document, position=file.position,
                    value=values, **place._asdict(),
                )  # fmt: skip
                if number:
                    value, low, high, count = documents.mean(values)
                    ends: dict[str, Any] = {"low": defined(low), "high": defined(high), "documents": count, "n": number}
                    where: dict[str, Any] = {"layer": layer, "d": width, "name": layer_name(layer, common["depth"]) or None}
                    rows.append(Removal(**common, **where, value=value, **ends, **place._asdict()))
        table.write(output, file.absent)
        write_csv(summary, Removal, rows)


def layer_values(file: Removals, known: Probe, layer: int, gain: Mapping[str, float], seed: int) -> Values:
    """All values of one layer, by place, with differences from nulls."""
    curves, summaries = regressions(file, known, layer, gain, seed)
    for hidden in file.hidden(layer):
        if hidden.null != "own" and hidden.method in WITHOUT_TARGET:
            continue  # the same sets are hidden from the model as without the null
        add_hidden(curves, hidden, file.loss)
    average_random(curves)
    summaries |= concentration(file, seed)
    for key, values in curves.values.items():
        sinks, null, method, direction, metric = key
        for column, fraction in enumerate(curves.fractions):
            summaries[Place(sinks, null, method, direction, metric, fraction)] = values[:, column]
        random = curves.values[
            sinks, "own" if null != "own" and metric in ("divergence", "loss") else null, "random", "highest", metric
        ]
        if method != "random":
            areas = [area(one, chance[None], curves.fractions) for one, chance in zip(values, random, strict=True)]
            summaries[Place(sinks, null, method, direction, f"{metric}_area")] = np.array(areas)
    for key in [key for key in curves.values if key[4] == "divergence" and key[3] == "highest"]:
        summaries |= model_halves(file, curves, *key[:3])
    return summaries | differences(summaries)


def regressions(file: Removals, known: Probe, layer: int, gain: Mapping[str, float], seed: int) -> tuple[Curves, Values]:
    """Curves of the ridge residual and of the coding length of what is left, and summaries of single targets."""
    size = len(file.text)
    curves, summaries = Curves(file.fractions, {}), dict[Place, np.ndarray]()
    outliers = file.sinks
    ordered = {null: file.orders(layer, null) for null in NULLS}
    chance = {method: order for method, order in ordered["own"].items() if method.startswith("random-")}
    c = known.width(layer) / (gain["n"] * gain["eps2"])
    blank = (size, len(file.fractions))
    for number in progress(range(size), f"layer {layer}"):
        place = int(file.position[number])
        for null in NULLS:
            rows = target_rows(file, known, layer, number, null, seed)
            for sinks in SINKS:
                left_out = outliers[number, :place] & (sinks == "kept")
                problem = Explained.of(rows[:-1][~left_out], rows[-1], c)
                set_values(summaries, size, number, sinks, null, None, spread(problem))
                for method, all_orders in (ordered[null] | chance).items():
                    order = without(all_orders[number, :place], left_out)
                    if not method.startswith("random-"):
                        half = halves(problem, order)
                        parts = {"residual_half_deleted": half.deletion, "residual_half_kept": half.keeping}
                        shares = {name: value / problem.size for name, value in parts.items()}
                        set_values(
                            summaries, size, number, sinks, null, method, shares | {"residual_redundancy": half.redundancy}
                        )
                    for direction in DIRECTIONS[: 1 if method.startswith("random-") else 2]:
                        curve = removal(problem, order if direction == "highest" else order[::-1], file.fractions)
                        for metric, values in (("residual", curve.residual), ("coding", curve.coding / curve.coding[0])):
                            key = (sinks, null, method, direction, metric)
                            curves.values.setdefault(key, np.full(blank, np.nan))[number] = values
    return curves, summaries


def target_rows(file: Removals, known: Probe, layer: int, number: int, null: str, seed: int) -> np.ndarray:
    """Unit rows of a target's context and of the target itself (m + 1, d): its own, another document's, or noise."""
    text, place = int(file.text[number]), int(file.position[number])
    if null == "noise":
        return noise_rows(place, known.width(layer), rng(seed, "removal", "noise", file.document[number], place))
    rows = normalise(known.rows(layer, text)[: place + 1], "unit")
    if null == "stranger":
        other = int(file.stranger[number])
        rows[-1] = normalise(known.rows(layer, int(file.text[other])), "unit")[int(file.position[other])]
    return rows


def spread(problem: Explained) -> dict[str, float]:
    """Evenness of the ridge's leave-one-out gains: Gini, and the effective number as a share of the context."""
    gains = leave_one_out(problem)
    return {"residual_gini": gini(gains), "residual_effective_share": effective_number(gains) / problem.size}


def set_values(
    found: Values, size: int, number: int, sinks: str, null: str, method: str | None, values: Mapping[str, float]
) -> None:
    for metric, value in values.items():
        found.setdefault(Place(sinks, null, method, None, metric), np.full(size, np.nan))[number] = value


def add_hidden(curves: Curves, hidden: Hidden, loss: np.ndarray) -> None:
    """Add the model's curves; the loss is given as its increase."""
    key = (hidden.sinks, hidden.null, hidden.method, hidden.direction)
    curves.values[*key, "divergence"] = hidden.divergence
    curves.values[*key, "loss"] = hidden.loss - loss[:, None]


def average_random(curves: Curves) -> None:
    """Join the random draws into one method, their mean."""
    draws = [key for key in curves.values if key[2].startswith("random-")]
    groups: dict[tuple[str, str, str, str, str], list[np.ndarray]] = {}
    for sinks, null, method, direction, metric in draws:
        values = curves.values.pop((sinks, null, method, direction, metric))
        groups.setdefault((sinks, null, "random", direction, metric), []).append(values)
    curves.values.update({key: np.mean(values, axis=0) for key, values in groups.items()})


def concentration(file: Removals, seed: int) -> Values:
    """Gini and effective share of the model's own leave-one-out divergences; the noise null is squares of as many Gaussians."""
    size, summaries = len(file.text), dict[Place, np.ndarray]()
    effects, outliers = file.leave_one_out, file.sinks
    for number in range(size):
        place = int(file.position[number])
        draw = rng(seed, "concentration", file.document[number], place)
        for sinks in SINKS:
            kept = ~(outliers[number, :place] & (sinks == "kept"))
            for null, gains in (("own", effects[number, :place]), ("noise", np.square(draw.standard_normal(place)))):
                values = {
                    "divergence_gini": gini(gains[kept]),
                    "divergence_effective_share": effective_number(gains[kept]) / kept.sum(),
                }
                set_values(summaries, size, number, sinks, null, None, values)
    return summaries


def model_halves(file: Removals, curves: Curves, sinks: str, null: str, method: str) -> Values:
    """Fractions that carry half of the model's divergence: removed from the head, and visible alone."""
    away = curves.method(sinks, null, method, "highest", "divergence")
    worst = file.alone if sinks == "removable" else file.sinks_alone
    parts = np.array([*curves.fractions, 1.0])
    deleted = [crossing(parts, np.append(one, last) / last) for one, last in zip(away, worst, strict=True)]
    summaries = {Place(sinks, null, method, None, "divergence_half_deleted"): np.array(deleted)}
    if (sinks, null, method, "lowest", "divergence") in curves.values:
        left = curves.method(sinks, null, method, "lowest", "divergence")
        kept = [crossing(1 - parts[::-1], np.append(one, last)[::-1] / last) for one, last in zip(left, worst, strict=True)]
        summaries[Place(sinks, null, method, None, "divergence_half_kept")] = np.array(kept)
    return summaries


def differences(found: Values) -> Values:
    """The summaries of a target minus each null's, target by target."""
    return {
        place._replace(null=f"minus {null}"): values - found[place._replace(null=null)]
        for place, values in found.items()
        if place.null == "own" and place.fraction is None
        for null in NULLS[1:]
        if place._replace(null=null) in found
    }
