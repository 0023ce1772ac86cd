"""Run the library function that a rule names, with the rule's inputs, outputs and parameters as its arguments.

A rule says `params: **call("geomkit.studies.semantics.analyse:judge", halves=100)` and `script: "../scripts/run.py"`. Its named
inputs and outputs are arguments, as paths; so are its parameters, and wildcards that the function takes. Unnamed inputs are
waited for, and not passed. A parameter that names a function, such as `states="geomkit.states.dumps:stored"`, is passed as that
function, bound to those of the rule's names that it takes. While a workflow is parsed, nothing of what is named is imported.
"""

import ast
import functools
import inspect
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from geomkit.core.declarations import LIBRARY, module_path, words_in
from geomkit.core.digest import code_digest
from geomkit.core.errors import ConfigError
from geomkit.core.registry import only

FUNCTION = re.compile(r"(?P<module>geomkit(?:\.\w+)+):(?P<name>\w+)")
"""Name of a library function in a rule."""
OWN = ("function", "code", "content")
"""Parameters of a rule that only say what a job depends on: they are passed to a function that takes them, and to no other."""


def call(function: str, /, shown: Collection[str] = (), **parameters: Any) -> dict[str, Any]:
    """Return the parameters of a rule that calls a library function.

    `code` is a digest of the function's module, of the library behind it, and of the parameters by name: Snakemake compares
    sorted values alone, so two parameters that swap theirs would change nothing. Then come the names of what a configuration
    chooses, such as metrics, that the parameters or the code have: they alone count, and may be used. `shown`: names of what
    figures show, whose looks count too. The digest is computed for jobs that are looked at.
    """

    def digest(wildcards: Any) -> str:
        values = {key: chosen(value, wildcards) for key, value in sorted(parameters.items())}
        named = [function, *(value for value in values.values() if is_function(value))]
        modules, text = [module_of(name) for name in named], repr((function, values))
        words = words_in((values, [name.partition(":")[2] for name in named]))
        hashed, names = code_digest(modules, LIBRARY, text, words=words, shown=shown)
        return " ".join([hashed, *names])

    return {"function": function, "code": digest, **parameters}


def chosen(value: Any, wildcards: Any) -> Any:
    """Return a parameter's value for a job, or None for a function that also takes inputs or threads.

    Such a function is no reason to run again.
    """
    if not callable(value):
        return value
    return value(wildcards) if len(inspect.signature(value).parameters) == 1 else None


def is_function(value: Any) -> bool:
    """Whether a value is the name of a library function."""
    return isinstance(value, str) and FUNCTION.fullmatch(value) is not None


def module_of(function: str) -> Path:
    """Return the file of a function's module. Raises ConfigError if the name is not that of a function."""
    match = FUNCTION.fullmatch(function)
    path = module_path(match["module"]) if match else None
    if path is None or not path.is_file():
        raise ConfigError(f"{function!r} is no function of the library: it is named as geomkit.module:function")
    return path


@dataclass(frozen=True)
class Signature:
    """Parameter names of a function, and those of them without a default."""

    names: frozenset[str]
    required: frozenset[str]


@functools.cache
def signature(function: str) -> Signature:
    """Read the signature of a function without importing its module. Raises ConfigError if there is no such function."""
    path, name = module_of(function), function.partition(":")[2]
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            positional = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
            optional = positional[len(positional) - len(node.args.defaults) :]
            named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            keywords = {one.arg: default is None for one, default in named}
            names = frozenset([*positional, *keywords])
            required = {*positional} - {*optional} | {key for key, needed in keywords.items() if needed}
            return Signature(names, frozenset(required))
    raise ConfigError(f"{path}: no function {name!r}")


def check_rules(rules: Iterable[Any]) -> None:
    """Check the arguments of every rule that calls a library function, before any job runs.

    Raises ConfigError for names that are missing, surplus, misspelt or given twice.
    """
    faults = []
    for rule in rules:
        if is_function(rule.params.get("function")):
            given = Counter(name for kind in (rule.input, rule.output, rule.params) for name in kind.keys())  # noqa: SIM118
            functions = [value for value in rule.params if is_function(value)]
            unfit = mismatches(functions, given.keys() - {*OWN}, set(rule.wildcard_names))
            twice = [f"{name!r} is given twice" for name, times in given.items() if times > 1]
            faults += [f"rule {rule.name}: {fault}" for fault in (*twice, *unfit)]
    if faults:
        raise ConfigError("; ".join(faults))


def mismatches(functions: Sequence[str], given: set[str], wildcards: set[str]) -> Iterator[str]:
    """List the names of a rule that do not fit the functions that it calls; the rule's own function comes first."""
    signatures = [signature(function) for function in functions]
    taken = frozenset[str]().union(*(one.names for one in signatures))
    needed = frozenset[str]().union(*(one.required for one in signatures))
    for name in sorted(given - taken):
        yield f"{functions[0]} takes no {name!r}; it takes {', '.join(sorted(taken))}"
    for name in sorted(needed - given - wildcards - {*OWN}):
        yield f"{functions[0]} needs {name!r}, which the rule does not give"


def paths(value: Any) -> Path | list[Path]:
    """Convert a named input or output to a path, or a list of paths."""
    return Path(value) if isinstance(value, str | Path) else [Path(one) for one in value]


def arguments(function: Callable, given: Mapping[str, Any], wildcards: Mapping[str, str]) -> dict[str, Any]:
    """Select the values and wildcards that a function takes; a wildcard becomes a number if it is annotated as one."""
    taken = inspect.signature(function).parameters
    words = {key: value for key, value in wildcards.items() if key in taken and key not in given}
    hints = get_type_hints(function) if words else {}
    numbers = {key: hints[key](value) if hints.get(key) in (int, float) else value for key, value in words.items()}
    return {key: value for key, value in given.items() if key in taken} | numbers


def load(function: str) -> Callable:
    """Import the function of that name."""
    module, _, name = function.partition(":")
    loaded: Callable = getattr(import_module(module), name)
    return loaded


def prepared(job: Any) -> tuple[Callable, dict[str, Any]]:
    """Return the function of a Snakemake job and its arguments."""
    wildcards = dict(job.wildcards.items())
    given: dict[str, Any] = {key: paths(value) for kind in (job.input, job.output) for key, value in kind.items()}
    given |= {key: value for key, value in job.params.items() if key != "function"}
    bound = {key: load(value) for key, value in given.items() if is_function(value)}
    for key, function in bound.items():
        given[key] = functools.partial(function, **arguments(function, given, wildcards))
    function = load(job.params.function)
    return function, arguments(function, given, wildcards)


def run(job: Any) -> None:
    """Run a Snakemake job. With GEOMKIT_DEBUG set, a debugger on the terminal stops at the function's first line."""
    code = job.params.get("code")
    with only(None if code is None else code.split()[1:]):
        if os.environ.get("GEOMKIT_DEBUG"):
            import pdb

            function, given = prepared(job)
            pdb.runcall(function, **given)
            return
        from geomkit.core.logs import logged  # not while a workflow is parsed: it takes a tenth of a second

        with logged(job.log[0]):
            function, given = prepared(job)
            function(**given)
