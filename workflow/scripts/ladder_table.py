"""CSV files of training runs in one table."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.trainings import join_trainings

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    join_trainings(
        tables=snakemake.input.tables,
        output=Path(snakemake.output[0]),
        columns=snakemake.params.get("columns"),
        best=snakemake.params.get("best"),
        common=snakemake.params.get("common", {}),
    )
