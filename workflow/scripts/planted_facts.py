"""Models of planted facts in one table."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.facts import join_facts

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    join_facts(
        tables=snakemake.input.tables,
        output=Path(snakemake.output[0]),
    )
