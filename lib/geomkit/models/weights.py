"""Load or draw weights in the type of the run, without a float32 copy of the model.

Also split the tensors of a checkpoint that a model has no place for.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors import safe_open
from torch import nn
from transformers import initialization, modeling_utils

from geomkit.core.model_folders import header, weight_files

STORED = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Names that safetensors has for the types of a run."""
DRAWS = [name for name in vars(initialization) if name.endswith("_") and not name.endswith("__")]
"""Functions of transformers that initialise one weight, each with the weight as its first argument."""
BY_NUMBER, BY_ROW = ("normal_", "uniform_"), ("kaiming_uniform_", "kaiming_normal_")
"""Of them, those that draw each number alike, and those that draw each row alike, unless they scale by the number of rows."""
RECOMPUTED = re.compile(
    r"(^|\.)((rotary|rotary_emb|rope)\.inv_freq|inv_freq|position_ids|token_type_ids|rotary_emb\.(cos|sin)_cached)$"
)
"""Buffers that older checkpoints hold and that a model computes itself: rotary frequencies and numbers of positions."""
MASKS = re.compile(r"(attn|attention)\.(masked_)?bias$")
"""Buffers of causal masks, which have other than one dimension: a bias that is added has one."""
QUANTISED = re.compile(r"(scale|scales|scale_inv|zero_point|qzeros|zeros|g_idx|absmax|quant_map|shape|packed)$|\.quant_state\.")
"""Tensors beside the weights of a quantised checkpoint."""
UNMEASURED = re.compile(
    r"(^|\.)(pooler|mtp\w*|vision\w*|visual|vit|image\w*|audio\w*|speech\w*|video\w*|mm_\w+|\w*projector|\w*connector|resampler)\."
)
"""Parts beside the language model: poolers, heads for further tokens, and whatever reads images or sound."""
BLOCK = 1 << 20
"""Numbers that are drawn in float32 at a time."""


def stored_types(folder: Path) -> set[torch.dtype]:
    """Return the floating types of the weights in a folder's safetensors files, of those that a model can run in."""
    files = [file for file in weight_files(folder) if file.suffix == ".safetensors"]
    names = {one["dtype"] for file in files for one in header(file)[0].values()}
    return {STORED[name] for name in names & STORED.keys()}


@contextmanager
def reading(folder: Path, dtype: torch.dtype) -> Iterator[None]:
    """Inside the block, transformers reads a checkpoint of another type tensor by tensor.

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
    """Inside the block, a model that is built in float32 is cast weight by weight, and each is drawn in float32 and rounded.

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
    """Round a module's floating parameters in place, and its buffers to types of their own.

    Rotary frequencies, for one, stay in float32 in a model that is loaded.
    """
    if module is None:
        return
    for parameter in module.parameters():
        if parameter.is_floating_point() and parameter.dtype != dtype:
            parameter.data = parameter.data.to(dtype)
    for name, buffer in module.named_buffers():
        if buffers and name in buffers:
            buffer.data = buffer.data.to(buffers[name])


def widened(draw: Callable[..., Any], dtype: torch.dtype, scratch: torch.Tensor) -> Callable[..., Any]:
    """Return a function that initialises a weight in float32, in `scratch` where it fits, and rounds it to the weight's type.

    A parameter in float32 becomes one of `dtype` first: it is about to be drawn, so its values do not count.
    """

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
    """Yield views of a weight that a function of this name draws as it draws the whole: rows or numbers."""
    if not weight.is_contiguous() or name not in BY_NUMBER + BY_ROW or (name in BY_ROW and by_columns):
        yield weight
        return
    rows = weight.view(-1) if name in BY_NUMBER else weight
    # torch draws normal numbers sixteen at a time
    step = max(16, BLOCK * len(rows) // max(1, rows.numel()) // 16 * 16)
    for start, stop in pairwise([*(range(0, len(rows) - step + 1, step) or [0]), len(rows)]):
        yield rows[start:stop]


def unused(
    names: Collection[str],
    measured: Collection[str],
    shapes: Mapping[str, Collection[int]],
    blocks: str,
    further: range = range(0),
    quantised: bool = False,
) -> tuple[list[str], list[str]]:
    """Split tensors that a model has no place for into (those within what is measured, those of other parts), sorted.

    measured: names of the modules that decide what is measured. shapes: of the checkpoint's tensors by their names there, which
    may lack a prefix. blocks: name of the list of blocks; further: numbers of blocks behind them that predict further tokens,
    and take no part. Neither list has buffers that a model computes itself (`RECOMPUTED`, `MASKS`), nor what a quantised
    checkpoint has beside its weights.
    """

    def shape(name: str) -> Collection[int]:
        return next(
            (of for stored, of in shapes.items() if f".{stored}".endswith(f".{name}") or f".{name}".endswith(f".{stored}")), ()
        )

    within: list[str] = []
    beside: list[str] = []
    for name in sorted(names):
        mask = MASKS.search(name) and len(shape(name)) != 1
        if RECOMPUTED.search(name) or mask or (quantised and QUANTISED.search(name)):
            continue
        number = re.match(rf"{re.escape(blocks)}\.(\d+)\.", name)
        other = UNMEASURED.search(name) or (number and int(number[1]) in further)
        inside = any(f"{name}.".startswith(f"{part}.") for part in measured) or ".lora_" in name
        (within if inside and not other else beside).append(name)
    return within, beside
