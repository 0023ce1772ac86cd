"""Run a model over texts and yield its hidden states batch by batch."""

import inspect
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from geomkit.core.arrays import namespace
from geomkit.core.errors import RefusalError
from geomkit.core.state import MLP_HIDDEN, State
from geomkit.models.context import check_texts
from geomkit.models.load import ATTENTION, MLP, blocks, has_part, holders, output_matrix, part, setting
from geomkit.models.masking import Masking, masked_surprisals
from geomkit.models.mlp import down_projection
from geomkit.models.placing import HOST, HOSTED, Homes, entry
from geomkit.models.selfcheck import entering, first, forward, padded, predictions, read_states
from geomkit.states.texts import Sample, by_document

LOGITS = 1 << 28
"""Largest number of logits in one batch (1 GiB in float32)."""
SLACK = 0.05
"""Largest gap between a block's output and the sum of its parts, relative to the largest of them at each coordinate. Rounding
to bfloat16 makes it 0.01."""


class Captured(NamedTuple):
    """Rows of a batch, texts one after another: ids (k,), surprisal (k,) in nats, and for each state (k, d) in float32."""

    ids: np.ndarray
    surprisal: np.ndarray
    states: dict[State, Any]


class Recorder:
    """Hooks on a model that record the wanted states of one forward pass.

    Sublayers are kept where a block's output is its input plus what its attention and its MLP put out, in sequence or in
    parallel; the first batch decides. Where it is not so, `absent` says why. The final state is the model's `last_hidden_state`:
    what the output matrix is applied to, after the final norm if there is one. mlp_hidden: blocks of which the hidden states of
    the MLP are wanted as well, the input of its down projection (`geomkit.models.mlp`); `absent` says of which there are none.
    Raises RefusalError for a model whose states cannot be told (`geomkit.models.selfcheck`).
    """

    def __init__(self, model: PreTrainedModel, layers: Sequence[int], sublayers: bool, mlp_hidden: Sequence[int] = ()):
        self.model, self.layers, self.sublayers = model, set(layers), sublayers
        self.blocks = blocks(model)
        self.depth = len(self.blocks)
        self.checked = False
        self.how = read_states(model)
        self.states: dict[State, torch.Tensor] = {}
        self.widths: dict[State, int] = {}
        self.absent: dict[str, str] = {}
        self.input: torch.Tensor
        self.down: dict[int, torch.nn.Module] = {}
        for layer in mlp_hidden:
            found = down_projection(self.blocks[layer - 1], setting(model.config, "hidden_size"))
            if isinstance(found, str):
                self.absent[State(layer, MLP_HIDDEN).path] = f"{type(model).__name__}, block {layer}: {found}"
            else:
                self.down[layer] = found.module
        if sublayers and not all(has_part(block, ATTENTION) and has_part(block, MLP) for block in self.blocks):
            self._without_sublayers(f"{type(model).__name__} has blocks without an attention and an MLP sublayer")

    @property
    def without_logits(self) -> dict[str, int]:
        """Options of a pass whose predictions nobody reads: with a large vocabulary they take longer than the blocks."""
        if self.how.head or "logits_to_keep" not in inspect.signature(self.model.forward).parameters:
            return {}
        return {"logits_to_keep": 1}

    def _without_sublayers(self, why: str) -> None:
        self.sublayers = False
        self.absent["sublayer"] = why  # in place: whoever writes the dump holds this dictionary already

    def try_out(self, sample: Sample, masking: Masking | None = None) -> None:
        """Determine the width of every state, and which sublayers there are, on the first text."""
        first_text = Sample(sample.ids[:1], sample.prefix, sample.texts.part(range(1)))
        for batch in capture(self, first_text, 1, masking, scored=False):
            self.widths = {state: rows.shape[1] for state, rows in batch.states.items()}

    def passes(self, texts: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
        """Split a batch into texts that are run together: all, those of one length that follow one another, or each alone."""
        if self.how.together == "any":
            return [list(texts)]
        if self.how.together == "none":
            return [[text] for text in texts]
        return [list(own) for _, own in groupby(texts, key=len)]

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Install the hooks inside the block, and remove them after it."""
        # OPT's language model calls the decoder inside its base model; where both are called, the outer one comes last.
        handles = [module.register_forward_hook(self._final) for module in holders(self.model, self.blocks)]
        if self.how.head and (matrix := output_matrix(self.model)) is not None:
            handles.append(matrix.register_forward_pre_hook(lambda module, args: self._final(module, (), args)))
        for layer, block in enumerate(self.blocks, 1):
            if layer == 1 or (self.sublayers and layer in self.layers) or layer in self.down:
                handles.append(block.register_forward_pre_hook(self._before, with_kwargs=True))
            if layer in self.down:
                handles.append(
                    self.down[layer].register_forward_pre_hook(self._hidden(State(layer, MLP_HIDDEN)), with_kwargs=True)
                )
            if layer in self.layers:
                handles.append(block.register_forward_hook(self._after(layer)))
                if self.sublayers:
                    handles.append(part(block, ATTENTION).register_forward_hook(self._part(State(layer, "attention"))))
                    handles.append(part(block, MLP).register_forward_hook(self._part(State(layer, "mlp"))))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _before(self, block, args, kwargs):
        self.input = self._read(entering(args, kwargs))
        if block is self.blocks[0] and 0 in self.layers:
            self.states[State(0)] = self.input

    def _read(self, tensors: Any) -> torch.Tensor:
        state = self.how.state(tensors)
        return state.clone() if self.how.copied else state

    def _part(self, state: State):
        def keep(module, args, output):
            if self.sublayers:  # a sum is a new tensor: Falcon adds to the output of its MLP in place
                own = first(output)  # on its block's device, on which the input may not be yet
                self.states[state] = self.input.to(own.device) + own.reshape(self.input.shape)

        return keep

    def _hidden(self, state: State):
        def keep(module, args, kwargs):
            own = entering(args, kwargs)[0]
            if own.shape[:-1].numel() == self.input.shape[:-1].numel():  # else `taken` finds it missing
                self.states[state] = own.reshape(*self.input.shape[:-1], own.shape[-1])

        return keep

    def _after(self, layer: int):
        def keep(block, args, output):
            self.states[State(layer)] = self._read(output)
            if self.sublayers and not self.checked:
                self._check_sublayers(layer)

        return keep

    def _check_sublayers(self, layer: int) -> None:
        parts = [self.states[State(layer, name)].float() for name in ("attention", "mlp", "block")]
        attention, mlp, output = parts
        before = self.input.to(output.device).float()
        scale = torch.stack([*parts, before]).abs().amax(0).clamp_min(1e-30)
        gap = float(((attention + mlp - before - output).abs() / scale).amax())
        if not gap < SLACK:
            self._without_sublayers(f"block {layer}: its output is not its input plus its sublayers' outputs (off by {gap:.0%})")
            self.states = {state: values for state, values in self.states.items() if state.sublayer in ("block", MLP_HIDDEN)}

    def _final(self, module, args, output):
        if self.depth + 1 in self.layers:
            final = first(output)
            self.states[State(self.depth + 1)] = final.clone() if self.how.copied else final


def batches(lengths: Sequence[int], tokens: int) -> list[range]:
    """Split texts into successive batches whose padded size, longest times number, is at most `tokens` (or one text)."""
    runs, start = [], 0
    for stop in range(1, len(lengths) + 1):
        if stop == len(lengths) or max(lengths[start : stop + 1]) * (stop + 1 - start) > tokens:
            runs.append(range(start, stop))
            start = stop
    return runs


def batch_groups(sample: Sample, tokens: int, masking: Masking | None = None) -> list[list[range]]:
    """Group a sample's batches by whole documents.

    Each group is one batch of at most `tokens` padded tokens, or the batches of one document that is larger.

    They depend on the sample alone, so that jobs that share its groups compute what one job would.
    """
    around = len(sample.prefix) + (len(masking.suffix) if masking else 0)
    lengths = [around + len(ids) for ids in sample.ids]
    groups: list[range] = []
    longest = 0
    for own in by_document(sample.texts.document):
        most = max(lengths[own.start : own.stop])
        if groups and max(longest, most) * (own.stop - groups[-1].start) <= tokens:
            longest = max(longest, most)
            groups[-1] = range(groups[-1].start, own.stop)
        else:
            longest = most
            groups.append(own)
    return [
        [range(group.start + run.start, group.start + run.stop) for run in batches(lengths[group.start : group.stop], tokens)]
        for group in groups
    ]


def with_prefix(sample: Sample, run: range, suffix: Sequence[int] = ()) -> list[list[int]]:
    """Return the token ids of a run of texts, each after the sample's prefix and before a suffix."""
    return [[*sample.prefix, *sample.ids[text].tolist(), *suffix] for text in run]


def surprisals(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Compute -ln p of each token (texts, tokens), in nats, from logits (texts, tokens, vocabulary); NaN for the first."""
    nats = torch.full(ids.shape, torch.nan, device=ids.device)
    for row in range(len(ids)):
        nats[row, 1:] = torch.nn.functional.cross_entropy(logits[row, :-1].float(), ids[row, 1:], reduction="none")
    return nats


def batch_limit(config: Any, batch_tokens: int) -> int:
    """Limit the tokens in a batch so that a model of this configuration gives at most `LOGITS` logits."""
    return min(batch_tokens, LOGITS // setting(config, "vocab_size"))


@torch.inference_mode()
def capture(
    recorder: Recorder,
    sample: Sample,
    batch_tokens: int,
    masking: Masking | None = None,
    homes: Homes = HOSTED,
    only: Collection[int] | None = None,
    scored: bool = True,
) -> Iterator[Captured]:
    """Run a model over texts and yield each batch's states, in the order of the texts.

    They are arrays, or, where `homes` names a GPU for a state, tensors on that one. only: numbers of the batches to yield, of all
    those of `batch_groups`.

    Texts are padded at their end, which a causal model cannot see and a masked one leaves out; no row of padding, prefix or
    suffix is handed out. A first token of a causal model has a surprisal only where a prefix precedes it. Where `scored` says
    that nobody asks for surprisals, they are NaN, and no more logits are computed than the model insists on. masking: of a model
    that predicts masked tokens, whose states are those of the whole text, and whose surprisal is that of each token given all
    others.
    Raises DataError for another model that is not causal, before the first batch, and for texts that the model does not take.
    """
    check_texts(type(recorder.model).__name__, recorder.model.config, sample, masking.suffix if masking else ())
    if masking is not None:
        yield from capture_masked(recorder, sample, batch_tokens, masking, homes, only, scored)
        return
    if recorder.how.ahead:
        raise RefusalError(
            f"{type(recorder.model).__name__}: {recorder.how.ahead}: "
            "it reads in both directions, or texts of a batch share something, and only causal models can be measured"
        )
    limit = batch_limit(recorder.model.config, batch_tokens)
    with recorder.hooked():
        for run in batches_to_run(sample, limit, None, only):
            texts = with_prefix(sample, run)
            passes = recorder.passes(texts)
            yield joined([causal_pass(recorder, each, len(sample.prefix), homes, scored) for each in passes])


def causal_pass(recorder: Recorder, texts: Sequence[Sequence[int]], start: int, homes: Homes, scored: bool = True) -> Captured:
    """Capture states and, if scored, surprisal from one pass of texts, from the token `start` on. Needs the recorder's hooks."""
    ids, real = padded(texts)
    device = entry(recorder.model)
    ids, mask = ids.to(device), real.to(device)
    if scored:
        surprisal = surprisals(predictions(forward(recorder.model, ids, mask)), ids)
    else:
        forward(recorder.model, ids, mask, **recorder.without_logits)
        surprisal = torch.full(ids.shape, torch.nan, device=device)
    kept = None if bool(real.all()) else mask[:, start:]
    states = taken(recorder, ids.shape[1], start, kept, homes)
    return Captured(rows(ids[:, start:], kept).numpy(), rows(surprisal[:, start:], kept).numpy(), states)


def joined(parts: Sequence[Captured]) -> Captured:
    """Concatenate the rows of parts."""
    if len(parts) == 1:
        return parts[0]
    ids, surprisal = (np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "surprisal"))
    states = {
        state: namespace(values).concat([part.states[state] for part in parts]) for state, values in parts[0].states.items()
    }
    return Captured(ids, surprisal, states)


def batches_to_run(sample: Sample, tokens: int, masking: Masking | None, only: Collection[int] | None) -> Iterator[range]:
    """Yield the texts of every batch, or of the given batches only."""
    for number, run in enumerate(chain.from_iterable(batch_groups(sample, tokens, masking))):
        if only is None or number in only:
            yield run


def rows_of_texts(
    recorder: Recorder, sample: Sample, texts: Collection[int], batch_tokens: int, masking: Masking | None = None
) -> Iterator[tuple[int, dict[State, np.ndarray]]]:
    """Yield (text, rows (tokens, d) of every state) of some texts, in the batches that all texts are run in."""
    groups, wanted = batch_groups(sample, batch_limit(recorder.model.config, batch_tokens), masking), set(texts)
    runs = {number: run for number, run in enumerate(chain.from_iterable(groups)) if not wanted.isdisjoint(run)}
    for run, batch in zip(runs.values(), capture(recorder, sample, batch_tokens, masking, only=runs, scored=False), strict=True):
        stops = np.cumsum([len(sample.ids[text]) for text in run]).tolist()
        for text, stop in zip(run, stops, strict=True):
            if text in wanted:
                yield text, {state: rows[stop - len(sample.ids[text]) : stop] for state, rows in batch.states.items()}


def all_rows(
    recorder: Recorder, sample: Sample, batch_tokens: int, masking: Masking | None = None, texts: Sequence[int] | None = None
) -> dict[State, np.ndarray]:
    """Collect rows (tokens, d) of every state in float32, of all texts or of some in their order. Memory holds all of them."""
    chosen = range(len(sample.ids)) if texts is None else texts
    gathered: dict[State, np.ndarray] = {}
    start, total = 0, sum(len(sample.ids[text]) for text in chosen)
    for text, states in rows_of_texts(recorder, sample, chosen, batch_tokens, masking):
        stop = start + len(sample.ids[text])
        for state, values in states.items():
            gathered.setdefault(state, np.empty((total, values.shape[1]), np.float32))[start:stop] = values
        start = stop
    return gathered


def taken(recorder: Recorder, tokens: int, start: int, kept: torch.Tensor | None, homes: Homes) -> dict[State, Any]:
    """Select the kept positions from `start` on, from the states of one pass of so many tokens.

    Raises RefusalError if a layer is not among them.
    """
    if missing := recorder.layers - {state.layer for state in recorder.states if state.sublayer != MLP_HIDDEN}:
        raise RefusalError(f"{type(recorder.model).__name__}: its forward pass does not show layer {min(missing)}")
    for layer in recorder.down.keys() - {state.layer for state in recorder.states if state.sublayer == MLP_HIDDEN}:
        why = f"block {layer}: its forward pass does not hand every token to the MLP's down projection"
        if recorder.checked:  # later batches must bring the same states, or a dump would have holes
            raise RefusalError(f"{type(recorder.model).__name__}, {why}")
        del recorder.down[layer]
        recorder.absent[State(layer, MLP_HIDDEN).path] = f"{type(recorder.model).__name__}, {why}"
    states = {}
    for state in list(recorder.states):  # each is let go before the next is copied
        values = recorder.how.rows(recorder.states.pop(state), tokens)
        states[state] = at_home(rows(values[:, start:], kept, homes.get(state, HOST)).float())
    recorder.checked = True
    return states


def at_home(rows: torch.Tensor) -> Any:
    """Move rows of the host to an array, and leave others as a tensor."""
    return rows.numpy() if rows.device == HOST else rows


def capture_masked(
    recorder: Recorder,
    sample: Sample,
    batch_tokens: int,
    masking: Masking,
    homes: Homes,
    only: Collection[int] | None,
    scored: bool,
) -> Iterator[Captured]:
    """Run `capture` for a masked model: one pass over each batch and, if tokens are scored, one copy of a text for each."""
    limit = batch_limit(recorder.model.config, batch_tokens)
    for run in batches_to_run(sample, limit, masking, only):
        texts = with_prefix(sample, run, masking.suffix)
        how = (len(sample.prefix), masking, limit, homes, scored)
        yield joined([masked_pass(recorder, each, *how) for each in recorder.passes(texts)])


def masked_pass(
    recorder: Recorder, texts: Sequence[Sequence[int]], start: int, masking: Masking, limit: int, homes: Homes, scored: bool
) -> Captured:
    """Capture states between prefix and suffix from one pass of texts and, if scored, surprisal from their masked copies."""
    model = recorder.model
    ids, real = padded(texts)
    device = entry(model)
    ids, mask = ids.to(device), real.to(device)
    own = torch.arange(ids.shape[1]) < real.sum(dim=1, keepdim=True) - len(masking.suffix)
    own[:, :start] = False
    with recorder.hooked():
        forward(model, ids, mask)
    states = taken(recorder, ids.shape[1], 0, own.to(device), homes)
    places = [(int(text), int(token)) for text, token in own.nonzero()]
    surprisal = torch.full((len(places),), torch.nan)
    if scored:
        alone = recorder.how.together == "none"
        surprisal = masked_surprisals(model, ids, mask, places, masking.token, 1 if alone else limit).cpu()
    return Captured(rows(ids, own.to(device)).numpy(), surprisal.numpy(), states)


def rows(values: torch.Tensor, kept: torch.Tensor | None, home: torch.device | str = "cpu") -> torch.Tensor:
    """Select the kept positions of a batch (texts, tokens, ...), text after text, on a device."""
    return (values.flatten(0, 1) if kept is None else values[kept.to(values.device)]).to(home)
