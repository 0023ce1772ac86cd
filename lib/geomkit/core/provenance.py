"""Hashes, versions, seeds and atomic writes."""

import glob
import hashlib
import os
import platform
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np


def digest(*parts: object) -> str:
    """Return the sha256, in hexadecimal, of the parts' text. ("ab", "c") and ("a", "bc") differ."""
    return hashlib.sha256(repr(tuple(str(part) for part in parts)).encode()).hexdigest()


def rng(seed: int, *labels: object) -> np.random.Generator:
    """Return a generator that depends on the seed and the labels alone, so no stage's draws move when another stage changes."""
    return np.random.default_rng(int(digest(seed, *labels), 16))


def file_sha256(path: str | Path) -> str:
    """Return the sha256 of a file, or of the names and contents of all files below a folder."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".snakemake"))
        return digest(*((file.relative_to(path).as_posix(), file_sha256(file)) for file in files))
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions(*packages: str) -> str:
    """List the versions of Python and of the named packages on one line."""
    return ", ".join([f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` if the block succeeds, and is removed if it fails."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `path` if the block succeeds, and is removed if it fails."""
    path = Path(path)
    temporary = unfinished(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy_folder(source: Path, target: Path) -> None:
    """Copy all files below `source` to `target`, which appears once all of them are there."""
    with replacing_folder(target) as temporary:
        shutil.copytree(source, temporary, dirs_exist_ok=True)


@contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`.

    Unlike one in the system's temporary folder, it is removed by the next run if this process is killed.
    """
    temporary = unfinished(Path(f"{path}.scratch"))
    temporary.mkdir(parents=True)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where the two places do not share a file system that has hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def unfinished(path: Path) -> Path:
    """Return a temporary name of this process beside `path`, and remove those of killed processes of this machine."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        host, _, process = left.name.removesuffix(".part").removeprefix(f".{path.name}.").rpartition("-")
        if host == socket.gethostname() and (int(process) == os.getpid() or not runs(int(process))):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.part")


def runs(process: int) -> bool:
    """Whether a process of this machine is alive."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
