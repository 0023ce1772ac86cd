"""Removals of tokens: curves, summaries and their nulls."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.ablation import measure_removals

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_removals(
        removals=Path(snakemake.input.removals),
        probe=Path(snakemake.input.probe),
        output=Path(snakemake.output.table),
        summary=Path(snakemake.output.summary),
        family=snakemake.params.family,
        model_seed=snakemake.params.model_seed,
        gain=snakemake.params.gain,
        seed=snakemake.params.seed,
    )
