"""Read results of lm-evaluation-harness, version 0.4 or later: `results_*.json`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomkit.core.errors import DataError

NAMED_BY = ("peft", "delta", "pretrained", "model", "path")
"""Arguments of a model that name it, in the harness's own order: an adapter comes with the model that it was trained on."""
OF_TASK = {"n-shot": "examples in the prompt", "versions": "version"}
"""Blocks of a file that state how a task was run, which must be alike to be compared."""


@dataclass(frozen=True)
class Run:
    """One file of results: a model, and its scores.

    model: its name on the hub, or its folder. revision: None for the main branch. scores: by task and score, the name of the
    score with its filter. settings: of each task, what must be alike in runs that are compared.
    """

    file: Path
    model: str
    revision: str | None
    scores: Mapping[tuple[str, str], "Score"]
    settings: Mapping[str, Mapping[str, Any]]

    @property
    def identity(self) -> str:
        """The model's name, with its revision behind @ if it has one."""
        return self.model if self.revision is None else f"{self.model}@{self.revision}"

    @property
    def names(self) -> list[str]:
        """Names that the model may have in a table, the most specific first: with a revision, only such as state it."""
        names = [self.model, Path(self.model).name, self.model.replace("/", "__")]
        return names if self.revision is None else [f"{name}{mark}{self.revision}" for name in names for mark in "@-"]


@dataclass(frozen=True)
class Score:
    """A score with its standard error, and whether a higher one is better; None where the file does not say."""

    value: float
    stderr: float | None
    higher_is_better: bool | None


def read_runs(path: str | Path) -> list[Run]:
    """Read a file of results, or all files `results*.json` below a folder, in the order of their paths.

    Raises DataError that names the path for a folder without such a file, and the file for one that is not of this kind.
    """
    path = Path(path)
    files = sorted(path.rglob("results*.json")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: no results*.json of lm-evaluation-harness in this folder")
    return [read_run(file) for file in files]


def read_run(file: Path) -> Run:
    """Read a file of results. Raises DataError that names it for one that is not of this kind."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{file}: no such file or folder") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as JSON: {error}") from None
    results = data.get("results") if isinstance(data, dict) else None
    if not isinstance(results, dict) or not all(isinstance(entries, dict) for entries in results.values()):
        raise DataError(f"{file}: no mapping `results` of tasks, as lm-evaluation-harness writes it")
    scores = {(task, name): score for task, name, score in read_scores(data)}
    if not scores:
        raise DataError(f"{file}: no score such as `acc,none`; results of lm-evaluation-harness 0.4 or later have them")
    config = mapping(data, "config")
    said = arguments(config.get("model_args"))
    models = (*(said.get(name) for name in NAMED_BY), data.get("model_name"), config.get("model_name"), config.get("model"))
    model = next((name for name in models if isinstance(name, str) and name), None)
    if model is None:
        raise DataError(f"{file}: names no model, neither as pretrained in config.model_args nor as model_name")
    revision = said.get("revision") or config.get("model_revision")
    settings = {
        task: {words: mapping(data, block).get(task) for block, words in OF_TASK.items()} | {"limit": config.get("limit")}
        for task, _ in scores
    }
    return Run(file, model.rstrip("/"), None if revision in (None, "", "main") else str(revision), scores, settings)


def mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a block of a file; an empty one where it is not there."""
    block = data.get(name)
    return block if isinstance(block, dict) else {}


def arguments(said: Any) -> dict[str, str]:
    """Parse the arguments of a model, `pretrained=owner/name,revision=step1000`, or a mapping in later versions."""
    if isinstance(said, dict):
        return {str(name): str(value) for name, value in said.items() if value is not None}
    pairs = [part.partition("=") for part in said.split(",")] if isinstance(said, str) else []
    return {name.strip(): value.strip() for name, _, value in pairs if value}


def read_scores(data: Mapping[str, Any]) -> Iterator[tuple[str, str, Score]]:
    """Read every score with its task and name. Tasks in a group that has scores of its own are left out."""
    results = data["results"]
    own = {task for task, entries in results.items() if any("," in name for name in entries)}
    groups = {group: parts for group, parts in mapping(data, "group_subtasks").items() if isinstance(parts, list) and parts}
    parts = {part for group, inside in groups.items() if group in own for part in inside if part != group}
    for task, entries in results.items():
        for name, value in entries.items() if task not in parts else ():
            metric, comma, kept = name.partition(",")
            if not comma or metric.endswith("_stderr") or not number(value):
                continue
            stderr = entries.get(f"{metric}_stderr,{kept}")
            better = mapping(mapping(data, "higher_is_better"), task).get(metric)
            label = metric if kept == "none" else name
            yield (
                task,
                label,
                Score(float(value), float(stderr) if number(stderr) else None, better if isinstance(better, bool) else None),
            )


def number(value: Any) -> bool:
    """Whether a value is a finite number; the harness writes N/A for a standard error that it has not computed."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
