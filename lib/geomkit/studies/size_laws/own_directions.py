"""Measure models of one size on fewer of their own leading directions (own_directions.csv): the effect of the number of
directions alone, in a family that has no sizes to compare."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.provenance import rng
from geomkit.laws.resampling import Documents, percentile_interval
from geomkit.laws.statistics import slope_weights
from geomkit.laws.verdicts import MARGINS
from geomkit.studies.size_laws.rows import OwnDirections
from geomkit.tables.measurements import PROJECTED, Measurements, Where, families, read_measurements
from geomkit.tables.rows import write_csv

KEPT, COMMON = "norm_kept", "common-dimension"


def measure_own_directions(projections: Sequence[Path], output: Path, resamples: int, seed: int) -> None:
    """Write the rows of every family of one size, from tables of projections, each named by its corpus (seeds averaged)."""
    rows: list[OwnDirections] = []
    for path in map(Path, projections):
        for family, corpus in families(path):
            models = read_measurements(path, family, corpus, metrics=[KEPT], variants=[COMMON], by_size=False).models
            if len({model.params_nonembedding for model in models}) == 1:
                donors = read_measurements(path, family, corpus, metrics=[*MARGINS, KEPT], variants=[PROJECTED], by_size=False)
                rows += of_family(donors, resamples, rng(seed, "own directions", family, path.stem))
    write_csv(output, OwnDirections, rows)


def of_family(donors: Measurements, resamples: int, draw: np.random.Generator) -> Iterator[OwnDirections]:
    """A row for every place, metric and number of directions, and one for the slope over these."""
    arrays = donors.variants[PROJECTED]
    texts = np.any([np.isfinite(values).any(axis=0) for values in arrays.values()], axis=0)
    documents = np.array(donors.documents, dtype=object)[texts]
    draws = Documents.draw(documents, resamples, draw).draws
    places: dict[Where, list[Where]] = {}
    for where in arrays:
        places.setdefault(replace(where, directions=None), []).append(where)
    for place, own in sorted(places.items(), key=lambda pair: pair[0].order):
        values = np.array([mean_of_seeds(arrays[where][:, texts]) for where in own])
        whole = np.isfinite(values).all(axis=0)
        if place.metric == KEPT or not whole.any():
            continue
        curve = Curve(np.array([where.directions for where in own]), values[:, whole], draws[whole])
        common: dict[str, Any] = donors.source | place.columns | {"documents": len(set(documents[whole]))}
        for where, (k, level, (low, high)) in zip(own, curve.levels(), strict=True):
            share = arrays[replace(where, metric=KEPT)]
            kept = float(np.mean(share[np.isfinite(share)]))
            yield OwnDirections(**common, directions=k, value=level, low=low, high=high, norm_kept=kept)
        if (fitted := curve.slope()) is not None:
            yield OwnDirections(**common, directions=None, value=fitted[0], low=fitted[1][0], high=fitted[1][1], norm_kept=None)


def mean_of_seeds(values: Array) -> Array:
    """Means (texts,) of values (seeds, texts); NaN where there is none."""
    number = np.isfinite(values).sum(axis=0)
    return np.nansum(values, axis=0) / np.where(number > 0, number, np.nan)


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
        """The slope of ln of the metric on ln of the directions, with its interval over documents; None with fewer than three
        numbers of directions, and where a mean has no logarithm."""
        if self.directions.size < 3 or not (self.mean > 0).all() or not (self.drawn > 0).all():
            return None
        weights = slope_weights(np.log(self.directions.astype(float)))
        return float(weights @ np.log(self.mean)), percentile_interval(weights @ np.log(self.drawn))
