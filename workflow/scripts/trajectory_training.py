"""One training's models at several steps, measured beside their nulls."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.trajectory import measure_training
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_training(
        folders=snakemake.input.folders,
        seeds=snakemake.params.seeds,
        texts=Path(snakemake.input.texts),
        output=Path(snakemake.output.table),
        resampled=Path(snakemake.output.resamples),
        family=snakemake.params.family,
        layers=snakemake.params.layers,
        variants=snakemake.params.variants,
        drawn=snakemake.params.drawn,
        length=snakemake.params.primary["length"],
        normalisation=snakemake.params.primary["normalise"],
        metrics=snakemake.params.metrics,
        parameters=snakemake.params.parameters,
        compute=snakemake.params.compute,
        resamples=snakemake.params.resamples,
        seed=snakemake.params.seed,
        trust_remote_code=snakemake.params.trust_remote_code,
    )
