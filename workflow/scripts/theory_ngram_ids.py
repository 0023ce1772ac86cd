"""A corpus's splits as token ids and as words."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.splitting import encode_splits
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    encode_splits(
        corpus=Path(snakemake.input.corpus),
        tokenizer=Path(snakemake.input.tokenizer[0]),
        output=Path(snakemake.output[0]),
    )
