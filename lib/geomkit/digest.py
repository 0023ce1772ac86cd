"""Digests of code: what modules and the library behind them do, so that a change reruns exactly the rules that use it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from geomkit.source import declared, described, read


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
            uses = [library.joinpath(*name.split(".")).with_suffix(".py") for name in source.imports]
            todo += [use for use in uses if use.is_file()]
    return hashlib.sha256("".join([*(seen[path] for path in sorted(seen)), *rest]).encode()).hexdigest()[:16]


def declarations(kind: str, module: str, decorator: str, library: Path) -> str:
    return repr((described if kind == "described" else declared)(module, decorator, library=library))
