"""The protocol's endpoints of the ladder and of the trainings beside it."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.control_metrics import measure_controls
from geomkit.logs import logged
from geomkit.store.records.files import folders_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_controls(
        folders=folders_of(snakemake.input.models),
        texts=Path(snakemake.input.texts),
        output=Path(snakemake.output[0]),
        family="controls",
        length=snakemake.params.primary["length"],
        normalisation=snakemake.params.primary["normalise"],
        metrics=snakemake.params.primary["metrics"],
        parameters=snakemake.params.parameters,
        compute=snakemake.params.compute,
    )
