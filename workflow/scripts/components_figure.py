"""results/components.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.components import draw_components
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_components(
        summary=Path(snakemake.input[0]),
        output=Path(snakemake.output[0]),
    )
