"""Weights in the type that they are run in, without a float32 copy of the model: read from a checkpoint, or drawn anew."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from itertools import pairwise
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
BY_NUMBER, BY_ROW = ("normal_", "uniform_"), ("kaiming_uniform_", "kaiming_normal_")
"""Of them, those that draw each number alike, and those that draw each row alike, unless they scale by the number of rows."""
BLOCK = 1 << 20
"""Numbers that are drawn in float32 at a time."""


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
    """Inside the block a model that is built in float32 is cast weight by weight, and each is drawn in float32 and rounded.

    So the draws are those of the float32 model, and memory holds one block of a weight in float32 at a time; where draws depend
    on more than a block (`BY_NUMBER`, `BY_ROW`), one weight.
    """
    if dtype == torch.float32:
        yield
        return
    scratch = torch.empty(2 * BLOCK)
    with ExitStack() as stack:
        for module, names in ((initialization, DRAWS), (nn.init, initialization.TORCH_INIT_FUNCTIONS)):
            for name in names:
                stack.enter_context(patch.object(module, name, widened(getattr(module, name), dtype, scratch)))
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


def widened(draw: Callable[..., Any], dtype: torch.dtype, scratch: torch.Tensor) -> Callable[..., Any]:
    """A function that initialises a weight in float32, in `scratch` where it fits, and rounds it to the type of the weight. A
    parameter in float32 becomes one of `dtype` first: it is about to be drawn, so its values do not count."""

    @wraps(draw)
    def drawn(tensor: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        if getattr(tensor, "_is_hf_initialized", False) or tensor.is_meta:
            return draw(tensor, *arguments, **options)
        if isinstance(tensor, nn.Parameter) and tensor.dtype == torch.float32:
            shape, tensor.data = tensor.shape, torch.empty(0, dtype=dtype)  # so that the new one may lie where the old one lay
            tensor.data = torch.empty(shape, dtype=dtype)
        if not tensor.is_floating_point() or tensor.element_size() >= 4:
            return draw(tensor, *arguments, **options)
        for part in parts(tensor.detach(), draw.__name__, "fan_out" in (*arguments, *options.values())):
            fits = part.is_contiguous() and part.numel() <= len(scratch)
            wide = scratch[: part.numel()].view(part.shape) if fits else part.float()
            draw(wide, *arguments, **options)
            part.copy_(wide)
        return tensor

    return drawn


def parts(weight: torch.Tensor, name: str, by_columns: bool) -> Iterator[torch.Tensor]:
    """Views of a weight, one after another, that a function of this name draws as it draws the whole: of rows or of numbers."""
    if not weight.is_contiguous() or name not in BY_NUMBER + BY_ROW or (name in BY_ROW and by_columns):
        yield weight
        return
    rows = weight.view(-1) if name in BY_NUMBER else weight
    # torch draws normal numbers sixteen at a time
    step = max(16, BLOCK * len(rows) // max(1, rows.numel()) // 16 * 16)
    for start, stop in pairwise([*(range(0, len(rows) - step + 1, step) or [0]), len(rows)]):
        yield rows[start:stop]
