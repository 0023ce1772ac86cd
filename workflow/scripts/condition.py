"""Conditional entropy of a model without a dump: it runs once more."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.rerunning import run_again
from geomkit.logs import logged
from geomkit.studies.conditional import condition_model

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    condition_model(
        states=partial(
            run_again,
            folder=Path(snakemake.input.model[0]),
            texts=Path(snakemake.input.texts),
            name=snakemake.wildcards.model,
            asked=snakemake.params.asked,
            compute=snakemake.params.compute,
        ),
        spectra=snakemake.input.spectra,
        gains=Path(snakemake.output.gains),
        documents=Path(snakemake.output.documents),
        families=snakemake.params.families,
        seeds=snakemake.params.seeds,
        length=snakemake.params.length,
        eps2=snakemake.params.eps2,
        seed=snakemake.params.seed,
    )
