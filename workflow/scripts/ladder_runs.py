"""The learning curves of all models of the ladder, in one table."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.store.provenance import replacing

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(curves: list[str], output: Path) -> None:
    tables = [Path(curve).read_text().splitlines(keepends=True) for curve in curves]
    with replacing(output) as temporary:
        temporary.write_text("".join([tables[0][0], *(row for table in tables for row in table[1:])]))


with logged(snakemake.log[0]):
    main(list(snakemake.input.curves), Path(snakemake.output[0]))
