"""What sublayers do, with intervals over documents."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.components import summarise_components

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    summarise_components(
        table=Path(snakemake.input[0]),
        output=Path(snakemake.output[0]),
        seed=snakemake.params.seed,
    )
