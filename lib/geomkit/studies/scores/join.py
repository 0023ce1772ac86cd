"""Join a measured metric with scores of lm-evaluation-harness, model by model."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from geomkit.core.config import resolve_layers
from geomkit.core.errors import ConfigError, DataError
from geomkit.laws.rank_correlation import LEAST, rank_correlation
from geomkit.laws.statistics import holm
from geomkit.studies.scores.harness import Run, read_runs
from geomkit.studies.scores.rows import ModelScore, ScoreCorrelation
from geomkit.tables.rows import write_csv

NEEDED = ("model", "metric", "value")
"""Columns of a table of metrics."""
NOT_A_PLACE = {*NEEDED, "low", "high", "band_low", "band_high", "bound", "null", "documents", "texts", "d"}
"""Columns that do not say where a metric was measured."""
FEW = 10
"""Models below which a rank correlation says little."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Joined:
    """Metrics and scores of models that have both, one row for each model, metric and score.

    rows: `geomkit.studies.scores.rows.ModelScore`. left_out: models that have a metric or scores alone, one line each.
    """

    rows: Sequence[ModelScore]
    left_out: Sequence[str]

    @cached_property
    def correlations(self) -> list[ScoreCorrelation]:
        """Spearman's correlation of every metric with every score, over models (`geomkit.laws.rank_correlation`).

        The interval takes models for independent draws. Models of one family are not, so it says how well these models show the
        relation, and not what another family would.

        Raises DataError where no metric and score have the four models that an interval takes.
        """
        if not self.enough:
            names = list(dict.fromkeys(row.model for row in self.rows))
            raise DataError(
                f"{len(names)} models have metrics and scores ({', '.join(names)}); a correlation takes {LEAST} or more"
            )
        found = [correlation(pair, rows) for pair, rows in self.by_pair().items()]
        adjusted = iter(holm([row.p for row in found if row.p is not None]))
        return [row if row.p is None else replace(row, p_adjusted=next(adjusted)) for row in found]

    @property
    def enough(self) -> bool:
        """Whether some metric and score have as many models as a correlation takes."""
        return max(map(len, self.by_pair().values())) >= LEAST

    def by_pair(self) -> dict[tuple[str, str, str], list[ModelScore]]:
        """Group the rows by metric, task and score."""
        groups: dict[tuple[str, str, str], list[ModelScore]] = {}
        for row in self.rows:
            groups.setdefault((row.metric, row.task, row.score_metric), []).append(row)
        return groups

    def save(self, path: str | Path) -> Path:
        """Write the rows (.csv), or the figure of metric against score (.pdf). Raises ConfigError for another ending."""
        path = Path(path)
        if path.suffix == ".csv":
            write_csv(path, ModelScore, self.rows)
        elif path.suffix == ".pdf":
            from geomkit.studies.scores.figure import draw

            draw(self, path)
        else:
            raise ConfigError(f"{path}: metrics beside scores are saved as .csv or .pdf")
        return path

    def __repr__(self) -> str:
        try:
            lines = [in_words(row) for row in self.correlations]
        except DataError as error:
            lines = [str(error)]
        return "\n".join([*lines, *self.left_out])


def correlation(pair: tuple[str, str, str], rows: Sequence[ModelScore]) -> ScoreCorrelation:
    """Correlate a metric with a score over models; what cannot be correlated has its reason."""
    about: dict[str, Any] = dict(zip(("metric", "task", "score_metric"), pair, strict=True)) | {
        "models": len(rows),
        "p_adjusted": None,
    }
    try:
        one = rank_correlation([row.value for row in rows], [row.score for row in rows])
    except DataError as error:
        return ScoreCorrelation(**about, value=None, low=None, high=None, p=None, reason=str(error))
    return ScoreCorrelation(**about, value=one.value, low=one.low, high=one.high, p=one.p, reason="")


def join_lm_eval(
    table: Any, path: str | Path, *, names: Mapping[str, str] | None = None, tasks: Sequence[str] | None = None, **where: Any
) -> Joined:
    """Join a table of metrics with results of lm-evaluation-harness (0.4 or later), model by model.

    table: rows with the columns model, metric and value, one row for each model and metric: a CSV or Parquet file such as
        results/points.csv, a portrait, a table of Arrow or pandas, mappings, or a list of these.
    path: a `results_*.json`, or a folder with such files at any depth.
    names: the table's name of a model by its name in the results, where they differ; with a revision, `owner/name@revision`.
        Without it `owner/name` is the model owner/name, owner__name or name. At a revision other than main it is one of these
        with @revision or -revision behind it, as checkpoints are named in a catalogue.
    tasks: tasks to join; by default all. A group with a score of its own stands for its tasks.
    where: values, or lists of them, that columns of the table must have, such as metric="erank_covariance", layer="last",
        length=64. A layer may be a word where the table has the number of blocks of its models; in portraits depth=1 is the
        last block. Of a table with variants, trained models
        are taken unless it says otherwise.

    Raises DataError, naming the file, for results of another kind, of no model in the table, of two models that would have one
    name, that state a score twice, or that differ in examples or versions; and for a table with several values of a metric, or
    none.
    """
    values = metric_values(table, where)
    known = list(dict.fromkeys(model for model, _ in values))
    runs = read_runs(path)
    if unknown := sorted(set(names or {}) - {run.identity for run in runs}):
        raise DataError(
            f"{path}: names[{unknown[0]!r}]: the results are of {', '.join(dict.fromkeys(run.identity for run in runs))}"
        )
    models = {run.file: model for run in runs if (model := model_of(run, known, names or {})) is not None}
    if not models:
        said = ", ".join(f"{run.identity} ({run.file})" for run in runs)
        raise DataError(
            f"{path}: the results are of {said}; the table has {', '.join(known)}; "
            f'names={{"{runs[0].identity}": "{known[0]}"}} would join such a pair'
        )
    scored = [run for run in runs if run.file in models]
    check_alike(scored, models, tasks)
    rows = [
        ModelScore(
            model=model, metric=metric, task=task, score_metric=score_metric, value=value,
            score=score.value, stderr=score.stderr, higher_is_better=score.higher_is_better,
        )
        for run in scored
        for (task, score_metric), score in run.scores.items()
        if tasks is None or task in tasks
        for (model, metric), value in values.items()
        if model == models[run.file]
    ]  # fmt: skip
    if not rows:
        raise DataError(f"{path}: no task among {', '.join(tasks or ())}; there are {', '.join(all_tasks(scored))}")
    left_out = [f"{run.file}: {run.identity} is not in the table" for run in runs if run.file not in models]
    left_out += [f"{model}: no scores in {path}" for model in known if model not in models.values()]
    return Joined(sorted(rows, key=lambda row: (row.metric, row.task, row.score_metric, known.index(row.model))), left_out)


def model_of(run: Run, known: Sequence[str], names: Mapping[str, str]) -> str | None:
    """Return the table's name of a run's model; None if the table has none. Raises DataError for a given name that it lacks."""
    given = names.get(run.identity)
    if given is not None and given not in known:
        raise DataError(f"names[{run.identity!r}]: {given!r} is not in the table, which has {', '.join(known)}")
    return given or next((name for name in run.names if name in known), None)


def check_alike(runs: Sequence[Run], models: Mapping[Path, str], tasks: Sequence[str] | None) -> None:
    """Check that each score of a model stands in one file, and that a task was run alike in all files.

    Raises DataError that names two files.
    """
    seen: dict[tuple[str, str, str], Run] = {}
    first: dict[str, Run] = {}
    identity: dict[str, Run] = {}
    for run in runs:
        other = identity.setdefault(models[run.file], run)
        if other.identity != run.identity:
            raise DataError(f"{run.file}: {run.identity} would be {models[run.file]}, as {other.identity} in {other.file} is")
        for task, score_metric in run.scores:
            if tasks is not None and task not in tasks:
                continue
            other = seen.setdefault((run.identity, task, score_metric), run)
            if other is not run:
                raise DataError(f"{run.file}: {score_metric} of {task} of {run.identity} is in {other.file}, too; take one away")
            other = first.setdefault(task, run)
            for words, setting in run.settings[task].items():
                if setting != other.settings[task][words]:
                    found = f"{setting} in {run.file}, and {other.settings[task][words]} in {other.file}"
                    raise DataError(f"{run.file}: {task} was not run alike: {words}: {found}")


def all_tasks(runs: Iterable[Run]) -> list[str]:
    """List the tasks of runs."""
    return list(dict.fromkeys(task for run in runs for task, _ in run.scores))


def metric_values(table: Any, where: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Return the value of each model and metric of a table. Raises DataError for none, for several, and without a column."""
    rows = list(rows_of(table))
    source = str(table) if isinstance(table, str | Path) else "table"
    present = list(dict.fromkeys(name for row in rows for name in row))
    if missing := [name for name in (*NEEDED, *where) if name not in present]:
        raise DataError(f"{source}: no column {missing[0]!r}; there are {', '.join(present)}")
    asked = ({"variant": "trained"} if "variant" in present else {}) | dict(where)
    kept = [row for row in rows if number_of(row) is not None and all(fits(row, name, one) for name, one in asked.items())]
    if not kept:
        raise DataError(f"{source}: no value where {', '.join(f'{name} is {one}' for name, one in asked.items())}")
    groups: dict[tuple[str, str], Rows] = {}
    for row in kept:
        groups.setdefault((str(row["model"]), str(row["metric"])), []).append(row)
    for (model, metric), several in groups.items():
        if len(several) > 1:
            choices = {name: list(dict.fromkeys(str(row.get(name)) for row in several)) for name in present}
            places = [
                f"{name} ({', '.join(found[:6])}{', ...' * (len(found) > 6)})"
                for name, found in choices.items()
                if len(found) > 1 and name not in NOT_A_PLACE
            ]
            remedy = f"; choose by {', '.join(places)}" if places else ""
            raise DataError(f"{source}: {metric} of {model} has {len(several)} values{remedy}")
    return {pair: float(number_of(row) or 0.0) for pair, (row,) in groups.items()}


def number_of(row: Mapping[str, Any]) -> float | None:
    """Return the value of a row; None for an empty cell and NaN. Raises DataError for what is no number."""
    try:
        value = float("nan" if row.get("value") in (None, "") else row["value"])
    except (TypeError, ValueError):
        raise DataError(f"{row.get('metric')} of {row.get('model')}: the value {row['value']!r} is no number") from None
    return None if value != value else value


def fits(row: Mapping[str, Any], name: str, wanted: Any) -> bool:
    """Whether a cell is the wanted value, or one of them; a layer may be a word."""
    cell = row.get(name)
    if isinstance(wanted, list | tuple | set):
        return any(fits(row, name, one) for one in wanted)
    blocks = "" if "section" in row else as_text(row.get("depth"))  # in a portrait, depth is relative
    if name == "layer" and wanted in ("last", "final", "middle") and blocks and as_text(cell):
        return str(cell) == wanted or as_text(cell) in map(str, resolve_layers(wanted, int(blocks)))
    return as_text(cell) == as_text(wanted)


def as_text(value: Any) -> str:
    """Write a value as it stands in CSV."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()) else str(value)


def rows_of(table: Any) -> Iterator[dict[str, Any]]:
    """Read the rows of a table, whatever it is kept in."""
    if isinstance(table, str | Path) and Path(table).suffix == ".csv":
        with Path(table).open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)
    elif isinstance(table, str | Path):
        from geomkit.tables.parquet import read_table

        yield from rows_of(read_table(Path(table)))
    elif isinstance(table, Mapping):
        yield dict(table)
    elif hasattr(table, "to_batches"):  # of Arrow
        for batch in table.to_batches():
            yield from batch.to_pylist()
    elif hasattr(table, "to_dict"):  # of pandas
        yield from table.to_dict("records")
    elif hasattr(table, "table"):  # a portrait
        yield from rows_of(table.table)
    else:
        for part in table:
            yield from rows_of(part)


def in_words(row: ScoreCorrelation) -> str:
    """Format a correlation as a sentence, which says where models are few."""
    pair = f"{row.metric} and {row.score_metric} of {row.task}"
    if row.value is None:
        return f"{pair}: no correlation over {row.models} models ({row.reason})"
    few = f", fewer than {FEW}, which say little" if row.models < FEW else ""
    return f"{pair}: Spearman {row.value:.2f} [{row.low:.2f}, {row.high:.2f}] over {row.models} models{few}"
