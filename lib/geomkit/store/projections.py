"""A family's part of the table of projections, as arrays beside what was measured: what nulls of verdicts are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from geomkit.store.measured import LAYERS, Key, MeasuredModel, Variants, by_cell, codes
from geomkit.store.parquet import read_table
from geomkit.store.states import PLAIN

COMMON, TRAINED = "common-dimension", "trained"
PLACES = (*LAYERS, PLAIN)


@dataclass(frozen=True)
class Projections:
    """One family on one corpus, every array (models, texts) in the order of `Measured`, NaN where there is no value.

    donors: by donor, then by variant (`projected`, `random-projection`) and key, what each model's width leaves of the donor;
    NaN for models that are wider, and at the donor's own width the measurement itself. widths: of each donor, by layer.
    common: by key, every model on its own leading directions, as many as the narrowest model is wide.
    trained: by key, the models themselves, at `plain`, which `Measured` does not have: the final state without the final norm's
    gain and bias.
    """

    donors: dict[str, Variants]
    widths: dict[str, dict[str, int]]
    common: dict[Key, np.ndarray]
    trained: dict[Key, np.ndarray] = field(default_factory=dict)


def read_projections(
    path: Path, family: str, models: Sequence[MeasuredModel], texts: int, metrics: Sequence[str] | None = None
) -> Projections:
    """What one corpus's table holds of a family, of all metrics or of some; models and the number of texts are those of
    `read_measured`. A model whose final state is narrower than its blocks (OPT-350m) is looked up by their width there too."""
    where = pc.field("family") == family
    if metrics is not None:
        where &= pc.field("metric").isin(list(metrics))
    columns = ["donor", "variant", "depth", "layer", "sublayer", "normalise", "n", "metric", "text", "d", "value"]
    table = read_table(path, columns=columns, filters=where).unify_dictionaries().combine_chunks()
    found, place = Projections({}, {}, {}), {model.name: row for row, model in enumerate(models)}
    if not len(table):
        return found
    text, layer, depth, n, d, value = (table[name].to_numpy() for name in ("text", "layer", "depth", "n", "d", "value"))
    (donors, donor), (variants, variant), (modes, mode), (names, metric), (parts, part) = (
        codes(table[name]) for name in ("donor", "variant", "normalise", "metric", "sublayer")
    )
    at_place = np.where(parts[part] == PLAIN, PLACES.index(PLAIN), 1 + layer - depth)
    width = np.array([model.width for model in models])
    for (v, j, p, m, count, k), rows in by_cell(variant, donor, at_place, mode, n, metric):
        key, name = Key(PLACES[p], modes[m], count, names[k]), donors[j]
        if variants[v] in (COMMON, TRAINED):
            own_rows = found.common if variants[v] == COMMON else found.trained
            block = own_rows.setdefault(key, np.full((len(models), texts), np.nan))
            if name in place:
                block[place[name], text[rows]] = value[rows]
            continue
        block = found.donors.setdefault(name, {}).setdefault(variants[v], {})[key] = np.full((len(models), texts), np.nan)
        for own in np.unique(d[rows]):
            block[np.ix_(np.flatnonzero(width == own), text[rows][d[rows] == own])] = value[rows][d[rows] == own]
        of_donor = found.widths.setdefault(name, {})
        of_donor[PLACES[p]] = max(of_donor.get(PLACES[p], 0), int(d[rows].max()))
    return found
