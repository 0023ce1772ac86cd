"""results/scaling/own_directions.csv"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.own_directions import measure_own_directions

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_own_directions(
        projections=snakemake.input,
        output=Path(snakemake.output[0]),
        resamples=snakemake.params.resamples,
        seed=snakemake.params.seed,
    )
