"""Separate width, depth and parameters by trainings beside the ladder: exponents of metrics and loss (width_depth.csv), which
measure of size the loss follows where embeddings are tied (tied.csv), whether the recipe's rate is good at other depths
(rates.csv), and correlations of metrics with the loss over seeds of one width (seeds.csv)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.variants import TRAINED
from geomkit.laws.contrasts import detectable_correlation
from geomkit.laws.differences import LEVEL, pure_error
from geomkit.laws.regression import Coefficient, Regression, on_line, regress, through_origin
from geomkit.laws.resampling import Documents
from geomkit.laws.statistics import categories, holm, partial_correlation_interval
from geomkit.laws.verdicts import MARGINS, Kind, decide
from geomkit.studies.width_depth.rows import CellPoint, Effect, RateCheck, SeedCorrelation, TiedShare
from geomkit.tables.absence import Absent
from geomkit.tables.measurements import (
    LOSS,
    PROJECTED,
    MeasuredModel,
    Measurements,
    Where,
    only_family,
    read_measurements,
)
from geomkit.tables.rows import read_csv, write_csv
from geomkit.tables.tidy import EVERYTHING
from geomkit.tables.trainings import ControlTraining

LADDER = "ladder"
LAYERS = ("last", "final", "plain")
PRIMARY = ("last", "final")
DESIGNS: Mapping[str, tuple[str, ...]] = {
    "width and N": ("width", "N"),
    "width, depth and N": ("width", "depth", "N"),
    "width and depth": ("width", "depth"),
}
"""Columns of each regression, all logarithms; the first is the one that decides."""
FIRST = "width and N"
ASKED = {"metric": "N", "difference": "width"}
"""Coefficients that are tested: of the metric itself, size at fixed width; of its difference from the null, width at fixed N."""
NARROW = 64
"""Widths up to this are the cells of a sensitivity analysis: beyond it the ladder alone has models."""
MLP = 4
"""Widths of the MLP of the ladder's own models."""


@dataclass(frozen=True)
class Trained:
    """A training: its model, that model's index in the arrays, and how it differs from the ladder."""

    model: MeasuredModel
    row: int
    width: int
    group: str
    layers: int
    mlp: int
    tied: bool
    seed: int
    peak_rate: float | None
    weight_decay: float | None
    loss_validation: float | None

    @property
    def cell(self) -> tuple[int, int, int]:
        return self.width, self.layers, self.mlp


@dataclass(frozen=True)
class Axes:
    """All trainings, the donor of the null, and draws of documents (texts, resamples), each column's sum 1."""

    measured: Measurements
    trained: Sequence[Trained]
    donor: Trained
    draws: Array
    primary: Mapping[str, Any]

    def of(self, *groups: str) -> list[Trained]:
        return [one for one in self.trained if one.group in groups]

    @property
    def places(self) -> list[Where]:
        """The primary metrics at every layer."""
        names, eps2 = self.primary["metrics"], self.measured.eps2
        at = self.primary["normalise"], self.primary["length"]
        return [Where(layer, *at, metric, eps2=eps2.get(metric)) for layer in LAYERS for metric in names]

    def values(self, one: Trained, where: Where) -> Array:
        """Values of one training (texts,). Raises DataError where it was not measured."""
        return self.measured.losses[TRAINED].values[one.row] if where == LOSS else self.row(one, where, TRAINED)

    def null(self, where: Where, width: int) -> Array | None:
        """The donor on as many directions as `width` (texts,); None at the donor's own width, where it is the measurement."""
        return self.row(self.donor, replace(where, directions=width), PROJECTED) if width < self.donor.width else None

    def row(self, one: Trained, where: Where, variant: str) -> Array:
        values = self.measured.variants.get(variant, {}).get(where)
        if values is None or not np.isfinite(values[one.row]).any():
            place = f"{where.metric} at layer {where.layer}, n = {where.length}, {where.normalise}, {variant}"
            raise DataError(f"{one.model.name}: no {place}; trainings beside the ladder were measured at one length alone")
        found: Array = values[one.row]
        return found

    def level(self, values: Array) -> tuple[float, Array]:
        """ln of the mean over texts, and in every draw of documents."""
        return math.log(values.mean()), np.log(values @ self.draws)

    def log_loss(self, one: Trained) -> float:
        return self.level(self.values(one, LOSS))[0]


def study_width_and_depth(
    table: Path,
    trainings: Path,
    groups: Mapping[str, str],
    points: Path,
    effects: Path,
    tied: Path,
    rates: Path,
    seeds: Path,
    absent: Path,
    recipe: Mapping[str, Any],
    primary: Mapping[str, Any],
    resamples: int,
    seed: int,
) -> None:
    """table: of the ladder and all trainings; trainings: controls.csv. groups: of each training that was asked for, by name, why;
    one that is not in the tables is named in `absent`, and all else is done without it."""
    measured = read_measurements(table, *only_family(table), by_size=False)
    known = {row.model: row for row in read_csv(trainings, ControlTraining)}
    draws = Documents.draw(measured.documents, resamples, rng(seed, "width and depth")).draws
    trained = [trained_of(measured, row, known, groups) for row in range(len(measured.models))]
    donor = max(trained, key=lambda one: one.width)
    axes = Axes(measured, trained, donor, draws / draws.sum(axis=0), primary)
    missing = [
        Absent(model=name, corpus=measured.corpus, absent=EVERYTHING, reason="it is not among the trainings that ship")
        for name in groups
        if name not in {one.model.name for one in trained}
    ]
    write_csv(absent, Absent, missing)
    write_csv(points, CellPoint, [point for one in trained for point in points_of(axes, one)])
    write_csv(effects, Effect, adjusted(list(effects_of(axes))))
    write_csv(tied, TiedShare, tied_shares(axes))
    write_csv(rates, RateCheck, rate_checks(axes, recipe["peak_rate"]))
    write_csv(seeds, SeedCorrelation, seed_correlations(axes))


def trained_of(measured: Measurements, row: int, known: Mapping[str, ControlTraining], groups: Mapping[str, str]) -> Trained:
    """A training from its row of controls.csv; a model of the ladder has none, and is named <family>-<width>-s<seed>."""
    model, width = measured.models[row], measured.narrowest(row)
    own, group = known.get(model.name), groups.get(model.name, LADDER)
    if own is None:
        seed = int(model.name.rpartition("-s")[2])
        return Trained(model, row, width, LADDER, model.depth, MLP * width, False, seed, None, None, None)
    return Trained(
        model, row, width, group, own.layers, own.mlp, own.tied, own.seed, own.peak_rate, own.weight_decay, own.loss_validation
    )


def points_of(axes: Axes, one: Trained) -> Iterator[CellPoint]:
    facts: dict[str, Any] = {
        "corpus": axes.measured.corpus, "model": one.model.name, "group": one.group, "width": one.width, "layers": one.layers,
        "mlp": one.mlp, "tied": one.tied, "seed": one.seed, "peak_rate": one.peak_rate, "weight_decay": one.weight_decay,
        "params_nonembedding": one.model.params_nonembedding, "params_total": one.model.params_total,
    }  # fmt: skip
    for where in [*axes.places, LOSS]:
        null = axes.null(where, one.width) if where != LOSS else None
        value = float(axes.values(one, where).mean())
        yield CellPoint(**facts, **where.columns, value=value, null=None if null is None else float(null.mean()))


# regressions


def effects_of(axes: Axes) -> Iterator[Effect]:
    """Effects of every endpoint, design and set of cells; of the loss as well."""
    whole = axes.of(LADDER, "depth")
    narrow = [one for one in whole if one.width <= NARROW]
    metrics = sorted(axes.places, key=lambda where: axes.primary["metrics"].index(where.metric))
    for cells, trained in (("all", whole), (f"widths to {NARROW}", narrow)):
        for design in DESIGNS:
            yield from effect_rows(axes, trained, "metric", LOSS, design, cells)
            for where in metrics:
                for of in ASKED:
                    yield from effect_rows(axes, trained, of, where, design, cells)


def effect_rows(axes: Axes, trained: Sequence[Trained], of: str, where: Where, design: str, cells: str) -> Iterator[Effect]:
    """A regression as a row for each column, or one that says why there is none."""
    common = {"corpus": axes.measured.corpus, "of": of, "design": design, "cells": cells} | where.columns
    used = [one for one in trained if design != "width and depth" or one.mlp == MLP * one.width]
    if of == "difference":
        used = [one for one in used if one.width < axes.donor.width]
    table, values, drawn = cell_levels(axes, used, of, where)
    columns = DESIGNS[design]
    try:
        fitted = regress({name: table[name] for name in columns}, values, drawn)
    except DataError as error:
        yield refused_effect(common, columns[0], len(values), str(error))
        return
    first = cells == "all" and design == FIRST and where.layer in PRIMARY
    for name in columns:
        yield effect(common, name, fitted, margin_of(where.metric, name), first and name == ASKED[of])


def cell_levels(axes: Axes, trained: Sequence[Trained], of: str, where: Where) -> tuple[dict[str, Array], list[Array], Array]:
    """Columns of the design (cells,), each cell's values of its seeds, and its means in draws of documents."""
    cells = sorted({one.cell for one in trained})
    values, drawn, sizes = [], [], []
    for cell in cells:
        mine = [one for one in trained if one.cell == cell]
        own, again = [], []
        for one in mine:
            value, draws = axes.level(axes.values(one, where))
            null = axes.null(where, one.width) if of == "difference" else None
            if null is not None:
                of_null, of_draws = axes.level(null)
                value, draws = value - of_null, draws - of_draws
            own.append(value)
            again.append(draws)
        values.append(np.array(own))
        drawn.append(np.mean(again, axis=0))
        sizes.append(mine[0].model.params_nonembedding)
    width, depth, _ = (np.log(np.array(column, dtype=float)) for column in zip(*cells, strict=True))
    return {"width": width, "depth": depth, "N": np.log(np.array(sizes, dtype=float))}, values, np.array(drawn)


def margin_of(metric: str, column: str) -> float | None:
    """The margin of an exponent. With N it is that of laws; with d twice it, since N goes as d^2 at fixed depth; with depth that
    of N."""
    margin = MARGINS.get(metric)
    return None if margin is None else margin * (2 if column == "width" else 1)


def effect(where: Mapping[str, Any], column: str, fitted: Regression, margin: float | None, primary: bool) -> Effect:
    """A coefficient as a record; its verdict is that of its own p value until tests are adjusted for one another."""
    one = fitted.coefficients[column]
    low, high = one.interval()
    low_90, high_90 = one.interval(1 - 2 * LEVEL)
    judged = decide(one, one.p < LEVEL, margin, {}, {})
    flags = [flag for flag in one.flags if where["of"] == "difference" or flag != "no second donor"]
    return Effect(
        **where, column=column, primary=primary, value=one.value, low=low, high=high, low_90=low_90, high_90=high_90,
        error_scatter=one.scatter, error_pure=one.pure, error_documents=one.documents, p=one.p, p_adjusted=None, tests=None,
        margin=margin, verdict=judged.kind, detectable=one.detectable, number=one.sizes, condition=fitted.condition,
        fit=fitted.lack.kind, fit_p=fitted.lack.p, flags="; ".join(flags), reason=judged.reason,
    )  # fmt: skip


def refused_effect(where: Mapping[str, Any], column: str, cells: int, reason: str) -> Effect:
    none: dict[str, Any] = dict.fromkeys(
        (
            "value",
            "low",
            "high",
            "low_90",
            "high_90",
            "error_scatter",
            "error_pure",
            "error_documents",
            "p",
            "p_adjusted",
            "tests",
        )
    )
    none |= dict.fromkeys(("margin", "detectable", "condition", "fit", "fit_p"))
    return Effect(**where, **none, column=column, primary=False, verdict=Kind.FAILED, number=cells, flags="", reason=reason)


def adjusted(rows: Sequence[Effect]) -> list[Effect]:
    """Adjust the primary tests of one question for one another, and judge them again."""
    results = list(rows)
    for of in ASKED:
        mine = [number for number, row in enumerate(results) if row.primary and row.of == of]
        for number, p in zip(mine, holm([float(results[number].p or 0.0) for number in mine]), strict=True):
            row = results[number]
            judged = decide(coefficient_of(row), p < LEVEL, row.margin, {}, {})
            changed = {"p_adjusted": p, "tests": len(mine), "verdict": judged.kind, "reason": judged.reason}
            results[number] = Effect(**(vars(row) | changed))
    return results


def coefficient_of(row: Effect) -> Coefficient:
    columns = len(DESIGNS[row.design])
    return Coefficient(
        value=float(row.value or 0.0), sizes=row.number, scatter=float(row.error_scatter or 0.0), pure=row.error_pure,
        documents=row.error_documents, donors=None, separate=True, columns=columns,
    )  # fmt: skip


# which size the loss follows


def tied_shares(axes: Axes) -> list[TiedShare]:
    """Tied models beside untied ones of their width, and the share pooled over widths. None without tied models."""
    ladder = axes.of(LADDER)
    widths = sorted({one.width for one in ladder})
    mean = {width: float(np.mean([axes.log_loss(one) for one in ladder if one.width == width])) for width in widths}
    total = {one.width: one.model.params_total for one in ladder}
    line = (np.log([float(total[width]) for width in widths]), np.array([mean[width] for width in widths]))
    rows = []
    for one in sorted(axes.of("tied"), key=lambda one: one.width):
        width, size = one.width, one.model.params_total
        expected = float(on_line(*line, math.log(size))) - mean[width]
        value = axes.log_loss(one) - mean[width]
        of_width: dict[str, Any] = {"corpus": axes.measured.corpus, "width": width, "params_total": size, "expected": expected}
        rows.append(TiedShare(**of_width, value=value, low=None, high=None, follows=""))
    if len(rows) < 2:
        return rows
    share = through_origin([float(row.expected or 0.0) for row in rows], [row.value for row in rows])
    whole = TiedShare(
        corpus=axes.measured.corpus, width=None, params_total=None, expected=None, value=share.value, low=share.low,
        high=share.high, follows=followed(share.low, share.high),
    )  # fmt: skip
    return [*rows, whole]


def followed(low: float, high: float) -> str:
    """Name the measure of size that an interval of the share is compatible with."""
    none, all_of_it = low <= 0 <= high, low <= 1 <= high
    if none and all_of_it:
        return "undecided"
    if none:
        return "N or width"
    return "all parameters" if all_of_it else "neither"


# the recipe's rate


def rate_checks(axes: Axes, recipe: float) -> Iterator[RateCheck]:
    """Check of every shape that was trained at several rates, the recipe's among them."""
    ladder = axes.of(LADDER)
    sizes = sorted({one.model.params_nonembedding for one in ladder})
    within = pure_error([[axes.log_loss(one) for one in ladder if one.model.params_nonembedding == size] for size in sizes])
    if within is None:
        return
    allowed = float(stats.norm.ppf(1 - LEVEL / 2)) * math.sqrt(2 * within.variance)
    for cell in sorted({one.cell for one in axes.of("rates")}):
        tried = {
            one.peak_rate: math.log(one.loss_validation) for one in axes.of("rates") if one.cell == cell and one.loss_validation
        }
        if recipe not in tried or len(tried) < 2:
            continue
        best = min(tried, key=lambda rate: tried[rate])
        excess = tried[recipe] - tried[best]
        yield RateCheck(
            width=cell[0], layers=cell[1], recipe=recipe, best=float(best or 0.0), excess=excess, allowed=allowed,
            good=excess < allowed,
        )  # fmt: skip


# seeds at fixed width


def seed_correlations(axes: Axes) -> list[SeedCorrelation]:
    """Correlations of every endpoint over seeds, with widths fixed; and with the recipe's rate and decay fixed as well."""
    trained = axes.of("seeds")
    width = [one.width for one in trained]
    recipe = [[one.peak_rate for one in trained], [one.weight_decay for one in trained]]
    correlations: list[SeedCorrelation] = []
    held: dict[str, list[list[Any]]] = {"width": [width], "width, rate and decay": [width, *recipe]}
    for where in axes.places:
        for fixed, labels in held.items():
            correlations.append(seed_correlation(axes, trained, where, fixed, labels))
    primary = [number for number, row in enumerate(correlations) if row.primary and row.p is not None]
    for number, p in zip(primary, holm([float(correlations[number].p or 0.0) for number in primary]), strict=True):
        correlations[number] = SeedCorrelation(**(vars(correlations[number]) | {"p_adjusted": p, "tests": len(primary)}))
    return correlations


def seed_correlation(
    axes: Axes, trained: Sequence[Trained], where: Where, fixed: str, labels: Sequence[Sequence[Any]]
) -> SeedCorrelation:
    """One correlation with Fisher's interval, and the smallest that a test at 5 % detects with 80 % power."""
    common: dict[str, Any] = {"corpus": axes.measured.corpus, **where.columns, "fixed": fixed, "models": len(trained)}
    common |= {"primary": fixed == "width" and where.layer in PRIMARY, "p_adjusted": None, "tests": None}
    try:
        controls = categories(*[np.array(label) for label in labels])
        value, low, high, freedom = partial_correlation_interval(
            [axes.level(axes.values(one, where))[0] for one in trained],
            [axes.log_loss(one) for one in trained],
            controls if controls.size else (),
        )
    except (DataError, ValueError) as error:
        none: dict[str, Any] = dict.fromkeys(("value", "low", "high", "p", "freedom", "detectable"))
        return SeedCorrelation(**common, **none, reason=f"{len(trained)} models: {error}")
    z = abs(math.atanh(value)) * math.sqrt(freedom) if abs(value) < 1 else math.inf
    return SeedCorrelation(
        **common, value=value, low=low, high=high, p=2 * float(stats.norm.sf(z)), freedom=freedom,
        detectable=detectable_correlation(freedom), reason="",
    )  # fmt: skip
