"""Average metrics and losses over texts, at every layer of every model: the numbers that figures draw (points.csv)."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geomkit.core.provenance import rng
from geomkit.laws.resampling import FEW, Clustered, Documents, documents_in_words
from geomkit.studies.size_laws.rows import Point
from geomkit.tables.measurements import corpus_losses, name_layer, text_losses, text_means
from geomkit.tables.rows import write_csv

COLUMNS = (
    "family", "corpus", "model", "seed", "params_nonembedding", "params_total", "depth", "d", "variant", "layer", "metric",
    "value", "bound", "eps2",
)  # fmt: skip
EACH = ("document", "value", "n")


def collect_points(
    table: Path, output: Path, primary: Mapping[str, Any], exploratory: Sequence[str], resamples: int, seed: int
) -> None:
    """Write points.csv from the table of entropy, with intervals over documents. Raises DataError where the table lacks means.

    The same resamples of documents serve all rows of a corpus, so that they can be compared.
    """
    length, normalise = primary["length"], primary["normalise"]
    drawn: dict[tuple[str, ...], Documents] = {}

    def interval(row: Mapping[str, Any], weights: Sequence[int] | float = 1.0) -> Clustered:
        names = tuple(row["each_document"])
        if names not in drawn:
            drawn[names] = Documents.draw(names, resamples, rng(seed, "points", row["corpus"]))
        return drawn[names].mean(row["each_value"], weights=weights)

    points = [
        point(row, interval(row), length, normalise, name_layer(row["layer"], row["depth"]) == primary["layer"])
        for row in text_means(table, [*primary["metrics"], *exploratory], length, normalise, each=EACH)
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


def point(row: Mapping[str, Any], over: Clustered, length: int | None, normalise: str | None, primary: bool) -> Point:
    known = {name: row[name] for name in COLUMNS}
    low, high = (end if math.isfinite(end) else None for end in (over.low, over.high))
    return Point(**known, low=low, high=high, documents=over.documents, length=length, normalise=normalise, primary=primary)
