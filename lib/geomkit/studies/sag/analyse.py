"""Fit the pair model at fixed lengths and at lengths that follow the width, and estimate the sags that depth and tokens make."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.variants import TRAINED
from geomkit.laws.pairs import MARGINS, PairDesign, PairModel
from geomkit.laws.regression import regress
from geomkit.laws.resampling import Documents
from geomkit.studies.sag.rows import Sag, SagCause, SagWidth
from geomkit.tables.measurements import (
    PROJECTED,
    MeasuredModel,
    Measurements,
    Where,
    families,
    only_family,
    read_measurements,
)
from geomkit.tables.rows import read_csv, write_csv
from geomkit.tables.trainings import ControlTraining, Training

FOLLOWS = {"2d": 2.0, "d/2": 0.5}
"""Rules of length, and their tokens for each direction, of which tables in `results/width_share` have both."""
LADDER = "ladder"
"""The family that the trainings beside it say something of."""
DEPTH, TOKENS = "depth", "tokens per parameter"
PASSES = 4
"""Number of passes of the trainings on less data that is nearest to the ladder's 3.4."""
LEAST = {TOKENS: 0, f"{TOKENS}, 200,000 tokens or more": 200_000}
"""Fewest unique tokens of the trainings of a row. Only the first was fixed beforehand."""
MLP = 4
"""Widths of the MLP of the ladder's own models."""


@dataclass(frozen=True)
class Values:
    """One metric of a family's models at one rule of length, text by text.

    measured: by number of the model (texts,). projected: by number of the donor and width of the target (texts,).
    """

    measured: Mapping[int, Array]
    projected: Mapping[tuple[int, int], Array]

    @property
    def whole(self) -> Array:
        """Whether each text (texts,) has a value everywhere."""
        return np.asarray(np.isfinite([*self.measured.values(), *self.projected.values()]).all(axis=0))


@dataclass(frozen=True)
class Logs:
    """Logarithms of means over texts, seeds averaged: column 0 the estimate, the rest resamples of documents.

    pairs: numbers of sizes, donor and target, by row of `differences` (pairs, 1 + resamples). levels: (sizes, 1 + resamples).
    """

    size: Array
    pairs: Sequence[tuple[int, int]]
    differences: Array
    levels: Array

    @classmethod
    def of(cls, values: Values, models: Sequence[MeasuredModel], chosen: Sequence[int], counts: Array) -> "Logs":
        """Average texts by counts (texts, 1 + resamples), each column of sum 1, and then the seeds of some models."""
        sizes = sorted({models[row].params_nonembedding for row in chosen})
        groups = [[row for row in chosen if models[row].params_nonembedding == size] for size in sizes]
        widths = [models[group[0]].width for group in groups]
        used = counts.any(axis=1)

        def log(arrays: Sequence[Array]) -> Array:
            return np.asarray(np.log(np.array(arrays)[:, used] @ counts[used]).mean(axis=0))

        levels = np.array([log([values.measured[row] for row in group]) for group in groups])
        rows = {
            (donor, target): [values.projected[row, width] for row in groups[donor] if (row, width) in values.projected]
            for donor in range(len(sizes))
            for target, width in enumerate(widths)
            if widths[donor] > width
        }
        known = {pair: arrays for pair, arrays in rows.items() if arrays}
        differences = np.array([levels[target] - log(arrays) for (_, target), arrays in known.items()])
        return cls(np.array(sizes, dtype=float), list(known), differences, levels)

    @property
    def design(self) -> PairDesign:
        pairs = np.array(self.pairs, dtype=np.intp).reshape(-1, 2)
        return PairDesign(np.log(self.size), pairs[:, 0], pairs[:, 1])

    @property
    def fitted(self) -> PairModel:
        """Fit the pair model. Raises DataError where it cannot be."""
        if not self.pairs:
            raise DataError("no model is wider than another")
        return self.design.fit(self.differences[:, 0], self.levels[:, 0], self.differences[:, 1:], self.levels[:, 1:])

    def minus(self, other: "Logs") -> "Logs | None":
        """Subtract other differences of the same pairs: the sag of the result is the sag minus the other's."""
        if self.pairs != other.pairs:
            return None
        return replace(self, differences=self.differences - other.differences, levels=self.levels - other.levels)


def study_sag(
    table: Path,
    projections: Sequence[Path],
    following: Sequence[Path],
    grid: Path,
    controls: Path,
    trainings: Path,
    sags: Path,
    widths: Path,
    causes: Path,
    primary: Mapping[str, Any],
    resamples: int,
    seed: int,
) -> None:
    """Write the sag of every family and corpus at each rule of length, residuals of widths, and the sags that causes make.

    projections: {corpus}.parquet. following: {model}/{corpus}.parquet. Families of fewer than five widths have no pair model.
    """
    of_sags: list[Sag] = []
    of_widths: list[SagWidth] = []
    of_causes: list[SagCause] = []
    projected, layer = {path.stem: path for path in projections}, primary["layer"]
    for family, corpus in families(table):
        measured = read_measurements(table, family, corpus, [layer], list(MARGINS), [TRAINED])
        at = Where(layer, primary["normalise"], primary["length"], "")
        own = [path for path in following if path.stem == corpus]
        draws = Documents.draw(measured.documents, resamples, rng(seed, "sag", family, corpus)).draws
        for metric in (name for name in MARGINS if replace(at, metric=name) in measured.variants.get(TRAINED, {})):
            place = replace(at, metric=metric, eps2=measured.eps2.get(metric))
            rules = {**fixed(measured, projected[corpus], place), **follow(measured, own, place)}
            fitted, residuals = sags_of(measured, place, rules, draws)
            of_sags += fitted
            of_widths += residuals
        if family == LADDER and not of_causes:
            sizes = {float(model.params_nonembedding): model.depth for model in measured.models}
            of_causes = [*of_depth(controls, trainings, sizes, at, resamples, seed), *of_tokens(grid, sizes)]
    write_csv(sags, Sag, of_sags)
    write_csv(widths, SagWidth, of_widths)
    write_csv(causes, SagCause, of_causes)


def fixed(measured: Measurements, projections: Path, at: Where) -> dict[str, Values]:
    """Values at every fixed length, the primary one first."""
    nulls = read_measurements(projections, measured.family, measured.corpus, [at.layer], [at.metric], [PROJECTED], like=measured)
    lengths = sorted(
        {one.length for one in measured.variants[TRAINED] if (one.normalise, one.metric) == (at.normalise, at.metric)},
        key=lambda length: (length != at.length, -(length or 0)),
    )
    widths = [model.width for model in measured.models]
    rules = {}
    for where in (replace(at, length=length) for length in lengths if length is not None):
        own = measured.variants[TRAINED][where]
        donors = nulls.projections(PROJECTED, where, widths)
        projected = {
            (row, width): values[target]
            for row, values in donors.items()
            for target, width in enumerate(widths)
            if width < widths[row] and np.isfinite(values[target]).any()
        }
        rules[str(where.length)] = Values(dict(enumerate(own)), projected)
    return rules


def follow(measured: Measurements, tables: Sequence[Path], at: Where) -> dict[str, Values]:
    """Values at lengths that follow the width, from the tables of single models; a rule that some model lacks is left out."""
    rows = {model.name: row for row, model in enumerate(measured.models)}
    found: dict[str, tuple[dict[int, Array], dict[tuple[int, int], Array]]] = {name: ({}, {}) for name in FOLLOWS}
    narrower = sorted({model.width for model in measured.models})
    for path in tables:
        if (row := rows.get(path.parent.name)) is None:
            continue
        one = read_measurements(
            path, measured.family, measured.corpus, [at.layer], [at.metric], like=measured.restricted([row])
        ).variants
        own_width = measured.models[row].width
        for name, times in FOLLOWS.items():
            own = one.get(TRAINED, {}).get(replace(at, length=int(times * own_width)))
            if own is not None:
                found[name][0][row] = own[0]
            for width in (k for k in narrower if k < own_width):
                null = one.get(PROJECTED, {}).get(replace(at, length=int(times * width), directions=width))
                if null is not None:
                    found[name][1][row, width] = null[0]
    return {name: Values(*of) for name, of in found.items() if len(of[0]) == len(rows)}


def sags_of(measured: Measurements, at: Where, rules: Mapping[str, Values], draws: Array) -> tuple[list[Sag], list[SagWidth]]:
    """Fit every rule with all seeds of the widest width, and with each alone where it has several.

    Texts are those with values at every rule.
    """
    whole = np.all([values.whole for values in rules.values()], axis=0)
    counts = np.column_stack([whole, draws * whole[:, None]]).astype(float)
    counts = counts[:, counts.any(axis=0)] / counts.sum(axis=0)[counts.any(axis=0)]
    models, documents = measured.models, len(set(np.asarray(measured.documents)[whole]))
    widest = max(model.width for model in models)
    of_widest = [row for row, model in enumerate(models) if model.width == widest]
    rest = [row for row in range(len(models)) if row not in of_widest]
    cases: list[tuple[int | None, list[int]]] = [(None, [*rest, *of_widest])]
    cases += [(models[row].seed, [*rest, row]) for row in of_widest if len(of_widest) > 1]
    source: dict[str, Any] = {**measured.source, "layer": str(at.layer), "normalise": str(at.normalise), "metric": at.metric}
    rows: list[Sag] = []
    residuals: list[SagWidth] = []
    for seed, chosen in cases:
        logs = {name: Logs.of(values, models, chosen, counts) for name, values in rules.items()}
        reference = logs.get(str(at.length))
        for name, one in logs.items():
            with suppress(DataError):
                model = one.fitted
                other = one.minus(reference) if reference is not None and one is not reference else None
                rows.append(
                    Sag(
                        **source,
                        **columns(model, other),
                        eps2=at.eps2,
                        tokens=name,
                        seed=seed,
                        widest=widest,
                        sizes=one.size.size,
                        pairs=len(one.pairs),
                        margin=MARGINS[at.metric].sag,
                        documents=documents,
                    )
                )
                residuals += [] if seed is not None else widths_of(one, model, models, {**source, "tokens": name})
    return rows, residuals


def columns(model: PairModel, change: Logs | None) -> dict[str, Any]:
    """Slope and sag with their intervals, and the change of the sag."""
    (slope_low, slope_high), (low, high), (low_90, high_90) = (
        model.slope.interval(),
        model.sag.interval(),
        model.sag.interval(0.9),
    )
    other = change.fitted.sag if change is not None else None
    change_low, change_high = other.interval() if other is not None else (None, None)
    return {
        "slope": model.slope.value, "slope_low": slope_low, "slope_high": slope_high, "value": model.sag.value, "low": low,
        "high": high, "low_90": low_90, "high_90": high_90, "change": None if other is None else other.value,
        "change_low": change_low, "change_high": change_high, "fit": model.fit,
    }  # fmt: skip


def widths_of(logs: Logs, model: PairModel, models: Sequence[MeasuredModel], source: Mapping[str, Any]) -> Iterator[SagWidth]:
    """Residuals of widths without the line of the fit, beside its quadratic."""
    basis = logs.design.basis
    line = basis[:, :2] @ (np.linalg.pinv(basis)[:2] @ model.residual)
    for row, size in enumerate(logs.size):
        own = [one for one in models if one.params_nonembedding == size]
        yield SagWidth(
            **source, width=own[0].width, params_nonembedding=int(size), seeds=len(own),
            residual=float(model.residual[row] - line[row]), quadratic=float(model.sag.value * basis[row, 2]),
        )  # fmt: skip


# causes


def sag_of(log_size: Array, values: Array) -> float:
    """Sag of any function of size (sizes,): its coefficient of the pair model's quadratic, whose range is 1.

    Limit: 0 for a function that is linear in ln N.
    """
    return float((np.linalg.pinv(PairDesign.complete(log_size).basis) @ values)[2])


def of_depth(
    controls: Path, trainings: Path, sizes: Mapping[float, int], at: Where, resamples: int, seed: int
) -> Iterator[SagCause]:
    """What depth makes: its coefficient over trainings of one width with several depths. sizes: layers by N of the ladder."""
    measured = read_measurements(controls, *only_family(controls), by_size=False)
    known = {row.model: row for row in read_csv(trainings, ControlTraining)}
    most = max(row.tokens for row in known.values())
    deep = [row for row in known.values() if not row.tied and row.mlp == MLP * row.width and row.tokens == most]
    widths = sorted({row.width for row in deep})
    names = {row.model for row in deep}
    cells: dict[tuple[int, int], list[int]] = {}
    for row, model in enumerate(measured.models):
        width = measured.narrowest(row)
        if width in widths and (model.name in names or model.name not in known):
            cells.setdefault((width, model.depth), []).append(row)
    draws = Documents.draw(measured.documents, resamples, rng(seed, "sag", DEPTH)).draws
    draws = draws / draws.sum(axis=0)
    x = np.log(sorted(sizes))
    made = sag_of(x, np.log([sizes[size] for size in sorted(sizes)]))
    for metric in MARGINS:
        values = measured.at(replace(at, metric=metric))
        if values is None:
            continue
        logs = [np.log(values[rows].mean(axis=1)) for rows in cells.values()]
        drawn = np.array([np.log(values[rows] @ draws).mean(axis=0) for rows in cells.values()])
        columns = constants([width for width, _ in cells]) | {DEPTH: np.log([depth for _, depth in cells])}
        source = {**measured.source, "family": LADDER, "layer": str(at.layer), "normalise": str(at.normalise)}
        yield cause(source | {"length": int(at.length or 0), "metric": metric}, DEPTH, columns, logs, drawn, made, widths)


def of_tokens(grid: Path, sizes: Mapping[float, int]) -> Iterator[SagCause]:
    """What tokens per parameter make: the coefficient of the square of ln D/N, over trainings with few passes."""
    few = [row for row in read_csv(grid, Training) if round(row.tokens / row.unique_tokens) == PASSES]
    x = np.log(sorted(sizes))
    for name, least in LEAST.items():
        rows = [row for row in few if row.unique_tokens >= least]
        cells: dict[tuple[int, int], list[Training]] = {}
        for row in rows:
            cells.setdefault((row.width, row.unique_tokens), []).append(row)
        ratio = np.log([own[0].tokens / own[0].params_nonembedding for own in cells.values()])
        linear = ratio - ratio.mean() if rows else ratio
        columns = constants([width for width, _ in cells]) | {"ln D/N": linear, name: linear**2}
        for metric in (one for one in MARGINS if rows and one in rows[0].metrics):
            logs = [np.log([row.metrics[metric] for row in own]) for own in cells.values()]
            source: dict[str, Any] = {"family": LADDER, "published": False, "corpus": "sotu"}
            source |= {"layer": rows[0].layer, "normalise": rows[0].normalise, "length": rows[0].length, "metric": metric}
            yield cause(source, name, columns, logs, None, sag_of(x, x**2), sorted({row.width for row in rows}))


def constants(widths: Sequence[int]) -> dict[str, Array]:
    """A constant for each width but the first, which has the intercept."""
    own = np.array(widths)
    return {f"width {width}": (own == width).astype(float) for width in sorted(set(widths))[1:]}


def cause(
    source: Mapping[str, Any], name: str, columns: Mapping[str, Array], logs: Sequence[Array], drawn: Array | None,
    made: float, widths: Sequence[int],
) -> SagCause:  # fmt: skip
    """The sag of a cause: its coefficient times `made`, the sag of what it enters as. Without a fit, the reason."""
    common: dict[str, Any] = {**source, "cause": name, "cells": len(logs), "widths": ", ".join(map(str, widths))}
    try:
        coefficient = regress(columns, logs, drawn).coefficients[name]
    except DataError as error:
        return SagCause(**common, coefficient=None, value=None, low=None, high=None, reason=str(error))
    low, high = sorted(made * end for end in coefficient.interval())
    return SagCause(
        **common, coefficient=coefficient.value, value=made * coefficient.value, low=low, high=high, reason="fitted",
    )  # fmt: skip
