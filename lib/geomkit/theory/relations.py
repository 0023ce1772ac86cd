"""Test the theory of skills on the losses of the ladder's grid, by the rules of docs/protocol_1.md: how the exponents of size and
data are related, and the exact curve of each frequency table."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.laws.fit import Fit, NoFit, fit, solve
from geomkit.laws.prediction import laws_without
from geomkit.tables.rows import read_csv, write_csv
from geomkit.tables.trainings import LadderLoss, Training
from geomkit.theory.curves import PARAMETERS, errors_left_out, fit_curve
from geomkit.theory.exponents import departure, relation
from geomkit.theory.rows import ExponentRelation, SkillCurve
from geomkit.theory.skills import SkillGraph
from geomkit.theory.splits import frequency_table

FORMS = ("chinchilla", "kaplan")
SIZES = ("nonembedding", "total", "width")
LEAST = (0, 200_000)
"""Cells with less unique data are left out."""
FEWEST = 4
"""Sizes of which one can be left out: a curve needs three."""


@dataclass(frozen=True)
class Part:
    """Cells of the grid: sizes, unique tokens and losses (cells,)."""

    draw: int
    size: str
    least: int
    n: Array
    data: Array
    loss: Array

    def described(self, primary: bool) -> dict[str, Any]:
        columns = {"draw": self.draw, "size": self.size, "least": self.least, "cells": self.loss.size}
        return columns | {"primary": primary and self.is_primary}

    @property
    def is_primary(self) -> bool:
        return (self.draw, self.size, self.least) == (0, SIZES[0], LEAST[0])


def parts_of(grid: Path, ladder: Path) -> list[Part]:
    """All parts of the grid: every draw, measure of size and least amount of data; total parameters are those of the ladder's
    table.

    Raises DataError for a grid too small for any law: fewer than three sizes or amounts of data of a draw, or a width that the
    ladder's table has not.
    """
    rows = [row for row in read_csv(grid, Training) if row.chosen]
    total = {row.width: row.params_total for row in read_csv(ladder, LadderLoss)}
    if unknown := sorted({row.width for row in rows} - set(total)):
        raise DataError(f"{grid}: width {unknown[0]} is not in {ladder}, so its parameters with embeddings are not known")
    parts = []
    for draw, size, least in product(sorted({row.seed for row in rows}), SIZES, LEAST):
        mine = [row for row in rows if row.seed == draw and row.unique_tokens >= least]
        sizes, amounts = ({getattr(row, name) for row in mine} for name in ("width", "unique_tokens"))
        if min(len(sizes), len(amounts)) < 3:
            raise DataError(
                f"{grid}: draw {draw} from {least} unique tokens on has {len(sizes)} sizes and {len(amounts)} amounts of data; "
                "a law of both needs at least 3 of each"
            )
        value = {"nonembedding": [row.params_nonembedding for row in mine], "width": [row.width for row in mine]}
        value["total"] = [total[row.width] for row in mine]
        columns = (value[size], [row.unique_tokens for row in mine], [row.loss_test for row in mine])
        parts.append(Part(draw, size, least, *(np.array(column, dtype=float) for column in columns)))
    if not parts:
        raise DataError(f"{grid}: no training is chosen")
    return parts


def end(value: float | None) -> float | None:
    """A number, or None for an open end and for what does not exist."""
    return float(value) if value is not None and math.isfinite(value) else None


def ends(name: str, interval: Sequence[float | None]) -> dict[str, Any]:
    """An interval as two columns."""
    return {f"{name}_low": end(interval[0]), f"{name}_high": end(interval[1])}


# the relation of the exponents


def relate_exponents(grid: Path, ladder: Path, output: Path, resamples: int, sensitivity: int, seed: int) -> None:
    """Write the relation of every part of the grid and both laws; `sensitivity` is the resamples of all but the primary one."""
    rows = []
    for part, form in product(parts_of(grid, ladder), FORMS):
        primary = part.is_primary and form == FORMS[0]
        draws = rng(seed, "theory", form, part.draw, part.size, part.least)
        rows.append(related(part, form, resamples if primary else sensitivity, draws))
    write_csv(output, ExponentRelation, rows)


def related(part: Part, form: str, resamples: int, draws: np.random.Generator) -> ExponentRelation:
    try:
        result = relation(form, part.n, part.data, part.loss, resamples, draws)
    except NoFit as error:
        raise DataError(f"draw {part.draw}, {part.size}, from {part.least} tokens: {error}") from None
    single: dict[str, Any] = {}
    for name in ("alpha", "beta"):
        single |= ends(name, result.single.get(name, (None, None)))
    return ExponentRelation(
        **part.described(form == FORMS[0]), form=form, status=result.status, law=str(result.law), resamples=resamples,
        alpha=end(result.alpha), beta=end(result.beta), theory=end(result.theory), rival=end(result.rival), **single,
        **ends("theory", result.theory_interval), **ends("rival", result.rival_interval),
        **ends("theory_bootstrap", result.theory_bootstrap),
    )  # fmt: skip


# the exact curve


def fit_skill_curves(grid: Path, ladder: Path, documents: Path, output: Path, table: str) -> None:
    """Fit the curve of one frequency table, counted in the training documents, on every part of the grid."""
    graph = SkillGraph.of_counts(frequency_table(documents, table))
    write_csv(output, SkillCurve, [curve_of(part, graph, table) for part in parts_of(grid, ladder)])


def curve_of(part: Part, graph: SkillGraph, table: str, primary: str = "trigrams") -> SkillCurve:
    curve = fit_curve(graph, part.n, part.data, part.loss)
    numbers: dict[str, Any] = {}
    for name in PARAMETERS:
        numbers |= {name: end(curve.params.get(name)), **ends(name, curve.interval.get(name, (None, None)))}
    errors = left_out(part, graph)
    theory, laws = errors["curve"], [error for form in FORMS if (error := errors[form]) is not None]
    own = part.is_primary and table == primary
    law = fit("chinchilla", [part.n, part.data], curve.predict(graph, part.n, part.data)) if own and not curve.failed else None
    return SkillCurve(
        **part.described(table == primary), table=table, types=graph.skills, status=curve.status, **numbers,
        residual_sd=end(curve.residual_sd), chinchilla_sd=scatter("chinchilla", part), kaplan_sd=scatter("kaplan", part),
        left_out=theory, chinchilla_left_out=errors["chinchilla"], kaplan_left_out=errors["kaplan"],
        describes=theory <= min(laws) if theory is not None and laws else None, **on_curve(law),
    )  # fmt: skip


def on_curve(law: Fit | None) -> dict[str, Any]:
    """The sum of two power laws fitted to the curve itself, where the curve is the truth."""
    if law is None or law.failed:
        return {"sum_status": law and str(law.status), "sum_alpha": None, "sum_beta": None, "sum_departure": None}
    alpha, beta = law.params["alpha"], law.params["beta"]
    exponents = {"sum_alpha": alpha, "sum_beta": beta, "sum_departure": float(departure(alpha, beta))}
    return {"sum_status": str(law.status), **exponents}


def left_out(part: Part, graph: SkillGraph) -> dict[str, float | None]:
    """Root-mean-square errors in ln L on sizes left out one at a time, of the curve and of both laws; None where the other sizes
    do not determine one."""
    if np.unique(part.n).size < FEWEST:
        return dict.fromkeys(("curve", *FORMS))
    errors: dict[str, float | None] = {"curve": rms(lambda: errors_left_out(graph, part.n, part.data, part.loss))}
    for form in FORMS:
        errors[form] = rms(partial(law_errors, form, part))
    return errors


def law_errors(form: str, part: Part) -> Array:
    """ln(predicted / measured) of a law fitted without each size in turn."""
    x, sizes = np.array([part.n, part.data]), np.unique(part.n)
    predicted = laws_without(form, x, part.loss, part.n)[np.searchsorted(sizes, part.n), np.arange(part.n.size)]
    return np.log(predicted / part.loss)


def rms(errors: Callable[[], Array]) -> float | None:
    try:
        return float(np.sqrt(np.mean(errors() ** 2)))
    except NoFit:
        return None


def scatter(form: str, part: Part) -> float | None:
    """Standard deviation of ln L about a law whose threshold follows the scatter."""
    try:
        law = solve(form, [part.n, part.data], part.loss, own_threshold=False)
    except NoFit:
        return None
    return math.sqrt(float(law.residuals @ law.residuals) / law.freedom)


def join_curves(tables: Iterable[Path], output: Path) -> None:
    """Join the curves of all tables into one file, in the order given."""
    write_csv(output, SkillCurve, [row for table in tables for row in read_csv(Path(table), SkillCurve)])
