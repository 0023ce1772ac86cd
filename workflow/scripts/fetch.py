"""A model or a corpus from the network into a folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.sources.fetch import fetch

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    fetch(
        entry=snakemake.params.entry,
        folder=Path(snakemake.output[0]),
    )
