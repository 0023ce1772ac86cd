"""The rank up to which bigrams are learnt."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.quanta import learnt_ranks

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    learnt_ranks(
        bigrams=Path(snakemake.input[0]),
        output=Path(snakemake.output[0]),
    )
