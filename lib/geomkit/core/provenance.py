"""What makes a result traceable and repeatable: hashes, versions, seeds, and writes that are whole or absent."""

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
    """sha256, in hexadecimal, of the parts' text. ("ab", "c") and ("a", "bc") differ."""
    return hashlib.sha256(repr(tuple(str(part) for part in parts)).encode()).hexdigest()


def rng(seed: int, *labels: object) -> np.random.Generator:
    """A generator that depends on the seed and the labels alone, so no stage's draws move when another stage changes."""
    return np.random.default_rng(int(digest(seed, *labels), 16))


def file_sha256(path: str | Path) -> str:
    """sha256 of a file, or of the names and contents of all files below a folder."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".snakemake"))
        return digest(*((file.relative_to(path).as_posix(), file_sha256(file)) for file in files))
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions(*packages: str) -> str:
    """Versions of Python and of the named packages, on one line."""
    return ", ".join([f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it becomes `path` if the block ends well and is removed if not."""
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
    """An empty folder beside `path` to fill; it takes the place of `path` if the block ends well and is removed if not."""
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
    """All files below `source`, below `target` as soon as they are all there."""
    with replacing_folder(target) as temporary:
        shutil.copytree(source, temporary, dirs_exist_ok=True)


@contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder beside `path` for what is not kept. Unlike one in the system's temporary folder, it is removed by the next
    run if this process is killed."""
    temporary = unfinished(Path(f"{path}.scratch"))
    temporary.mkdir(parents=True)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link, or a copy where the two places do not share a file system that has them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def unfinished(path: Path) -> Path:
    """A name of this process's own beside `path`. What killed processes of this machine left there is removed."""
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
