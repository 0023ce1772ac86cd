"""The spectra of a model on a corpus out of those of parts of its texts."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.store.partial_spectra import merge_measured

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    merge_measured(
        parts=snakemake.input,
        output=Path(snakemake.output[0]),
        modes=snakemake.params.modes,
        lengths=snakemake.params.lengths,
        variants=snakemake.params.variants,
        drawn=snakemake.params.drawn,
    )
