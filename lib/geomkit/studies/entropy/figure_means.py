"""Average metrics and losses over texts, at every layer of every model: the numbers that figures draw (points.csv)."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from geomkit.core.provenance import rng
from geomkit.core.state import TOKENS
from geomkit.laws.resampling import FEW, Clustered, Documents, documents_in_words, percentile_interval
from geomkit.studies.size_laws.rows import Point
from geomkit.tables.measurements import corpus_losses, name_layer, text_documents, text_losses, text_means
from geomkit.tables.parquet import read_table
from geomkit.tables.rows import write_csv

COLUMNS = (
    "family", "corpus", "model", "seed", "params_nonembedding", "params_total", "depth", "d", "variant", "layer", "metric",
    "value", "bound", "eps2",
)  # fmt: skip
EACH = ("document", "value", "n")


def collect_points(
    table: Path,
    output: Path,
    primary: Mapping[str, Any],
    exploratory: Sequence[str],
    resamples: int,
    seed: int,
    resampled: Sequence[Path] = (),
) -> None:
    """Write points.csv from the table of entropy, with intervals over documents. Raises DataError where the table lacks means.

    The same resamples of documents serve all rows of a corpus, so that they can be compared. resampled: of each corpus, where the
    primary rows are those of whole texts: their intervals come from there, and are known at the layers that were resampled.
    """
    length, normalise, rows = primary["length"], primary["normalise"], primary.get("rows", TOKENS)
    drawn: dict[tuple[str, ...], Documents] = {}

    def interval(row: Mapping[str, Any], weights: Sequence[int] | float = 1.0) -> Clustered:
        names = tuple(row["each_document"])
        if names not in drawn:
            drawn[names] = Documents.draw(names, resamples, rng(seed, "points", row["corpus"]))
        return drawn[names].mean(row["each_value"], weights=weights)

    means = text_means(table, [*primary["metrics"], *exploratory], length, normalise, each=EACH, rows=rows)
    over = interval if rows == TOKENS else pooled_interval(table, resampled, normalise, rows)
    points = [
        point(row, over(row), length, normalise, name_layer(row["layer"], row["depth"]) == primary["layer"], rows)
        for row in means
    ]
    losses = {place(row): interval(row, row["each_n"]) for row in text_losses(table, EACH)}
    points += [point(row, losses[place(row)], None, None, True) for row in corpus_losses(table)]
    for corpus in dict.fromkeys(one.corpus for one in points):
        number = max(one.documents for one in points if one.corpus == corpus)
        if number < FEW:
            print(f"{corpus}: {documents_in_words(number)}", flush=True)
    write_csv(output, Point, points)


def place(row: Mapping[str, Any]) -> tuple[str, ...]:
    return row["model"], row["corpus"], row["variant"]


def pooled_interval(
    table: Path, resampled: Sequence[Path], normalise: str, rows: str
) -> Callable[[Mapping[str, Any]], Clustered]:
    """Return a function that gives the interval of a corpus's cloud with one row for each text, where it was resampled."""
    drawn: dict[tuple[Any, ...], tuple[float, float]] = {}
    chosen = (pc.field("rows") == rows) & (pc.field("normalise") == normalise)
    for path in resampled:
        for one in read_table(path, filters=chosen).to_pylist():
            where = path.stem, one["model"], one["variant"], one["layer"], one["metric"]
            drawn[where] = percentile_interval(one["values"])

    def interval(row: Mapping[str, Any]) -> Clustered:
        documents = set(text_documents(table, pc.field("corpus") == row["corpus"]))
        layer = name_layer(row["layer"], row["depth"])
        ends = drawn.get((row["corpus"], row["model"], row["variant"], layer, row["metric"]), (math.nan, math.nan))
        return Clustered(row["value"], *(ends if len(documents) > 1 else (math.nan, math.nan)), len(documents))

    return interval


def point(
    row: Mapping[str, Any], over: Clustered, length: int | None, normalise: str | None, primary: bool, rows: str = TOKENS
) -> Point:
    known = {name: row[name] for name in COLUMNS}
    low, high = (end if math.isfinite(end) else None for end in (over.low, over.high))
    where: dict[str, Any] = {"length": length, "normalise": normalise, "rows": rows}
    return Point(**known, **where, low=low, high=high, documents=over.documents, primary=primary)
