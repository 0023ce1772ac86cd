"""Import torch and transformers quickly, with Python's garbage collector paused.

Other modules of this package import them after this one.
"""

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
    """Pause garbage collection inside the block.

    It takes a third of the time of these imports, and what they make is there to stay.
    """
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
