"""results/claims.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.claims import draw_claims
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    draw_claims(claims=Path(snakemake.input[0]), output=Path(snakemake.output[0]))
