"""torch and transformers, imported before the rest of this wing without what a model that is only run never uses.

With any model transformers imports torch's compiler, tensors that are spread over processes, and the matching of objects in
pictures: half of the time that a job needed before it began. The compiler is there as soon as somebody asks for it.
"""

import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from unittest.mock import patch

BACKENDS = ("torch", "transformers")
"""Packages that run models, whose versions a dump records."""
PARTS = ("modeling_utils", "masking_utils", "generation.utils", "models.auto.modeling_auto")
"""Modules of transformers that those of architectures import."""
COMPILER = "torch._dynamo"
MARKS = ("allow_in_graph", "assume_constant_result", "disable")
"""What modules mark functions with, for the compiler."""
PLAIN = "torch._dynamo._trace_wrapped_higher_order_op"
"""A module of the compiler that needs none of the others; masks are made with it."""


class Unloaded(ModuleType):
    """Stands for the compiler while models are imported and built. Its marks do nothing; asked for more, or for one of its
    modules, it gives way to the compiler."""

    def __init__(self) -> None:
        super().__init__(COMPILER)
        if found := find_spec(COMPILER):
            self.__spec__, self.__path__ = found, list(found.submodule_search_locations or [])
        for name in MARKS:
            setattr(self, name, unmarked)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.leave()
        return getattr(importlib.import_module(COMPILER), name)

    def leave(self) -> None:
        """Whoever imports the compiler from now on gets it."""
        if sys.modules.get(COMPILER) is self:
            del sys.modules[COMPILER]


class Modules(MetaPathFinder):
    """Finds the compiler's modules while something stands for it, which gives way to the compiler first."""

    def __init__(self, stands: Unloaded):
        self.stands = stands

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if not name.startswith(f"{COMPILER}.") or name == PLAIN or sys.modules.get(COMPILER) is not self.stands:
            return None
        self.stands.leave()
        return ModuleSpec(name, There(importlib.import_module(name)))


class There(Loader):
    """Loads a module that is loaded."""

    def __init__(self, module: ModuleType):
        self.module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        pass


def unmarked(function: Callable | None = None, *arguments: Any, **options: Any) -> Callable:
    """A mark that does nothing, with or without options."""
    return (lambda marked: marked) if function is None else function


@contextmanager
def without_compiler() -> Iterator[None]:
    """Inside the block functions are not marked for the compiler, which is not imported for that. A model that is built without
    memory for its weights marks some."""
    stands = Unloaded()
    finder = Modules(stands)
    sys.modules.setdefault(COMPILER, stands)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        stands.leave()


@contextmanager
def without_collector() -> Iterator[None]:
    """Inside the block nobody looks for garbage, which takes a fifth of the time of imports: what they make is there to stay."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if on:
            gc.enable()


def load() -> None:
    """Imports what models of any architecture need."""
    with without_collector():
        import torch.distributed
        import transformers.utils

        alone = patch.object(torch.distributed, "is_available", lambda: False)
        blind = patch.object(transformers.utils, "is_scipy_available", lambda: False)
        with without_compiler(), alone, blind:
            for name in PARTS:
                importlib.import_module(f"transformers.{name}")


load()
