"""Power laws of the primary metrics and of the loss, for each family and corpus: results/scaling/fits.json"""

import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomkit.laws.scaling import fit
from geomkit.logs import logged
from geomkit.store.provenance import replacing
from geomkit.store.tables import endpoint

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(table: Path, output: Path, primary: Mapping[str, Any]) -> None:
    rows = [row for row in endpoint(table, **primary) if row["variant"] == "trained"]
    fits = []
    for (corpus, metric, family), group in groupby(rows, key=lambda row: (row["corpus"], row["metric"], row["family"])):
        points = list(group)
        law = fit("power", [row["params_nonembedding"] for row in points], [row["value"] for row in points])
        where = {} if metric == "loss" else {key: primary[key] for key in ("layer", "length", "normalise")}
        fits.append(
            {"family": family, "corpus": corpus, "metric": metric, **where, "against": "params_nonembedding", **law.as_dict()}
        )
    with replacing(output) as temporary:
        temporary.write_text(json.dumps(fits, indent=1, allow_nan=False) + "\n")


with logged(snakemake.log[0]):
    main(Path(snakemake.input[0]), Path(snakemake.output[0]), snakemake.params.primary)
