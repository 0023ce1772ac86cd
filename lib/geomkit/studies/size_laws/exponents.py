"""Fit exponents with model size (slopes.csv), those of their nulls (null_slopes.csv), and laws of the primary endpoint
(fits.json)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.declarations import named
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import TOKENS
from geomkit.laws.exponents import Comparison, Exponent, Levels, exponents, model_levels, text_levels
from geomkit.laws.fit import fit
from geomkit.laws.resampling import draw_resamples
from geomkit.laws.size_measures import law_on_axis
from geomkit.laws.verdicts import MARGINS
from geomkit.measures.nulls import table_nulls
from geomkit.studies.published.rows import PublishedValue
from geomkit.studies.size_laws.rows import NullSlope, Slope
from geomkit.tables.fits import MetricLaw
from geomkit.tables.measurements import (
    LOSS,
    SHARED,
    Measurements,
    Variants,
    Where,
    beside,
    corpus_losses,
    families,
    read_measurements,
    read_resamples,
    text_means,
)
from geomkit.tables.rows import read_csv, write_csv, write_json

AGAINST = ("params_nonembedding", "params_total", "width")
JUDGED_LAYERS, JUDGED_SIZE = ("last", "final"), "params_nonembedding"
"""Layers and measure of size in verdicts.csv, which has the metrics with a margin, text by text."""
FORMS = ("power", "offset_power", "log_linear")


def compare_exponents(
    table: Path,
    resampled: Sequence[Path],
    published: Path,
    slopes: Path,
    null_slopes: Path,
    fits: Path,
    primary: Mapping[str, Any],
    exploratory: Sequence[str],
    resamples: int,
    held_out: int,
    seed: int,
) -> None:
    """Write the tables. exploratory: metrics that are fitted, like the primary ones, at the primary endpoint's place."""
    draws = {Path(path).stem: Path(path) for path in resampled}
    results: list[Judged] = []
    for family, corpus in families(table):
        measured = read_measurements(table, family, corpus, SHARED)
        drawn = read_resamples(draws[corpus], family, {model.name: model.depth for model in measured.models})
        results += compared(Ladder(measured, drawn, resamples, rng(seed, "slopes", family, corpus)), primary)
    results += published_exponents(published)
    combinations = sum(slope.slope is not None for slope, _ in results)
    write_csv(slopes, Slope, [replace(slope, combinations=combinations) for slope, _ in results])
    write_csv(null_slopes, NullSlope, [null for _, nulls in results for null in nulls])
    fitted = dict(primary) | {"metrics": [*primary["metrics"], *exploratory]}
    points = [row for row in text_means(table, **fitted) + corpus_losses(table) if row["variant"] == "trained"]
    write_json(fits, list[MetricLaw], [law for group in by_law(points) for law in laws(group, primary, held_out)])


Judged = tuple[Slope, list[NullSlope]]


class Ladder:
    """One family on one corpus: its models by size, their measurements, and draws of documents and then seeds.

    The same draws serve everything, so what is compared is paired.
    """

    def __init__(self, measured: Measurements, drawn: Variants, resamples: int, draws: np.random.Generator):
        self.measured, self.drawn = measured, drawn
        n = np.array([model.params_nonembedding for model in measured.models])
        self.groups = [n == one for one in np.unique(n)]
        first = [measured.models[int(np.argmax(group))] for group in self.groups]
        self.sizes = {name: np.array([float(getattr(model, name)) for model in first]) for name in AGAINST}
        self.draws = draw_resamples(measured.documents, [int(group.sum()) for group in self.groups], resamples, draws)
        for variant, loss in measured.known_losses().items():
            measured.variants[variant][LOSS] = loss.corpus[:, None]
            drawn.setdefault(variant, {})[LOSS] = self.draws.means(loss.nats) / self.draws.means(loss.tokens)

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """Values (models, ...) as an array (seeds, ...) for each size."""
        return [values[group] for group in self.groups]

    def levels(self, where: Where) -> dict[str, Levels]:
        """Levels at one place, of trained models and of every null."""
        values, drawn = beside(self.measured.variants, where), beside(self.drawn, where)
        if where.length is not None:
            return text_levels({name: self.split(array) for name, array in values.items()}, self.draws)
        return {
            name: model_levels(self.split(array[:, 0]), self.split(drawn[name]) if name in drawn else None, self.draws.seeds)
            for name, array in values.items()
        }


def compared(ladder: Ladder, primary: Mapping[str, Any]) -> Iterator[Judged]:
    """Compare every metric, length, layer and normalisation with every measure of size."""
    rows = primary.get("rows", TOKENS)
    tested = [
        Where(primary["layer"], primary["normalise"], primary["length"], metric, rows=rows) for metric in primary["metrics"]
    ]
    for where in progress(sorted(ladder.measured.variants["trained"], key=lambda where: where.order), "exponents"):
        levels = ladder.levels(where)
        results = exponents(ladder.sizes, levels.pop("trained"), levels)
        for name, result in results.items():
            yield judged(ladder.measured.source | where.columns | {"against": name}, result, where in tested)


def judged(where: Mapping[str, Any], result: Exponent, primary: bool) -> Judged:
    """An exponent and those of its nulls as records; `where` are the columns of `Compared`. Combinations are counted later."""
    value, low, high, freedom = result.estimate or (None, None, None, None)
    parts = result.measurement or (None, None)
    verdict, reason = result.judged if where["published"] else result.unjudged(elsewhere(where))
    slope = Slope(
        **where, primary=primary, verdict=verdict, reason=reason, slope=value, low=low, high=high, freedom=freedom,
        measurement_low=parts[0], measurement_high=parts[1], combinations=0,
    )  # fmt: skip
    return slope, [null_slope(where, name, null) for name, null in result.nulls.items()]


def elsewhere(where: Mapping[str, Any]) -> str:
    """The file with the verdict on a law of a measured family, or why there is none."""
    there = where["metric"] in MARGINS and where["layer"] in JUDGED_LAYERS and where["length"] is not None
    return (
        "verdicts.csv judges it" if there and where["against"] == JUDGED_SIZE else "exploratory: verdicts.csv has no test of it"
    )


def null_slope(where: Mapping[str, Any], name: str, null: Comparison) -> NullSlope:
    difference, low, high, _ = null.difference
    parts = null.measurement or (None, None)
    return NullSlope(
        **where, null=name, slope=null.exponent, difference=difference, low=low, high=high,
        measurement_low=parts[0], measurement_high=parts[1],
    )  # fmt: skip


@named("matrix_entropy_over_ln_width", label="matrix entropy / ln d", unit="ratio")
def published_exponents(path: Path) -> Iterator[Judged]:
    """Exponents and nulls of published tables of matrix entropy over ln d."""
    for family, group in groupby(read_csv(path, PublishedValue), key=lambda row: row.family):
        models = list(group)
        width, ratio = np.array([float(row.width) for row in models]), np.array([row.value for row in models])
        nulls = {
            name: Levels(np.log(entropy / np.log(width))) for name, entropy in table_nulls(ratio * np.log(width), width).items()
        }
        where = {"family": family, "published": True, "corpus": models[0].dataset, "metric": models[0].quantity}
        where |= {"layer": None, "length": None, "normalise": None, "eps2": None}
        sizes = {name: [float(getattr(row, name)) for row in models] for name in AGAINST}
        for name, result in exponents(sizes, Levels(np.log(ratio)), nulls).items():
            yield judged(where | {"against": name}, result, primary=False)


def by_law(points: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Group the points of one corpus, metric and family."""
    return [list(group) for _, group in groupby(points, key=lambda row: (row["corpus"], row["metric"], row["family"]))]


def laws(points: Sequence[Mapping[str, Any]], primary: Mapping[str, Any], held_out: int) -> Iterator[MetricLaw]:
    """Every form fitted to one measurement against the parameters without embeddings; the loss's without an interval where seeds
    reject the form."""
    first = points[0]
    where = {name: first[name] for name in ("family", "corpus", "metric", "eps2")}
    of_loss = first["metric"] == "loss"
    where |= {name: None if of_loss else primary[name] for name in ("layer", "length", "normalise")}
    where |= {} if of_loss else {"rows": primary.get("rows", TOKENS)}
    x, y = ([point[name] for point in points] for name in ("params_nonembedding", "value"))
    for form in FORMS:
        law = fit(form, x, y, held_out=held_out)
        if of_loss:
            sizes = np.unique(x)
            seeds = [np.asarray(y)[np.asarray(x) == size] for size in sizes]
            law = law_on_axis("params_nonembedding", form, sizes, seeds, held_out, without_each=False).fit
        yield MetricLaw(**where, published=False, against="params_nonembedding", **law.as_dict())
