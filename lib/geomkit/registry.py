"""Named functions: a metric, a corpus reader or a law's form becomes available by one decorator in one file."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from geomkit.errors import ConfigError

F = TypeVar("F", bound=Callable)


class Registry(Mapping[str, F], Generic[F]):
    """A mapping from name to function that is filled by its `register` decorator and keeps the order of registration.

    facts: the decorator's keywords, by name. In the library name and keywords are literals, for `geomkit.source.declared` reads
    them where nothing may be imported.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._facts: dict[str, Mapping[str, Any]] = {}
        self._functions: dict[str, F] = {}

    def register(self, name: str, **facts: Any) -> Callable[[F], F]:
        def add(function: F) -> F:
            if name in self._functions:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._functions[name], self._facts[name] = function, facts
            return function

        return add

    @property
    def facts(self) -> dict[str, Mapping[str, Any]]:
        return {name: self._facts[name] for name in self._functions}

    def __getitem__(self, name: str) -> F:
        if not isinstance(name, str) or name not in self._functions:
            raise ConfigError(f"unknown {self.kind} {name!r}; known: {', '.join(self._functions)}")
        return self._functions[name]

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)
