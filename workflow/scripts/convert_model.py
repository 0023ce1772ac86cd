"""A fetched model, a GGUF file, or a model with an adapter, as a folder of safetensors."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.convert import convert_model
from geomkit.logs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    convert_model(
        source=Path(snakemake.input.model[0]),
        output=Path(snakemake.output[0]),
        adapter=snakemake.params.adapter,
        trust_remote_code=snakemake.params.trust_remote_code,
        objective=snakemake.params.objective,
    )
