"""One table of all models and corpora, one summary where there are any, and a list of what they do not hold."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.store.tables import merge_stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    merge_stage(
        tables=snakemake.input.tables,
        output=Path(snakemake.output.table),
        absent=Path(snakemake.output.absent),
        summaries=snakemake.input.get("summaries", []),
        summary=snakemake.output.get("summary"),
        record=snakemake.params.get("record", "TokenScore"),
    )
