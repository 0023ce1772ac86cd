"""Compare models of planted facts with the theory, by the rules of docs/protocol_facts.md: what each model has learnt, and where
the edge of that lies."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.isotonic import IsotonicRegression

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.tables.rows import read_csv, write_csv
from geomkit.theory.rows import FactBin, FactModel

VALUES = 64
"""Values that a fact can have: an unknown one costs ln 64."""
CHANGE = 0.1
"""Of the gap by the last doubling of steps, from which on a cell is excluded."""
SAME_FLOOR = 0.1
"""Of the gap on endless texts, within which size limits a model of finite ones."""


def join_facts(tables: Iterable[Path], output: Path) -> None:
    """Join the files of all cells."""
    write_csv(output, FactBin, [row for table in tables for row in read_csv(Path(table), FactBin)])


def study_facts(table: Path, output: Path) -> None:
    """Write a row for each cell: what it has learnt after its longest training, beside the theory."""
    rows = read_csv(table, FactBin)
    names = dict.fromkeys(row.cell for row in rows)
    if not names:
        raise DataError(f"{table}: no cell of planted facts")
    models = [model_of([row for row in rows if row.cell == name]) for name in names]
    write_csv(output, FactModel, [replace(model, limited=limited(model, models)) for model in models])


def limited(model: FactModel, models: Sequence[FactModel]) -> bool:
    """Whether finite texts leave the same gap as endless ones, for the same model."""
    floor = [
        other.gap
        for other in models
        if other.samples is None and (other.width, other.exponent, other.seed) == (model.width, model.exponent, model.seed)
    ]
    return model.samples is not None and any(abs(model.gap / gap - 1) < SAME_FLOOR for gap in floor)


def model_of(rows: Sequence[FactBin]) -> FactModel:
    """A row for a cell after its longest training. Raises DataError for a cell that was trained for one number of steps."""
    budgets = sorted({row.steps for row in rows})
    if len(budgets) < 2:
        raise DataError(f"facts: {rows[0].cell} has one number of steps, so nothing tells whether it is trained to the end")
    whole = next(row.gap for row in rows if row.steps == budgets[-2])
    before, after = (
        next(row.gap if row.samples is None else row.gap_seen for row in rows if row.steps == end) for end in budgets[-2:]
    )
    mine = [row for row in rows if row.steps == budgets[-1]]
    first, h = mine[0], math.log(VALUES)
    law = frequencies(mine[-1].last_rank, first.exponent)
    n = held_by(first.gap / h, law)
    change = (before - after) / whole
    unseen = mass_unseen(mine)
    of_last = (before - after) / first.gap
    return FactModel(
        cell=first.cell, width=first.width, params_total=first.params_total, params_nonembedding=first.params_nonembedding,
        exponent=first.exponent, seed=first.seed, samples=first.samples, steps=first.steps, gap=first.gap,
        gap_seen=first.gap_seen, charged=first.gap_seen + h * unseen, limited=False, change=change, change_of_last=of_last,
        kept=abs(change) < CHANGE, kept_of_last=abs(of_last) < CHANGE, facts=mine[-1].last_rank, held=first.held, n=n,
        overlap=first.overlap, edge=edge(mine, h), inside=inside(mine, n), beyond=beyond(mine, 4 * n, h),
        unseen_ratio=first.gap_unseen / (h * unseen) if unseen > 0 else None,
    )  # fmt: skip


def frequencies(facts: int, exponent: float) -> Array:
    """p_k proportional to k^-(1 + a), k = 1 .. facts."""
    weight = np.arange(1, facts + 1) ** -(1 + exponent)
    return weight / weight.sum()


def held_by(rest: float, law: Array) -> float:
    """The n, linear between whole numbers, for which sum_{k > n} p_k equals the given rest."""
    tail = np.append(np.cumsum(law[::-1])[::-1], 0.0)
    return float(np.interp(-rest, -tail, np.arange(tail.size)))


def mass_unseen(rows: Sequence[FactBin]) -> float:
    """Probability of facts that are absent from the training text, each bin's spread evenly over its facts."""
    return sum(row.mass * (1 - row.bin_seen) for row in rows)


def edge(rows: Sequence[FactBin], h: float) -> float | None:
    """log2 of the ratio of ranks where the monotone profile 1 - loss / h crosses 1/4 and 3/4; None if it does not cross both."""
    rank = np.array([0.5 * math.log2(row.first_rank * row.last_rank) for row in rows])
    number = np.array([row.last_rank - row.first_rank + 1 for row in rows])
    known = np.array([1 - row.loss / h for row in rows])
    smooth = IsotonicRegression(increasing=False).fit_transform(rank, known, sample_weight=number)
    if not smooth[0] > 0.75 or not smooth[-1] < 0.25:
        return None
    return crossing(rank, smooth, 0.25) - crossing(rank, smooth, 0.75)


def crossing(rank: Array, profile: Array, level: float) -> float:
    """Find the point at which a falling profile reaches a level, linear between bins."""
    k = int(np.flatnonzero(profile < level)[0])
    share = (profile[k - 1] - level) / (profile[k - 1] - profile[k])
    return float(rank[k - 1] + share * (rank[k] - rank[k - 1]))


def inside(rows: Sequence[FactBin], n: float) -> float:
    """The share of the gap in bins up to rank n; the bin around n counts in part."""
    parts = [row.mass * row.loss for row in rows]
    share = [min(1.0, max(0.0, (n - row.first_rank + 1) / (row.last_rank - row.first_rank + 1))) for row in rows]
    return float(np.dot(parts, share) / sum(parts))


def beyond(rows: Sequence[FactBin], rank: float, h: float) -> float | None:
    """Mean loss of facts in bins above a rank, over h; None without one."""
    above = [row for row in rows if row.first_rank > rank]
    number = [row.last_rank - row.first_rank + 1 for row in above]
    return float(np.average([row.loss for row in above], weights=number)) / h if above else None
