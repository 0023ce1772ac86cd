"""Digests of code: what a script and the library modules behind it do, so that a change reruns exactly the rules that use it."""

import ast
import functools
import hashlib
from pathlib import Path


def code_digest(script: Path, library: Path) -> str:
    """A digest of a script and of all the modules of geomkit behind it, which are below the folder `library`.

    Modules are followed through `from geomkit... import`. Comments and docstrings do not count.
    """
    todo, seen = [script], {}
    while todo:
        path = todo.pop()
        if path not in seen:
            seen[path], uses = parsed(path, library)
            todo += uses
    return hashlib.sha256("".join(seen[path] for path in sorted(seen)).encode()).hexdigest()[:16]


@functools.cache
def parsed(path: Path, library: Path) -> tuple[str, list[Path]]:
    """A module's source without comments and docstrings, and the modules of geomkit that it imports."""
    tree = ast.parse(path.read_text())
    uses: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [line for line in body if not is_docstring(line)] or [ast.Pass()]  # type: ignore[attr-defined]
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("geomkit"):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            uses += [library.joinpath(*name.split(".")).with_suffix(".py") for name in names]
    return ast.unparse(tree), [path for path in uses if path.is_file()]


def is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
