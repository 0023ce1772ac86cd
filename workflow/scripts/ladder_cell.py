"""Train one model on a budget of unique tokens, and keep its losses and the primary metrics alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.cell import train_cell
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    train_cell(
        corpus=Path(snakemake.input.corpus),
        tokenizer=Path(snakemake.input.tokenizer).parent,
        output=Path(snakemake.output[0]),
        checkpoint=Path(snakemake.output[0]).parents[1].joinpath("checkpoints", snakemake.params.checkpoint),
        width=int(snakemake.wildcards.width),
        seed=int(snakemake.wildcards.seed),
        unique=snakemake.wildcards.unique,
        recipe=snakemake.params.recipe,
        primary=snakemake.params.primary,
        parameters=snakemake.params.parameters,
        device=snakemake.params.device,
    )
