"""Tidy Parquet tables: one row for each value, the same columns in every stage."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geomkit.config import resolve_layers
from geomkit.errors import DataError
from geomkit.measures.entropy import Measurement
from geomkit.measures.spectra import Spectrum
from geomkit.store.provenance import replacing

NAME = pa.dictionary(pa.int32(), pa.string())
COLUMNS = pa.schema(
    [
        ("model", NAME),
        ("family", NAME),
        ("seed", pa.int32()),
        ("params_nonembedding", pa.int64()),
        ("params_total", pa.int64()),
        ("depth", pa.int32()),
        ("corpus", NAME),
        ("variant", NAME),
        ("text", pa.int32()),
        ("document", NAME),
        ("layer", pa.int32()),
        ("sublayer", NAME),
        ("normalise", NAME),
        ("metric", NAME),
        ("value", pa.float64()),
        ("bound", pa.float64()),
        ("n", pa.int64()),
        ("d", pa.int32()),
    ]
)
"""depth is the number of blocks L, so layer == depth is the last block's output and depth + 1 the final norm's.
A text of -1 is the whole corpus. A column that does not apply holds null."""

TOKEN_COLUMNS = pa.schema([*COLUMNS, ("position", pa.int32()), ("method", NAME), ("k", pa.int32()), ("first", pa.int32())])
"""Of the table of tokens: position in the text; how many tokens a method chose; 0 if it might choose the first, 1 if not."""

DONOR_COLUMNS = pa.schema([*COLUMNS, ("donor", NAME)])
"""Of tables of projected rows: the model whose rows they are. d is the width that they were projected to."""

FACTS = ("params_nonembedding", "params_total", "depth")
"""What a file of measurements says about its model's size, as columns."""

TEXT = {
    "family",
    "model",
    "corpus",
    "metric",
    "length",
    "layer",
    "normalise",
    "against",
    "verdict",
    "quantity",
    "dataset",
    "source",
}
"""Columns of CSV files that hold names, though one may look like a number."""


def facts(attributes: Mapping[str, Any]) -> dict[str, int]:
    """A model's sizes, from the attributes of a file of its measurements."""
    return {name: int(attributes[name]) for name in FACTS}


def check_seeds(family: str, models: Iterable[tuple[str, int | None, int]]) -> None:
    """Raises DataError, naming both, for two models (name, seed, parameters without embeddings) of one family and size that no
    seed tells apart: they would be averaged as if they were two trainings of one model."""
    found: dict[tuple[int, int | None], str] = {}
    alone: dict[int, str] = {}
    for name, seed, size in models:
        other = alone.get(size) if seed is None else found.get((size, seed)) or found.get((size, None))
        if other is not None:
            raise DataError(
                f"{family}: {other} and {name} are both of {size:,} parameters without embeddings, and no seeds tell them apart: "
                "set a seed for each in the catalogue of models, or give one a family of its own"
            )
        alone.setdefault(size, name)
        found[size, seed] = name


class TableWriter:
    """Collects rows in blocks that share most of their columns, and writes them as one Parquet file."""

    def __init__(self, schema: pa.Schema = COLUMNS, **common: object):
        self.schema, self.common = schema, common
        self.blocks: list[pa.Table] = []

    def add(self, **columns: object) -> None:
        """A block of rows: each column an array, or one value for all rows. Rows whose value is NaN are left out.

        Raises DataError for a column that tables do not have.
        """
        columns = {**self.common, **columns}
        if unknown := columns.keys() - set(self.schema.names):
            raise DataError(f"table: no column {min(unknown)!r}; there are {', '.join(self.schema.names)}")
        size = max((len(column) for column in columns.values() if isinstance(column, (list, np.ndarray))), default=1)
        block = pa.table([spread(columns.get(field.name), size, field.type) for field in self.schema], self.schema)
        self.blocks.append(block.filter(pc.invert(pc.is_nan(block["value"]))))

    def add_metrics(self, spectrum: Spectrum, results: Mapping[str, Measurement], **columns: object) -> None:
        """A block of rows for each metric of a spectrum, or of a batch of them."""
        for name, result in results.items():
            self.add(**columns, metric=name, value=np.atleast_1d(result.value), bound=result.bound, n=spectrum.n, d=spectrum.d)

    def write(self, path: Path, absent: Mapping[str, str]) -> None:
        """Writes the blocks; `absent` says what the table does not hold, and why."""
        table = pa.concat_tables(self.blocks) if self.blocks else self.schema.empty_table()
        with replacing(path) as temporary:
            pq.write_table(table.unify_dictionaries().replace_schema_metadata({"absent": json.dumps(absent)}), temporary)


def spread(column: object, size: int, kind: pa.DataType) -> pa.Array:
    """An Arrow array of a column's values, or of one value `size` times."""
    if not isinstance(column, (list, np.ndarray)):
        if pa.types.is_dictionary(kind) and column is not None:
            return pa.DictionaryArray.from_arrays(np.zeros(size, np.int32), pa.array([str(column)]))
        return pa.repeat(pa.scalar(column, kind), size) if column is not None else pa.nulls(size, kind)
    if pa.types.is_dictionary(kind):
        return pa.array(column, pa.string()).dictionary_encode()
    return pa.array(column, kind)


def merge(paths: Iterable[Path], path: Path, schema: pa.Schema = COLUMNS) -> None:
    """One table of many of one schema, streamed; what is absent is kept, with its model and corpus."""
    absent = []
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for part in map(Path, paths):
            file = pq.ParquetFile(part)
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group).replace_schema_metadata())
            missing = json.loads(file.schema_arrow.metadata[b"absent"])
            absent += [((part.parent.name, part.stem, what), why) for what, why in missing.items()]
        writer.add_key_value_metadata({"absent": json.dumps(absent)})


def merge_stage(
    tables: Iterable[str], output: Path, absent: Path, summaries: Iterable[str] = (), summary: str | None = None
) -> None:
    """One table of all models and corpora, one summary where there are any, and a list (CSV) of what they do not hold."""
    parts = [Path(table) for table in tables]
    merge(parts, output, pq.read_schema(parts[0]).remove_metadata())
    columns = ("model", "corpus", "absent", "reason")
    write_csv(absent, [dict(zip(columns, [*where, reason], strict=True)) for where, reason in read_absent(output)], columns)
    if summary:
        write_csv(Path(summary), [row for part in summaries for row in read_csv(Path(part))])


def read_absent(path: Path) -> list[tuple[tuple[str, str, str], str]]:
    """What a merged table does not hold: ((model, corpus, what), why)."""
    return json.loads(pq.read_metadata(path).metadata[b"absent"])


def text_means(path: Path, metrics: Iterable[str], length: int, normalise: str) -> list[dict[str, Any]]:
    """One row for each model, corpus, variant, layer and metric: the mean, over texts, of their first `length` tokens.

    The columns are those of the tables, in order of corpus, metric, family and size. Raises DataError if there are none.
    """
    metrics = list(metrics)
    texts = (pc.field("text") >= 0) & (pc.field("n") == length) & (pc.field("normalise") == normalise)
    rows = mean_rows(path, pc.field("metric").isin(metrics) & texts & (pc.field("sublayer") == "block"))
    if not rows:
        raise DataError(f"{path}: no row for {', '.join(metrics)}, n = {length}, {normalise}")
    return rows


def corpus_losses(path: Path) -> list[dict[str, Any]]:
    """One row for each model, corpus and variant that a model was run on: the loss in nats a token."""
    return mean_rows(path, (pc.field("metric") == "loss") & (pc.field("text") == -1))


def endpoint(path: Path, metrics: Iterable[str], layer: str, length: int, normalise: str) -> list[dict[str, Any]]:
    """`text_means` at one layer, `last` or `final`, and `corpus_losses`.

    Raises DataError if there are no such means, or none at that layer.
    """
    rows = text_means(path, metrics, length, normalise)
    at_layer = [row for row in rows if [row["layer"]] == resolve_layers(layer, row["depth"])]
    if not at_layer:
        raise DataError(f"{path}: no row at layer {layer}")
    return at_layer + corpus_losses(path)


def mean_rows(path: Path, where: pc.Expression) -> list[dict[str, Any]]:
    keys = [
        "family",
        "model",
        "seed",
        "params_nonembedding",
        "params_total",
        "depth",
        "d",
        "corpus",
        "variant",
        "layer",
        "metric",
    ]
    table = pq.read_table(path, columns=[*keys, "value", "bound"], filters=where).unify_dictionaries().combine_chunks()
    means = table.group_by(keys, use_threads=False).aggregate([("value", "mean"), ("bound", "mean")])
    rows = means.rename_columns([*keys, "value", "bound"]).to_pylist()
    return sorted(rows, key=lambda row: (row["corpus"], row["metric"], row["family"], row["params_nonembedding"], row["model"]))


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Rows as CSV, numbers to six digits; a column that a row does not have, and NaN, are empty cells.

    columns: those to write; all that a row has, unless given.
    """
    rows = list(rows)
    columns = columns or list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            cells = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            writer.writerow({name: None if cell == "nan" else cell for name, cell in cells.items()})


def read_csv(path: Path) -> list[dict[str, Any]]:
    """Rows of a CSV file; cells that are numbers as numbers, but for those of columns that hold names; empty cells as None."""

    def value(name: str, cell: str) -> str | float | None:
        if name in TEXT:
            return cell
        try:
            return float(cell) if cell else None
        except ValueError:
            return cell

    with path.open(newline="") as file:
        return [{name: value(name, cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def write_json(path: Path, value: object) -> None:
    """A value as JSON; numbers that JSON does not have are an error."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")
