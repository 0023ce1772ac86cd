"""Analyse metrics during training: values at every layer and step (points.csv), turning points (turns.csv), and whether metrics
follow the loss at fixed width beyond the effect of the step alone (laws.csv)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.state import TOKENS
from geomkit.core.variants import TRAINED, base
from geomkit.laws.differences import LEVEL, detectable, pure_error
from geomkit.laws.resampling import Documents
from geomkit.laws.statistics import holm, partial_correlation
from geomkit.laws.turning_points import Course, beside_phases, course
from geomkit.studies.training.published import PUBLISHED
from geomkit.studies.width_depth.rows import StepLaw, StepPoint, StepTurn
from geomkit.tables.measurements import (
    LOSS,
    MeasuredModel,
    Measurements,
    Variants,
    Where,
    number_layer,
    only_family,
    read_measurements,
    read_resamples,
)
from geomkit.tables.rows import write_csv
from geomkit.tables.tidy import check_seeds

LAYERS = ("last", "final")
"""Those whose turns and laws are judged."""


@dataclass(frozen=True)
class Training:
    """The models of one training. rows: their indices in the arrays, in the order of steps; drawn: resamples of the corpus."""

    name: str
    seed: int | None
    steps: tuple[int, ...]
    measured: Measurements
    rows: list[int]
    drawn: Variants

    @property
    def models(self) -> list[MeasuredModel]:
        """The models in the order of their steps."""
        return [self.measured.models[row] for row in self.rows]

    @property
    def size(self) -> tuple[str, int]:
        """Family and number of parameters."""
        return self.measured.family, self.models[0].params_nonembedding

    @cached_property
    def loss(self) -> Array:
        """ln loss at every step."""
        return np.log(self.measured.losses[TRAINED].values[self.rows].mean(axis=1))

    def values(self, where: Where) -> Array:
        """Values at every step, of texts (steps, texts), or of a cloud of the corpus (steps, 1). Raises DataError where a step
        has none."""
        values = self.measured.at(where)
        for row, model in zip(self.rows, self.models, strict=True):
            if values is None or not np.isfinite(values[row]).any():
                raise DataError(f"{model.name}: no {where.metric} at layer {where.layer}, {TRAINED}")
        return np.asarray(values)[self.rows]

    def level(self, where: Where) -> Array:
        """ln of the mean over texts, at every step. NaN where it is not positive."""
        return logarithm(self.values(where).mean(axis=1))

    def drawn_level(self, where: Where, draws: Array) -> Array:
        """ln of means in draws (texts, resamples) of documents, or of the resampled corpus, at every step: (steps, resamples)."""
        if where.length is not None:
            return logarithm(np.array([row @ draws for row in self.values(where)]))
        if where not in self.drawn.get(TRAINED, {}):
            raise DataError(f"{self.name}: {where.metric} of the corpus was not resampled at layer {where.layer}")
        return logarithm(self.drawn[TRAINED][where][self.rows])

    def everything(self) -> Iterator[tuple[str, Where, Array]]:
        """All values of the models, untrained twins averaged: each variant at every place, and its loss."""
        for variant in dict.fromkeys(map(base, self.measured.variants)):
            twins = [name for name in self.measured.variants if base(name) == variant]
            for where in dict.fromkeys(where for name in twins for where in self.measured.variants[name]):
                if (values := self.measured.at(where, variant)) is not None:
                    yield variant, where, values
            losses = [self.measured.losses[name].values for name in twins if name in self.measured.losses]
            if losses:
                yield variant, LOSS, np.mean(losses, axis=0)


@dataclass(frozen=True)
class Group:
    """The trainings (seeds) of one family and size on one corpus, all with the same steps.

    draws: (texts, resamples), each column's sum 1. place: normalisation and length of what is judged.
    """

    trainings: Sequence[Training]
    draws: Array
    place: Mapping[str, Any]

    @property
    def measured(self) -> Measurements:
        return self.trainings[0].measured

    @property
    def steps(self) -> tuple[int, ...]:
        return self.trainings[0].steps

    @property
    def facts(self) -> dict[str, Any]:
        family, size = self.trainings[0].size
        width = self.measured.narrowest(self.trainings[0].rows[0])
        return {"family": family, "corpus": self.measured.corpus, "params_nonembedding": size, "width": width}

    def where(self, layer: str, metric: str) -> Where:
        return Where(layer, self.place["normalise"], self.place["length"], metric, eps2=self.measured.eps2.get(metric))

    def course(self, where: Where) -> Course:
        """The course of ln of a metric of texts, or of a cloud of the corpus. Raises DataError where there is none."""
        drawn = [one.drawn_level(where, self.draws) for one in self.trainings]
        return course(np.array([one.level(where) for one in self.trainings]), np.mean(drawn, axis=0).T)


def logarithm(values: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.log(values))


def study_trajectories(
    tables: Sequence[Path],
    resampled: Sequence[Path],
    trainings: Mapping[str, tuple[str, int | None, int]],
    points: Path,
    turns: Path,
    laws: Path,
    primary: Mapping[str, Any],
    metrics: Sequence[str],
    resamples: int,
    seed: int,
) -> None:
    """tables: of each training and corpus, the corpus in its name; resampled: in the same order. trainings: of each model by
    name, its training, seed and step.

    Raises DataError for two models of one family, size, seed and step, for seeds of other steps, and for trainings on one corpus
    that have read different texts.
    """
    by_corpus: dict[str, list[Training]] = {}
    for table, again in zip(map(Path, tables), map(Path, resampled), strict=True):
        by_corpus.setdefault(table.stem, []).append(read_training(table, again, trainings))
    groups: list[Group] = []
    for corpus, members in by_corpus.items():
        documents = members[0].measured.documents
        for one in members:
            if one.measured.documents != documents:
                raise DataError(f"{one.name}: its texts on {corpus} are not those of {members[0].name} (another tokenizer?)")
        draws = Documents.draw(documents, resamples, rng(seed, "trajectory", corpus)).draws
        groups += groups_of(members, trainings, draws / draws.sum(axis=0), primary)
    write_csv(points, StepPoint, [row for group in groups for row in points_of(group, metrics)])
    write_csv(turns, StepTurn, [row for group in groups for row in turns_of(group, metrics)])
    write_csv(laws, StepLaw, laws_of(groups, primary["metrics"]))


def read_training(table: Path, resampled: Path, trainings: Mapping[str, tuple[str, int | None, int]]) -> Training:
    """The models of one table."""
    family, corpus = only_family(table)
    measured = read_measurements(table, family, corpus, by_size=False)
    step = [trainings[model.name][2] for model in measured.models]
    rows = sorted(range(len(step)), key=lambda row: step[row])
    name, seed, _ = trainings[measured.models[rows[0]].name]
    drawn = read_resamples(resampled, family, {model.name: model.depth for model in measured.models})
    return Training(name, seed, tuple(step[row] for row in rows), measured, rows, drawn)


def groups_of(
    members: Sequence[Training], trainings: Mapping[str, tuple[str, int | None, int]], draws: Array, place: Mapping[str, Any]
) -> list[Group]:
    """Groups trainings by family and size, smallest first."""
    groups = []
    for (family, size), group in groupby(sorted(members, key=lambda one: (one.size, one.name)), key=lambda one: one.size):
        mine = list(group)
        check_seeds(family, ((model.name, trainings[model.name][1:], size) for one in mine for model in one.models))
        for one in mine[1:]:
            if one.steps != mine[0].steps:
                raise DataError(f"{family}: {mine[0].name} and {one.name} were not kept at the same steps")
        groups.append(Group(mine, draws, place))
    return groups


# points


def points_of(group: Group, metrics: Sequence[str]) -> Iterator[StepPoint]:
    """The points that figures draw: every variant and layer, of texts and of the corpus's clouds, and the loss."""
    for one in group.trainings:
        known = [entry for entry in one.everything() if entry[1].rows != TOKENS or entry[1].metric in (*metrics, LOSS.metric)]
        for step, row, model in zip(one.steps, one.rows, one.models, strict=True):
            facts = group.facts | {"training": one.name, "seed": one.seed, "step": step, "depth": model.depth}
            for variant, where, values in known:
                if np.isfinite(values[row]).any():
                    number = number_layer(where.layer, model.depth)
                    columns = facts | where.columns | {"layer": None if number is None else str(number)}
                    yield StepPoint(**columns, variant=variant, value=float(np.nanmean(values[row])))


# turns


def turns_of(group: Group, metrics: Sequence[str]) -> Iterator[StepTurn]:
    """All legs between turning points, of every metric, of texts and of the corpus's clouds, at the layers that are judged."""
    places = [group.where(layer, metric) for layer in LAYERS for metric in metrics]
    clouds = [where for where in group.measured.variants[TRAINED] if where.rows != TOKENS and where.layer in LAYERS]
    for where in [*places, *clouds]:
        with suppress(DataError):
            yield from legs_of(group, group.course(where), where)


def legs_of(group: Group, curve: Course, where: Where) -> Iterator[StepTurn]:
    steps = group.steps
    phases = beside_phases(curve.directions, PUBLISHED[where]) if where in PUBLISHED else ""
    for number, leg in enumerate(curve.legs):
        turn = curve.turns[number] if number < len(curve.turns) else None
        yield StepTurn(
            **group.facts, **where.columns, number=number, start=steps[leg.start], stop=steps[leg.stop],
            turn_low=None if turn is None else steps[turn.low], turn_high=None if turn is None else steps[turn.high],
            change=leg.change, low=leg.low, high=leg.high, counts=leg.counts, seeds=len(group.trainings), phases=phases,
        )  # fmt: skip


# laws


def laws_of(groups: Sequence[Group], metrics: Sequence[str]) -> list[StepLaw]:
    """For each family and corpus a metric against the loss with ln step fixed, and its rival; means are tested together."""
    rows: list[StepLaw] = []
    for source in dict.fromkeys((group.measured.family, group.measured.corpus) for group in groups):
        mine = [group for group in groups if (group.measured.family, group.measured.corpus) == source]
        means: list[int] = []
        for layer in LAYERS:
            for metric in metrics:
                for predictor in ("metric", "step"):
                    results, p = law_rows(mine, layer, metric, predictor)
                    rows += [one for one, _ in results]
                    if predictor == "metric" and p is not None:
                        means.append(len(rows) - 1)
                        rows[-1] = StepLaw(**(vars(rows[-1]) | {"p_adjusted": p}))
        for number, p in zip(means, holm([float(rows[number].p_adjusted or 0.0) for number in means]), strict=True):
            rows[number] = StepLaw(**(vars(rows[number]) | {"p_adjusted": p, "tests": len(means)}))
    return rows


def law_rows(
    groups: Sequence[Group], layer: str, metric: str, predictor: str
) -> tuple[list[tuple[StepLaw, float | None]], float | None]:
    """A row for each training, and last their mean with its interval over seeds, with its p value where there is one."""
    place, source = groups[0].where(layer, metric), groups[0].measured
    where: dict[str, Any] = {"family": source.family, "corpus": source.corpus, "predictor": predictor}
    where |= place.columns | {"primary": predictor == "metric"}
    nothing: dict[str, Any] = dict.fromkeys(
        ("low", "high", "p_adjusted", "tests", "freedom", "detectable", "error_step", "error_step_and_metric")
    )
    rows: list[tuple[StepLaw, float | None]] = []
    of_width: list[list[float]] = []
    for group in groups:
        of_width.append([])
        for one in group.trainings:
            try:
                value, errors = of_training(one, place, predictor)
            except DataError as reason:
                rows.append((StepLaw(**where, **nothing, training=one.name, value=None, trainings=1, reason=str(reason)), None))
                continue
            of_width[-1].append(math.atanh(max(-1 + 1e-12, min(1 - 1e-12, value))))
            told = nothing | dict(zip(("error_step", "error_step_and_metric"), errors, strict=True))
            rows.append((StepLaw(**where, **told, training=one.name, value=value, trainings=1, reason=""), None))
    scales = [scale for scales in of_width for scale in scales]
    within = pure_error([scales for scales in of_width if scales]) if scales else None
    if within is None:
        why = "no size has two seeds: nothing can be inferred over seeds"
        rows.append((StepLaw(**where, **nothing, training=None, value=None, trainings=len(scales), reason=why), None))
        return rows, None
    mean, error = float(np.mean(scales)), math.sqrt(within.variance / len(scales))
    reach = float(stats.t.ppf(1 - LEVEL / 2, within.freedom)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, within.freedom)) if error else 0.0
    ends = {"low": math.tanh(mean - reach), "high": math.tanh(mean + reach), "freedom": within.freedom}
    ends |= {"detectable": math.tanh(detectable(within.freedom) * error)}
    rows.append((StepLaw(**where, **(nothing | ends), training=None, value=math.tanh(mean), trainings=len(scales), reason=""), p))
    return rows, p


def of_training(one: Training, where: Where, predictor: str) -> tuple[float, tuple[float, float]]:
    """The partial correlation over steps, and the errors of ln loss at steps left out, by ln step and with the metric.

    Step 0, which has no logarithm, is left out. Raises DataError for a metric that has no logarithm at some step, and for too few
    steps.
    """
    after = np.array(one.steps) > 0
    if after.sum() < 6:
        raise DataError(f"{one.name}: {after.sum()} steps are too few; at least 6 are needed")
    level, step, loss = one.level(where)[after], np.log(np.array(one.steps, dtype=float)[after]), one.loss[after]
    if not np.isfinite(level).all():
        raise DataError(f"{one.name}: at some step there is no {where.metric}, or none that is positive")
    first, other = (level, step) if predictor == "metric" else (step, level)
    value = partial_correlation(first, loss, other)
    return value, (left_out(loss, [step, step**2]), left_out(loss, [step, step**2, level]))


def left_out(y: Array, predictors: Sequence[Array]) -> float:
    """Root mean square error of y (n,) at each place by least squares on the others: residuals over 1 - leverage."""
    design = np.vstack([np.ones(y.size), *[x - x.mean() for x in predictors]]).T
    hat = design @ np.linalg.pinv(design)
    return float(np.sqrt(np.mean(((y - hat @ y) / (1 - np.diag(hat))) ** 2)))
