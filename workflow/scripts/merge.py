"""One table of all models and corpora, and a list of what it does not hold."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.store.provenance import replacing
from geomkit.store.tables import merge, read_absent

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(tables: list[str], output: Path, absent: Path) -> None:
    merge(map(Path, tables), output)
    with replacing(absent) as temporary, temporary.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["model", "corpus", "absent", "reason"])
        rows.writerows([*where, reason] for where, reason in read_absent(output))


with logged(snakemake.log[0]):
    main(list(snakemake.input), Path(snakemake.output.table), Path(snakemake.output.absent))
