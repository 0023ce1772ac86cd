"""Hidden states that another program has dumped, of one model on one corpus, as a dump."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.sources.states import import_states

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    import_states(
        folder=Path(snakemake.input[0]),
        output=Path(snakemake.output[0]),
        entry=snakemake.params.origin,
        dump=snakemake.params.dump,
    )
