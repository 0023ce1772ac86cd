"""What the page of tokens shows: texts, their gains, and what methods chose."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.studies.token_texts import collect_texts

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    collect_texts(
        probes=snakemake.input.probes,
        spectra=snakemake.input.spectra,
        output=Path(snakemake.output[0]),
    )
