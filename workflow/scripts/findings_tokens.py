"""Scores of tokens that ship with the project."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.claims.tokens import ship_scores

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    ship_scores(summary=Path(snakemake.input[0]), output=Path(snakemake.output[0]))
