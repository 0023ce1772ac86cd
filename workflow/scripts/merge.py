"""One table of all models and corpora, one summary where there are any, and a list of what they do not hold."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyarrow.parquet import read_schema

from geomkit.logs import logged
from geomkit.store.provenance import replacing
from geomkit.store.tables import merge, read_absent, read_csv, write_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(tables: Sequence[str], output: Path, absent: Path, summaries: Sequence[str], summary: Path | None) -> None:
    merge(map(Path, tables), output, read_schema(tables[0]).remove_metadata())
    with replacing(absent) as temporary, temporary.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["model", "corpus", "absent", "reason"])
        rows.writerows([*where, reason] for where, reason in read_absent(output))
    if summary:
        write_csv(summary, [row for part in summaries for row in read_csv(Path(part))])


with logged(snakemake.log[0]):
    main(
        list(snakemake.input.get("tables", snakemake.input)),
        Path(snakemake.output.table),
        Path(snakemake.output.absent),
        snakemake.input.get("summaries", []),
        Path(snakemake.output.summary) if "summary" in snakemake.output.keys() else None,  # noqa: SIM118
    )
