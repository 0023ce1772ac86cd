"""results/token_regression.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.style import save
from geomkit.figures.tokens import tokens_figure
from geomkit.logs import logged
from geomkit.store.tables import read_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(summary: Path, output: Path) -> None:
    save(tokens_figure(read_csv(summary)), output)


with logged(snakemake.log[0]):
    main(Path(snakemake.input[0]), Path(snakemake.output[0]))
