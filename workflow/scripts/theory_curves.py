"""The theory's curves of all tables in one file."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.theory import join_curves

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    join_curves(
        tables=snakemake.input.tables,
        output=Path(snakemake.output[0]),
    )
