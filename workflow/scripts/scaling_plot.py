"""results/scaling_plot.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.scaling import draw_scaling
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_scaling(
        points=Path(snakemake.input.points),
        fits=Path(snakemake.input.fits),
        verdicts=Path(snakemake.input.verdicts),
        differences=Path(snakemake.input.differences),
        output=Path(snakemake.output[0]),
        exploratory=snakemake.params.exploratory,
        primary=snakemake.params.primary,
    )
