"""Conditional entropy of representations by position, size and document."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.conditional import measure_conditional

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_conditional(
        dumps=snakemake.input.dumps,
        spectra=snakemake.input.spectra,
        made_gains=snakemake.input.gains,
        made_documents=snakemake.input.documents,
        families=snakemake.params.families,
        seeds=snakemake.params.seeds,
        gains=Path(snakemake.output.gains),
        documents=Path(snakemake.output.documents),
        length=snakemake.params.length,
        eps2=snakemake.params.eps2,
        seed=snakemake.params.seed,
    )
