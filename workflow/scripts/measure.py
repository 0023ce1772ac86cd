"""Eigenvalues and information gains of one model on one corpus, while it runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.measuring import measure_model
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_model(
        folder=Path(snakemake.input.model[0]),
        texts=Path(snakemake.input.texts),
        output=Path(snakemake.output[0]),
        dump=snakemake.params.dump,
        compute=snakemake.params.compute,
        modes=snakemake.params.modes,
        lengths=snakemake.params.lengths,
        variants=snakemake.params.variants,
        drawn=snakemake.params.drawn,
        left_out=snakemake.params.absent,
        gain=snakemake.params.gain,
        whitened=snakemake.params.whitened,
        sinks=snakemake.params.sinks,
        seed=snakemake.params.seed,
        origin=snakemake.params.origin,
        trust_remote_code=snakemake.params.trust_remote_code,
        objective=snakemake.params.objective,
        part=snakemake.wildcards.get("part"),
        sums=snakemake.input.get("sums", []),
    )
