"""Render docs/metrics.md from the declarations of what is measured: `python -m geomkit.core.metrics_page > PAGE`.

A quantity is on the page if it is declared in `geomkit.measures` with a `label`, by the decorator of a registry or by `named`.
What it says stands in the declaration and its docstring: `also`, its names in the literature; `use`, when to use it and when not;
`null`, what to hold it against, where that is not what the whole module's quantities are held against.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from geomkit.core.declarations import LIBRARY, every, literals, module_path, read

HEAD = """# Metrics

<!-- Made by `make docs` from the declarations in lib/geomkit/measures. -->

Each quantity has its name here, its label in figures with its unit, and its names in the literature. Z has n rows of width d;
lambda_1 >= .. >= lambda_m are the eigenvalues of Z^T Z / n, with m = min(n, d), or at most n - 1 for centred rows; p = lambda /
sum(lambda). A flat spectrum, of equal eigenvalues, reaches the bound of every metric that has one. Compare models by one metric
at the same rows, normalisation and n alone. [The library](library.md) shows how to call it.
"""
SHOWN = ("Bound", "Limit")
"""How sentences of a docstring begin that the page has beside its first paragraph."""
NOT_MEASURED = ("variant",)
"""Decorators with labels that declare what is measured, not a measure."""


class Quantity(NamedTuple):
    """A function that declares quantities: each name with the decorator's keywords, and the function's docstring."""

    names: dict[str, dict[str, Any]]
    text: str


def page(library: Path = LIBRARY) -> str:
    """Render the page: a section for each module that declares quantities, headed by its docstring's first sentence."""
    lines = [HEAD]
    for module in every("geomkit.measures.*", library):
        if quantities := list(declared_in(module_path(module, library))):
            summary, rest = opening(module_path(module, library))
            lines += [f"## {summary.rstrip('.')}", ""] + ([rest, ""] if rest else [])
            for one in quantities:
                lines += [entry(one), ""]
    return "\n".join(lines)


def declared_in(path: Path) -> Iterator[Quantity]:
    """Yield the quantities that a module declares, in order. Raises ConfigError for a declaration that is not literal."""
    for node, calls in groupby(read(path).decorated, key=itemgetter(0)):
        labelled = [call for _, call in calls if any(keyword.arg == "label" for keyword in call.keywords)]
        if names := dict(literals(call, path) for call in labelled if ast.unparse(call.func) not in NOT_MEASURED):
            yield Quantity(names, ast.get_docstring(node) or "")


def opening(path: Path) -> tuple[str, str]:
    """Return the first sentence of a module's docstring up to a colon, and what it says of nulls: the sentence after `Null:`."""
    text = inspect.cleandoc(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
    first = " ".join(text.split("\n\n")[0].split()).partition(". ")[0].partition(":")[0]
    nulls = [" ".join(part.split()) for part in text.split("\n\n") if part.startswith("Null:")]
    return first, " ".join(nulls)


def entry(one: Quantity) -> str:
    """Render a quantity as a paragraph."""
    said = [f"{'; '.join(heading(name, facts) for name, facts in one.names.items())}. {described(one.text)}"]
    for facts in one.names.values():
        said += [f"*{title}:* {facts[key]}" for key, title in (("null", "Null"), ("use", "Use")) if key in facts]
    return "\n".join(textwrap.wrap(" ".join(said), 140, break_long_words=False, break_on_hyphens=False))


def heading(name: str, facts: Mapping[str, Any]) -> str:
    """Render what a quantity is called: here, in figures, and in the literature."""
    also = facts.get("also", ())
    names = [also] if isinstance(also, str) else also
    unit = f" ({facts['unit']})" if "unit" in facts else ""
    return f"**`{name}`**, {facts['label']}{unit}{', also ' if names else ''}{', '.join(names)}"


def described(text: str) -> str:
    """Return the first paragraph of a docstring, and the sentences of others that begin as `SHOWN` says."""
    first, *others = [split(" ".join(part.split())) for part in text.split("\n\n")]
    kept = [one for one in first if not one.startswith("Source:")]
    return " ".join([*kept, *(one for part in others for one in part if one.startswith(SHOWN))])


def split(text: str) -> list[str]:
    """Split a paragraph into sentences: at a stop that a capital letter or an opening quote follows."""
    found, start = [], 0
    for at in range(len(text) - 2):
        if text[at] == "." and text[at + 1] == " " and (text[at + 2].isupper() or text[at + 2] == "`"):
            found.append(text[start : at + 1])
            start = at + 2
    return [*found, text[start:]] if text else []


if __name__ == "__main__":
    sys.stdout.write(page())
