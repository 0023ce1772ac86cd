"""The sha256 of every model's tensors: no two are the same."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.store.weights import write_weights

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    write_weights(names=snakemake.params.names, folders=snakemake.input.folders, output=Path(snakemake.output[0]))
