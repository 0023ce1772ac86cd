"""The ladder's held-out loss of each class of bigrams."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.bigrams import measure_bigrams
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_bigrams(
        models=snakemake.params.models,
        seeds=snakemake.params.seeds,
        corpus=Path(snakemake.input.corpus),
        documents=Path(snakemake.input.documents),
        tokenizer=Path(snakemake.params.tokenizer),
        output=Path(snakemake.output[0]),
        number=snakemake.params.windows,
        device=snakemake.params.device,
    )
