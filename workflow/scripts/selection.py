"""Choices of tokens compared at equal budgets."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.selection import compare_selections

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    compare_selections(
        probe=Path(snakemake.input.probe),
        spectra=Path(snakemake.input.spectra),
        output=Path(snakemake.output.table),
        summary=Path(snakemake.output.summary),
        family=snakemake.params.family,
        model_seed=snakemake.params.model_seed,
        gain=snakemake.params.gain,
        seed=snakemake.params.seed,
    )
