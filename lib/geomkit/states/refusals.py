"""Refusals: a model that cannot be measured leaves files with only the reason, so that all others are delivered.

A refused dump or probe makes refused spectra, and these an empty table whose only absence, `everything`, has the reason. Whoever
compares models leaves it out. The workflow names it at its end, with an error code.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from geomkit.core.errors import RefusalError
from geomkit.core.provenance import replacing
from geomkit.states.hdf5 import REFUSED, created
from geomkit.tables.rows import write_csv
from geomkit.tables.tidy import COLUMNS, EVERYTHING, TableWriter


@contextmanager
def refused_files(outputs: Iterable[Path]) -> Iterator[None]:
    """If the model is refused inside the block, write every output as an HDF5 file with only the reason."""
    try:
        yield
    except RefusalError as reason:
        print(f"refused: {reason}")
        for output in outputs:
            refuse(output, str(reason))


def refuse(output: Path, reason: str) -> None:
    """Write an HDF5 file with only the reason."""
    with replacing(output) as temporary, created(temporary) as file:
        file.attrs[REFUSED] = reason


@contextmanager
def refused_table(
    output: Path, schema: pa.Schema = COLUMNS, summary: Path | None = None, record: type[Any] | None = None
) -> Iterator[None]:
    """If the model is refused inside the block, write an empty table with the reason, and an empty summary of a record's rows."""
    try:
        yield
    except RefusalError as reason:
        print(f"refused: {reason}")
        TableWriter(schema).write(output, {EVERYTHING: str(reason)})
        if summary is not None and record is not None:
            write_csv(summary, record, [])
