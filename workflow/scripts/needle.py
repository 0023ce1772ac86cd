"""A fact in filler, whose statements are removed."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.needle import score_needles
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    score_needles(
        folder=Path(snakemake.input.model[0]),
        fillers=Path(snakemake.input.fillers),
        output=Path(snakemake.output[0]),
        texts=snakemake.params.texts,
        seed=snakemake.params.seed,
        compute=snakemake.params.compute,
    )
