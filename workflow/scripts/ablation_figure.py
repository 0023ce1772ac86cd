"""results/ablation.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.ablation import draw_ablation
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_ablation(
        summary=Path(snakemake.input.summary),
        sinks=snakemake.input.sinks,
        needle=Path(snakemake.input.needle),
        output=Path(snakemake.output[0]),
    )
