"""results/entropy_layers.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.layers import draw_layers
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_layers(
        points=Path(snakemake.input[0]),
        output=Path(snakemake.output[0]),
        primary=snakemake.params.primary,
    )
