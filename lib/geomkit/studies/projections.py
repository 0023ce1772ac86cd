"""Nulls for width that act on tokens, of every family on one corpus: models' rows on fewer of their directions, text by text.

Variants of the table, whose column `donor` names the model that the rows are of:
projected          a donor on its leading d directions, for every width d of a smaller or equal model of its family
random-projection  the same for the widest models (seeds) on directions of chance, metrics averaged over draws
common-dimension   every model on its own leading d directions, d the family's narrowest width; `model` names it too
trained            every model itself, in full, at the state that no other table has
A family of one size is its own donor, on every power of two of its directions from 16 on.
The first two are of a width, not of a model, so that `model`, `seed` and parameter counts are null; `layer` and `depth` are the
donor's. Beside the metrics, `norm_kept` is the share of the rows' squared length that the directions hold.
States are the last block's output, the final state, and (sublayer `plain`) the final state without the final norm's learnt gain
and bias, made from the last block's output.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from geomkit.logs import progress
from geomkit.store.donors import Source, incomparable, opened_sources
from geomkit.store.dumps import PLAIN
from geomkit.store.parquet import read_table
from geomkit.store.projecting import LAYERS, Settings, add_donor, parts
from geomkit.store.tables import DONOR_COLUMNS, TableWriter, absent_of


def write_projections(
    dumps: Iterable[str | Path],
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    output: Path,
    modes: Sequence[str],
    lengths: Sequence[int],
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
    draws: int,
    seed: int,
    bracket: Mapping[str, Sequence[Any]] | None = None,
    spectra: Iterable[str | Path] = (),
    tables: Iterable[str | Path] = (),
) -> None:
    """The table of one corpus, from each model's dump, which lies in a folder of its name, and its family and seed by name.

    bracket: the normalisations (`modes`) and `lengths` at which there is a random-projection; all where it is left out.
    spectra, tables: of models that were not dumped, in folders of their names; each table was made while its model ran again.
    What cannot be measured is among the table's `absent`, with its reason.
    """
    settings = Settings(modes, lengths, metrics, parameters, draws, seed, bracket)
    table, absent = TableWriter(DONOR_COLUMNS, corpus=output.stem), {}
    if "raw" in settings.modes:
        absent["projections, raw"] = "projected rows are normalised again, which raw rows are not"
    made = {Path(path).parent.name: Path(path) for path in tables}
    with opened_sources(dumps, families, seeds, spectra) as groups:
        for family, members in groups.items():
            if reason := incomparable(members):
                absent[f"projections, {family}"] = reason
                continue
            for layer in LAYERS:
                donors, missing = parts(members, layer)
                absent |= missing
                for model in progress([model for model in members if model.name in donors], f"{family} {layer}"):
                    if model.name in made:
                        absent |= add_made(table, model, layer, made[model.name])
                    else:
                        absent |= add_donor(table, model, layer, donors[model.name], settings)
    table.write(output, absent)


def add_made(table: TableWriter, model: Source, layer: str, path: Path) -> dict[str, str]:
    """Adds one layer of the table that was made while a model ran. Returns all that is missing of it, with reasons."""
    state = model.state(layer)
    own = (pc.field("layer") == state.layer) & ((pc.field("sublayer") == PLAIN) == (layer == PLAIN))
    table.blocks.append(read_table(path, filters=own).replace_schema_metadata())
    return absent_of(path)
