"""Controls at fixed width: untrained twins, shuffled text, the final norm's weights, and seeds."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.fixed_width import compare_at_fixed_width

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    compare_at_fixed_width(
        final_states=snakemake.input.final_states,
        table=Path(snakemake.input.table),
        diff_erank=Path(snakemake.input.diff_erank),
        published=Path(snakemake.input.published),
        output=Path(snakemake.output[0]),
        resamples=snakemake.params.resamples,
        seed=snakemake.params.seed,
    )
