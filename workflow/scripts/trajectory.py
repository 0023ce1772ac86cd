"""Metrics over training: turns, and laws at fixed width."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.trajectory import study_trajectories

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    study_trajectories(
        tables=snakemake.input.tables,
        resampled=snakemake.input.resamples,
        trainings=snakemake.params.trainings,
        points=Path(snakemake.output.points),
        turns=Path(snakemake.output.turns),
        laws=Path(snakemake.output.laws),
        primary=snakemake.params.primary,
        metrics=snakemake.params.metrics,
        resamples=snakemake.params.resamples,
        seed=snakemake.params.seed,
    )
