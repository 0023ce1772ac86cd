"""Write the tables of a run as a dataset for the Hugging Face hub, and upload it where that is asked for."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from geomkit.core.config import completed
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.provenance import file_sha256, replacing_folder, versions
from geomkit.sources.fetch import hub_errors
from geomkit.tables.parquet import named, parquet_file

REPOSITORY = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
"""Name of a dataset on the hub, with its owner or without."""
PROVENANCE = "provenance.json"
"""File by which a folder is known to be one that was written here, and may be replaced."""
OF_ARROW = (b"ARROW:schema", b"pandas")
"""Metadata that would bring back the types that are written as plain ones."""
Tables = Mapping[str, Sequence[Path]]
"""Files by the name of their table."""

CARD = """\
---
{front}---

# {title}

Geometry of hidden states of language models, measured by geomkit {version}.

{tables}

    from datasets import load_dataset
    table = load_dataset("{repo}", "{first}", split="train")

A row is one value of a `metric` for a `model` on a `corpus`. `variant` is `trained`, or a null to compare it with. `layer` 0 is
the embedding, `depth` the output of the last block, and `depth` + 1 the state after the final norm. `bound` is the metric's upper
bound for `n` rows of `d` dimensions. A `text` of -1 is the whole corpus. A column that does not apply is empty.{portraits}

## Columns

{columns}

## How it was made

{command}

`provenance.json` has the versions and the SHA-256 of each table. For each measurement it has what the run recorded: the revision
of the model, digests of its weights, its tokenizer and its corpus, and the device.
"""


PORTRAITS = """

In `portraits`, `section` says what a row is (`geomkit.studies.portrait.rows`), and `depth` is relative: 1 is the last block."""


def publish(
    results: Path, repo: str, folder: Path, configs: Sequence[Path], defaults: Path, upload: bool = False, private: bool = False
) -> str:
    """Write the dataset of a results folder, and upload it if asked for. Returns the folder, or the address on the hub.

    results: a run's folder. repo: the dataset's name on the hub, such as owner/name. folder: where to; one that was written here
    before is replaced. configs: the configuration files of the run, in order, on top of `defaults`, the one that ships.

    Raises ConfigError for a name that the hub does not allow, for a folder of something else, and where the tables have a corpus
    or a family of models that the configuration lacks; DataError for results without a table; SourceError if the upload fails.
    """
    if not REPOSITORY.fullmatch(repo):
        raise ConfigError(f"--repo {repo}: write it as owner/name, of letters, digits, dots, hyphens and underscores")
    write_dataset(results, repo, folder, configs, defaults)
    return upload_dataset(folder, repo, private) if upload else str(folder)


def write_dataset(results: Path, repo: str, folder: Path, configs: Sequence[Path], defaults: Path) -> None:
    """Write tables, card, provenance and configuration to a folder, which appears when it is whole. For errors see `publish`."""
    if folder.exists() and not (folder / PROVENANCE).is_file():
        raise ConfigError(f"--out {folder}: is there already, and is no dataset that was written by this command; name another")
    tables = tables_of(results)
    check_configuration(tables, configs, defaults)
    with replacing_folder(folder) as temporary:
        written: dict[str, list[str]] = {}
        for name, files in tables.items():
            for file in files:
                path = Path("data") / file.relative_to(results)
                write_plain(file, temporary / path)
                written.setdefault(name, []).append(path.as_posix())
        for number, config in enumerate(configs):
            (temporary / config_name(number, configs)).write_bytes(config.read_bytes())
        about = provenance(results, tables)
        (temporary / PROVENANCE).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        (temporary / "README.md").write_text(card(repo, temporary, written, configs, about["version"]), encoding="utf-8")


def upload_dataset(folder: Path, repo: str, private: bool = False) -> str:
    """Create the dataset on the hub if it is not there, and commit a folder to it. Returns its address.

    A file that is on the hub alone stays there. Raises SourceError, with what to do, if the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    with hub_errors(repo, "uploaded"):
        url = HfApi().create_repo(repo, repo_type="dataset", private=private or None, exist_ok=True)
        message = "Tables of geomkit"
        HfApi().upload_folder(repo_id=url.repo_id, folder_path=folder, repo_type="dataset", commit_message=message)
    return str(url)


def tables_of(results: Path) -> dict[str, list[Path]]:
    """List the Parquet files of a results folder by table: merged ones, and portraits, which are one table in several files.

    Raises DataError, naming the folder, if there is none.
    """
    tables = {file.stem: [file] for file in sorted(results.glob("*.parquet"))}
    portraits = [file for file in sorted(results.glob("portraits/*/*.parquet")) if not file.name.endswith(".passages.parquet")]
    if portraits:
        tables["portraits"] = portraits
    if not tables:
        raise DataError(
            f"{results}: no table such as entropy.parquet or portraits/MODEL/CORPUS.parquet; is it a run's results folder?"
        )
    return tables


def check_configuration(tables: Tables, configs: Sequence[Path], defaults: Path) -> None:
    """Check that the configuration may be the one of the run: it has the tables' corpora and families of models."""
    config: Mapping[str, Any] = {}
    for file in (defaults, *configs):
        config = completed(read_config(file), config)
    known = {
        "corpus": set(config["corpora"]),
        "family": {entry.get("family", name) for name, entry in config["models"].items()},
    }
    for file in (file for name, files in tables.items() if name != "portraits" for file in files):
        present = set(parquet_file(file).schema_arrow.names)
        for column in known.keys() & present:
            with named(file):
                found = set(pq.read_table(file, columns=[column])[column].cast(pa.string()).unique().to_pylist()) - {None}
            if lacking := sorted(found - known[column]):
                raise ConfigError(
                    f"{file}: the {column} {lacking[0]} is not in the configuration; nobody could make the table again: "
                    "name the run's configuration with --configfile FILE"
                )


def read_config(file: Path) -> Mapping[str, Any]:
    """Read a configuration file. Raises ConfigError that names it."""
    import yaml

    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--configfile {file}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(config, Mapping):
        raise ConfigError(f"--configfile {file}: has no keys at the top")
    return config


def config_name(number: int, configs: Sequence[Path]) -> str:
    """Return the name of a configuration file in the dataset; it has a number only where there are several."""
    return "config.yaml" if len(configs) == 1 else f"config-{number + 1}.yaml"


def write_plain(source: Path, target: Path) -> None:
    """Copy a table with names as plain text: `datasets` does not read Arrow's dictionaries. Streamed by row groups."""
    file = parquet_file(source)
    kept = {key: value for key, value in (file.metadata.metadata or {}).items() if key not in OF_ARROW}
    schema = pa.schema([(field.name, plain_type(field.type)) for field in file.schema_arrow])
    target.parent.mkdir(parents=True, exist_ok=True)
    with named(source), pq.ParquetWriter(target, schema, store_schema=False) as writer:
        for group in range(file.num_row_groups):
            writer.write_table(file.read_row_group(group).cast(schema))
        writer.add_key_value_metadata(kept)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a dictionary; any other type as it is."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def provenance(results: Path, tables: Tables) -> dict[str, Any]:
    """Return versions, the digest of each table, and the attributes of each file of spectra: what was measured with what."""
    from importlib.metadata import version

    return {
        "version": version("geomkit"),
        "versions": versions("numpy", "pyarrow"),
        "tables": {str(file.relative_to(results)): file_sha256(file) for files in tables.values() for file in files},
        "measurements": [
            {"model": file.parent.name, "corpus": file.stem, **attributes(file)}
            for file in sorted(results.glob("spectra/*/*.h5"))
        ],
    }


def attributes(file: Path) -> dict[str, Any]:
    """Read the attributes of a file that are texts or numbers. Raises DataError that names a damaged file."""
    import h5py

    try:
        with h5py.File(file) as opened:
            plain = {name: value.item() if hasattr(value, "item") else value for name, value in opened.attrs.items()}
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: damaged ({' '.join(str(error).split())})") from None
    return {name: value for name, value in plain.items() if isinstance(value, str | int | float) and name != "absent"}


def card(repo: str, folder: Path, tables: Mapping[str, Sequence[str]], configs: Sequence[Path], version: str) -> str:
    """Write the card: metadata by which the hub and `datasets` find each table, and what a reader needs."""
    import yaml

    files = {name: [pq.ParquetFile(folder / path) for path in paths] for name, paths in tables.items()}
    front = {
        "pretty_name": f"{repo.rpartition('/')[2]}: geometry of hidden states",
        "tags": ["geomkit", "hidden-states", "interpretability"],
        "configs": [
            {"config_name": name, "data_files": [{"split": "train", "path": paths[0] if len(paths) == 1 else list(paths)}]}
            for name, paths in tables.items()
        ],
    }
    listed = [f"| `{name}` | {sum(one.metadata.num_rows for one in each):,} |" for name, each in files.items()]
    kinds = [
        f"- `{name}`: " + ", ".join(f"`{field.name}` ({field.type})" for field in each[0].schema_arrow)
        for name, each in files.items()
    ]
    return CARD.format(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000),
        title=repo.rpartition("/")[2],
        version=version,
        tables="\n".join(["| table | rows |", "| --- | --- |", *listed]),
        repo=repo,
        first=next(iter(tables)),
        portraits=PORTRAITS if "portraits" in tables else "",
        columns="\n".join(kinds),
        command=how(tables, configs, version),
    )


def how(tables: Mapping[str, Sequence[str]], configs: Sequence[Path], version: str) -> str:
    """State the command that makes the tables again."""
    targets = [f"results/{path.removeprefix('data/')}" for paths in tables.values() for path in paths]
    names = [config_name(number, configs) for number in range(len(configs))]
    command = shlex.join(["geomkit", "plot", *targets, *(["--configfile", *names] if names else [])])
    used = f"{' and '.join(names)} of this dataset" if names else "the configuration that ships"
    return f"With geomkit {version} and {used}:\n\n    {command}"
