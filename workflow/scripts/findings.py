"""docs/findings.md and the README's table, from the findings that ship."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.ledger import write_findings
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    write_findings(
        claims=Path(snakemake.input.claims),
        readme=Path(snakemake.input.readme),
        findings=Path(snakemake.output.findings),
        with_findings=Path(snakemake.output.readme),
    )
