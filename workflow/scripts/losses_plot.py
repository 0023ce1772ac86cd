"""results/losses_plot.pdf"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.figures.losses import losses_figure
from geomkit.figures.style import save
from geomkit.logs import logged
from geomkit.store.tables import read_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(fits: Path, regions: Path, output: Path) -> None:
    save([losses_figure(json.loads(fits.read_text()), read_csv(regions))], output)


with logged(snakemake.log[0]):
    main(Path(snakemake.input.fits), Path(snakemake.input.regions), Path(snakemake.output[0]))
