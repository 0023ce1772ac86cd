"""Verify weight files by the sha256 of their tensors."""

import hashlib
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from geomkit.core.errors import DataError
from geomkit.core.model_folders import check_files, header, weight_files
from geomkit.core.provenance import digest, file_sha256
from geomkit.tables.rows import write_csv
from geomkit.tables.trainings import ModelShard

CHUNK = 1 << 24


def shards(folder: Path) -> dict[str, str]:
    """Hash the tensors in each weight file below a folder, by file name.

    Raises DataError for a folder without any, for a file that cannot be read, and for a shard of which the folder's index says
    other tensors than are in it. Other files that lie there, which transformers does not load, do not count.
    """
    check_files(folder)
    return {file.name: tensors_sha256(file) for file in weight_files(folder)}


def tensors_sha256(file: Path) -> str:
    """Hash all tensors in a file: names, types, shapes and bytes; of a .bin file only the bytes."""
    if file.suffix == ".safetensors":
        tensors, start = header(file)
        with file.open("rb") as stream:
            parts = []
            for name, one in sorted(tensors.items()):
                low, high = one["data_offsets"]
                stream.seek(start + low)
                parts.append((name, one["dtype"], one["shape"], sha256_of(stream, high - low)))
        return digest(*parts)
    if not zipfile.is_zipfile(file):
        return file_sha256(file)
    with zipfile.ZipFile(file) as archive:
        records = [one for one in archive.infolist() if "/data/" in one.filename]
        hashes = []
        for record in records:
            with archive.open(record) as stream:
                hashes.append(sha256_of(stream, record.file_size))
    return digest(*sorted(hashes))


def sha256_of(stream, size: int) -> str:
    """Hash the next bytes of a stream."""
    sha = hashlib.sha256()
    while size and (part := stream.read(min(size, CHUNK))):
        sha.update(part)
        size -= len(part)
    return sha.hexdigest()


def check_weights(models: Iterable[ModelShard]) -> None:
    """Check that no two models share tensors.

    Raises DataError, naming both, for two models all of whose tensors are the same, and for a shard that two share while their
    other shards differ: it belongs to one of them alone.
    """
    files: dict[str, dict[str, str]] = {}
    for one in models:
        files.setdefault(one.model, {})[one.sha256] = one.shard
    owner: dict[str, str] = {}
    for model, own in files.items():
        for sha256, shard in own.items():
            other = owner.setdefault(sha256, model)
            if other == model:
                continue
            if set(own) == set(files[other]):
                raise DataError(
                    f"{other} and {model} have the same weights (sha256 {sha256[:12]}): one of the entries is not what it says"
                )
            raise DataError(
                f"{model}: {shard} holds the same tensors as {files[other][sha256]} of {other}, and their other shards differ: "
                "it belongs to another revision"
            )


def write_weights(names: Sequence[str], folders: Sequence[str], output: Path) -> None:
    """Check models by name, each in its folder, and list their weight files."""
    rows: Sequence[ModelShard] = [
        ModelShard(model=name, shard=shard, sha256=sha256)
        for name, folder in zip(names, folders, strict=True)
        for shard, sha256 in shards(Path(folder)).items()
    ]
    check_weights(rows)
    write_csv(output, ModelShard, rows)
