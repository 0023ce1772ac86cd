"""The spectra of a model on a corpus out of their parts."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.store.spectra_parts import merge_spectra

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    merge_spectra(
        parts=snakemake.input.parts,
        output=Path(snakemake.output[0]),
        modes=snakemake.params.modes,
        lengths=snakemake.params.lengths,
        variants=snakemake.params.variants,
        drawn=snakemake.params.drawn,
    )
