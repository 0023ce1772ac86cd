"""Digest code and data, to decide which jobs run again."""

import functools
import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from geomkit.core.declarations import Part, declared, described, every, module_path, read


def code_digest(
    modules: Iterable[Path], library: Path, *rest: str, words: Collection[str] = (), shown: Collection[str] = ()
) -> tuple[str, list[str]]:
    """Digest modules, all that they use of geomkit below the folder `library`, and other text.

    Also returns the names that count in it of what a configuration chooses.

    Modules are followed through their imports, and of those whose declarations are read, the declarations count. Comments,
    docstrings and what is under `if TYPE_CHECKING:` do not. What a configuration chooses by name, such as a metric, counts with
    what it alone uses only where code that counts, or `words`, has its name. How declared things are called and drawn counts for
    those who read it, of what a configuration may choose where `shown` has the name too.
    """
    counted: dict[Path, list[Part]] = {}
    apart: dict[Path, list[Part]] = {}
    used: defaultdict[Path, set[str]] = defaultdict(set)
    named = set(words)
    todo = list(modules)

    def count(path: Path, part: Part) -> None:
        counted[path].append(part)
        used[path] |= part.uses
        named.update(part.words)
        uses = [one for module, name in part.imports for one in ((module, name), (f"{module}.{name}", "*"))]
        uses += [(module, "*") for pattern in part.patterns for module in every(pattern, library)]
        for module, wanted in uses:
            file = module_path(module, library)
            if file.is_file():
                used[file].add(wanted)
                todo.append(file)

    while todo:
        path = todo.pop()
        if path not in counted:
            counted[path] = []
            always, *apart[path] = read(path).parts
            count(path, always)
        for path in apart if not todo else ():
            for part in apart[path]:
                if (part.names | part.choices) & (used[path] | named) or "*" in used[path]:
                    apart[path].remove(part)
                    count(path, part)
                    todo.append(path)
                    break
    text, drawn = [], named.union(shown)
    for path in sorted(counted):
        parts = sorted(counted[path], key=lambda part: part.code)
        text += [part.code for part in parts]
        for part in parts:
            text += [declarations(*one, library, named, drawn) for one in part.reads]
    digest = hashlib.sha256("".join([*text, *rest]).encode()).hexdigest()[:16]
    return digest, sorted({name for parts in counted.values() for part in parts for name in part.choices})


def declarations(kind: str, module: str, decorator: str, library: Path, named: set[str], shown: set[str]) -> str:
    """Return what a module declares, without what a configuration chooses by names that are not given."""
    read, names = (described, shown) if kind == "described" else (declared, named)
    return repr([one for one in read(module, decorator, library).values() if not one.chosen or one.name in names])


SMALL = 2**20
"""Bytes up to which all of a file counts."""
BLOCKS, BLOCK = 64, 4096
"""Number and bytes of the evenly spaced blocks that count in larger files, beside the size."""


@functools.cache
def content_digest(path: Path) -> str | None:
    """Digest a file, or the names and contents of all files below a folder; None where neither exists.

    Times do not count, so that a copy or a moved link does, and a touch does not. An edit of a file over `SMALL` that keeps its
    size counts only where a block is. A file that changes while the workflow runs keeps its digest until the next run.
    """
    if not path.exists():
        return None
    sha, top = hashlib.sha256(), str(path)
    for file in files_below(path):
        with open(file, "rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            sha.update(f"{file.removeprefix(top)}\0{size}\0".encode(errors="surrogateescape"))
            if size <= SMALL:
                sha.update(stream.read())
            for block in range(BLOCKS if size > SMALL else 0):
                stream.seek(block * (size - BLOCK) // (BLOCKS - 1))
                sha.update(stream.read(BLOCK))
    return sha.hexdigest()[:16]


def files_below(path: Path) -> list[str]:
    """List the file itself, or all files below a folder and the folders that it links to, sorted, without hidden ones."""
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
