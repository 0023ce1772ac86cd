"""A GGUF model as a folder of safetensors."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.models import convert_gguf
from geomkit.logs import logged
from geomkit.sources.corpora import files_in

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(source: Path, output: Path) -> None:
    convert_gguf(files_in(source, ".gguf")[0], output)


with logged(snakemake.log[0]):
    main(Path(snakemake.input[0]), Path(snakemake.output[0]))
