"""Verdicts on laws with model size, beside what the widest model's directions show at every width."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.verdicts import judge_laws

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    judge_laws(
        table=Path(snakemake.input.table),
        projections=snakemake.input.projections,
        verdicts=Path(snakemake.output.verdicts),
        differences=Path(snakemake.output.differences),
        primary=snakemake.params.primary,
        resamples=snakemake.params.resamples,
        seed=snakemake.params.seed,
    )
