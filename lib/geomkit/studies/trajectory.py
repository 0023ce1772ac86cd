"""Metrics over training: values at every layer and step (points.csv), where they turn (turns.csv), and whether they follow the
loss at fixed width beyond what the step alone tells (laws.csv)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from scipy import stats

from geomkit.arrays import Array
from geomkit.errors import DataError
from geomkit.laws.differences import LEVEL, detectable, pure_error
from geomkit.laws.resampling import Documents
from geomkit.laws.statistics import partial_correlation
from geomkit.laws.turns import PHASES, Course, Direction, beside_phases, course
from geomkit.laws.verdicts import holm
from geomkit.store.parquet import read_table
from geomkit.store.provenance import rng
from geomkit.store.records.axes import StepLaw, StepPoint, StepTurn
from geomkit.store.records.files import write_csv
from geomkit.store.runs import MeasuredRun, Runs, read_runs
from geomkit.store.tables import check_seeds

RANKME, ALPHA = "erank_singular", "alpha_req"
OPPOSITE: Mapping[Direction, Direction] = {"fall": "rise", "rise": "fall"}
PUBLISHED: Mapping[str, tuple[Direction, ...]] = {RANKME: PHASES, ALPHA: tuple(OPPOSITE[phase] for phase in PHASES)}
"""Phases that others found, of metrics that they looked at; where RankMe falls, alpha-ReQ rises."""
LAYERS = ("last", "final")
"""Those whose turns and laws are judged."""


@dataclass(frozen=True)
class Training:
    """The models of one training in the order of their steps."""

    name: str
    seed: int | None
    steps: tuple[int, ...]
    models: Sequence[MeasuredRun]

    @property
    def first(self) -> MeasuredRun:
        return self.models[0]

    @cached_property
    def loss(self) -> Array:
        """ln, at every step."""
        return np.log([run.loss.mean() for run in self.models])

    def level(self, layer: int | str, metric: str) -> Array:
        """ln of the mean over texts, at every step. NaN where it is not positive."""
        return logarithm(np.array([run.at(layer, metric).mean() for run in self.models]))


@dataclass(frozen=True)
class Group:
    """The trainings (seeds) of one family and size on one corpus, all with the same steps."""

    family: str
    trainings: Sequence[Training]
    runs: Runs
    corpora: Mapping[tuple[str, str, str], tuple[float, Array]]
    """Of the whole corpus, by model, layer and metric: the value, and those of resamples of its documents (resamples,)."""
    draws: Array
    """(texts, resamples), each column's sum 1."""
    place: Mapping[str, Any]

    @property
    def first(self) -> MeasuredRun:
        return self.trainings[0].first

    @property
    def steps(self) -> tuple[int, ...]:
        return self.trainings[0].steps

    @property
    def facts(self) -> dict[str, Any]:
        run = self.first
        return {
            "family": self.family, "corpus": self.runs.corpus, "params_nonembedding": run.params_nonembedding, "width": run.width,
        }  # fmt: skip

    def course(self, layer: int | str, metric: str, length: int | None) -> Course:
        """Of ln of a metric of texts, or (length None) of the whole corpus. Raises DataError where there is none."""
        if length is None:
            known = [[self.corpora[run.model, str(run.number(layer)), metric] for run in one.models] for one in self.trainings]
            each = np.array([[value for value, _ in of_steps] for of_steps in known])
            drawn = np.array([[draws for _, draws in of_steps] for of_steps in known])
            return course(logarithm(each), logarithm(drawn).mean(axis=0).T)
        drawn_levels = [[logarithm(run.at(layer, metric) @ self.draws) for run in one.models] for one in self.trainings]
        seeds = np.array([one.level(layer, metric) for one in self.trainings])
        return course(seeds, np.mean(drawn_levels, axis=0).T)


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
    """tables: of each training and corpus, the corpus in its name. trainings: of each model by name, its training, seed and step.

    Raises DataError for a model without a step, for two of one family, size, seed and step, and for seeds of other steps.
    """
    found: list[Group] = []
    for corpus in dict.fromkeys(Path(table).stem for table in tables):
        runs = read_runs([Path(table) for table in tables if Path(table).stem == corpus])
        again = read_corpora(
            [Path(table) for table in tables if Path(table).stem == corpus],
            [Path(table) for table in resampled if Path(table).stem == corpus],
        )
        draws = Documents.draw(runs.documents, resamples, rng(seed, "trajectory", corpus)).draws
        place = {"length": primary["length"], "normalise": primary["normalise"]}
        found += groups_of(runs, again, trainings, draws / draws.sum(axis=0), place)
    write_csv(points, StepPoint, [row for group in found for row in points_of(group, metrics)])
    write_csv(turns, StepTurn, [row for group in found for row in turns_of(group, metrics)])
    write_csv(laws, StepLaw, laws_of(found, primary["metrics"]))


def read_corpora(tables: Sequence[Path], resampled: Sequence[Path]) -> dict[tuple[str, str, str], tuple[float, Array]]:
    """Metrics of the whole corpus, and of resampled ones, by model, layer and metric."""
    draws = {
        (row["model"], row["layer"], row["metric"]): np.array(row["values"])
        for path in resampled
        for row in read_table(path).to_pylist()
    }
    rows = [row for path in tables for row in read_table(path, filters=pc.field("text") == -1).to_pylist()]
    keys = [(row["model"], str(row["layer"]), row["metric"]) for row in rows]
    return {key: (row["value"], draws[key]) for key, row in zip(keys, rows, strict=True) if key in draws}


def groups_of(
    runs: Runs,
    again: Mapping[tuple[str, str, str], tuple[float, Array]],
    trainings: Mapping[str, tuple[str, int | None, int]],
    draws: Array,
    place: Mapping[str, Any],
) -> list[Group]:
    """Trainings by family and size, smallest first."""
    sizes: dict[tuple[str, int], list[MeasuredRun]] = {}
    for run in runs.models.values():
        sizes.setdefault((run.family, run.params_nonembedding), []).append(run)
    groups = []
    for (family, _), members in sorted(sizes.items()):
        check_seeds(family, ((run.model, trainings[run.model][1:], run.params_nonembedding) for run in members))
        of_training: dict[str, list[MeasuredRun]] = {}
        for run in sorted(members, key=lambda run: trainings[run.model][2]):
            of_training.setdefault(trainings[run.model][0], []).append(run)
        found = [
            Training(name, trainings[models[0].model][1], tuple(trainings[run.model][2] for run in models), models)
            for name, models in sorted(of_training.items())
        ]
        for one in found[1:]:
            if one.steps != found[0].steps:
                raise DataError(f"{family}: {found[0].name} and {one.name} were not kept at the same steps")
        groups.append(Group(family, found, runs, again, draws, place))
    return groups


# points


def points_of(group: Group, metrics: Sequence[str]) -> Iterator[StepPoint]:
    """Everything that figures draw: every variant and layer, the whole corpus, and the loss."""
    for one in group.trainings:
        for step, run in zip(one.steps, one.models, strict=True):
            facts = group.facts | {"training": one.name, "seed": one.seed, "step": step, "depth": run.depth}
            for place, values in run.values.items():
                if place.metric not in (*metrics, "loss") or not np.isfinite(values).any():
                    continue
                at = group.place if place.metric != "loss" else dict.fromkeys(group.place)
                where = {
                    **at,
                    "layer": None if place.layer is None else str(place.layer),
                    "eps2": group.runs.eps2.get(place.metric),
                }
                value = float(np.nanmean(values))
                yield StepPoint(**facts, **where, variant=place.variant, metric=place.metric, value=value)
            for (model, layer, metric), (value, _) in group.corpora.items():
                if model == run.model and metric in metrics:
                    where = {"layer": layer, "length": None, "normalise": group.place["normalise"]}
                    where |= {"eps2": group.runs.eps2.get(metric)}
                    yield StepPoint(**facts, **where, variant="trained", metric=metric, value=value)


# turns


def turns_of(group: Group, metrics: Sequence[str]) -> Iterator[StepTurn]:
    """Every leg of every metric, of texts and of the whole corpus, at the layers that are judged."""
    for length in (group.place["length"], None):
        for layer in LAYERS:
            for metric in metrics:
                try:
                    found = group.course(layer, metric, length)
                except (DataError, KeyError):
                    continue
                yield from legs_of(group, found, layer, metric, length)


def legs_of(group: Group, found: Course, layer: str, metric: str, length: int | None) -> Iterator[StepTurn]:
    steps = group.steps
    phases = beside_phases(found.directions, PUBLISHED[metric]) if metric in PUBLISHED else ""
    where = {"layer": layer, "length": length, "normalise": group.place["normalise"], "eps2": group.runs.eps2.get(metric)}
    for number, leg in enumerate(found.legs):
        turn = found.turns[number] if number < len(found.turns) else None
        yield StepTurn(
            **group.facts, **where, metric=metric, number=number, start=steps[leg.start], stop=steps[leg.stop],
            turn_low=None if turn is None else steps[turn.low], turn_high=None if turn is None else steps[turn.high],
            change=leg.change, low=leg.low, high=leg.high, counts=leg.counts, seeds=len(group.trainings), phases=phases,
        )  # fmt: skip


# laws


def laws_of(groups: Sequence[Group], metrics: Sequence[str]) -> list[StepLaw]:
    """Of each family and corpus: a metric against the loss with ln step held fixed, and its rival; means are tested together."""
    rows: list[StepLaw] = []
    for family, corpus in dict.fromkeys((group.family, group.runs.corpus) for group in groups):
        mine = [group for group in groups if (group.family, group.runs.corpus) == (family, corpus)]
        means: list[int] = []
        for layer in LAYERS:
            for metric in metrics:
                for predictor in ("metric", "step"):
                    found, p = law_rows(mine, layer, metric, predictor)
                    rows += [one for one, _ in found]
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
    first = groups[0]
    where: dict[str, Any] = {"family": first.family, "corpus": first.runs.corpus, "metric": metric, "predictor": predictor}
    where |= {"layer": layer, **first.place, "eps2": first.runs.eps2.get(metric), "primary": predictor == "metric"}
    nothing: dict[str, Any] = dict.fromkeys(
        ("low", "high", "p_adjusted", "tests", "freedom", "detectable", "error_step", "error_step_and_metric")
    )
    rows: list[tuple[StepLaw, float | None]] = []
    of_width: list[list[float]] = []
    for group in groups:
        of_width.append([])
        for one in group.trainings:
            try:
                value, errors = of_training(one, layer, metric, predictor)
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


def of_training(one: Training, layer: str, metric: str, predictor: str) -> tuple[float, tuple[float, float]]:
    """The partial correlation over steps, and the errors of ln loss at steps left out, by ln step and with the metric.

    Raises DataError for a metric that has no logarithm at some step, and for too few steps.
    """
    if len(one.steps) < 6:
        raise DataError(f"{one.name}: {len(one.steps)} steps are too few; at least 6 are needed")
    level, step = one.level(layer, metric), np.log(np.array(one.steps, dtype=float))
    if not np.isfinite(level).all():
        raise DataError(f"{one.name}: at some step there is no {metric}, or none that is positive")
    first, other = (level, step) if predictor == "metric" else (step, level)
    value = partial_correlation(first, one.loss, other)
    return value, (left_out(one.loss, [step, step**2]), left_out(one.loss, [step, step**2, level]))


def left_out(y: Array, predictors: Sequence[Array]) -> float:
    """Root mean square error of y (n,) at each place by least squares on the others: residuals over 1 - leverage."""
    design = np.vstack([np.ones(y.size), *[x - x.mean() for x in predictors]]).T
    hat = design @ np.linalg.pinv(design)
    return float(np.sqrt(np.mean(((y - hat @ y) / (1 - np.diag(hat))) ** 2)))
