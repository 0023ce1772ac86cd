"""Laws of the loss, ours and published."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.loss_laws import fit_loss_laws

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    fit_loss_laws(
        table=Path(snakemake.input.table),
        published=Path(snakemake.input.published),
        known=Path(snakemake.input.laws),
        fits=Path(snakemake.output.fits),
        regions=Path(snakemake.output.regions),
        held_out=snakemake.params.held_out,
    )
