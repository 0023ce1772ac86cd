"""CSV files of training runs in one table, with what is the same for all; with `best`, each group's row of the lowest validation
loss is marked as chosen."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geomkit.store.tables import write_csv


def join_trainings(
    tables: Sequence[str],
    output: Path,
    columns: Sequence[str] | None,
    best: Sequence[str] | None,
    common: Mapping[str, str | int],
) -> None:
    rows: list[dict[str, Any]] = [
        {**row, **common} for table in tables for row in csv.DictReader(Path(table).read_text().splitlines())
    ]
    columns = list(columns or rows[0])
    if best is not None:
        columns.append("chosen")
        for row in rows:
            rivals = [other for other in rows if all(other[name] == row[name] for name in best)]
            row["chosen"] = str(int(row is min(rivals, key=lambda rival: float(rival["loss_validation"]))))
    write_csv(output, rows, columns)
