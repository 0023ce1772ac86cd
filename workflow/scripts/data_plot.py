"""results/data_plot.pdf"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.data import data_figure
from geomkit.figures.style import save
from geomkit.logs import logged
from geomkit.store.tables import read_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(grid: Path, laws: Path, output: Path) -> None:
    save([data_figure(read_csv(grid), json.loads(laws.read_text()))], output)


with logged(snakemake.log[0]):
    main(Path(snakemake.input.grid), Path(snakemake.input.laws), Path(snakemake.output[0]))
