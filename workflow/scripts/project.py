"""A model without a dump as a donor of the null for width: it runs once more."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.projecting import project_model
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    project_model(
        folder=Path(snakemake.input.model[0]),
        texts=Path(snakemake.input.texts),
        spectra=snakemake.input.spectra,
        output=Path(snakemake.output[0]),
        families=snakemake.params.families,
        seeds=snakemake.params.seeds,
        modes=snakemake.params.modes,
        lengths=snakemake.params.lengths,
        metrics=snakemake.params.metrics,
        parameters=snakemake.params.parameters,
        draws=snakemake.params.draws,
        seed=snakemake.params.seed,
        bracket=snakemake.params.bracket,
        compute=snakemake.params.compute,
        trust_remote_code=snakemake.params.trust_remote_code,
        objective=snakemake.params.objective,
    )
