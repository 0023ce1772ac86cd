"""What a model predicts when growing parts of a context are hidden."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.removing import remove_tokens
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    remove_tokens(
        folder=Path(snakemake.input.model[0]),
        probe=Path(snakemake.input.probe),
        output=Path(snakemake.output[0]),
        removal=snakemake.params.removal,
        methods=snakemake.params.methods,
        gain=snakemake.params.gain,
        compute=snakemake.params.compute,
        seed=snakemake.params.seed,
        trust_remote_code=snakemake.params.trust_remote_code,
    )
