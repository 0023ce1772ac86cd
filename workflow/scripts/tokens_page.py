"""results/tokens.html"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.page import draw_page
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_page(
        texts=Path(snakemake.input.texts),
        template=Path(snakemake.input.template),
        output=Path(snakemake.output[0]),
    )
