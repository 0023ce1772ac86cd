"""Run a model on a text with only a chosen part of the past visible to single tokens.

A text's pass keeps the keys and values of every token. A target is then run again as one query at its own position, which sees
the keys and values of chosen tokens, in every layer, and itself: what those tokens have gathered from the rest of the text stays
in them. The stricter variant takes the other tokens out of the input, so that it is lost too; positions stay what they were.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from geomkit.core.errors import RefusalError

QUERIES = 256
"""Queries in one pass: their attention to each other, which is masked, costs the square of that."""
AGREEMENT = {torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 3e-2}
"""Largest divergence in nats, of a query that sees all of its past from the text's own pass, that is taken for rounding."""
REFUSED = (RuntimeError, ValueError, TypeError, IndexError, AttributeError)
"""Errors of models that take no mask, no positions or no embeddings of the caller's."""


@contextmanager
def refusing(model: PreTrainedModel, what: str) -> Iterator[None]:
    """Turn errors of a model that cannot do this into DataErrors that name its architecture, except too little memory."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except REFUSED as error:
        raise RefusalError(f"{type(model).__name__}: {what} ({error})") from None


class Score(NamedTuple):
    """Prediction of a target that sees a part of its past, each (queries,), in nats."""

    divergence: np.ndarray
    """KL(all of the past visible || the chosen part visible) of the distribution of the next token."""
    loss: np.ndarray
    """-ln p(the text's next token); NaN where the text ends."""


@dataclass(frozen=True)
class Pass:
    """One pass over a text without intervention: T tokens after a prefix of special tokens.

    log_probs: (T, vocabulary), of the token that follows each. attention: (blocks, heads, T, T), a row for each token that looks,
    without what goes to the prefix. value_norms: (blocks, heads, T), lengths of each head's value vectors.
    """

    ids: np.ndarray
    prefix: int
    log_probs: torch.Tensor
    attention: np.ndarray
    value_norms: np.ndarray
    cache: Any


def attending(model: PreTrainedModel) -> PreTrainedModel:
    """Return the model, set to output its attention weights, its own weights frozen.

    Raises DataError for an architecture that has none.
    """
    with refusing(model, "no attention weights to be had"):
        model.set_attn_implementation("eager")
    return model.requires_grad_(False).eval()


@torch.no_grad()
def run(model: PreTrainedModel, prefix: Sequence[int], ids: np.ndarray) -> Pass:
    """Run one text. Raises DataError for an architecture that shows no attention or keeps no keys and values."""
    whole = torch.tensor([[*prefix, *ids.tolist()]], device=model.device)
    with refusing(model, "its forward pass shows no attention weights"):
        output = model(input_ids=whole, use_cache=True, output_attentions=True)
        values = [layer.values[0] for layer in output.past_key_values.layers]
        attention = np.stack([weights[0, :, len(prefix) :, len(prefix) :].float().cpu().numpy() for weights in output.attentions])
    if (kept := min(value.shape[1] for value in values)) < whole.shape[1]:
        raise RefusalError(
            f"{type(model).__name__}: it keeps {kept} of {whole.shape[1]} tokens (a sliding window): shorten texts"
        )
    lengths = torch.stack([value[:, len(prefix) :].float().norm(dim=-1) for value in values]).cpu().numpy()
    groups = attention.shape[1] // lengths.shape[1]
    return Pass(
        ids=ids,
        prefix=len(prefix),
        log_probs=output.logits[0, len(prefix) :].double().log_softmax(-1),
        attention=attention,
        value_norms=lengths.repeat(groups, axis=1),
        cache=output.past_key_values,
    )


def scores(log_probs: torch.Tensor, text: Pass, targets: np.ndarray) -> Score:
    """Score predictions (queries, vocabulary) made in place of the targets' own (queries,)."""
    full = text.log_probs[targets]
    divergence = (full.exp() * (full - log_probs)).sum(-1)
    following = torch.from_numpy(np.append(text.ids, 0)[targets + 1].astype(np.int64)).to(log_probs.device)
    loss = -log_probs.gather(1, following[:, None])[:, 0].cpu().numpy()
    return Score(divergence.clamp_min(0).cpu().numpy(), np.where(targets + 1 < len(text.ids), loss, np.nan))


@torch.no_grad()
def masked(model: PreTrainedModel, text: Pass, targets: np.ndarray, visible: np.ndarray) -> Score:
    """Score each target (queries,) when it sees only itself, the prefix, and visible tokens before it (queries, T).

    Raises DataError for an architecture that takes no such mask.
    """
    parts = [
        scores(masked_log_probs(model, text, targets[rows], visible[rows]), text, targets[rows])
        for rows in np.array_split(np.arange(len(targets)), -(-len(targets) // QUERIES))
        if len(rows)
    ]
    return Score(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def masked_log_probs(model: PreTrainedModel, text: Pass, targets: np.ndarray, visible: np.ndarray) -> torch.Tensor:
    """Compute ln p of the next token (queries, vocabulary), all queries in one pass.

    They stand side by side after the text, blind to others.
    """
    past = visible & (np.arange(len(text.ids)) < targets[:, None])
    seen = np.hstack([np.ones((len(targets), text.prefix), dtype=bool), past, np.eye(len(targets), dtype=bool)])
    mask = torch.zeros(seen.shape, dtype=model.dtype).masked_fill(~torch.from_numpy(seen), torch.finfo(model.dtype).min)
    positions = torch.from_numpy(targets + text.prefix)[None].to(model.device)
    with refusing(model, "it takes no mask that hides tokens from single queries"):
        logits = model(
            input_ids=torch.from_numpy(text.ids[targets].astype(np.int64))[None].to(model.device),
            attention_mask=mask[None, None].to(model.device),
            position_ids=positions,
            past_key_values=deepcopy(text.cache),
            use_cache=True,
        ).logits[0]
    return logits.double().log_softmax(-1)


def check(model: PreTrainedModel, text: Pass) -> None:
    """Check that queries that see all of their past predict what the text's own pass did; raise DataError otherwise."""
    targets = np.array(sorted({0, len(text.ids) // 2, len(text.ids) - 1}))
    gap = masked(model, text, targets, np.ones((len(targets), len(text.ids)), dtype=bool)).divergence.max()
    if not gap <= AGREEMENT.get(model.dtype, 1e-3):
        raise RefusalError(
            f"{type(model).__name__}: it cannot be probed: queries that see all of their past are off by {gap:.2g} nats"
        )


@torch.no_grad()
def removed(model: PreTrainedModel, prefix: Sequence[int], text: Pass, targets: np.ndarray, visible: np.ndarray) -> Score:
    """Score targets as `masked` does, with invisible tokens removed from the input.

    What is left keeps its positions, and nothing of the rest.
    """
    past = visible & (np.arange(len(text.ids)) < targets[:, None])
    sizes = past.sum(axis=1)
    divergence, loss = np.empty(len(targets)), np.empty(len(targets))
    for size in np.unique(sizes):
        for rows in np.array_split(np.flatnonzero(sizes == size), -(-int((sizes == size).sum()) * (size + 1) // 4096)):
            kept = np.column_stack([np.nonzero(past[rows])[1].reshape(len(rows), size), targets[rows]])
            start = torch.tensor(list(prefix), dtype=torch.long).expand(len(rows), -1)
            ids = torch.cat([start, torch.from_numpy(text.ids[kept].astype(np.int64))], dim=1).to(model.device)
            places = torch.cat([torch.arange(len(prefix)).expand(len(rows), -1), torch.from_numpy(kept + len(prefix))], dim=1)
            ones = torch.ones_like(ids)  # without a mask, gaps between positions would be taken for borders of packed texts
            with refusing(model, "it takes no positions with gaps"):
                output = model(input_ids=ids, attention_mask=ones, position_ids=places.to(model.device), use_cache=False)
            divergence[rows], loss[rows] = scores(output.logits[:, -1].double().log_softmax(-1), text, targets[rows])
    return Score(divergence, loss)


def leave_one_out(model: PreTrainedModel, text: Pass, target: int) -> np.ndarray:
    """Compute the KL in nats when the target sees all but one token, for each token before it: (target,)."""
    visible = np.ones((target, len(text.ids)), dtype=bool)
    visible[np.arange(target), np.arange(target)] = False
    return masked(model, text, np.full(target, target), visible).divergence


def gradient_input(model: PreTrainedModel, prefix: Sequence[int], ids: np.ndarray, targets: Sequence[int]) -> np.ndarray:
    """Compute |gradient . embedding| of every token for ln p of the most likely token after each target: (targets, T).

    Source: Shrikumar et al. 2016 (arXiv 1605.01713), with the magnitude taken.
    """
    whole = torch.tensor([[*prefix, *ids.tolist()]], device=model.device)
    embedded = model.get_input_embeddings()(whole).detach().requires_grad_()
    with torch.enable_grad(), refusing(model, "it takes no embeddings instead of tokens, or gives no gradient"):
        best = model(inputs_embeds=embedded, use_cache=False).logits[0, len(prefix) :].log_softmax(-1).max(dim=-1).values
        rows = [torch.autograd.grad(best[target], embedded, retain_graph=True)[0] for target in targets]
    products = [(row * embedded.detach()).sum(-1).abs()[0, len(prefix) :] for row in rows]
    return torch.stack(products).float().cpu().numpy()
