"""results/scaling/data_laws.json: the law of the loss over model size and unique data, and what each metric tells beside both."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from geomkit.errors import DataError
from geomkit.laws.fit import bootstrap, fit
from geomkit.laws.peers import Peer, beside_peers
from geomkit.laws.prediction import laws_without, leave_one_out
from geomkit.laws.resampling import percentile_interval
from geomkit.laws.statistics import (
    Array,
    categories,
    explained,
    partial_correlation,
    partial_correlation_interval,
)
from geomkit.store.provenance import rng
from geomkit.store.tables import read_csv, write_json

N, D, LOSS = "params_nonembedding", "unique_tokens", "loss_test"
GRID = ("width", N, D, "tokens", "seed", LOSS, "chosen", "layer", "length", "normalise")
"""Columns of a grid beside its metrics."""
PEERS = {
    "chinchilla": [Peer("chinchilla", name, name) for name in ("alpha", "beta")],
    "kaplan": [Peer("kaplan-joint", name, name) for name in ("alpha", "beta")],
}
"""Forms of size and data, with the published parameters to put them beside."""

Row = Mapping[str, Any]
Columns = Mapping[str, Array]
Baselines = Mapping[str, Array | None]
T = TypeVar("T")


def fit_data_laws(
    grid: Path, known: Path, output: Path, metrics: Sequence[str], held_out: int, resamples: int, seed: int
) -> None:
    rows = read_grid(grid)
    measured = [name for name in metrics if name in rows[0]]
    published = {(row["law"], row["parameter"]): row["value"] for row in read_csv(known)}
    draws = []
    for draw in sorted({row["seed"] for row in rows}):
        mine = [row for row in rows if row["seed"] == draw]
        longest, shortest = (at_end(mine, end) for end in (max, min))
        fixed = longest & shortest
        best = [row for row in mine if row["chosen"] == 1]
        cells, trainings = columns(best, measured), columns(mine, measured)
        inside = columns([row for row in best if (row[N], row[D]) not in longest], measured)
        found: dict[str, Any] = {"seed": int(draw), "trainings": len(mine), "cells": len(best)}
        found |= {"one_length": len(fixed), "longest_chosen": len(longest - fixed), "shortest_chosen": len(shortest - fixed)}
        found["laws"] = [law_of(form, cells, published, held_out, resamples, rng(seed, "grid", form)) for form in PEERS]
        found["laws_without_longest"] = [
            fit(form, [inside[N], inside[D]], inside[LOSS], held_out=held_out).as_dict() for form in PEERS
        ]
        laws = {by: left_out(cells, by) for by in (N, D)}
        found["errors"] = errors(cells, laws)
        found["metrics"] = {name: beside_loss(name, cells, trainings, laws) for name in measured}
        draws.append(found)
    where = {name: rows[0][name] for name in ("layer", "length", "normalise")}
    write_json(output, where | {"draws": draws, "between_draws": between_draws(rows, measured)})


def read_grid(path: Path) -> list[dict[str, Any]]:
    """Rows of training_grid.csv. Raises DataError that names a column or a cell that is not there."""
    rows = read_csv(path)
    if missing := [name for name in GRID if not rows or name not in rows[0]]:
        raise DataError(f"{path}: no column {missing[0]!r}; results/ladder/training_grid.csv has it")
    for number, row in enumerate(rows, 2):
        if empty := [name for name, value in row.items() if value is None]:
            raise DataError(f"{path}: line {number} has no {empty[0]!r}")
    return rows


def columns(rows: Sequence[Row], metrics: Sequence[str]) -> Columns:
    """Sizes, amounts of data, losses, and ln of metrics, NaN where one is not positive, each (rows,)."""
    found = {name: np.array([row[name] for row in rows], dtype=float) for name in (N, D, "tokens", LOSS, *metrics)}
    return found | {name: np.log(np.where(found[name] > 0, found[name], np.nan)) for name in metrics}


def at_end(rows: Sequence[Row], end: Callable[[Iterable[float]], float]) -> set[tuple[float, float]]:
    """Cells whose chosen training is the longest (end: max) or shortest that was tried: another might do better."""
    tried: dict[tuple[float, float], list[float]] = {}
    for row in rows:
        tried.setdefault((row[N], row[D]), []).append(row["tokens"])
    return {(row[N], row[D]) for row in rows if row["chosen"] == 1 and row["tokens"] == end(tried[row[N], row[D]])}


def law_of(
    form: str,
    cells: Columns,
    published: Mapping[tuple[str, str], float],
    held_out: int,
    resamples: int,
    draws: np.random.Generator,
) -> dict[str, Any]:
    """L(N, D), and percentile intervals of refits to cells drawn with replacement, which takes their scatter as independent."""
    x = np.array([cells[N], cells[D]])
    law = fit(form, x, cells[LOSS], held_out=held_out)
    refits = {} if law.failed else bootstrap(form, x, cells[LOSS], resamples, draws).params
    known = [name for name in law.interval if np.isfinite(refits[name]).any()]
    intervals = {name: percentile_interval(refits[name]) for name in known}
    return law.as_dict() | {"bootstrap": intervals, "peers": beside_peers(law, PEERS[form], published)}


def left_out(cells: Columns, by: str) -> Baselines:
    """Laws that are fitted without each value of `by` in turn, by form; None where the rest determines none."""
    return {form: attempt(laws_without, form, [cells[N], cells[D]], cells[LOSS], cells[by]) for form in PEERS}


def errors(cells: Columns, laws: Mapping[str, Baselines], *more: Array) -> dict[str, dict[str, float | None]]:
    """Errors in nats for each size and each amount of data that is left out: of regressions on ln N, on ln N and ln D, and of
    laws, with more predictors beside them."""
    log_n, log_d, loss = np.log(cells[N]), np.log(cells[D]), cells[LOSS]
    found: dict[str, dict[str, float | None]] = {}
    for by, without in laws.items():
        found[by] = {
            "ln N": attempt(leave_one_out, [log_n, *more], loss, cells[by]),
            "ln N and ln D": attempt(leave_one_out, [log_n, log_d, *more], loss, cells[by]),
        }
        for form, law in without.items():
            found[by][form] = None if law is None else attempt(leave_one_out, more, loss, cells[by], law)
    return found


def beside_loss(name: str, cells: Columns, trainings: Columns, laws: Mapping[str, Baselines]) -> dict[str, Any]:
    """What ln of a metric tells about the loss; as a null, its additive part: what a function of size plus one of data could."""
    value = cells[name]
    additive = explained(value, categories(cells[N], cells[D])) if np.isfinite(value).all() else None
    more, more_trainings = (without_least(part) for part in (cells, trainings))
    return {
        "correlations": correlations(name, cells, trainings),
        "correlations_without_least_data": correlations(name, more, more_trainings),
        "over_data_by_size": {f"{size:.0f}": over_data(name, cells, size) for size in np.unique(cells[N])},
        "errors": errors(cells, laws, value),
        "null_errors": errors(cells, laws, additive) if additive is not None else None,
    }


def without_least(of: Columns) -> Columns:
    """Without the smallest amount of data, which is the fewest documents."""
    kept = of[D] > of[D].min()
    return {name: values[kept] for name, values in of.items()}


def over_data(name: str, cells: Columns, size: float) -> float | None:
    """Correlation of ln of a metric and the loss over amounts of data at one size."""
    here = cells[N] == size
    return attempt(partial_correlation, cells[name][here], cells[LOSS][here])


def correlations(name: str, cells: Columns, trainings: Columns) -> dict[str, dict[str, float | None] | None]:
    """Of ln of a metric and the loss, by what varies while the rest is held fixed, whatever its effect.

    The values of one size go together, as do those of one amount of data: where these vary, their number is that of independent
    observations. Over passes, of which there are three, there is no interval. `size and data`: beside any function of size plus
    any of data.
    """
    sizes, budgets = (np.unique(cells[key]).size for key in (N, D))
    held: dict[str, tuple[Array, int | None]] = {
        "size": (categories(cells[D]), sizes),
        "data": (categories(cells[N]), budgets),
        "size and data": (categories(cells[N], cells[D]), None),
    }
    found: dict[str, dict[str, float | None] | None] = {}
    for what, (given, independent) in held.items():
        estimate = attempt(partial_correlation_interval, cells[name], cells[LOSS], given, 0.95, independent)
        found[what] = None if estimate is None else estimate._asdict()
    passes = attempt(partial_correlation, trainings[name], trainings[LOSS], categories(labels(trainings, N, D)))
    return found | {"passes": None if passes is None else {"value": passes, "low": None, "high": None, "freedom": 0}}


def between_draws(rows: Sequence[Row], metrics: Sequence[str]) -> dict[str, Any]:
    """What a seed changes, which draws the documents: by unique tokens the mean range in nats of each size's best losses; and,
    over seeds with all else alike, the correlation of loss and ln of each metric. It has no interval: sizes share documents."""
    losses: dict[tuple[float, float], list[float]] = {}
    for row in rows:
        if row["chosen"] == 1:
            losses.setdefault((row[D], row[N]), []).append(row[LOSS])
    apart: dict[str, list[float]] = {}
    for (data, _), values in sorted(losses.items()):
        if len(values) > 1:
            apart.setdefault(f"{data:.0f}", []).append(max(values) - min(values))
    found = columns(rows, metrics)
    same = categories(labels(found, N, D, "tokens"))
    return {
        "loss_range": {data: float(np.mean(values)) for data, values in apart.items()},
        "correlations": {name: attempt(partial_correlation, found[name], found[LOSS], same) for name in metrics},
    }


def labels(columns: Columns, *names: str) -> list[str]:
    """One label for each combination."""
    return [" ".join(map(str, values)) for values in zip(*(columns[name] for name in names), strict=True)]


def attempt(measure: Callable[..., T], *arguments: Any) -> T | None:
    """None where the numbers are too few, alike, or not finite."""
    try:
        return measure(*arguments)
    except DataError:
        return None
