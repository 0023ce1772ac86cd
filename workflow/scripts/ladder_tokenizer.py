"""The ladder's tokenizer, from the training split."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.ladder import prepare_tokenizer
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    prepare_tokenizer(
        corpus=Path(snakemake.input[0]),
        folder=Path(snakemake.output[0]).parent,
        recipe=snakemake.params.recipe,
    )
