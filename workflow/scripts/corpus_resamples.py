"""Metrics of a whole corpus, and their nulls, in resamples of its documents."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.resamples import resample_corpora

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    resample_corpora(
        spectra=snakemake.input,
        families=snakemake.params.families,
        seeds=snakemake.params.seeds,
        output=Path(snakemake.output[0]),
        modes=snakemake.params.modes,
        metrics=snakemake.params.metrics,
        parameters=snakemake.params.parameters,
        resamples=snakemake.params.resamples,
        seed=snakemake.params.seed,
    )
