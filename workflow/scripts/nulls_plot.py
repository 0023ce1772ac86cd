"""results/nulls_plot.pdf"""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.growth import growth_figure
from geomkit.figures.nulls import nulls_figure
from geomkit.figures.style import save
from geomkit.logs import logged
from geomkit.store.tables import read_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(slopes: Path, growth: Path, output: Path) -> None:
    rows = read_csv(slopes)
    shown = [
        row for row in rows if row["against"] == "params_nonembedding" and (row["primary"] == 1 or "(published)" in row["family"])
    ]
    save([nulls_figure(shown, int(rows[0]["combinations"])), *growth_figure(read_csv(growth))], output)


with logged(snakemake.log[0]):
    main(Path(snakemake.input.slopes), Path(snakemake.input.growth), Path(snakemake.output[0]))
