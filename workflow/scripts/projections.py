"""Nulls for width that act on tokens: a wider model's rows on as many of its directions."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.projections import write_projections

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    write_projections(
        dumps=snakemake.input.dumps,
        families=snakemake.params.families,
        seeds=snakemake.params.seeds,
        output=Path(snakemake.output[0]),
        modes=snakemake.params.modes,
        lengths=snakemake.params.lengths,
        metrics=snakemake.params.metrics,
        parameters=snakemake.params.parameters,
        spectra=snakemake.input.spectra,
        tables=snakemake.input.tables,
        draws=snakemake.params.draws,
        seed=snakemake.params.seed,
        bracket=snakemake.params.bracket,
    )
