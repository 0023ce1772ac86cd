"""results/claims.html, and what the report opens with."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.ledger import write_page
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    write_page(
        claims=Path(snakemake.input.claims),
        template=Path(snakemake.input.template),
        page=Path(snakemake.output.page),
        front=Path(snakemake.output.front),
    )
