"""results/theory_check.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.theory import draw_theory
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_theory(
        simulation=Path(snakemake.input.simulation),
        relations=Path(snakemake.input.relations),
        curves=Path(snakemake.input.curves),
        exponents=Path(snakemake.input.exponents),
        budgets=Path(snakemake.input.budgets),
        gains=Path(snakemake.input.gains),
        documents=Path(snakemake.input.documents),
        bigrams=Path(snakemake.input.bigrams),
        quanta=Path(snakemake.input.quanta),
        bins=Path(snakemake.input.bins),
        facts=Path(snakemake.input.facts),
        steps=Path(snakemake.input.steps),
        conclusions=Path(snakemake.input.conclusions),
        output=Path(snakemake.output[0]),
    )
