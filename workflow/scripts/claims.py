"""The ledger of claims."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.claims.ledger import write_ledger

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    write_ledger(files=snakemake.input, output=Path(snakemake.output[0]))
