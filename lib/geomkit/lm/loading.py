"""Weights in the type that they are run in, without a float32 copy of the model: read from a checkpoint, or drawn anew."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import initialization, modeling_utils

STORED = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Names that safetensors has for the types of a run."""
DRAWS = [name for name in vars(initialization) if name.endswith("_") and not name.endswith("__")]
"""Functions of transformers that initialise one weight, each with the weight as its first argument."""


def stored_types(folder: Path) -> set[torch.dtype]:
    """Floating types of the weights in a folder's safetensors files, of those that a model can run in. A file that cannot be read
    counts for nothing: who loads it says so."""
    found = set()
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as weights:
                found |= {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):
            continue
    return {STORED[name] for name in found & STORED.keys()}


@contextmanager
def reading(folder: Path, dtype: torch.dtype) -> Iterator[None]:
    """Inside the block transformers reads a checkpoint of another type tensor by tensor.

    It maps files into memory, and pages of a map stay resident until the whole model is cast: a float32 checkpoint in bfloat16
    took three times its weights. Where nothing is cast, the map is the weights, and stays.
    """
    if stored_types(folder) <= {dtype}:
        yield
        return
    with patch.object(modeling_utils, "safe_open", lambda *file, **options: safe_open(*file, **options | {"backend": "pread"})):
        yield


@contextmanager
def drawing(dtype: torch.dtype) -> Iterator[None]:
    """Inside the block a model that is built in float32 is cast module by module, and each weight drawn in float32 and rounded.

    So the draws are those of the float32 model, and memory holds one weight in float32 at a time.
    """
    if dtype == torch.float32:
        yield
        return
    with ExitStack() as stack:
        for name in DRAWS:
            stack.enter_context(patch.object(initialization, name, widened(getattr(initialization, name))))
        hook = nn.modules.module.register_module_module_registration_hook(lambda parent, name, child: cast(child, dtype))
        stack.callback(hook.remove)
        yield


def cast(module: nn.Module | None, dtype: torch.dtype, buffers: Mapping[str, torch.dtype] | None = None) -> None:
    """Rounds a module's floating parameters in place, and its buffers to types of their own: rotary frequencies, for one, stay in
    float32 in a model that is loaded."""
    if module is None:
        return
    for parameter in module.parameters():
        if parameter.is_floating_point() and parameter.dtype != dtype:
            parameter.data = parameter.data.to(dtype)
    for name, buffer in module.named_buffers():
        if buffers and name in buffers:
            buffer.data = buffer.data.to(buffers[name])


def widened(draw: Callable[..., Any]) -> Callable[..., Any]:
    """A function that initialises a weight in float32, and rounds it to the weight's type."""

    @wraps(draw)
    def drawn(tensor: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        if not tensor.is_floating_point() or tensor.element_size() >= 4 or getattr(tensor, "_is_hf_initialized", False):
            return draw(tensor, *arguments, **options)
        wide = tensor.detach().float()
        draw(wide, *arguments, **options)
        with torch.no_grad():
            return tensor.copy_(wide)

    return drawn
