"""Average metrics and losses over texts, at every layer of every model: the numbers that figures draw (points.csv)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geomkit.studies.size_laws.rows import Point
from geomkit.tables.measurements import corpus_losses, name_layer, text_means
from geomkit.tables.rows import write_csv

COLUMNS = (
    "family", "corpus", "model", "seed", "params_nonembedding", "params_total", "depth", "d", "variant", "layer", "metric",
    "value", "bound", "eps2",
)  # fmt: skip


def collect_points(table: Path, output: Path, primary: Mapping[str, Any], exploratory: Sequence[str]) -> None:
    """Write points.csv from the table of entropy. Raises DataError where the table lacks such means."""
    length, normalise = primary["length"], primary["normalise"]
    means = text_means(table, [*primary["metrics"], *exploratory], length, normalise)
    points = [point(row, length, normalise, name_layer(row["layer"], row["depth"]) == primary["layer"]) for row in means]
    write_csv(output, Point, points + [point(row, None, None, True) for row in corpus_losses(table)])


def point(row: Mapping[str, Any], length: int | None, normalise: str | None, primary: bool) -> Point:
    return Point(**{name: row[name] for name in COLUMNS}, length=length, normalise=normalise, primary=primary)
