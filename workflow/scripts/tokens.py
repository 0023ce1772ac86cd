"""Information gain of one model's tokens on one corpus, and the ridge of last tokens."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.gain import measure_gains

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_gains(
        spectra=Path(snakemake.input.spectra),
        output=Path(snakemake.output.table),
        summary=Path(snakemake.output.summary),
        family=snakemake.params.family,
        model_seed=snakemake.params.model_seed,
        gain=snakemake.params.gain,
        seed=snakemake.params.seed,
    )
