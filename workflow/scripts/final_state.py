"""Metrics at a model's final state beside those of many untrained twins."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.final_state import measure_final_state
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_final_state(
        folder=Path(snakemake.input.model[0]),
        texts=Path(snakemake.input.texts),
        output=Path(snakemake.output[0]),
        family=snakemake.params.family,
        seed=snakemake.params.model_seed,
        twins=snakemake.params.twins,
        modes=snakemake.params.modes,
        lengths=snakemake.params.lengths,
        metrics=snakemake.params.metrics,
        parameters=snakemake.params.parameters,
        compute=snakemake.params.compute,
        trust_remote_code=snakemake.params.trust_remote_code,
        objective=snakemake.params.objective,
    )
