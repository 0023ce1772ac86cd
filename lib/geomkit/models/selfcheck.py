"""Check a model on short texts before anything is measured.

Do its blocks hand on one hidden state for each token, where is that state to be read, and which texts may share a batch?
"""

import inspect
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from transformers import PreTrainedModel

from geomkit.core.errors import DataError, RefusalError
from geomkit.core.state import State
from geomkit.models.load import blocks, epsilon, holders, output_matrix, setting, text_config
from geomkit.models.placing import entry
from geomkit.states.stream import not_finite

LOOKED = 3
"""Tokens of the texts that are looked at: the fewer, the more of the last one would be seen in those before it."""
LONGER = 12
"""Tokens of a text that a shorter one is padded to."""
EXACT = {torch.float32: 1e-4, torch.float16: 3e-2, torch.bfloat16: 3e-2}
"""Largest difference of a coordinate between two passes of one shape that is taken for rounding."""
CLOSE = {torch.float32: 1e-4, torch.float16: 0.1, torch.bfloat16: 0.1}
"""Largest mean difference over coordinates between passes of different shapes, which sum in another order."""
SAME = 1e-5
"""Largest difference of what is one tensor, or one sum, in one pass."""
TINY = 1e-30
STRETCHED = ("dynamic", "longrope")
"""Rotary positions that depend on the longest text of a batch."""
RAISED = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, ImportError, StopIteration)
"""Errors of models that do not run on token ids alone."""


@dataclass(frozen=True)
class Reading:
    """Instructions for reading a model's hidden states.

    summed: a block hands on the sum of the tensors that it returns, an output and a residual, not the first of them. skipped:
    rows that the model itself puts before those of a text. head: the final state is what the output matrix is applied to; else
    what the outermost part around the blocks returns. copied: blocks change their input in place. together: which texts may share
    a batch: `any`, those of one `length`, or `none`. ahead: what of a text's earlier tokens changes with its last one, and by how
    much; empty for a causal model. numbering: how transformers' own `hidden_states` are numbered, where not as these states are.
    """

    summed: bool = False
    skipped: int = 0
    head: bool = False
    copied: bool = False
    together: Literal["any", "length", "none"] = "any"
    ahead: str = ""
    numbering: str = ""

    def state(self, tensors: Any) -> torch.Tensor:
        """Select the hidden state among what a block is given or returns."""
        if not self.summed:
            return first(tensors)
        return torch.stack(streams(tensors)).sum(0)

    def rows(self, values: torch.Tensor, tokens: int) -> torch.Tensor:
        """Select the rows of the tokens of padded texts (texts, tokens, width), which may have others before and after them."""
        return values[:, self.skipped : self.skipped + tokens] if values.shape[1] > tokens else values


READINGS: WeakKeyDictionary[PreTrainedModel, Reading] = WeakKeyDictionary()


def read_states(model: PreTrainedModel) -> Reading:
    """Determine how a model's states are read by six passes of short texts, once for each loaded model.

    Raises RefusalError, naming the architecture, for a model whose hidden states cannot be told.
    """
    if model not in READINGS:
        READINGS[model] = self_check(model)
    return READINGS[model]


def first(tensors: Any) -> torch.Tensor:
    """Return a module's hidden states, which may come with others behind them."""
    if isinstance(tensors, torch.Tensor):
        return tensors
    return next(iter(tensors.values())) if isinstance(tensors, Mapping) else tensors[0]


def streams(tensors: Any) -> list[torch.Tensor]:
    """Select the tensors that have the shape of the first."""
    if isinstance(tensors, torch.Tensor):
        return [tensors]
    values = list(tensors.values() if isinstance(tensors, Mapping) else tensors)
    return [each for each in values if isinstance(each, torch.Tensor) and each.shape == values[0].shape]


def entering(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
    """Return the tensors of numbers that a block is given, hidden states first."""
    named = sorted(kwargs.items(), key=lambda item: item[0] != "hidden_states")
    given = [*args, *(value for _, value in named)]
    return [value for value in given if isinstance(value, torch.Tensor) and value.is_floating_point()]


def forward(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, **options: Any) -> Any:
    """Run a pass of token ids (texts, tokens), of which `mask` says which are real, with those options that the model takes."""
    known = inspect.signature(model.forward).parameters
    anything = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values())
    options = {"attention_mask": mask.long(), "use_cache": False, **options}
    return model(input_ids=ids, **{name: value for name, value in options.items() if anything or name in known})


def predictions(output: Any) -> torch.Tensor:
    """Return the logits (texts, tokens, vocabulary) of a pass, in the forms in which models return them."""
    if hasattr(output, "logits") or (isinstance(output, Mapping) and "logits" in output):
        return output["logits"] if isinstance(output, Mapping) else output.logits
    values = [output] if isinstance(output, torch.Tensor) else output
    return next(value for value in values if isinstance(value, torch.Tensor) and value.ndim > 2)


def padded(texts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad token ids (texts, longest) with zeros after a text's end, and mark which of them are real."""
    lengths = torch.tensor([len(text) for text in texts])
    ids = torch.zeros(len(texts), int(lengths.max()), dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
    return ids, torch.arange(ids.shape[1]) < lengths[:, None]


@contextmanager
def running(name: str) -> Iterator[None]:
    """Turn errors of a model that does not run on token ids alone into one RefusalError; too little memory stays its own."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RAISED as error:
        why = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
        raise RefusalError(f"{name}: no short text runs through it ({why})") from None


Seen = Mapping[str, list[torch.Tensor]]
"""States and predictions of a pass by name, (tokens, width) for each text."""


class Probe:
    """Recorded inputs and outputs of blocks, norms, their holders, and the output matrix in one pass of some texts.

    own: the hidden states that the model itself returns. changed: whether a state was changed in place after it was handed on.
    """

    def __init__(self, model: PreTrainedModel, texts: Sequence[Sequence[int]], **options: Any):
        self.order: list[int] = []
        self.given: list[list[torch.Tensor]] = []
        self.returned: list[list[torch.Tensor]] = []
        self.norms: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.trunk: torch.Tensor | None = None
        self.head: torch.Tensor | None = None
        self._kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.lengths = [len(text) for text in texts]
        ids, real = padded(texts)
        device, hooks = entry(model), list(self._hooks(model))
        try:
            with running(type(model).__name__):
                output = forward(model, ids.to(device), real.to(device), **options)
                self.logits = predictions(output)
        finally:
            for hook in hooks:
                hook.remove()
        self.own: Sequence[torch.Tensor] = getattr(output, "hidden_states", None) or ()
        self.changed = any(not torch.equal(kept, copy) for kept, copy in self._kept)

    def _hooks(self, model: PreTrainedModel) -> Iterator[Any]:
        block_list = blocks(model)
        inside = set(block_list.modules())
        for holder in holders(model, block_list):
            yield holder.register_forward_hook(self._holder)
        for module in model.modules():
            if module not in inside and epsilon(module) is not None:
                yield module.register_forward_hook(self._norm)
        for number, block in enumerate(block_list, 1):
            yield block.register_forward_pre_hook(self._before, with_kwargs=True)
            yield block.register_forward_hook(partial(self._after, number))
        if (matrix := output_matrix(model)) is not None:
            yield matrix.register_forward_pre_hook(self._head)

    def _copy(self, tensor: torch.Tensor) -> torch.Tensor:
        self._kept.append((tensor, tensor.clone()))
        return self._kept[-1][1]

    def _before(self, block, args, kwargs):
        self.given.append([self._copy(each) for each in streams(entering(args, kwargs))])

    def _after(self, number, block, args, output):
        self.order.append(number)
        self.returned.append([self._copy(each) for each in streams(output)])

    def _norm(self, module, args, output):
        if args and isinstance(args[0], torch.Tensor) and isinstance(output, torch.Tensor):
            self.norms.append((args[0], output))

    def _holder(self, module, args, output):
        self.trunk = self._copy(first(output))

    def _head(self, module, args):
        if args and args[0].is_floating_point():  # a table that is also the output matrix is given ids
            self.head = args[0]

    def states(self, how: Reading) -> list[torch.Tensor]:
        """Return states 0 to L (texts, tokens, width)."""
        return [how.rows(how.state(tensors), max(self.lengths)) for tensors in (self.given[0], *self.returned)]

    def final(self, how: Reading) -> torch.Tensor:
        """Return the final state (texts, tokens, width)."""
        state = self.head if how.head else self.trunk
        assert state is not None
        return state

    def everything(self, how: Reading) -> Seen:
        """Return all states, the final one last, and the predictions."""
        named = {f"states at /{State(layer).path}": state for layer, state in enumerate([*self.states(how), self.final(how)])}
        named["predictions"] = self.logits.masked_fill(self.logits.isinf(), 0)  # of tokens that are never predicted
        return {name: [values[text, :length] for text, length in enumerate(self.lengths)] for name, values in named.items()}


@torch.inference_mode()
def self_check(model: PreTrainedModel) -> Reading:
    """Run `read_states` for a model that was not checked before."""
    name, modules = type(model).__name__, set(model.modules())
    if getattr(model.config, "is_encoder_decoder", False):
        raise RefusalError(
            f"{name}: an encoder with a decoder (is_encoder_decoder in config.json); "
            "only models that read one text can be measured"
        )
    exact, close = (limits.get(model.dtype, 1e-4) for limits in (EXACT, CLOSE))
    text, beside, longer = short_texts(model)
    probe = Probe(model, text[:1], output_hidden_states=True)
    check_blocks(name, probe, len(blocks(model)))
    check_finite(name, probe)
    how = replace(final_state(name, probe, block_states(name, probe)), copied=probe.changed)
    check_final(name, probe, how)
    alone, other = probe.everything(how), Probe(model, text[1:]).everything(how)
    # passes of one shape: rows of one pass may be rounded in other ways
    equal, unequal = (
        [Probe(model, [one, another]).everything(how) for one, another in zip(text, each, strict=True)]
        for each in (beside, longer)
    )
    if new := [type(module).__name__ for module in model.modules() if module not in modules]:
        raise RefusalError(
            f"{name}: a short text puts {new[0]} into it for good, so states depend on the texts before; "
            "attention_type: original_full in its config.json helps"
        )
    together: Literal["any", "length", "none"] = "any"
    if not distance(alone, unequal[0]) <= close or stretched(model):
        together = "length"
    if not distance(alone, equal[0]) <= close:
        together = "none"
        if not (apart := distance(alone, Probe(model, text[:1]).everything(how))) <= close:
            raise RefusalError(f"{name}: the states of a text differ by {apart:.1%} when it is run again")
    what, change = max((each for pair in ((alone, other), equal, unequal) for each in changes(*pair)), key=lambda each: each[1])
    return replace(
        how,
        together=together,
        ahead="" if change <= exact else f"{what} of earlier tokens change with a text's last token, by {change:.1%}",
    )


def short_texts(model: PreTrainedModel) -> list[list[list[int]]]:
    """Build a text, another of its length, and a longer one, each also with another last token.

    No token has a meaning of its own.
    """
    configs = (model.config, text_config(model.config))
    named = [value for config in configs for key, value in vars(config).items() if key.endswith(("_token_id", "_index"))]
    special = [one for value in named for one in (value if isinstance(value, list | tuple) else [value])]
    known = range(min(1000, setting(model.config, "vocab_size")))
    ids = [each for each in known if each not in special] or list(known)
    window = getattr(configs[1], "max_position_embeddings", None) or LONGER
    drawn = np.random.default_rng(0).permutation(np.resize(ids, max(len(ids), 3 * LONGER))).tolist()
    texts = [drawn[:LOOKED], drawn[LOOKED : 2 * LOOKED], drawn[2 * LOOKED :][: max(LOOKED, min(LONGER, window))]]
    return [[text, [*text[:-1], ids[(ids.index(text[-1]) + 1) % len(ids)]]] for text in texts]


def check_blocks(name: str, probe: Probe, depth: int) -> None:
    """Check that blocks run once each, one after another, on a row for each token; raise RefusalError otherwise."""
    runs = Counter(probe.order)
    for number in range(1, depth + 1):
        if runs[number] > 1:
            raise RefusalError(f"{name}: block {number} runs {runs[number]} times in one pass, so no state is the one after it")
        if not runs[number]:
            raise RefusalError(f"{name}: no hook sees block {number} of {depth} run on text alone")
    if probe.order != sorted(probe.order):
        raise RefusalError(f"{name}: its blocks do not run in the order in which it lists them, but in {probe.order}")
    width = probe.returned[0][0].shape[-1]
    for number in range(1, depth + 1):
        for verb, tensors in (("is given", probe.given[number - 1]), ("returns", probe.returned[number - 1])):
            shape = tuple(tensors[0].shape) if tensors else None
            if shape is None or len(shape) != 3 or shape[0] != 1 or shape[1] < LOOKED or shape[2] != width:
                raise RefusalError(
                    f"{name}: block {number} {verb} a tensor of shape {shape} for 1 text of {LOOKED} tokens, not one row of "
                    f"{width} numbers for each: where blocks hand on several streams, there is no one hidden state"
                )
    for what, values in (("its predictions are", probe.logits), ("its output matrix is given", probe.head)):
        if values is not None and (values.ndim != 3 or values.shape[:2] != (1, LOOKED)):
            raise RefusalError(f"{name}: {what} of shape {tuple(values.shape)} for 1 text of {LOOKED} tokens, not a row for each")


def check_finite(name: str, probe: Probe) -> None:
    """Check that blocks, norms and the model itself return finite numbers; raise DataError otherwise."""
    states = [*probe.returned, [each for each in (probe.trunk, probe.head) if each is not None]]
    for number, tensors in enumerate(states, 1):
        if not all(bool(each.isfinite().all()) for each in tensors):
            raise DataError(f"{name}: {not_finite(State(number).path)}, if its weights are not damaged")


def block_states(name: str, probe: Probe) -> Reading:
    """Locate the states of blocks: by the hidden states that the model returns, else by the input of each next block.

    Raises RefusalError where they are not what blocks return.
    """
    several, beyond = any(len(each) > 1 for each in probe.returned), probe.returned[0][0].shape[1] - LOOKED
    ways = [Reading(summed, skipped) for summed in ((False, True) if several else (False,)) for skipped in sorted({0, beyond})]
    for how in ways:
        if (numbering := agreement(probe, how, several)) is not None:
            return replace(how, numbering=numbering)
    states, expected, whose = probe.states(ways[0]), probe.own, "the hidden state that the model itself returns for it"
    if not probe.own:
        expected, whose = [ways[0].state(each) for each in probe.given], "what the next block is given"
    for number in range(1, min(len(states) - 1, len(expected))):
        if not same(states[number], expected[number]):
            off = gap(states[number], expected[number])
            raise RefusalError(f"{name}: what block {number} returns is not {whose} (off by {off:.0%})")
    if probe.own:
        raise RefusalError(f"{name}: it returns {len(probe.own)} hidden states of its own, and they are not those of its blocks")
    raise RefusalError(f"{name}: nothing says which of the tensors that its blocks return is the hidden state")


def agreement(probe: Probe, how: Reading, several: bool) -> str | None:
    """Return the numbering of the model's own hidden states, if states that are read in this way are among them.

    Empty if they have the same numbers, or if there are none and each next block is given these states. None if states are
    others.
    """
    states = probe.states(how)
    depth, own = len(states) - 1, probe.own
    after = [states[depth], probe.trunk, probe.head]
    if not own:
        following = all(same(states[number], how.state(probe.given[number])) for number in range(1, depth))
        known = any(same(states[depth], each) for each in (probe.trunk, probe.head, *(given for given, _ in probe.norms)))
        return "" if following and how.skipped + LOOKED == probe.returned[0][0].shape[1] and (known or not several) else None
    if len(own) > depth and all(map(same, states[:-1], own)) and any(same(own[depth], each) for each in after):
        return ""
    if all(map(same, states[1:-1], own)) and any(same(own[-1], each) for each in after):
        return "its own hidden_states begin with the state after the first block, not with the embedding"
    return None


def final_state(name: str, probe: Probe, how: Reading) -> Reading:
    """Decide whether the final state is what holders of the blocks return, or what the output matrix is applied to.

    A head with layers of its own, as those of masked models, begins after the hidden states that the model itself returns; but a
    norm belongs before the final state. Raises RefusalError where neither is there.
    """
    trunk, head = probe.trunk, probe.head
    if trunk is not None and trunk.ndim == 3 and trunk.shape[:2] == (1, LOOKED):
        if head is not None and proportional(trunk, head):
            return how
        normed = any(same(given, trunk) and same(returned, head) for given, returned in probe.norms)
        if not normed and probe.own and same(probe.own[-1], trunk):
            return how
    if head is None:
        raise RefusalError(f"{name}: it names no output matrix (get_output_embeddings), so its final state cannot be told")
    return replace(how, head=True)


def check_final(name: str, probe: Probe, how: Reading) -> None:
    """Check that the final state has the blocks' width, unless the model itself returns it; raise RefusalError otherwise."""
    final, width = probe.final(how), probe.returned[0][0].shape[-1]
    if final.shape[-1] != width and not any(same(each, final) for each in probe.own[-1:]):
        raise RefusalError(f"{name}: its blocks return {width} numbers for each token, and its final state has {final.shape[-1]}")


def stretched(model: PreTrainedModel) -> bool:
    """Whether rotary positions depend on the longest text of a batch."""
    rope = getattr(text_config(model.config), "rope_parameters", None) or {}
    return any(each.get("rope_type") in STRETCHED for each in (rope, *rope.values()) if isinstance(each, Mapping))


def same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    """Whether two tensors are equal but for the rounding of a sum."""
    return one is not None and other is not None and gap(one, other) <= SAME


def gap(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference of two tensors, relative to the largest value of the second; infinite where shapes differ."""
    if one.shape != other.shape:
        return float("inf")
    one, other = one.float(), other.to(one.device).float()
    if one.isnan().any() and torch.equal(one.isnan(), other.isnan()):
        one, other = one.nan_to_num(), other.nan_to_num()
    return float((one - other).abs().amax() / other.abs().amax().clamp_min(TINY))


def proportional(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether a tensor is a multiple of another: the scale that some architectures put before the output matrix."""
    if one.shape != other.shape:
        return False
    one, other = one.float(), other.to(one.device).float()
    return same(one * ((one * other).sum() / (one * one).sum().clamp_min(TINY)), other)


def distance(one: Seen, other: Seen) -> float:
    """Compute the distance of the first text's states, of the state where it is largest.

    It is the mean over coordinates of the largest difference by the largest value.
    """
    return max(float((difference(one[name][0], other[name][0])).nanmean()) for name in one)


def changes(before: Seen, after: Seen) -> Iterator[tuple[str, float]]:
    """Yield the changes of tokens that are not a text's last: the name, and the size in the coordinate where it is largest."""
    for name in before:
        pair = (torch.cat([text[:-1] for text in seen[name]]) for seen in (before, after))
        yield name, float(difference(*pair).amax())


def difference(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Compute the largest difference of rows (tokens, width) in each coordinate (width,), relative to its largest value.

    Where that is smaller, it is relative to that of a middling coordinate: some coordinates of trained models are a thousand
    times the others.
    """
    one, other = one.float(), other.to(one.device).float()
    scale = torch.maximum(one.abs(), other.abs()).amax(0)
    return (one - other).abs().amax(0) / scale.clamp_min(float(scale.median()) or TINY)
