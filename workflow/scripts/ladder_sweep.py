"""Trainings that choose a rate and a batch, in one table."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.trainings import join_sweep

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    join_sweep(
        tables=snakemake.input.tables,
        output=Path(snakemake.output[0]),
    )
