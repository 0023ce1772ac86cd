"""Train one model beside the ladder, or go on with it."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.controls import train_control
from geomkit.lm.ladder import Recipe
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


with logged(snakemake.log[0]):
    train_control(
        snakemake.params.name,
        Path(snakemake.input.corpus),
        Path(snakemake.input.tokenizer).parent,
        Path(snakemake.params.folder),
        Path(snakemake.output.table),
        Path(snakemake.params.checkpoint),
        Recipe(**snakemake.params.recipe),
        snakemake.params.device,
        snakemake.params.get("keep", ()),
    )
