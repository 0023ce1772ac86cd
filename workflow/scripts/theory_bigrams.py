"""The ladder's held-out loss of each class of bigrams."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.bigrams import measure_bigrams
from geomkit.logs import logged
from geomkit.store.records.files import folders_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_bigrams(
        models=folders_of(snakemake.input.models),
        seeds=snakemake.params.seeds,
        corpus=Path(snakemake.input.corpus),
        documents=Path(snakemake.input.documents),
        tokenizer=Path(snakemake.input.tokenizer[0]),
        output=Path(snakemake.output[0]),
        number=snakemake.params.windows,
        device=snakemake.params.device,
    )
