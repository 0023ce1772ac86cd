"""Documents of a corpus, each with its split: one Parquet file."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.sources.corpora import prepare_corpus

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    prepare_corpus(
        source=Path(snakemake.input[0]),
        output=Path(snakemake.output[0]),
        reader=snakemake.params.reader,
        column=snakemake.params.column,
        cleaned=snakemake.params.clean,
    )
