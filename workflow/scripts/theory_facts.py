"""Planted facts beside the theory."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.facts import study_facts

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    study_facts(
        table=Path(snakemake.input[0]),
        output=Path(snakemake.output[0]),
    )
