"""Sums of the rows of one model's states on a part of one corpus, which come before what is measured."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.first_pass import sum_rows
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    sum_rows(
        folder=Path(snakemake.input.model[0]),
        texts=Path(snakemake.input.texts),
        output=Path(snakemake.output[0]),
        dump=snakemake.params.dump,
        compute=snakemake.params.compute,
        modes=snakemake.params.modes,
        variants=snakemake.params.variants,
        whitened=snakemake.params.whitened,
        seed=snakemake.params.seed,
        origin=snakemake.params.origin,
        trust_remote_code=snakemake.params.trust_remote_code,
        objective=snakemake.params.objective,
        part=snakemake.wildcards.part,
    )
