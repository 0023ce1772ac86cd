"""Read the attention that every block gives, and the lengths of all tokens' vectors, from eager passes over single texts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from geomkit.core.errors import RefusalError
from geomkit.core.state import State
from geomkit.models.capture import Recorder
from geomkit.models.intervene import refusing
from geomkit.models.placing import entry
from geomkit.models.selfcheck import EXACT, forward, short_texts
from geomkit.states.stream import Attended
from geomkit.states.texts import Sample

WEIGHTS = 1 << 26
"""Attention weights of one text, of all blocks and heads, that memory holds (256 MiB): longer texts are cut."""


@contextmanager
def eager(model: PreTrainedModel) -> Iterator[None]:
    """Let a model compute attention step by step inside the block, which alone shows its weights.

    Raises RefusalError for an architecture that has no such way.
    """
    parts = {"": model.config} | {name: getattr(model.config, name) for name in model.config.sub_configs}
    own = {name: way for name, part in parts.items() if (way := getattr(part, "_attn_implementation", None)) is not None}
    with refusing(model, "no attention weights to be had"):
        model.set_attn_implementation(dict.fromkeys(own, "eager"))
    try:
        yield
    finally:
        model.set_attn_implementation(own)


@torch.inference_mode()
def read_attention(
    recorder: Recorder, sample: Sample, texts: Sequence[int], n: int, suffix: Sequence[int] = ()
) -> Iterator[Attended]:
    """Yield what each of some texts attends to: its first n tokens, after the sample's prefix and before a suffix.

    recorder: of all blocks. Raises RefusalError, naming the architecture, where not every block shows its attention, where the
    weights of a token do not sum to 1, and where the states of this pass are not those that are measured.
    """
    model = recorder.model
    short = short_texts(model)[-1][0]
    _, expected = attended(recorder, short, shown=False)
    with eager(model):
        weights, lengths = attended(recorder, short)
        check(model, weights, recorder.depth, np.abs(lengths / np.maximum(expected, 1e-300) - 1).max())
        beside = len(sample.prefix) + len(suffix)
        most = int((WEIGHTS // sum(len(heads) for heads in weights)) ** 0.5) - beside
        for text in texts:
            ids = [*sample.prefix, *sample.ids[text][: min(n, most)].tolist(), *suffix]
            weights, lengths = attended(recorder, ids)
            yield Attended(text, np.stack([heads.mean(axis=0) for heads in weights]), lengths)


def attended(recorder: Recorder, ids: Sequence[int], shown: bool = True) -> tuple[list[np.ndarray], np.ndarray]:
    """Run one text of T tokens: attention of each block (heads, T, T), and lengths (blocks + 1, T) of vectors at every state.

    shown: whether attention is returned.
    """
    whole = torch.tensor([list(ids)], device=entry(recorder.model))
    options: dict[str, Any] = {"output_attentions": True} if shown else {}
    with refusing(recorder.model, "its forward pass shows no attention weights"), recorder.hooked():
        output = forward(recorder.model, whole, torch.ones_like(whole), **options, **recorder.without_logits)
        found = output.attentions or () if shown else ()
        weights = [np.empty(0) if one is None else one[0].float().cpu().numpy() for one in found]
    states = [recorder.how.rows(recorder.states[State(layer)], len(ids))[0] for layer in range(recorder.depth + 1)]
    recorder.states.clear()
    return weights, np.stack([state.double().norm(dim=-1).cpu().numpy() for state in states])


def check(model: PreTrainedModel, weights: Sequence[np.ndarray], depth: int, off: float) -> None:
    """Check that each block's attention is that of tokens to tokens, and its states are off by no more than rounding.

    Raises RefusalError otherwise.
    """
    name, slack = type(model).__name__, EXACT.get(model.dtype, 1e-4)
    seen = sum(heads.ndim == 3 and heads.shape[1] == heads.shape[2] for heads in weights)
    if not len(weights) == depth == seen:
        raise RefusalError(f"{name}: {seen} of its {depth} blocks show attention of tokens to tokens")
    if not off <= slack:
        raise RefusalError(f"{name}: where it shows its attention, its states are others (off by {off:.1%})")
    for number, heads in enumerate(weights, 1):
        if not (excess := float(np.abs(heads.sum(axis=-1) - 1).max())) <= slack:
            raise RefusalError(f"{name}: attention in block {number} does not sum to 1 over tokens (off by {excess:.2g})")
