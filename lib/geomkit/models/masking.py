"""Score masked language models: the tokens they need beside a text, and each token's surprisal.

`geomkit.models.capture.capture_masked` runs them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from geomkit.core.config import MASKED, ModelSpec
from geomkit.core.errors import DataError
from geomkit.models.load import load_tokenizer, suffix
from geomkit.models.selfcheck import forward, predictions


class Masking(NamedTuple):
    """Mask token, and the special tokens that follow every text."""

    token: int
    suffix: list[int]


def masking(tokenizer: PreTrainedTokenizerBase) -> Masking:
    """Return a tokenizer's masking. Raises DataError for one without a mask token, which belongs to no masked language model."""
    if tokenizer.mask_token_id is None:
        raise DataError(f"{type(tokenizer).__name__}: no mask token, so no objective: masked; known tokens that are special: "
                        f"{', '.join(tokenizer.all_special_tokens) or 'none'}")  # fmt: skip
    return Masking(int(tokenizer.mask_token_id), suffix(tokenizer))


def masks_of(spec: ModelSpec) -> Masking | None:
    """Return how the tokens of a masked model are masked; None for a causal one."""
    return masking(load_tokenizer(spec)) if spec.objective == MASKED else None


@torch.inference_mode()
def masked_surprisals(
    model: PreTrainedModel, ids: torch.Tensor, real: torch.Tensor, places: Sequence[tuple[int, int]], mask: int, limit: int
) -> torch.Tensor:
    """Compute -ln p of single tokens given all others of their text, in nats, each masked in a copy of its text: (places,).

    ids, real: (texts, tokens), a padded batch and which of its tokens are real. places: (text, token). limit: tokens in one pass.
    Their sum is no log probability of a text (Salazar et al. 2020, arXiv 1910.14659: pseudo-log-likelihood).
    """
    losses = []
    step = max(1, limit // ids.shape[1])
    for start in range(0, len(places), step):
        text, token = torch.tensor(places[start : start + step], device=ids.device).T
        row = torch.arange(len(text), device=ids.device)
        copies = ids[text].clone()
        copies[row, token] = mask
        logits = predictions(forward(model, copies, real[text]))[row, token]
        losses.append(torch.nn.functional.cross_entropy(logits.float(), ids[text, token], reduction="none"))
    return torch.cat(losses)
