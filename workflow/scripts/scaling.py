"""Exponents beside their nulls, fits of the primary endpoint, and what entropy tells about the loss."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.exponents import compare_exponents

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    compare_exponents(
        table=Path(snakemake.input.table),
        resampled=snakemake.input.resamples,
        published=Path(snakemake.input.published),
        slopes=Path(snakemake.output.slopes),
        null_slopes=Path(snakemake.output.null_slopes),
        fits=Path(snakemake.output.fits),
        entropy_loss=Path(snakemake.output.entropy_loss),
        primary=snakemake.params.primary,
        exploratory=snakemake.params.exploratory,
        resamples=snakemake.params.bootstrap,
        held_out=snakemake.params.held_out,
        seed=snakemake.params.seed,
    )
