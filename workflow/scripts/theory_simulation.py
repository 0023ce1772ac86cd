"""Sampled graphs of texts and skills beside the closed forms."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.skills import simulate_skills

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    simulate_skills(
        output=Path(snakemake.output[0]),
        grid=snakemake.params.grid,
        seed=snakemake.params.seed,
    )
