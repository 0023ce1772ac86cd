"""Registries of named functions: a metric, a corpus reader or a law's form is added by one decorator in one file."""

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from geomkit.core.errors import ConfigError

F = TypeVar("F", bound=Callable)


class Registry(Mapping[str, F], Generic[F]):
    """A mapping from name to function that is filled by its `register` decorator and keeps the order of registration.

    facts: the decorator's keywords, by name. In the library name and keywords are literals, for
    `geomkit.core.declarations.declared` reads them where nothing may be imported. by_name: a function counts in the digest of a
    job that names it, and in no other.
    """

    def __init__(self, kind: str, by_name: bool = False):
        self.kind, self.by_name = kind, by_name
        self._facts: dict[str, Mapping[str, Any]] = {}
        self._functions: dict[str, F] = {}

    def register(self, name: str, **facts: Any) -> Callable[[F], F]:
        def add(function: F) -> F:
            if name in self._functions:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._functions[name], self._facts[name] = function, facts
            return function

        return add

    def keywords(self, name: str) -> frozenset[str]:
        """Return the keyword-only parameters of a function."""
        return keywords_of(self._found(name))

    @property
    def facts(self) -> dict[str, Mapping[str, Any]]:
        return {name: self._facts[name] for name in self._functions}

    def __getitem__(self, name: str) -> F:
        function = self._found(name)
        if self.by_name:
            check_counted(self.kind, name)
        return function

    def _found(self, name: str) -> F:
        if not isinstance(name, str) or name not in self._functions:
            raise ConfigError(f"unknown {self.kind} {name!r}; known: {', '.join(self._functions)}")
        return self._functions[name]

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


@functools.cache
def keywords_of(function: Callable) -> frozenset[str]:
    parameters = inspect.signature(function).parameters.values()
    return frozenset(one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY)


_counted: Collection[str] | None = None


@contextmanager
def only(names: Collection[str] | None) -> Iterator[None]:
    """Restrict registries to these names while the block runs; None restricts nothing."""
    global _counted
    before, _counted = _counted, names
    try:
        yield
    finally:
        _counted = before


def check_counted(kind: str, name: str) -> None:
    """Check that the digest of the running job counts a name; raise ConfigError otherwise."""
    if _counted is not None and name not in _counted:
        raise ConfigError(
            f"{kind} {name!r} does not count in this job's digest, so that a change of it would not run the job again: "
            "let the rule give the names that the job uses as a parameter"
        )
