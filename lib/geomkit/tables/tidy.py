"""Write tidy Parquet tables: one row for each value, the same columns in every stage."""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geomkit.core.errors import DataError
from geomkit.core.provenance import replacing
from geomkit.core.state import TOKENS
from geomkit.tables.absence import Absent
from geomkit.tables.parquet import parquet_file, read_table
from geomkit.tables.rows import join_csv, write_csv

if TYPE_CHECKING:  # or a new metric would be a reason to write every table again
    from geomkit.measures.entropy import Measurement
    from geomkit.measures.spectra import Spectrum

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
        ("rows", NAME),
        ("normalise", NAME),
        ("metric", NAME),
        ("value", pa.float64()),
        ("bound", pa.float64()),
        ("n", pa.int64()),
        ("d", pa.int32()),
        ("eps2", pa.float64()),
    ]
)
"""depth is the number of blocks L, so layer == depth is the last block's output and depth + 1 the final norm's.
A text of -1 is the whole corpus. rows: those of a cloud, `TOKENS`, or one for each text, its `last` token's or the `mean`: n is
their number; a table without the column is of tokens. eps2 is that of values that depend on it. A column that does not apply
holds null."""

TOKEN_COLUMNS = pa.schema([*COLUMNS, ("position", pa.int32()), ("method", NAME), ("k", pa.int32()), ("first", pa.int32())])
"""Of the table of tokens: position in the text; how many tokens a method chose; 0 if it might choose the first, 1 if not."""

REMOVAL_COLUMNS = pa.schema(
    [
        *COLUMNS,
        ("position", pa.int32()),
        ("method", NAME),
        ("direction", NAME),
        ("null", NAME),
        ("sinks", NAME),
        ("fraction", pa.float64()),
    ]
)
"""Of the table of removals: see `geomkit.tables.experiments.Removal`."""

COMPONENT_COLUMNS = pa.schema([*COLUMNS, ("kind", NAME), ("at", NAME)])
"""Of the table of sublayers: see `geomkit.tables.experiments.SublayerEffect`; here kind `none` is the whole model."""

DONOR_COLUMNS = pa.schema([*COLUMNS, ("donor", NAME)])
"""Of tables of projected rows: the model whose rows they are. d is the width that they were projected to."""

RESAMPLES = pa.schema(
    [(name, pa.string()) for name in ("family", "model", "variant", "layer", "rows", "normalise", "metric")]
    + [("eps2", pa.float64()), ("values", pa.list_(pa.float64()))]
)
"""Metrics of resampled corpora; every list is as long, and its k-th value is of the same draw of documents. eps2 is that of
metrics that depend on it, else null. A layer is a name or a number."""

EVERYTHING = "everything"
"""Name in the table of absences for a model that was refused."""

FACTS = ("params_nonembedding", "params_total", "depth")
"""Columns for the size of a file's model."""


def facts(attributes: Mapping[str, Any]) -> dict[str, int]:
    """Return a model's sizes, from the attributes of a file of its measurements."""
    return {name: int(attributes[name]) for name in FACTS}


def columns_of(path: Path, attributes: Mapping[str, Any], family: str, seed: int | None) -> dict[str, Any]:
    """Return the columns that all rows of one model on one corpus share.

    `path`, .../{model}/{corpus}.*, names both.
    """
    return {"model": path.parent.name, "family": family, "seed": seed, "corpus": path.stem, **facts(attributes)}


def check_seeds(family: str, models: Iterable[tuple[str, Hashable | None, int]]) -> None:
    """Check that models of one family and size differ in their seeds.

    Raises DataError, naming both, for two models (name, seed, parameters without embeddings) that no seed distinguishes: they
    would be averaged as if they were two trainings of one model. For models at several steps of training the seed is that and the
    step.
    """
    seen: dict[tuple[int, Hashable | None], str] = {}
    alone: dict[int, str] = {}
    for name, seed, size in models:
        other = alone.get(size) if seed is None else seen.get((size, seed)) or seen.get((size, None))
        if other is not None:
            raise DataError(
                f"{family}: {other} and {name} are both of {size:,} parameters without embeddings, and no seeds tell them apart: "
                "set a seed for each in the catalogue of models (or a step, along training), or give one a family of its own"
            )
        alone.setdefault(size, name)
        seen[size, seed] = name


class TableWriter:
    """Writer that collects rows in blocks that share most of their columns, and writes them as one Parquet file."""

    def __init__(self, schema: pa.Schema = COLUMNS, **common: object):
        self.schema, self.common = schema, common
        self.blocks: list[pa.Table] = []

    def add(self, **columns: object) -> None:
        """Add a block of rows: each column an array, or one value for all rows. Rows whose value is NaN are left out.

        Raises DataError for a column that tables do not have.
        """
        columns = {**self.common, **columns}
        if columns.get("normalise") is not None:
            columns = {"rows": TOKENS, **columns}
        if unknown := columns.keys() - set(self.schema.names):
            raise DataError(f"table: no column {min(unknown)!r}; there are {', '.join(self.schema.names)}")
        size = max((len(column) for column in columns.values() if isinstance(column, (list, np.ndarray))), default=1)
        block = pa.table([spread(columns.get(field.name), size, field.type) for field in self.schema], self.schema)
        undefined = pc.is_nan(block["value"])
        self.blocks.append(block.filter(pc.invert(undefined)) if pc.any(undefined).as_py() else block)

    def add_metrics(self, spectrum: "Spectrum", results: Mapping[str, "Measurement"], **columns: object) -> None:
        """Add rows for each metric of a spectrum, or of a batch of them."""
        if not results:
            return
        measured, size = results.values(), spectrum.trace.size

        def of_each(values: Iterable[object]) -> list[object]:
            """Metric after metric one value for each spectrum, or a value of all of them so many times."""
            return [one for value in values for one in np.broadcast_to(np.asarray(value), size).tolist()]

        again = {name: [*column] * len(measured) for name, column in columns.items() if isinstance(column, (list, np.ndarray))}
        self.add(
            **{**columns, **again, "n": spectrum.n, "d": spectrum.d},
            **{"metric": of_each(results), "eps2": of_each(one.parameters.get("eps2") for one in measured)},
            **{name: of_each(getattr(one, name) for one in measured) for name in ("value", "bound")},
        )

    def write(self, path: Path, absent: Mapping[str, str], **facts: str) -> None:
        """Write the blocks; `absent` lists what is missing from the table, and why. facts: about the whole table."""
        table = pa.concat_tables(self.blocks) if self.blocks else self.schema.empty_table()
        with replacing(path) as temporary:
            repeating = [name for name in self.schema.names if name != "value"]
            whole = table.unify_dictionaries().replace_schema_metadata({"absent": json.dumps(absent), **facts})
            pq.write_table(whole, temporary, use_dictionary=repeating)


def spread(column: object, size: int, kind: pa.DataType) -> pa.Array:
    """Build an Arrow array of a column's values, or of one value `size` times."""
    if not isinstance(column, (list, np.ndarray)):
        return repeated(column, size, kind)
    if pa.types.is_dictionary(kind):
        return pa.array(column, pa.string()).dictionary_encode()
    return pa.array(column, kind)


@lru_cache(maxsize=1024)
def repeated(value: object, size: int, kind: pa.DataType) -> pa.Array:
    """Build an array of one value `size` times: most columns of most blocks, so the same arrays serve many."""
    if value is None:
        return pa.nulls(size, kind)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(np.zeros(size, np.int32), pa.array([str(value)]))
    return pa.repeat(pa.scalar(value, kind), size)


def merge(paths: Iterable[Path], path: Path, schema: pa.Schema = COLUMNS) -> None:
    """Merge tables of one schema, streamed; absences are copied, with their model and corpus."""
    absent = []
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for part in map(Path, paths):
            file = parquet_file(part)
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group).replace_schema_metadata())
            absent += [((part.parent.name, part.stem, what), why) for what, why in absent_of(part).items()]
        writer.add_key_value_metadata({"absent": json.dumps(absent)})


def merge_stage(
    tables: Sequence[Path], output: Path, absent: Path, summaries: Sequence[Path] = (), summary: Path | None = None
) -> None:
    """Merge the tables and summaries of all models and corpora of a stage, and list (CSV) what is missing from them."""
    merge(tables, output, parquet_file(tables[0]).schema_arrow.remove_metadata())
    listed = [Absent(model=model, corpus=corpus, absent=what, reason=why) for (model, corpus, what), why in read_absent(output)]
    write_csv(absent, Absent, listed)
    if summary is not None:
        join_csv(summary, summaries)


def write_resamples(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a table of resampled corpora, with the columns RESAMPLES."""
    filled = [{"rows": TOKENS, **row} for row in rows]
    with replacing(path) as temporary:
        pq.write_table(pa.table({name: [row[name] for row in filled] for name in RESAMPLES.names}, RESAMPLES), temporary)


def read_columns(path: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Read the named columns of a table as rows."""
    return read_table(path, columns=list(names), use_threads=False).to_pylist()


def absent_of(path: Path) -> dict[str, str]:
    """Read what is missing from a table that `TableWriter` wrote, with reasons."""
    return dict(json.loads(parquet_file(path).schema_arrow.metadata[b"absent"]))


def read_absent(path: Path) -> list[tuple[tuple[str, str, str], str]]:
    """Read what is missing from a merged table: ((model, corpus, what), why)."""
    return json.loads(parquet_file(path).metadata.metadata[b"absent"])
