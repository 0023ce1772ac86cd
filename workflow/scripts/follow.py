"""A model without a dump at lengths that follow the widths of its family: it runs once more."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.rerunning import run_again
from geomkit.logs import logged
from geomkit.studies.following import follow_model

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    follow_model(
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
        mode=snakemake.params.mode,
        parameters=snakemake.params.parameters,
    )
