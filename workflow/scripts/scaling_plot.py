"""results/scaling_plot.pdf"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomkit.figures.scaling import scaling_figure
from geomkit.figures.style import save
from geomkit.logs import logged
from geomkit.store.tables import endpoint, read_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(table: Path, fits: Path, slopes: Path, output: Path, primary: Mapping[str, Any]) -> None:
    compared = [row for row in read_csv(slopes) if row["primary"] == 1 and row["against"] == "params_nonembedding"]
    save(scaling_figure(endpoint(table, **primary), json.loads(fits.read_text()), compared, primary), output)


with logged(snakemake.log[0]):
    main(
        Path(snakemake.input.table),
        Path(snakemake.input.fits),
        Path(snakemake.input.slopes),
        Path(snakemake.output[0]),
        snakemake.params.primary,
    )
