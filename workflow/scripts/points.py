"""Means of the primary and exploratory metrics over texts, and losses: what figures draw."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.points import collect_points

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    collect_points(
        table=Path(snakemake.input[0]),
        output=Path(snakemake.output[0]),
        primary=snakemake.params.primary,
        exploratory=snakemake.params.exploratory,
    )
