"""Check the files of a model's folder before anything loads them.

Nothing here loads a model or needs torch. Every fault is a DataError that names the file, what was found and what would help.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geomkit.core.config import ADAPTER, tokenizer_files
from geomkit.core.errors import DataError

POINTER = b"version https://git-lfs"
SINGLE = ("model.safetensors", "pytorch_model.bin")
"""Names of weights in one file, in transformers' order. Weights in shards have an index beside them, of the same name."""
INDEX = ".index.json"
HEADER = 100_000_000
"""Longest header of a safetensors file, by its specification."""


def check_file(file: Path) -> None:
    """Check that a path is a file with content.

    Raises DataError for a folder, a broken link, an empty file, or a pointer of Git LFS.
    """
    if not file.is_file():
        what = "a folder, not a file" if file.is_dir() else "a link that leads nowhere" if file.is_symlink() else "no such file"
        raise DataError(f"{file}: {what}")
    if not file.stat().st_size:
        raise DataError(f"{file}: the file is empty; copy or download it again")
    check_pointer(file)


def check_pointer(file: Path) -> None:
    """Check that a file is not a pointer, which Git LFS leaves where a file was not downloaded. Raises DataError."""
    with file.open("rb") as stream:
        if stream.read(len(POINTER)) == POINTER:
            raise DataError(f"{file}: a pointer of Git LFS, not the file itself; run `git lfs pull` in its folder")


def read_object(file: Path) -> dict[str, Any]:
    """Read a JSON object from a file. Raises DataError for a file that is missing, is not JSON, or contains something else."""
    check_file(file)
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not a valid JSON file ({type(error).__name__}: {error}); copy or download it again") from None
    if not isinstance(value, dict):
        raise DataError(f"{file}: holds a JSON {type(value).__name__}, but should hold an object of keys and values")
    return value


def check_config(folder: Path) -> dict[str, Any]:
    """Read and check a model's configuration. Raises DataError for a folder without one, and if it names no architecture."""
    file = folder / "config.json"
    if not os.path.lexists(file):
        raise DataError(f"{folder}: {without_config(folder)}")
    config = read_object(file)
    if not config.get("model_type") and "auto_map" not in config:
        raise DataError(f"{file}: no model_type, so its architecture is unknown; save the model with save_pretrained")
    if not isinstance(config.get("model_type", ""), str):
        raise DataError(
            f"{file}: model_type is {config['model_type']!r}, but should be the name of an architecture, such as llama"
        )
    return config


def without_config(folder: Path) -> str:
    """Say why a folder without a configuration is not a model's."""
    if not folder.exists():
        return "no such folder"
    if not folder.is_dir():
        return "a file, not a folder of a model"
    if (folder / ADAPTER).is_file():
        base = read_object(folder / ADAPTER).get("base_model_name_or_path") or "the model that it was trained on"
        return f"an adapter alone ({ADAPTER}); set path to its base, {base}, and adapter to this folder"
    if (folder / "params.json").is_file():
        return "no config.json, but a params.json: convert the weights to the format of transformers first"
    if list(visible(folder, "*.gguf")):
        return "no config.json, but a GGUF file: set path to that file"
    return "no config.json, so no model in the format of transformers"


def check_adapter(folder: Path) -> None:
    """Check that no adapter lies beside a model's weights. Raises DataError: it would be ignored, or applied unasked."""
    if (folder / ADAPTER).is_file():
        raise DataError(
            f"{folder}: an adapter ({ADAPTER}) lies beside the model's weights; set the entry's adapter to this folder "
            "to apply it, or move the adapter away to measure the model without it"
        )


def visible(folder: Path, pattern: str) -> Iterator[Path]:
    """Match files of a folder by a pattern, without hidden ones: macOS leaves `._model.safetensors` beside a copied file."""
    return (file for file in sorted(folder.glob(pattern)) if not file.name.startswith("."))


def weight_files(folder: Path) -> list[Path]:
    """List the files that transformers loads a folder's weights from, as its index lists them, and no others.

    Raises DataError for a folder without weights, for an index that is no index, and for a shard that is not there.
    """
    for name in SINGLE:
        file, index = folder / name, folder / (name + INDEX)
        if os.path.lexists(file):
            return [file]
        if os.path.lexists(index):
            return [folder / shard for shard in sorted(set(weight_map(index).values()))]
    others = [file.name for pattern in ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack", "*.gguf", "*.part")
              for file in visible(folder, pattern)]  # fmt: skip
    hint = f"; there is {', '.join(others[:3])}" if others else ""
    raise DataError(f"{folder}: no weights: no file named {' or '.join(SINGLE)}, nor their {INDEX}{hint}")


def weight_map(index: Path) -> dict[str, str]:
    """Read the shard of each tensor from an index. Raises DataError for an index that does not state it."""
    shard_of = read_object(index).get("weight_map")
    if not isinstance(shard_of, dict) or not shard_of or not all(isinstance(shard, str) for shard in shard_of.values()):
        raise DataError(f"{index}: no weight_map, which should name the file of each tensor; copy or download it again")
    if outside := [shard for shard in shard_of.values() if Path(shard).name != shard]:
        raise DataError(f"{index}: names {outside[0]}, which is no file of the same folder")
    shards = sorted(set(shard_of.values()))
    if missing := [shard for shard in shards if not os.path.lexists(index.parent / shard)]:
        number = f"{len(missing)} of {len(shards)} files are missing"
        raise DataError(f"{index.parent}: no {missing[0]}, which its index names ({number}); download what is missing")
    return shard_of


def check_files(folder: Path) -> None:
    """Check weight files. Raises DataError for missing, empty or truncated files, pointers, and files of another index."""
    files = weight_files(folder)
    for file in files:
        check_file(file)
        if file.suffix == ".safetensors":
            header(file)
    index = folder / (SINGLE[0] + INDEX)
    if files[0].suffix == ".safetensors" and files != [folder / SINGLE[0]]:
        check_index(folder, weight_map(index))


def header(file: Path) -> tuple[dict[str, dict], int]:
    """Read the header of a safetensors file: its tensors, and where their bytes begin.

    Raises DataError for a file that is truncated or of another kind.
    """
    check_file(file)
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        try:
            entries = json.loads(stream.read(length)) if length <= min(HEADER, size - 8) else None
        except (ValueError, RecursionError):
            entries = None
    if not isinstance(entries, dict):
        raise DataError(f"{file}: not a safetensors file; copy or download it again")
    tensors = {name: one for name, one in entries.items() if name != "__metadata__"}
    try:
        end = max((one["data_offsets"][1] for one in tensors.values()), default=0)
        kinds = [(one["dtype"], [*one["shape"]]) for one in tensors.values()]
        whole = 8 + length + end == size
    except (KeyError, TypeError, IndexError):
        raise DataError(f"{file}: its header does not describe tensors; copy or download it again") from None
    if not whole:
        raise DataError(
            f"{file}: has {size} bytes, but its header describes {8 + length + end} ({len(kinds)} tensors): it is cut off or "
            "damaged; copy or download it again"
        )
    return tensors, 8 + length


def check_index(folder: Path, weight_map: dict[str, str]) -> None:
    """Check shards against the folder's index. Raises DataError for a shard whose tensors the index lists otherwise."""
    for shard in sorted(set(weight_map.values())):
        expected = {name for name, file in weight_map.items() if file == shard}
        if other := expected ^ set(header(folder / shard)[0]):
            raise DataError(
                f"{folder / shard}: its index has other tensors for it (such as {min(other)}): it is of another revision"
            )


def check_tokenizer(folder: Path) -> None:
    """Check tokenizer files. Raises DataError if there are none, and for files that are pointers or no JSON objects."""
    if not folder.is_dir():
        raise DataError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}, so no tokenizer")
    for file in tokenizer_files(folder):
        check_file(file)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
        if os.path.lexists(folder / name):
            read_object(folder / name)
