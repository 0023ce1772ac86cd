"""Width, depth and parameters apart, and seeds at fixed width."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.width_depth import study_width_and_depth

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    study_width_and_depth(
        table=Path(snakemake.input.table),
        trainings=Path(snakemake.input.trainings),
        groups=snakemake.params.groups,
        points=Path(snakemake.output.points),
        effects=Path(snakemake.output.effects),
        tied=Path(snakemake.output.tied),
        rates=Path(snakemake.output.rates),
        seeds=Path(snakemake.output.seeds),
        absent=Path(snakemake.output.absent),
        recipe=snakemake.params.recipe,
        primary=snakemake.params.primary,
        resamples=snakemake.params.resamples,
        seed=snakemake.params.seed,
    )
