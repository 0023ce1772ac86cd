"""Read and write Parquet files between stages, with errors that name a damaged file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from geomkit.core.errors import DataError
from geomkit.core.model_folders import check_pointer


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turn errors of a damaged file inside the block into a DataError that names it.

    It may be no Parquet file, truncated, or a pointer of Git LFS.
    """
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        check_pointer(path)
        raise DataError(f"{path}: not a whole Parquet file ({' '.join(str(error).split())})") from None
    except OSError as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise DataError(f"{path}: damaged ({' '.join(str(error).split())})") from None


def read_table(path: Path, **options: Any) -> pa.Table:
    """Read a table, as pyarrow.parquet.read_table does. Raises DataError that names a damaged file."""
    with named(path):
        return pq.read_table(path, **options)


def parquet_file(path: Path) -> pq.ParquetFile:
    """Open a file to be read group by group. Raises DataError that names a file that is no Parquet file."""
    with named(path):
        return pq.ParquetFile(path)


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str | None]], group: int) -> None:
    """Write rows of text columns, `group` of them in a row group and in memory."""
    schema = pa.schema([(name, pa.string()) for name in columns])
    left = iter(rows)
    with pq.ParquetWriter(path, schema, use_dictionary=False, write_statistics=False) as writer:
        while some := list(islice(left, group)):
            writer.write_table(pa.Table.from_pylist(some, schema), row_group_size=group)
