"""Exponents of frequency tables, and budgets of trigrams."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.ngrams import measure_ngrams

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    measure_ngrams(
        documents=Path(snakemake.input[0]),
        exponents=Path(snakemake.output.exponents),
        budgets=Path(snakemake.output.budgets),
    )
