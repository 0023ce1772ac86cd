"""What the model does with nothing but the tokens that each method chooses."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.probing import probe_model
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    probe_model(
        folder=Path(snakemake.input.model[0]),
        spectra=Path(snakemake.input.spectra),
        output=Path(snakemake.output[0]),
        selection=snakemake.params.selection,
        methods=snakemake.params.methods,
        gain=snakemake.params.gain,
        compute=snakemake.params.compute,
        seed=snakemake.params.seed,
        trust_remote_code=snakemake.params.trust_remote_code,
    )
