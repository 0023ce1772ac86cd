"""Hidden states and surprisal of one model on one corpus."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.dumping import dump_model
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    dump_model(
        folder=Path(snakemake.input.model[0]),
        texts=Path(snakemake.input.texts),
        outputs=snakemake.output,
        dump=snakemake.params.dump,
        compute=snakemake.params.compute,
        variants=snakemake.params.variants,
        seed=snakemake.params.seed,
        origin=snakemake.params.origin,
        trust_remote_code=snakemake.params.trust_remote_code,
        objective=snakemake.params.objective,
        part=snakemake.wildcards.get("part"),
        code=snakemake.params.code,
    )
