"""Fit the loss over model size and unique data, and measure what each metric adds to both (data_laws.json)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.laws.fit import bootstrap, fit
from geomkit.laws.prediction import laws_without, leave_one_out
from geomkit.laws.published_laws import PublishedParameter, compare_published
from geomkit.laws.resampling import percentile_interval
from geomkit.laws.statistics import (
    categories,
    linear_prediction,
    partial_correlation,
    partial_correlation_interval,
)
from geomkit.studies.loss.rows import (
    BetweenDraws,
    Correlation,
    Correlations,
    DataLaw,
    DataLaws,
    Errors,
    GridDraw,
    MetricBesideLoss,
)
from geomkit.studies.published.rows import PublishedLaw
from geomkit.tables.fits import Fitted, PeerValue
from geomkit.tables.rows import read_csv, write_json
from geomkit.tables.trainings import Training

N, D, LOSS = "params_nonembedding", "unique_tokens", "loss_test"
PEERS = {
    "chinchilla": [PublishedParameter("chinchilla", name, name) for name in ("alpha", "beta")],
    "kaplan": [PublishedParameter("kaplan-joint", name, name) for name in ("alpha", "beta")],
}
"""Forms of size and data, with the published parameters to put them beside."""

Columns = Mapping[str, Array]
Baselines = Mapping[str, Array | None]
T = TypeVar("T")


def fit_data_laws(
    grid: Path, known: Path, output: Path, metrics: Sequence[str], held_out: int, resamples: int, seed: int
) -> None:
    """Write data_laws.json from the trainings of the grid."""
    rows = read_csv(grid, Training)
    if not rows:
        raise DataError(f"{grid}: no training")
    measured = [name for name in metrics if name in rows[0].metrics]
    published = {(row.law, row.parameter): row.value for row in read_csv(known, PublishedLaw) if row.value is not None}
    draws = [draw_of(rows, draw, measured, published, held_out, resamples, seed) for draw in sorted({row.seed for row in rows})]
    first = rows[0]
    laws = DataLaws(
        layer=first.layer, length=first.length, normalise=first.normalise, eps2=first.eps2, draws=tuple(draws),
        between_draws=between_draws(rows, measured),
    )  # fmt: skip
    write_json(output, DataLaws, laws)


def draw_of(
    rows: Sequence[Training],
    draw: int,
    metrics: Sequence[str],
    published: Mapping[tuple[str, str], float],
    held_out: int,
    resamples: int,
    seed: int,
) -> GridDraw:
    """Laws and metrics of the trainings of one seed, which draws the documents."""
    mine = [row for row in rows if row.seed == draw]
    longest, shortest = (at_end(mine, end) for end in (max, min))
    fixed = longest & shortest
    best = [row for row in mine if row.chosen]
    cells, trainings = columns(best, metrics), columns(mine, metrics)
    inside = columns([row for row in best if place(row) not in longest], metrics)
    without = [fit(form, [inside[N], inside[D]], inside[LOSS], held_out=held_out) for form in PEERS]
    laws = {by: left_out(cells, by) for by in (N, D)}
    return GridDraw(
        seed=draw,
        trainings=len(mine),
        cells=len(best),
        one_length=len(fixed),
        longest_chosen=len(longest - fixed),
        shortest_chosen=len(shortest - fixed),
        laws=tuple(law_of(form, cells, published, held_out, resamples, rng(seed, "grid", form)) for form in PEERS),
        laws_without_longest=tuple(Fitted(**law.as_dict()) for law in without),
        errors=errors(cells, laws),
        metrics={name: beside_loss(name, cells, trainings, laws) for name in metrics},
    )


def columns(rows: Sequence[Training], metrics: Sequence[str]) -> Columns:
    """Sizes, amounts of data, losses, and ln of metrics (NaN where one is not positive), each (rows,)."""
    arrays = {name: np.array([getattr(row, name) for row in rows], dtype=float) for name in (N, D, "tokens", LOSS)}
    values = {name: np.array([row.metrics[name] for row in rows], dtype=float) for name in metrics}
    return arrays | {name: np.log(np.where(value > 0, value, np.nan)) for name, value in values.items()}


def at_end(rows: Sequence[Training], end: Callable[[Iterable[float]], float]) -> set[tuple[float, float]]:
    """Cells whose best training is the longest (end: max) or shortest that was tried: another might be better."""
    tried: dict[tuple[float, float], list[float]] = {}
    for row in rows:
        tried.setdefault(place(row), []).append(row.tokens)
    return {place(row) for row in rows if row.chosen and row.tokens == end(tried[place(row)])}


def place(row: Training) -> tuple[float, float]:
    """The model size and the amount of data of a training."""
    return row.params_nonembedding, row.unique_tokens


def law_of(
    form: str,
    cells: Columns,
    published: Mapping[tuple[str, str], float],
    held_out: int,
    resamples: int,
    draws: np.random.Generator,
) -> DataLaw:
    """L(N, D) with percentile intervals of refits to cells drawn with replacement, which takes their scatter as independent."""
    x = np.array([cells[N], cells[D]])
    law = fit(form, x, cells[LOSS], held_out=held_out)
    refits = {} if law.failed else bootstrap(form, x, cells[LOSS], resamples, draws).params
    known = [name for name in law.interval if np.isfinite(refits[name]).any()]
    intervals = {name: percentile_interval(refits[name]) for name in known}
    peers = tuple(PeerValue(**peer) for peer in compare_published(law, PEERS[form], published))
    return DataLaw(**law.as_dict(), bootstrap=intervals, peers=peers)


def left_out(cells: Columns, by: str) -> Baselines:
    """Laws fitted without each value of `by` in turn, by form; None where the remaining cells do not determine one."""
    return {form: attempt(laws_without, form, [cells[N], cells[D]], cells[LOSS], cells[by]) for form in PEERS}


def errors(cells: Columns, laws: Mapping[str, Baselines], *more: Array) -> Errors:
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


def beside_loss(name: str, cells: Columns, trainings: Columns, laws: Mapping[str, Baselines]) -> MetricBesideLoss:
    """Gain in the loss's prediction from ln of a metric; its null is a function of size plus one of data."""
    value = cells[name]
    additive = linear_prediction(value, categories(cells[N], cells[D])) if np.isfinite(value).all() else None
    more, more_trainings = (without_least(part) for part in (cells, trainings))
    return MetricBesideLoss(
        correlations=correlations(name, cells, trainings),
        correlations_without_least_data=correlations(name, more, more_trainings),
        over_data_by_size={f"{size:.0f}": over_data(name, cells, size) for size in np.unique(cells[N])},
        errors=errors(cells, laws, value),
        null_errors=errors(cells, laws, additive) if additive is not None else None,
    )


def without_least(of: Columns) -> Columns:
    """Cells without the smallest amount of data, which is the fewest documents."""
    kept = of[D] > of[D].min()
    return {name: values[kept] for name, values in of.items()}


def over_data(name: str, cells: Columns, size: float) -> float | None:
    """Correlation of ln of a metric and the loss over amounts of data at one size."""
    here = cells[N] == size
    return attempt(partial_correlation, cells[name][here], cells[LOSS][here])


def correlations(name: str, cells: Columns, trainings: Columns) -> Correlations:
    """Correlations of ln of a metric and the loss, by what varies while the rest is fixed, whatever its effect.

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
    results: dict[str, Correlation | None] = {}
    for what, (given, independent) in held.items():
        estimate = attempt(partial_correlation_interval, cells[name], cells[LOSS], given, 0.95, independent)
        results[what] = None if estimate is None else Correlation(**estimate._asdict())
    passes = attempt(partial_correlation, trainings[name], trainings[LOSS], categories(labels(trainings, N, D)))
    return results | {"passes": None if passes is None else Correlation(value=passes, low=None, high=None, freedom=0)}


def between_draws(rows: Sequence[Training], metrics: Sequence[str]) -> BetweenDraws:
    """Effects of the seed, which draws the documents: by unique tokens, the mean range in nats of the best losses of each size;
    and, with all else fixed, the correlation over seeds of the loss and ln of each metric. It has no interval: sizes share
    documents."""
    losses: dict[tuple[float, float], list[float]] = {}
    for row in rows:
        if row.chosen:
            losses.setdefault((row.unique_tokens, row.params_nonembedding), []).append(row.loss_test)
    apart: dict[str, list[float]] = {}
    for (data, _), values in sorted(losses.items()):
        if len(values) > 1:
            apart.setdefault(f"{data:.0f}", []).append(max(values) - min(values))
    cells = columns(rows, metrics)
    same = categories(labels(cells, N, D, "tokens"))
    return BetweenDraws(
        loss_range={data: float(np.mean(values)) for data, values in apart.items()},
        correlations={name: attempt(partial_correlation, cells[name], cells[LOSS], same) for name in metrics},
    )


def labels(columns: Columns, *names: str) -> list[str]:
    """One label for each combination of values."""
    return [" ".join(map(str, values)) for values in zip(*(columns[name] for name in names), strict=True)]


def attempt(measure: Callable[..., T], *arguments: Any) -> T | None:
    """The result of a computation, or None where the numbers are too few, constant, or not finite."""
    try:
        return measure(*arguments)
    except DataError:
        return None
