"""results/trajectory_plot.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.trajectory import draw_trajectories
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_trajectories(
        points=Path(snakemake.input.points),
        turns=Path(snakemake.input.turns),
        laws=Path(snakemake.input.laws),
        output=Path(snakemake.output[0]),
        primary=snakemake.params.primary,
        metrics=snakemake.params.metrics,
    )
