"""The relation of the exponents of size and data."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.theory import relate_exponents

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    relate_exponents(
        grid=Path(snakemake.input.grid),
        ladder=Path(snakemake.input.ladder),
        output=Path(snakemake.output[0]),
        resamples=snakemake.params.resamples,
        sensitivity=snakemake.params.sensitivity,
        seed=snakemake.params.seed,
    )
