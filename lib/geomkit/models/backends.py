"""torch and transformers, imported before the rest of this wing with Python's collector of garbage at rest."""

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager

BACKENDS = ("torch", "transformers")
"""Packages that run models, whose versions a dump records."""
PARTS = ("modeling_utils", "masking_utils", "generation.utils", "models.auto.modeling_auto")
"""Modules of transformers that those of architectures import."""


@contextmanager
def without_collector() -> Iterator[None]:
    """Inside the block nobody looks for garbage, which takes a third of the time of these imports: what they make is there to
    stay."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if on:
            gc.enable()


with without_collector():
    for name in ("torch", *(f"transformers.{part}" for part in PARTS)):
        importlib.import_module(name)
