"""States after each sublayer, and the model without it."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.components import measure_components
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_components(
        folder=Path(snakemake.input.model[0]),
        texts=Path(snakemake.input.texts),
        output=Path(snakemake.output[0]),
        family=snakemake.params.family,
        model_seed=snakemake.params.model_seed,
        count=snakemake.params.number,
        gain=snakemake.params.gain,
        compute=snakemake.params.compute,
        trust_remote_code=snakemake.params.trust_remote_code,
        heads=snakemake.params.heads,
        objective=snakemake.params.objective,
    )
