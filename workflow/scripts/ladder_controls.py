"""Losses of trainings that differ from the ladder, in one table."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.trainings import join_controls

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    join_controls(
        tables=snakemake.input.tables,
        output=Path(snakemake.output[0]),
    )
