"""The ladder's model card: losses of every model on held-out texts, baselines, and samples."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.card import write_card
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    write_card(
        models=snakemake.input.models,
        corpora=snakemake.input.corpora,
        splits=snakemake.params.splits,
        home=snakemake.params.home,
        losses=Path(snakemake.output.losses),
        card=Path(snakemake.output.card),
        template=Path(snakemake.input.template),
        recipe=snakemake.params.recipe,
        device=snakemake.params.device,
    )
