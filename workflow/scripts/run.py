"""Hand a job over to the function that its rule names."""

from typing import TYPE_CHECKING

from geomkit.core.job import run

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

run(snakemake)
