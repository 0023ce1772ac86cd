"""Ablate one attention or MLP sublayer at a time: its output becomes 0, or its mean over other documents.

What a sublayer adds to the residual stream is replaced, so the sublayer itself is not run. Nothing below it can change: a pass
restarts at the ablated block, from that block's input in the whole pass, with the attention's output where the MLP is ablated.
The restart is the model's own forward pass, masks, positions and all, in which the earlier blocks hand on what they are given.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from geomkit.core.errors import DataError, RefusalError
from geomkit.core.state import State
from geomkit.models.capture import Recorder, batch_limit, batches, rows, surprisals, with_prefix
from geomkit.models.load import blocks
from geomkit.models.selfcheck import first, padded, read_states
from geomkit.states.texts import Sample

SUBLAYERS = ("attention", "mlp")
KINDS = ("none", "zero", "mean")
"""Replacements of a sublayer's output: its own output (a restart, for checks and timing), 0, and the mean."""


class Roles(NamedTuple):
    """Paths in a block to the modules whose outputs are added to the residual stream."""

    attention: str
    mlp: str


ROLES = {
    "gpt_neox": Roles("attention", "mlp"),
    "llama": Roles("self_attn", "mlp"),
    "gpt2": Roles("attn", "mlp"),
    "opt": Roles("self_attn", "fc2"),
    "qwen2": Roles("self_attn", "mlp"),
    "qwen3": Roles("self_attn", "mlp"),
    "mixtral": Roles("self_attn", "mlp"),
    "qwen2_moe": Roles("self_attn", "mlp"),
    "gemma": Roles("self_attn", "mlp"),
    "gemma2": Roles("post_attention_layernorm", "post_feedforward_layernorm"),
    "gemma3_text": Roles("post_attention_layernorm", "post_feedforward_layernorm"),
}
"""By transformers' model type. From its second version on, Gemma adds a sublayer's output only after another norm. The MLP of a
mixture of experts is all of its experts with their router."""


HEADS = {"gpt_neox": "attention.dense"}
"""Path in a block to the map that mixes attention heads, whose input is their outputs side by side. The ladder's alone: elsewhere
heads share keys and values, or norm what they put out."""


class Ablation(NamedTuple):
    """The ablation of one sublayer of block `layer` (1 is the first): `attention`, `mlp` or a head such as `head-0`.

    kind: what replaces it, one of `KINDS`. A head can only become 0.
    """

    layer: int
    sublayer: str
    kind: str


class Ablated(NamedTuple):
    """Surprisals and states of a batch of texts under an ablation, or without one (None).

    texts: their numbers. surprisal: (k,) in nats, text after text, as `Captured` has it. states: of the shown layers from the
    ablated one on, (k, d).
    """

    ablation: Ablation | None
    texts: range
    surprisal: np.ndarray
    states: dict[State, np.ndarray]


def roles(model: PreTrainedModel) -> Roles:
    """Return the model's row of `ROLES`. Raises DataError that names an architecture that has none."""
    kind = model.config.get_text_config().model_type
    if kind not in ROLES:
        known = ", ".join(ROLES)
        raise DataError(
            f"{type(model).__name__}: no table of the sublayers of {kind!r} models, which cannot be ablated; {known} can"
        )
    return ROLES[kind]


def head_columns(model: PreTrainedModel, name: str) -> slice:
    """Return the columns of a head, `head-0` .., in the concatenated output of its block's heads.

    Raises DataError for a head that does not exist, and for an architecture that is not in `HEADS`.
    """
    config = model.config.get_text_config()
    if config.model_type not in HEADS:
        raise DataError(f"{type(model).__name__}: heads are taken out of {', '.join(HEADS)} alone, not of {config.model_type!r}")
    number, width = int(name.removeprefix("head-")), config.hidden_size // config.num_attention_heads
    if not number < config.num_attention_heads:
        raise DataError(f"{type(model).__name__}: no head {number}; it has {config.num_attention_heads}")
    return slice(number * width, (number + 1) * width)


def is_head(name: str) -> bool:
    return name.startswith("head-")


def sublayer(model: PreTrainedModel, layer: int, name: str) -> nn.Module:
    """Return the module of a block (1 is the first) whose output is the sublayer's. Raises DataError for what does not exist."""
    block_list = blocks(model)
    if name not in SUBLAYERS or not 1 <= layer <= len(block_list):
        raise DataError(f"{type(model).__name__}: no sublayer {name!r} of block {layer}; it has {len(block_list)} of {SUBLAYERS}")
    return block_list[layer - 1].get_submodule(getattr(roles(model), name))


@contextmanager
def replaced(module: nn.Module, forward: Any) -> Iterator[None]:
    """Replace a module's forward function inside the block."""
    module.forward = forward
    try:
        yield
    finally:
        del module.forward  # the class's own is back


@dataclass(frozen=True, eq=False)
class Means:
    """Outputs of sublayers summed over each document's tokens: at the first position of the input, and at all others.

    sums: for (layer, sublayer) an array (documents, 2, d). counts: (documents, 2). index: (texts,), each text's document.
    """

    sums: dict[tuple[int, str], np.ndarray]
    counts: np.ndarray
    index: np.ndarray

    def others(self, layer: int, name: str, texts: range) -> np.ndarray:
        """Return means over all documents but each text's own (texts, 2, d).

        The first position is apart: attention has nothing else to look at there, and models use it as a sink.
        """
        own = self.index[list(texts)]
        sums, counts = self.sums[layer, name], self.counts
        mean: np.ndarray = (sums.sum(axis=0) - sums[own]) / (counts.sum(axis=0) - counts[own])[..., None]
        return mean


@torch.inference_mode()
def sublayer_means(model: PreTrainedModel, sample: Sample, layers: Sequence[int], batch_tokens: int) -> Means:
    """Sum all sublayers' outputs over the tokens of each document of a sample, its prefix included.

    Raises DataError for fewer than two documents, of which neither could be given the other's mean, and for texts that leave no
    token behind the first position.
    """
    names, index = np.unique(np.asarray(sample.texts.document), return_inverse=True)
    if len(names) < 2:
        raise DataError(f"a mean over other documents takes at least two documents, found {len(names)}")
    before = len(sample.prefix)
    lengths = np.array([before + len(ids) for ids in sample.ids])
    counts = np.stack([np.bincount(index), np.bincount(index, lengths - 1)], axis=1)
    if (counts.sum(axis=0) - counts < 1).any():
        raise DataError("a mean over other documents takes texts of at least two tokens")
    sums: dict[tuple[int, str], np.ndarray] = {}
    for run in batches(lengths.tolist(), batch_limit(model.config, batch_tokens)):
        ids, real = padded(with_prefix(sample, run))
        kept = real.to(model.device)
        for place, output in whole(model, ids, kept, layers).outputs.items():
            values = output.reshape(*ids.shape, -1).double() * kept[..., None]
            parts = torch.stack([values[:, 0], values[:, 1:].sum(dim=1)], dim=1).cpu().numpy()
            total = sums.setdefault(place, np.zeros((len(names), *parts.shape[1:])))
            np.add.at(total, index[list(run)], parts)
    return Means(sums, counts, index)


@dataclass(frozen=True, eq=False)
class Whole:
    """A batch's pass without ablation: the input of each block, the output of each sublayer, and the logits."""

    inputs: dict[int, torch.Tensor]
    outputs: dict[tuple[int, str], torch.Tensor]
    logits: torch.Tensor


def forward(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compute the logits of a padded batch."""
    logits: torch.Tensor = model(input_ids=ids.to(model.device), attention_mask=mask.long(), use_cache=False).logits
    return logits


def whole(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, layers: Sequence[int], names: Sequence[str] = SUBLAYERS
) -> Whole:
    """Run a pass, and record the inputs of the given blocks and the outputs of their named sublayers."""
    inputs: dict[int, torch.Tensor] = {}
    outputs: dict[tuple[int, str], torch.Tensor] = {}

    def keep_input(layer):
        def keep(block, args, kwargs):
            inputs[layer] = args[0] if args else kwargs["hidden_states"]

        return keep

    def keep_output(place):
        def keep(module, args, output):
            outputs[place] = first(output)

        return keep

    block_list = blocks(model)
    with ExitStack() as stack:
        for layer in layers:
            hooks = [block_list[layer - 1].register_forward_pre_hook(keep_input(layer), with_kwargs=True)]
            hooks += [sublayer(model, layer, name).register_forward_hook(keep_output((layer, name))) for name in names]
            for hook in hooks:
                stack.callback(hook.remove)
        logits = forward(model, ids, mask)
    return Whole(inputs, outputs, logits)


def _given(values: torch.Tensor, as_tuple: bool) -> Any:
    """Build a forward function that returns given values (texts, tokens, d), in the shape of a module's own output."""

    def give(hidden_states: torch.Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        if hidden_states is not None and hidden_states.ndim == 2:  # OPT's last linear map sees texts laid end to end
            return values.reshape(-1, values.shape[-1])
        return (values, None) if as_tuple else values

    return give


def _hand_on(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    return hidden_states


def restarted(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    before: Whole,
    ablation: Ablation,
    mean: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute logits under an ablation of one sublayer, from the ablated block on.

    mean: (texts, 2, d), what takes the sublayer's place at the first position and at all others, for `mean`.
    Raises DataError for an unknown kind of ablation.
    """
    if ablation.kind not in KINDS or (ablation.kind == "mean") != (mean is not None):
        raise DataError(f"an ablation is one of {', '.join(KINDS)}, and a mean for that alone; found {ablation.kind!r}")
    layer, name, kind = ablation
    block_list = blocks(model)
    with ExitStack() as stack:
        if is_head(name):
            stack.enter_context(silent_head(model, ablation))
            name, kind = "attention", "none"
        for block in list(block_list)[: max(layer - 2, 0)]:
            stack.enter_context(replaced(block, _hand_on))
        if layer > 1:
            stack.enter_context(replaced(block_list[layer - 2], _given(before.inputs[layer], False)))
        if name == "mlp":
            _replace(stack, model, layer, "attention", before.outputs[layer, "attention"])
        if kind != "none":
            values = torch.zeros_like(before.inputs[layer])
            if mean is not None:
                places = torch.arange(values.shape[1], device=values.device).clamp_max(1)
                values = mean.to(values)[:, places]
            _replace(stack, model, layer, name, values)
        return forward(model, ids, mask)


@contextmanager
def silent_head(model: PreTrainedModel, ablation: Ablation) -> Iterator[None]:
    """Set the output of one head to 0 inside the block. Raises DataError for any other kind of ablation."""
    if ablation.kind != "zero":
        raise DataError(f"a head can only become zero, found {ablation.kind!r}")
    columns = head_columns(model, ablation.sublayer)

    def silence(module, args):
        values = args[0].clone()
        values[..., columns] = 0
        return (values,)

    mix = blocks(model)[ablation.layer - 1].get_submodule(HEADS[model.config.get_text_config().model_type])
    handle = mix.register_forward_pre_hook(silence)
    try:
        yield
    finally:
        handle.remove()


def _replace(stack: ExitStack, model: PreTrainedModel, layer: int, name: str, values: torch.Tensor) -> None:
    path = getattr(roles(model), name)
    # An attention module hands out its weights too, which blocks drop; a norm or an MLP hands out its values alone.
    as_tuple = name == "attention" and not path.endswith("norm")
    stack.enter_context(replaced(sublayer(model, layer, name), _given(values, as_tuple)))


@torch.inference_mode()
def ablate(
    model: PreTrainedModel,
    sample: Sample,
    ablations: Sequence[Ablation],
    batch_tokens: int,
    shown: Collection[int] = (),
    means: Means | None = None,
) -> Iterator[Ablated]:
    """Run texts without and under each ablation, batch by batch, in the order of the texts: each batch without ablation first.

    shown: layers, 0 to L + 1 as `Recorder` numbers them, whose states are handed out. means: of `sublayer_means`, which are
    computed from the sample itself if they are needed and not given. Memory holds each block's input for one batch.
    Raises DataError for an architecture that is not in `ROLES`, RefusalError for a model whose texts may not share a batch, and
    what `sublayer_means` raises.
    """
    roles(model)
    if read_states(model).together != "any":
        raise RefusalError(
            f"{type(model).__name__}: its states depend on the texts of a batch, so no sublayer is taken out of it"
        )
    layers = sorted({ablation.layer for ablation in ablations})
    for ablation in ablations:
        sublayer(model, ablation.layer, "attention" if is_head(ablation.sublayer) else ablation.sublayer)
        if is_head(ablation.sublayer):
            head_columns(model, ablation.sublayer)
    if means is None and any(ablation.kind == "mean" for ablation in ablations):
        wanted = sorted({ablation.layer for ablation in ablations if ablation.kind == "mean"})
        means = sublayer_means(model, sample, wanted, batch_tokens)
    names = ["attention"] if any(ablation.sublayer == "mlp" for ablation in ablations) else []
    start, recorder = len(sample.prefix), Recorder(model, sorted(shown), False)
    for run in batches([start + len(text) for text in sample.ids], batch_limit(model.config, batch_tokens)):
        ids, real = padded(with_prefix(sample, run))
        ids, mask = ids.to(model.device), real.to(model.device)
        kept = None if bool(real.all()) else mask[:, start:]

        def result(
            ablation: Ablation | None,
            logits: torch.Tensor,
            run: range = run,
            ids: torch.Tensor = ids,
            kept: torch.Tensor | None = kept,
        ) -> Ablated:
            states = {state: values for state, values in recorder.states.items() if not ablation or state.layer >= ablation.layer}
            shown = {state: rows(values[:, start:], kept).float().numpy() for state, values in states.items()}
            recorder.states.clear()
            return Ablated(ablation, run, rows(surprisals(logits, ids)[:, start:], kept).numpy(), shown)

        with recorder.hooked():
            before = whole(model, ids, mask, layers, names)
        yield result(None, before.logits)
        for ablation in ablations:
            mean = None
            if ablation.kind == "mean" and means is not None:
                mean = torch.from_numpy(means.others(ablation.layer, ablation.sublayer, run))
            with recorder.hooked():
                logits = restarted(model, ids, mask, before, ablation, mean)
            yield result(ablation, logits)


def every_sublayer(model: PreTrainedModel, kinds: Sequence[str] = ("zero", "mean")) -> list[Ablation]:
    """List the ablations of each sublayer of each block, of each kind."""
    depth = len(blocks(model))
    return [Ablation(layer, name, kind) for layer in range(1, depth + 1) for name in SUBLAYERS for kind in kinds]


def every_head(model: PreTrainedModel) -> list[Ablation]:
    """List the ablations of each attention head of each block. Raises DataError for an architecture that is not in `HEADS`."""
    head_columns(model, "head-0")
    heads = model.config.get_text_config().num_attention_heads
    return [Ablation(layer, f"head-{head}", "zero") for layer in range(1, len(blocks(model)) + 1) for head in range(heads)]


def text_losses(results: Iterable[Ablated], sample: Sample) -> dict[Ablation | None, np.ndarray]:
    """Average the surprisal of each text (texts,), in nats a token, without (None) and under each ablation.

    NaN where no token counts.
    """
    losses: dict[Ablation | None, np.ndarray] = {}
    for result in results:
        column = losses.setdefault(result.ablation, np.full(len(sample.ids), np.nan))
        ends = np.cumsum([len(sample.ids[text]) for text in result.texts])[:-1]
        for text, values in zip(result.texts, np.split(result.surprisal.astype(np.float64), ends), strict=True):
            known = values[np.isfinite(values)]
            column[text] = known.mean() if known.size else np.nan
    return losses
