"""Train one model of the ladder, or go on with it."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.ladder import train_model
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    train_model(
        corpus=Path(snakemake.input.corpus),
        tokenizer=Path(snakemake.input.tokenizer).parent,
        folder=Path(snakemake.output.model).parent,
        curve=Path(snakemake.output.curve),
        checkpoint=Path(snakemake.output.curve).parents[1].joinpath("checkpoints", snakemake.params.checkpoint),
        width=int(snakemake.wildcards.width),
        seed=int(snakemake.wildcards.seed),
        recipe=snakemake.params.recipe,
        device=snakemake.params.device,
    )
