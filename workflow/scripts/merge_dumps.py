"""The dump of a model on a corpus out of its parts."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.store.parts import merge_dumps

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    merge_dumps(
        parts=snakemake.input,
        output=Path(snakemake.output[0]),
        dtype=snakemake.params.dtype,
        compression=snakemake.params.compression,
    )
