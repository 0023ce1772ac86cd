"""results/controls_plot.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.controls import draw_controls
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_controls(
        points=Path(snakemake.input.points),
        effects=Path(snakemake.input.effects),
        tied=Path(snakemake.input.tied),
        rates=Path(snakemake.input.rates),
        seeds=Path(snakemake.input.seeds),
        absent=Path(snakemake.input.absent),
        trainings=Path(snakemake.input.trainings),
        output=Path(snakemake.output[0]),
        primary=snakemake.params.primary,
    )
