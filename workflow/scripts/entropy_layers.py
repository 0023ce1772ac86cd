"""results/entropy_layers.pdf"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomkit.figures.layers import layers_figure
from geomkit.figures.style import save
from geomkit.logs import logged
from geomkit.store.tables import text_means

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(table: Path, output: Path, primary: Mapping[str, Any]) -> None:
    rows = text_means(table, primary["metrics"], primary["length"], primary["normalise"])
    save(layers_figure(rows, primary["metrics"], f"first {primary['length']} tokens, {primary['normalise']}"), output)


with logged(snakemake.log[0]):
    main(Path(snakemake.input[0]), Path(snakemake.output[0]), snakemake.params.primary)
