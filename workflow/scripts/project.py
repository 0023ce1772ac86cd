"""A model without a dump as a donor of the null for width: it runs once more."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.rerunning import run_again
from geomkit.logs import logged
from geomkit.studies.projections import project_donor

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    project_donor(
        states=partial(
            run_again,
            folder=Path(snakemake.input.model[0]),
            texts=Path(snakemake.input.texts),
            name=snakemake.wildcards.model,
            asked=snakemake.params.asked,
            compute=snakemake.params.compute,
        ),
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
    )
