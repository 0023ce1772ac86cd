"""Metrics of texts with and without their attention sinks."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.sinks import measure_without_sinks

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_without_sinks(
        spectra=Path(snakemake.input.spectra),
        output=Path(snakemake.output.table),
        summary=Path(snakemake.output.summary),
        family=snakemake.params.family,
        model_seed=snakemake.params.model_seed,
        eps2=snakemake.params.eps2,
        seed=snakemake.params.seed,
    )
