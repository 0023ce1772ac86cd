"""Nulls for width alone, of every family on one corpus."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.width_nulls import measure_width_nulls

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_width_nulls(
        spectra=snakemake.input,
        families=snakemake.params.families,
        seeds=snakemake.params.seeds,
        output=Path(snakemake.output[0]),
        modes=snakemake.params.modes,
        lengths=snakemake.params.lengths,
        metrics=snakemake.params.metrics,
        parameters=snakemake.params.parameters,
    )
