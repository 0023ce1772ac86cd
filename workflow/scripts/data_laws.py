"""The law of the loss over model size and data."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.data_laws import fit_data_laws

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    fit_data_laws(
        grid=Path(snakemake.input.grid),
        known=Path(snakemake.input.laws),
        output=Path(snakemake.output[0]),
        metrics=snakemake.params.metrics,
        held_out=snakemake.params.held_out,
        resamples=snakemake.params.resamples,
        seed=snakemake.params.seed,
    )
