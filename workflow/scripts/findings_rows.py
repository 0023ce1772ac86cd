"""Rows of a summary that ship with the project."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.claims.shipping import ship

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    ship(summary=Path(snakemake.input[0]), output=Path(snakemake.output[0]))
