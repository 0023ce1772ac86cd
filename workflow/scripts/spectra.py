"""Eigenvalues and information gains of one model on one corpus."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.spectra import decompose_dumps

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    decompose_dumps(
        dumps=snakemake.input,
        output=Path(snakemake.output[0]),
        modes=snakemake.params.modes,
        lengths=snakemake.params.lengths,
        drawn=snakemake.params.drawn,
        left_out=snakemake.params.absent,
        gain=snakemake.params.gain,
        whitened=snakemake.params.whitened,
        sinks=snakemake.params.sinks,
        seed=snakemake.params.seed,
        part=snakemake.wildcards.get("part"),
    )
