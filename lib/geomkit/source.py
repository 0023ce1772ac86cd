"""What the library's own source says, read without importing it: the code of a module, what it uses, and what decorators declare.

A declaration is a function under a decorator with literals, such as `@metrics.register("matrix_entropy", label="matrix entropy",
unit="nats")`. So names are known, and checked, where numpy is not loaded: while a workflow is parsed.
"""

import ast
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from geomkit.errors import ConfigError

F = TypeVar("F", bound=Callable)

LIBRARY = Path(__file__).parents[1]
"""The folder that holds the package geomkit."""

LOOKS = frozenset({"label", "short", "unit", "marker", "colour", "line"})
"""Keywords of a declaration that only say how a thing is called and drawn: no computation depends on them."""


@dataclass(frozen=True)
class Declaration:
    """facts: the decorator's keywords. keys: the function's keyword-only parameters, which a configuration may set; required:
    those of them that have no default."""

    name: str
    facts: Mapping[str, Any]
    module: str
    function: str
    keys: tuple[str, ...]
    required: tuple[str, ...]


def named(name: str, **facts: Any) -> Callable[[F], F]:
    """Declares a quantity that a function computes and no registry holds, with its `label` and `unit`."""
    return lambda function: function


def variant(name: str, **facts: Any) -> Callable[[F], F]:
    """Declares a variant of what is measured: `geomkit.variants` says with what."""
    return lambda function: function


def declared(module: str, decorator: str, library: Path = LIBRARY) -> dict[str, Declaration]:
    """What the functions and classes of a module declare under a decorator, by name, in order, without `LOOKS`.

    The digest of code follows calls with two literal strings: who makes one depends on what is declared there, not on its code.
    Raises ConfigError, naming the file and line, for what is not literal and for a name that is declared twice.
    """
    return {
        name: replace(one, facts={key: value for key, value in one.facts.items() if key not in LOOKS})
        for name, one in described(module, decorator, library).items()
    }


def described(module: str, decorator: str, library: Path = LIBRARY) -> dict[str, Declaration]:
    """`declared` with `LOOKS`: for figures and pages."""
    path = library.joinpath(*module.split(".")).with_suffix(".py")
    found: dict[str, Declaration] = {}
    for node, call in read(path).decorated:
        if ast.unparse(call.func) == decorator:
            name, facts = literals(call, path)
            if name in found:
                raise ConfigError(f"{path}, line {call.lineno}: {name!r} is declared twice")
            found[name] = Declaration(name, facts, module, node.name, *own_keys(node))
    return found


def every(pattern: str, library: Path = LIBRARY) -> list[str]:
    """Names of the modules of the library that match a pattern such as `geomkit.studies.claims.*`, in order.

    The digest of code follows calls with a literal string, as it follows imports.
    """
    files = sorted(library.glob(pattern.replace(".", "/") + ".py"))
    return [".".join(file.relative_to(library).with_suffix("").parts) for file in files if file.stem != "__init__"]


def own_keys(node: ast.FunctionDef | ast.ClassDef) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A function's keyword-only parameters, and those of them that have no default; a class has none."""
    if isinstance(node, ast.ClassDef):
        return (), ()
    pairs = [(one.arg, default) for one, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    return tuple(key for key, _ in pairs), tuple(key for key, default in pairs if default is None)


def literals(call: ast.Call, path: Path) -> tuple[str, dict[str, Any]]:
    """The name and the keywords of a decorator."""
    try:
        (name,) = [ast.literal_eval(argument) for argument in call.args]
        facts = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except ValueError:
        name, facts = None, {}
    if not isinstance(name, str) or "None" in facts:
        raise ConfigError(
            f"{path}, line {call.lineno}: a declaration takes one name and keywords, all literals: {ast.unparse(call)}"
        )
    return name, facts


class Source:
    """One module's source: a workflow of many rules reads all of the library while it is parsed, so each tree is walked once."""

    def __init__(self, text: str):
        self.text = text
        nodes = list(ast.walk(running(text)))
        definitions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        self.decorated = [(node, call) for node in definitions for call in node.decorator_list if isinstance(call, ast.Call)]
        """Definitions, and each call that decorates them."""
        self.imports = [
            name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "geomkit"
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        ]
        """Dotted names of what is imported from the library: modules, and names in them, which may be modules too."""
        self.reads: list[tuple[str, str, str]] = []
        """(`declared` or `described`, module, decorator) of calls that read declarations."""
        self.patterns: list[str] = []
        """Patterns of calls of `every`."""
        for node in nodes:
            match node:
                case ast.Call(ast.Name("declared" | "described" as reader), [ast.Constant(module), ast.Constant(decorator)]):
                    self.reads.append((reader, str(module), str(decorator)))
                case ast.Call(ast.Name("every"), [ast.Constant(pattern)]):
                    self.patterns.append(str(pattern))

    @functools.cached_property
    def code(self) -> str:
        """The source without comments, docstrings, `LOOKS` of declarations and what is for type checkers alone."""
        tree = running(self.text)
        for node in statements(tree):
            if body := getattr(node, "body", None):
                node.body = [line for line in body if not is_docstring(line)] or [ast.Pass()]  # type: ignore[attr-defined]
            for call in getattr(node, "decorator_list", []):
                if isinstance(call, ast.Call):
                    call.keywords = [keyword for keyword in call.keywords if keyword.arg not in LOOKS]
        return ast.unparse(tree)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """A module or a statement, and all statements in it, with handlers of errors and cases of a match."""
    yield node
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, field, []):
            yield from statements(inner)


class Running(ast.NodeTransformer):
    """Leaves out what is under `if TYPE_CHECKING:`, which never runs."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return (node.orelse or ast.Pass()) if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING") else node


def running(text: str) -> ast.Module:
    """The source's statements, but for those that never run."""
    tree = ast.parse(text)
    return Running().visit(tree) if "TYPE_CHECKING" in text else tree


def read(path: Path) -> Source:
    """The source of a file; one that has not changed is parsed once."""
    return parse(path.read_text(encoding="utf-8"))


@functools.cache
def parse(text: str) -> Source:
    return Source(text)


def is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
