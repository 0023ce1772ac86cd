"""A folder of the project or the user, copied to where jobs that share no folder with Snakemake find it."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.store.provenance import copy_folder

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    copy_folder(
        source=Path(snakemake.input[0]),
        target=Path(snakemake.output[0]),
    )
