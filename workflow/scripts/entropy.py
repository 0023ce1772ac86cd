"""Every metric of one model on one corpus, and its loss."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.entropy import measure_spectra

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_spectra(
        spectra=Path(snakemake.input[0]),
        output=Path(snakemake.output[0]),
        family=snakemake.params.family,
        seed=snakemake.params.model_seed,
        metrics=snakemake.params.metrics,
        parameters=snakemake.params.parameters,
    )
