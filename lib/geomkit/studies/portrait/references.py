"""Collect what portraits compare a model with: shipped models at the last block, and the line that width alone would give."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geomkit.core.provenance import rng
from geomkit.core.variants import TRAINED
from geomkit.laws.resampling import Documents
from geomkit.studies.portrait.rows import Reference
from geomkit.tables.parquet import read_table
from geomkit.tables.rows import defined, write_csv

RESAMPLES = 1000
PROJECTED = "projected"
KEYS = ["model", "corpus", "n", "d", "normalise", "metric"]


def collect_references(table: Path, projections: Sequence[Path], output: Path, seed: int) -> None:
    """Write every model's metrics at the last block, and those of the widest model in fewer directions."""
    write_csv(output, Reference, [*of_models(last_block(read_table(table)), seed), *of_width(projections)])


def last_block(table: pa.Table, variant: str = TRAINED) -> pa.Table:
    """Return the rows of single texts at the output of the last block."""
    at_last = pc.and_(pc.equal(table["layer"], table["depth"]), pc.equal(table["sublayer"], "block"))
    return table.filter(pc.and_(pc.and_(at_last, pc.equal(table["variant"], variant)), pc.greater_equal(table["text"], 0)))


def of_models(table: pa.Table, seed: int) -> Iterator[Reference]:
    """Yield the mean over texts of each model's metrics, with its interval over documents."""
    for keys, own in grouped(table, KEYS):
        mean, low, high, _ = Documents.draw(own["document"], RESAMPLES, rng(seed, "references", keys["corpus"])).mean(
            own["value"]
        )
        yield Reference(**keys, projected=False, value=mean, low=defined(low), high=defined(high))


def of_width(projections: Sequence[Path]) -> Iterator[Reference]:
    """Yield the mean over texts, and seeds, of the widest model's rows in as many directions as narrower models have."""
    for path in projections:
        table = last_block(read_table(path), PROJECTED)
        own = table.group_by("donor").aggregate([("d", "max")]).to_pylist()  # a donor's largest width is its own
        widest = max((row["d_max"] for row in own), default=0)
        donors = sorted(row["donor"] for row in own if row["d_max"] == widest)
        wide = table.filter(pc.is_in(table["donor"].cast(pa.string()), pa.array(donors, pa.string())))
        for keys, rows in grouped(wide, [key for key in KEYS if key != "model"]):
            mean = float(np.mean(rows["value"]))
            yield Reference(**keys, model=" and ".join(donors), projected=True, value=mean, low=None, high=None)


def grouped(table: pa.Table, keys: Sequence[str]) -> Iterator[tuple[dict, dict[str, np.ndarray]]]:
    """Yield (values of the keys, documents and values of the rows) for each group, in the order of the keys."""
    own = table.select([*keys, "document", "value"])
    plain = [pa.field(one.name, pa.string() if pa.types.is_dictionary(one.type) else one.type) for one in own.schema]
    groups = own.cast(pa.schema(plain)).group_by(list(keys)).aggregate([("document", "list"), ("value", "list")]).to_pylist()
    for group in sorted(groups, key=lambda one: [str(one[key]) for key in keys]):
        yield (
            {key: group[key] for key in keys},
            {"document": np.asarray(group["document_list"]), "value": np.asarray(group["value_list"], dtype=float)},
        )
