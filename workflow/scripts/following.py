"""results/scaling/following.csv"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.following import judge_following

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    judge_following(
        dumps=snakemake.input.dumps,
        spectra=snakemake.input.spectra,
        tables=snakemake.input.tables,
        families=snakemake.params.families,
        seeds=snakemake.params.seeds,
        output=Path(snakemake.output[0]),
        mode=snakemake.params.mode,
        parameters=snakemake.params.parameters,
        resamples=snakemake.params.resamples,
        seed=snakemake.params.seed,
    )
