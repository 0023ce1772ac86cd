"""Digests that decide what runs again: of code, modules and the library behind them, and of what files hold."""

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from geomkit.source import declared, described, every, read


def code_digest(modules: Iterable[Path], library: Path, *rest: str) -> str:
    """A digest of modules, of all the modules of geomkit behind them, which are below the folder `library`, and of other text.

    Modules are followed through `from geomkit... import`, and of those whose declarations are read, the declarations count.
    Comments, docstrings and what is under `if TYPE_CHECKING:` do not count. How declared things are called and drawn counts for
    those alone who read it.
    """
    todo, seen = list(modules), {}
    while todo:
        path = todo.pop()
        if path not in seen:
            source = read(path)
            seen[path] = source.code + "".join(declarations(*one, library) for one in source.reads)
            names = source.imports + [name for pattern in source.patterns for name in every(pattern, library)]
            uses = [library.joinpath(*name.split(".")).with_suffix(".py") for name in names]
            todo += [use for use in uses if use.is_file()]
    return hashlib.sha256("".join([*(seen[path] for path in sorted(seen)), *rest]).encode()).hexdigest()[:16]


SMALL = 2**20
"""Bytes up to which all of a file counts."""
BLOCKS, BLOCK = 64, 4096
"""Number and bytes of the evenly spaced blocks that count in larger files, beside the size."""


@functools.cache
def content_digest(path: Path) -> str | None:
    """A digest of a file, or of the names and contents of all files below a folder; nothing where neither is there.

    Times do not count, so that a copy or a moved link does, and a touch does not. An edit of a file over `SMALL` that keeps its
    size counts only where a block is. A file that changes while the workflow runs keeps its digest until the next run.
    """
    if not path.exists():
        return None
    found, top = hashlib.sha256(), str(path)
    for file in files_below(path):
        with open(file, "rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            found.update(f"{file.removeprefix(top)}\0{size}\0".encode(errors="surrogateescape"))
            if size <= SMALL:
                found.update(stream.read())
            for block in range(BLOCKS if size > SMALL else 0):
                stream.seek(block * (size - BLOCK) // (BLOCKS - 1))
                found.update(stream.read(BLOCK))
    return found.hexdigest()[:16]


def files_below(path: Path) -> list[str]:
    """The file itself, or all files below a folder and the folders that it links to, sorted, without hidden ones."""
    return sorted(walked(str(path))) if path.is_dir() else [str(path)]


def walked(folder: str, above: tuple[str, ...] = ()) -> Iterator[str]:
    real = os.path.realpath(folder)
    for entry in os.scandir(folder) if real not in above else ():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from walked(entry.path, (*above, real))
        elif entry.is_file():
            yield entry.path


def declarations(kind: str, module: str, decorator: str, library: Path) -> str:
    return repr((described if kind == "described" else declared)(module, decorator, library=library))
