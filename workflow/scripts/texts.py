"""Texts that all models of one tokenizer read of a corpus."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.cutting import cut_texts
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    cut_texts(
        folder=Path(snakemake.input.tokenizer[0]),
        corpus=Path(snakemake.input.corpus),
        output=Path(snakemake.output[0]),
        split=snakemake.params.split,
        texts=snakemake.params.texts,
        seed=snakemake.params.seed,
        trust_remote_code=snakemake.params.trust_remote_code,
        special_tokens=snakemake.params.special_tokens,
        lengths=snakemake.params.lengths,
    )
