"""Laws of the loss on three measures of size, and what entropy tells about the loss beside the best of them."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.loss_axes import study_loss_axes

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    study_loss_axes(
        table=Path(snakemake.input.table),
        projected=snakemake.input.projections,
        card=Path(snakemake.input.card),
        card_family=snakemake.params.family,
        card_length=snakemake.params.length,
        axes=Path(snakemake.output.axes),
        entropy_loss=Path(snakemake.output.entropy_loss),
        primary=snakemake.params.primary,
        resamples=snakemake.params.bootstrap,
        held_out=snakemake.params.held_out,
        seed=snakemake.params.seed,
    )
