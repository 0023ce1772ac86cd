"""Small steps of real training beside Fisher's quadratic form."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.steps import measure_small_steps
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_small_steps(
        corpus=Path(snakemake.input.corpus),
        tokenizer=Path(snakemake.input.tokenizer[0]),
        weights=Path(snakemake.output.weights),
        output=Path(snakemake.output.rows),
        radii=Path(snakemake.output.radii),
        width=snakemake.params.steps["width"],
        recipe=snakemake.params.recipe,
        contexts=snakemake.params.steps["contexts"],
        length=snakemake.params.steps["length"],
        resamples=snakemake.params.steps["resamples"],
        seed=snakemake.params.seed,
        device=snakemake.params.device,
    )
