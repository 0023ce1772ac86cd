"""results/losses_plot.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.losses import draw_losses
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_losses(
        fits=Path(snakemake.input.fits),
        regions=Path(snakemake.input.regions),
        axes=Path(snakemake.input.axes),
        output=Path(snakemake.output[0]),
    )
