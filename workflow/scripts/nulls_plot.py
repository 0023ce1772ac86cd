"""results/nulls_plot.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.nulls import draw_nulls
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_nulls(
        verdicts=Path(snakemake.input.verdicts),
        differences=Path(snakemake.input.differences),
        slopes=Path(snakemake.input.slopes),
        null_slopes=Path(snakemake.input.null_slopes),
        growth=Path(snakemake.input.growth),
        output=Path(snakemake.output[0]),
    )
