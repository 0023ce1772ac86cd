"""Identify the norm between a model's last block and its output matrix by what it does, not by its name."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from geomkit.core.state import State
from geomkit.measures.norms import NORMS, plain
from geomkit.models.capture import Recorder
from geomkit.models.load import blocks, epsilon
from geomkit.models.placing import entry
from geomkit.models.selfcheck import first, forward, short_texts

ROWS = 64
MISFIT = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 2e-2}
"""Largest share of a norm's output that may differ from gain and bias on plain rows, and still be rounding."""


@dataclass(frozen=True)
class FinalNorm:
    """Kind of the final norm in `geomkit.measures.norms`, before gain and bias, and its epsilon."""

    kind: str
    eps: float


@torch.inference_mode()
def final_norm(model: PreTrainedModel) -> FinalNorm | str:
    """Find the norm that takes the last block's output to the final state, or say why there is none.

    One short text is run to see.
    """
    depth = len(blocks(model))
    recorder, seen = Recorder(model, [depth, depth + 1], False), {}
    inside = set(recorder.blocks.modules())
    candidates = [module for module in model.modules() if module not in inside and epsilon(module) is not None]

    def keep(module, args, output):
        if args:
            seen[module] = (args[0], output)

    handles = [module.register_forward_hook(keep) for module in candidates]
    try:
        with recorder.hooked():
            ids = torch.tensor([short_texts(model)[-1][0]], device=entry(model))
            forward(model, ids, torch.ones_like(ids))
    finally:
        for handle in handles:
            handle.remove()
    last, final = recorder.states[State(depth)], recorder.states[State(depth + 1)]
    for module, (before, after) in seen.items():
        if same(before, last) and same(recorder.how.rows(first(after), ids.shape[1]), final):
            return norm_of(module, last, model)
    return f"{type(model).__name__} has no norm between its last block and its output"


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.numel() == other.numel() and torch.equal(one.reshape(other.shape), other.to(one.device))


def norm_of(module: nn.Module, last: torch.Tensor, model: PreTrainedModel) -> FinalNorm | str:
    """Find the kind whose plain rows explain a module's output by one gain and one bias for each coordinate."""
    x = probe_rows(last.shape[-1], model.dtype).to(last.device)
    y, eps = module(x).double().cpu().numpy(), epsilon(module)
    assert eps is not None
    misfits = {kind: misfit(plain(x.double().cpu().numpy(), kind, eps), y) for kind in NORMS}
    best = min(misfits, key=lambda kind: misfits[kind])
    if misfits[best] > MISFIT.get(model.dtype, 1e-4):
        return f"{type(model).__name__}: its final norm ({type(module).__name__}) is none of {', '.join(NORMS)}"
    return FinalNorm(best, eps)


def probe_rows(d: int, dtype: torch.dtype) -> torch.Tensor:
    """Draw rows (ROWS, d) of many lengths and of a mean, on which norms of different kinds differ."""
    draws = np.random.default_rng(0)
    rows = (draws.standard_normal((ROWS, d)) + 0.5) * np.geomspace(1e-2, 1, ROWS)[:, None]
    return torch.tensor(rows, dtype=dtype)


def misfit(x: Any, y: Any) -> float:
    """Compute the share of y (rows, d) that no gain and bias for each coordinate of x explain, as a length."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return float(np.linalg.norm(y - gains(x, y) * x) / np.linalg.norm(y))


def gains(x: Any, y: Any) -> Any:
    """Fit the gain of each coordinate (d,) by least squares over rows (rows, d), y = gain x + bias."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return (x * y).sum(axis=0) / np.square(x).sum(axis=0)
