"""Models of one size on fewer of their own leading directions (own_directions.csv): what keeping directions alone changes, in a
family that has no sizes to compare."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from geomkit.arrays import Array
from geomkit.laws.resampling import Documents, percentile_interval
from geomkit.laws.statistics import slope_weights
from geomkit.laws.verdicts import MARGINS
from geomkit.store.parquet import read_table
from geomkit.store.provenance import rng
from geomkit.store.records.files import write_csv
from geomkit.store.records.scaling import OwnDirections
from geomkit.store.states import PLAIN

KEPT = "norm_kept"
PLACES = ("last", "final")
COLUMNS = ["family", "donor", "layer", "sublayer", "depth", "normalise", "n", "d", "metric", "text", "document", "value", "eps2"]


def measure_own_directions(projections: Sequence[Path], output: Path, resamples: int, seed: int) -> None:
    """Of every family of one size: tables of projections, each named by its corpus, give its donors (seeds averaged)."""
    rows: list[OwnDirections] = []
    for path in map(Path, projections):
        for family in families_of_one_size(path):
            rows += of_family(path, family, resamples, rng(seed, "own directions", family, path.stem))
    write_csv(output, OwnDirections, rows)


def families_of_one_size(path: Path) -> list[str]:
    """Those whose models, on their common number of directions, have one size."""
    table = read_table(
        path, columns=["family", "params_nonembedding"], filters=pc.field("variant") == "common-dimension"
    ).unify_dictionaries()
    sizes: dict[str, set[int]] = {}
    for row in table.group_by(["family", "params_nonembedding"], use_threads=False).aggregate([]).to_pylist():
        sizes.setdefault(row["family"], set()).add(row["params_nonembedding"])
    return sorted(family for family, found in sizes.items() if len(found) == 1)


def of_family(path: Path, family: str, resamples: int, draw: np.random.Generator) -> Iterator[OwnDirections]:
    """A row for every place, metric and number of directions, and one for the slope over these."""
    where = (pc.field("family") == family) & (pc.field("variant") == "projected") & pc.field("metric").isin([*MARGINS, KEPT])
    rows = read_table(path, columns=COLUMNS, filters=where).to_pylist()
    document = {row["text"]: row["document"] for row in rows}
    texts = np.array(sorted(document))
    draws = Documents.draw([document[text] for text in texts], resamples, draw).draws
    cells: dict[tuple[str, str, int, str], list[dict[str, Any]]] = {}
    for row in rows:
        place = PLAIN if row["sublayer"] == PLAIN else PLACES[row["layer"] - row["depth"]]
        cells.setdefault((place, row["normalise"], row["n"], row["metric"]), []).append(row)
    for (place, mode, n, metric), mine in sorted(cells.items()):
        if metric == KEPT:
            continue
        share = cells[place, mode, n, KEPT]
        directions, values = by_directions(mine, texts)
        whole = np.isfinite(values).all(axis=0)
        if not whole.any():
            continue
        curve = Curve(directions, values[:, whole], draws[whole])
        common: dict[str, Any] = {"family": family, "published": False, "corpus": path.stem, "layer": place, "normalise": mode}
        common |= {"length": n, "eps2": mine[0]["eps2"], "metric": metric}
        common |= {"documents": len({document[text] for text in texts[whole]})}
        for k, level, (low, high) in curve.levels():
            kept = float(np.mean([row["value"] for row in share if row["d"] == k]))
            yield OwnDirections(**common, directions=k, value=level, low=low, high=high, norm_kept=kept)
        if (found := curve.slope()) is not None:
            yield OwnDirections(**common, directions=None, value=found[0], low=found[1][0], high=found[1][1], norm_kept=None)


def by_directions(rows: Sequence[Mapping[str, Any]], texts: Array) -> tuple[Array, Array]:
    """Numbers of directions (k,), ascending, and values (k, texts), seeds averaged; NaN where there is none."""
    directions = np.unique([row["d"] for row in rows])
    total, number = np.zeros((2, directions.size, texts.size))
    for row in rows:
        cell = np.searchsorted(directions, row["d"]), np.searchsorted(texts, row["text"])
        total[cell] += row["value"]
        number[cell] += 1
    return directions, total / np.where(number > 0, number, np.nan)


class Curve:
    """A metric over numbers of directions: directions (k,), values (k, texts), draws (texts, resamples)."""

    def __init__(self, directions: Array, values: Array, draws: Array):
        self.directions, self.mean = directions, values.mean(axis=1)
        drawn = draws[:, draws.any(axis=0)]
        self.drawn = values @ (drawn / drawn.sum(axis=0))

    def levels(self) -> Iterator[tuple[int, float, tuple[float, float]]]:
        """Directions, the mean over texts, and its percentile interval over documents."""
        for k, level, drawn in zip(self.directions, self.mean, self.drawn, strict=True):
            yield int(k), float(level), percentile_interval(drawn)

    def slope(self) -> tuple[float, tuple[float, float]] | None:
        """Of ln of the metric on ln of the directions, with its interval over documents; None with fewer than three numbers of
        directions, and where a mean has no logarithm."""
        if self.directions.size < 3 or not (self.mean > 0).all() or not (self.drawn > 0).all():
            return None
        weights = slope_weights(np.log(self.directions.astype(float)))
        return float(weights @ np.log(self.mean)), percentile_interval(weights @ np.log(self.drawn))
