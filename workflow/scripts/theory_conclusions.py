"""What each test of the theory found."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.conclusions.conclude import conclude

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    conclude(
        simulation=Path(snakemake.input.simulation),
        relations=Path(snakemake.input.relations),
        curves=Path(snakemake.input.curves),
        exponents=Path(snakemake.input.exponents),
        budgets=Path(snakemake.input.budgets),
        gains=Path(snakemake.input.gains),
        documents=Path(snakemake.input.documents),
        quanta=Path(snakemake.input.quanta),
        facts=Path(snakemake.input.facts),
        steps=Path(snakemake.input.steps),
        radii=Path(snakemake.input.radii),
        laws=Path(snakemake.input.laws),
        output=Path(snakemake.output[0]),
    )
