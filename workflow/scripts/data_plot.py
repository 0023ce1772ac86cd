"""results/data_plot.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.data import draw_data
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_data(
        grid=Path(snakemake.input.grid),
        laws=Path(snakemake.input.laws),
        output=Path(snakemake.output[0]),
        primary=snakemake.params.primary,
        eps2=snakemake.params.eps2,
    )
