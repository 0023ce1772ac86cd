"""Train one model on planted facts."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.facts import train_facts
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    train_facts(
        output=Path(snakemake.output[0]),
        width=int(snakemake.wildcards.width),
        exponent=float(snakemake.wildcards.exponent),
        seed=int(snakemake.wildcards.seed),
        data=snakemake.wildcards.data,
        recipe=snakemake.params.recipe,
    )
