"""The theory's exact curve of one frequency table."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.theory import fit_skill_curves

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    fit_skill_curves(
        grid=Path(snakemake.input.grid),
        ladder=Path(snakemake.input.ladder),
        documents=Path(snakemake.input.documents),
        output=Path(snakemake.output[0]),
        table=snakemake.wildcards.table,
    )
