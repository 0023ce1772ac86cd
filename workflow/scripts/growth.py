"""Diff-eRank of every model, and which measures grow with size, fall, or are flat."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.growth import compare_growth

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    compare_growth(
        spectra=snakemake.input.spectra,
        resampled=snakemake.input.resamples,
        slopes=Path(snakemake.input.slopes),
        null_slopes=Path(snakemake.input.null_slopes),
        published=Path(snakemake.input.published),
        differences=Path(snakemake.output.diff_erank),
        growth=Path(snakemake.output.growth),
        families=snakemake.params.families,
        seeds=snakemake.params.seeds,
        lengths=snakemake.params.lengths,
        primary=snakemake.params.primary,
        resamples=snakemake.params.resamples,
        seed=snakemake.params.seed,
    )
