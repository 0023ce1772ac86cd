"""Read declarations and code from the library's source without importing it.

A declaration is a function under a decorator with literals, such as `@metrics.register("matrix_entropy", label="matrix entropy",
unit="nats")`. So names are known, and checked, where numpy is not loaded: while a workflow is parsed.
"""

import ast
import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from geomkit.core.errors import ConfigError

F = TypeVar("F", bound=Callable)

LIBRARY = Path(__file__).parents[2]
"""The folder that holds the package geomkit."""

LOOKS = frozenset({"label", "short", "unit", "marker", "colour", "line", "also", "use", "null"})
"""Keywords of a declaration that only say how a thing is called, drawn and used: no computation depends on them."""


@dataclass(frozen=True)
class Declaration:
    """A function or class that a decorator declares, with the decorator's keywords.

    facts: the decorator's keywords. keys: the function's keyword-only parameters, which a configuration may set; required: those
    of them that have no default. chosen: whether a configuration chooses it by name, or it is always there.
    """

    name: str
    facts: Mapping[str, Any]
    module: str
    function: str
    keys: tuple[str, ...]
    required: tuple[str, ...]
    chosen: bool = False


def named(name: str, **facts: Any) -> Callable[[F], F]:
    """Declare a quantity that a function computes and no registry holds, with its `label` and `unit`."""
    return lambda function: function


def variant(name: str, **facts: Any) -> Callable[[F], F]:
    """Declare a variant of what is measured; `geomkit.core.variants` lists the keywords."""
    return lambda function: function


def declared(module: str, decorator: str, library: Path = LIBRARY) -> dict[str, Declaration]:
    """Return what a module declares under a decorator, by name and in order, without `LOOKS`.

    The digest of code follows calls with two literal strings: who makes one depends on what is declared there, not on its code.
    Raises ConfigError, naming the file and line, for what is not literal and for a name that is declared twice.
    """
    return {
        name: replace(one, facts={key: value for key, value in one.facts.items() if key not in LOOKS})
        for name, one in described(module, decorator, library).items()
    }


def described(module: str, decorator: str, library: Path = LIBRARY) -> dict[str, Declaration]:
    """Return what `declared` returns together with `LOOKS`, for figures and pages."""
    path = module_path(module, library)
    declarations: dict[str, Declaration] = {}
    source = read(path)
    for node, call in source.decorated:
        if ast.unparse(call.func) == decorator:
            name, facts = literals(call, path)
            if name in declarations:
                raise ConfigError(f"{path}, line {call.lineno}: {name!r} is declared twice")
            declarations[name] = Declaration(name, facts, module, node.name, *own_keys(node), source.is_chosen(call))
    return declarations


def every(pattern: str, library: Path = LIBRARY) -> list[str]:
    """List the library's modules that match a pattern such as `geomkit.studies.*.claims`, in order.

    The digest of code follows calls with a literal string, as it follows imports.
    """
    files = sorted(library.glob(pattern.replace(".", "/") + ".py"))
    return [".".join(file.relative_to(library).with_suffix("").parts) for file in files if file.stem != "__init__"]


@functools.cache
def module_path(module: str, library: Path = LIBRARY) -> Path:
    """Return the file of a module of the library, or where it would be."""
    return library.joinpath(*module.split(".")).with_suffix(".py")


def own_keys(node: ast.FunctionDef | ast.ClassDef) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a function's keyword-only parameters, and those of them that have no default; a class has none."""
    if isinstance(node, ast.ClassDef):
        return (), ()
    pairs = [(one.arg, default) for one, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    return tuple(key for key, _ in pairs), tuple(key for key, default in pairs if default is None)


def literals(call: ast.Call, path: Path) -> tuple[str, dict[str, Any]]:
    """Parse the name and the keywords of a decorator."""
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


@dataclass(frozen=True)
class Part:
    """Statements of a module that count together in digests.

    names: what they bind, if they count for those alone who use it. choices: by what names a configuration chooses it. code:
    without comments, docstrings and `LOOKS`. uses: all names in the code. imports: (module, name) of what is imported from the
    library, `*` for all that a module has. reads: (`declared` or `described`, module, decorator) of calls that read declarations.
    patterns: those of `every`, whose modules are imported. words: all strings in the code.
    """

    names: frozenset[str]
    choices: frozenset[str]
    code: str
    uses: frozenset[str]
    imports: frozenset[tuple[str, str]]
    reads: tuple[tuple[str, str, str], ...]
    patterns: tuple[str, ...]
    words: frozenset[str]

    @classmethod
    def of(cls, body: list[ast.stmt], names: Collection[str] = (), choices: Collection[str] = ()) -> "Part":
        nodes = [node for statement in body for node in ast.walk(statement)]
        imports, reads, patterns = [], [], []
        for node in nodes:
            match node:
                case ast.ImportFrom(module=str(module)):
                    imports += [(module, alias.name) for alias in node.names]
                case ast.Import():
                    imports += [(alias.name, "*") for alias in node.names]
                case ast.Call(ast.Name("declared" | "described" as reader), [ast.Constant(module), ast.Constant(decorator)]):
                    reads.append((reader, str(module), str(decorator)))
                case ast.Call(ast.Name("every"), [ast.Constant(pattern)]):
                    patterns.append(str(pattern))
        return cls(
            names=frozenset(names),
            choices=frozenset(choices),
            code=ast.unparse(ast.Module(body, [])),
            uses=used(nodes),
            imports=frozenset(one for one in imports if one[0].split(".")[0] == "geomkit"),
            reads=tuple(reads),
            patterns=tuple(patterns),
            words=words_in(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)),
        )


class Source:
    """The source of one module, read without importing it."""

    def __init__(self, text: str):
        self.text = text

    @functools.cached_property
    def body(self) -> list[ast.stmt]:
        return running(self.text).body

    @functools.cached_property
    def decorated(self) -> list[tuple[ast.FunctionDef | ast.ClassDef, ast.Call]]:
        """Functions and classes, each with every call that decorates it."""
        nodes = [node for top in self.body for node in ast.walk(top) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        return [(node, call) for node in nodes for call in node.decorator_list if isinstance(call, ast.Call)]

    @functools.cached_property
    def chosen(self) -> set[str]:
        """Decorators of registries that are `by_name`."""
        return {f"{name}.register" for top in self.body for name in registry_by_name(top)}

    def is_chosen(self, call: ast.Call) -> bool:
        """Whether a decorator declares what a configuration chooses by name; all other declarations always count."""
        decorator = ast.unparse(call.func)
        kinds = [keyword.value for keyword in call.keywords if keyword.arg == "kind"]
        return decorator in self.chosen or (
            decorator == "variant" and [ast.literal_eval(kind) for kind in kinds] in (["model"], ["rows"])
        )

    @functools.cached_property
    def parts(self) -> tuple[Part, ...]:
        """Split the module into statements that always count and statements that only their users count.

        The latter are each function that declares what a configuration chooses, and each function, constant and import that only
        such functions use.

        A statement that nothing uses always counts; so do classes, functions under any other decorator, and whatever does not
        simply bind a name.
        """
        body = [bare(top) for top in running(self.text).body if not is_docstring(top)]
        choices = {top: names for top in body if isinstance(top, ast.FunctionDef) and (names := self.chosen_by(top))}
        helpers = {top: names for top in body if (names := bound(top))} if choices else {}
        uses, number = {top: used(ast.walk(top)) for top in body if helpers}, -1
        while number != len(helpers):
            number = len(helpers)
            for top, names in list(helpers.items()):
                users = [user for user in body if user is not top and uses[user] & names]
                if not users or not all(user in choices or user in helpers for user in users):
                    del helpers[top]
        return (
            Part.of([top for top in body if top not in choices and top not in helpers]),
            *(Part.of([top], {top.name}, names) for top, names in choices.items()),
            *(Part.of([top], names) for top, names in helpers.items()),
        )

    def chosen_by(self, top: ast.FunctionDef) -> frozenset[str]:
        """Return the names by which a configuration chooses a function that has no other decorator."""
        calls = [call for call in top.decorator_list if isinstance(call, ast.Call) and self.is_chosen(call)]
        return frozenset(str(ast.literal_eval(call.args[0])) for call in calls if len(calls) == len(top.decorator_list))


def registry_by_name(top: ast.stmt) -> list[str]:
    """Return the name of a registry that is `by_name`, as a list that is empty for any other statement."""
    match top:
        case (
            ast.Assign(targets=[ast.Name(name)], value=ast.Call(ast.Name("Registry"), keywords=keywords))
            | ast.AnnAssign(target=ast.Name(name), value=ast.Call(ast.Name("Registry"), keywords=keywords))
        ):
            return [name for keyword in keywords if keyword.arg == "by_name" and ast.literal_eval(keyword.value)]
    return []


def words_in(value: Any) -> frozenset[str]:
    """Return all strings in a value, keys of mappings among them, also without the number that a variant may carry."""
    match value:
        case str():
            return frozenset((value, re.sub(r"-\d*$", "", value)))
        case Mapping():
            return words_in(value.items())
        case Iterable():
            return frozenset[str]().union(*map(words_in, value))
    return frozenset()


def used(nodes: Iterable[ast.AST]) -> frozenset[str]:
    """Collect all names in the code, whatever they are bound to."""
    return frozenset(node.id for node in nodes if isinstance(node, ast.Name))


def bound(top: ast.stmt) -> frozenset[str]:
    """Return the names that an undecorated function, an import, or an assignment to one name binds; none for anything else."""
    match top:
        case ast.FunctionDef(name=name, decorator_list=[]) | ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)):
            return frozenset([name])
        case ast.Import(names) | ast.ImportFrom(names=names):
            return frozenset((alias.asname or alias.name).split(".")[0] for alias in names) - {"*"}
    return frozenset()


def bare(top: ast.stmt) -> ast.stmt:
    """Copy a statement without its docstrings and without `LOOKS` of declarations."""
    for node in statements(top):
        if body := getattr(node, "body", None):
            node.body = [line for line in body if not is_docstring(line)] or [ast.Pass()]  # type: ignore[attr-defined]
        for call in getattr(node, "decorator_list", []):
            if isinstance(call, ast.Call):
                call.keywords = [keyword for keyword in call.keywords if keyword.arg not in LOOKS]
    return top


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a module or a statement and all statements in it, with error handlers and cases of a match."""
    yield node
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, field, []):
            yield from statements(inner)


class Running(ast.NodeTransformer):
    """Remove what is under `if TYPE_CHECKING:`, which never runs."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return (node.orelse or ast.Pass()) if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING") else node


def running(text: str) -> ast.Module:
    """Parse source text without the statements that never run."""
    tree = ast.parse(text)
    return Running().visit(tree) if "TYPE_CHECKING" in text else tree


def read(path: Path) -> Source:
    """Parse the source of a file; a file that has not changed is parsed once."""
    return parse(path.read_text(encoding="utf-8"))


@functools.cache
def parse(text: str) -> Source:
    return Source(text)


def is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
