"""Train one model that differs from the ladder, or go on with it."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.controls import train_control
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    train_control(
        name=snakemake.params.name,
        corpus=Path(snakemake.input.corpus),
        tokenizer=Path(snakemake.input.tokenizer).parent,
        folder=Path(snakemake.output.table).parents[1].joinpath(snakemake.params.name),
        table=Path(snakemake.output.table),
        checkpoint=Path(snakemake.output.table).parents[2].joinpath("checkpoints", snakemake.params.checkpoint),
        recipe=snakemake.params.recipe,
        device=snakemake.params.device,
        keep=snakemake.params.get("keep", []),
    )
