"""Run a model over texts, and hand out its hidden states batch by batch."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from geomkit.errors import DataError
from geomkit.lm.models import ATTENTION, MLP, blocks, has_part, part, prefix
from geomkit.sources.corpora import Document, cut
from geomkit.store.dumps import State, Texts
from geomkit.store.provenance import rng

LOGITS = 1 << 28
"""Largest number of logits in one batch (1 GiB in float32)."""
COUNTED = 2_000_000
"""Tokens of other documents that are counted, at most: more would not tell common tokens from rare ones any better."""
SLACK = 0.05
"""Largest gap between a block's output and the sum of its parts, relative to the largest of them at each coordinate. Rounding
to bfloat16 makes it 0.01."""


@dataclass(frozen=True)
class Sample:
    """Texts of one corpus in one tokenizer: token ids, what precedes each text, and where the texts came from."""

    ids: list[np.ndarray]
    prefix: list[int]
    texts: Texts

    def shuffled(self, seed: int) -> "Sample":
        """The same tokens in an order of chance, text by text; the prefix stays in front."""
        order = rng(seed, "shuffled")
        return Sample([order.permutation(ids) for ids in self.ids], self.prefix, self.texts)


def sample(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, count: int, length: int, seed: int) -> Sample:
    """`count` texts of `length` tokens, cut out of documents as `geomkit.sources.corpora.cut` does.

    Documents are tokenized in an order of chance until there are enough, so a large corpus costs no more than a small one.
    Raises DataError if no document has two tokens.
    """
    order = rng(seed, "documents").permutation(len(documents)).tolist()
    tokens: list[np.ndarray] = []
    names: list[str] = []
    enough = 0
    for index in order:
        ids = tokenizer(documents[index].text, add_special_tokens=False, verbose=False)["input_ids"]
        tokens.append(np.array(ids, dtype=np.int32))
        names.append(documents[index].name)
        enough += len(ids) >= length
        if enough >= max(count, 40):
            break
    slices = cut([len(ids) for ids in tokens], count, length, seed)
    if not slices:
        raise DataError(f"no text of at least two tokens among {len(documents)} documents")
    ids = [tokens[part.document][part.start : part.stop].copy() for part in slices]
    before = prefix(tokenizer)
    scored = [len(tokenizer.decode(part if before else part[1:]).encode()) for part in ids]
    return Sample(ids, before, Texts([names[part.document] for part in slices], [len(part) for part in ids], scored))


def vocabulary_counts(
    documents: Sequence[Document], measured: Collection[str], tokenizer: PreTrainedTokenizerBase, vocabulary: int, seed: int
) -> np.ndarray:
    """How often each token id occurs in documents that are not measured, up to COUNTED tokens by chance: (vocabulary,)."""
    counts = np.zeros(vocabulary, dtype=np.int64)
    for index in rng(seed, "vocabulary").permutation(len(documents)).tolist():
        document = documents[index]
        if document.name not in measured:
            counts += np.bincount(
                tokenizer(document.text, add_special_tokens=False, verbose=False)["input_ids"], minlength=vocabulary
            )
        if counts.sum() >= COUNTED:
            break
    return counts


class Captured(NamedTuple):
    """A batch's rows, texts one after another: ids (k,), surprisal (k,) in nats, and for each state (k, d)."""

    ids: np.ndarray
    surprisal: np.ndarray
    states: dict[State, np.ndarray]


class Recorder:
    """Hooks on a model that keep the wanted states of one forward pass.

    Sublayers are kept where a block's output is its input plus what its attention and its MLP put out, in sequence or in
    parallel; the first batch decides. Where it is not so, `absent` says why. The final state is the model's `last_hidden_state`:
    what the output matrix is applied to, after the final norm if there is one.
    """

    def __init__(self, model: PreTrainedModel, layers: Sequence[int], sublayers: bool):
        self.model, self.layers, self.sublayers = model, set(layers), sublayers
        self.blocks = blocks(model)
        self.depth = len(self.blocks)
        self.checked = False
        self.states: dict[State, torch.Tensor] = {}
        self.absent: dict[str, str] = {}
        self.input: torch.Tensor
        if sublayers and not all(has_part(block, ATTENTION) and has_part(block, MLP) for block in self.blocks):
            self._without_sublayers(f"{type(model).__name__} has blocks without an attention and an MLP sublayer")

    def _without_sublayers(self, why: str) -> None:
        self.sublayers, self.absent = False, {"sublayer": why}

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Hooks are in place inside the block, and gone after it."""
        # OPT's language model calls the decoder inside its base model; where both are called, the outer one comes last.
        owner = next(module for module in self.model.base_model.modules() if self.blocks in module.children())
        handles = [module.register_forward_hook(self._final) for module in {owner, self.model.base_model}]
        for layer, block in enumerate(self.blocks, 1):
            if layer == 1 or (self.sublayers and layer in self.layers):
                handles.append(block.register_forward_pre_hook(self._before, with_kwargs=True))
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
        self.input = args[0] if args else kwargs["hidden_states"]
        if block is self.blocks[0] and 0 in self.layers:
            self.states[State(0)] = self.input

    def _part(self, state: State):
        def keep(module, args, output):
            if self.sublayers:  # a sum is a new tensor: Falcon adds to the output of its MLP in place
                self.states[state] = self.input + first(output).reshape(self.input.shape)

        return keep

    def _after(self, layer: int):
        def keep(block, args, output):
            self.states[State(layer)] = first(output)
            if self.sublayers and not self.checked:
                self._check_sublayers(layer)

        return keep

    def _check_sublayers(self, layer: int) -> None:
        parts = [self.states[State(layer, name)].float() for name in ("attention", "mlp", "block")]
        attention, mlp, output = parts
        scale = torch.stack([*parts, self.input.float()]).abs().amax(0).clamp_min(1e-30)
        gap = float(((attention + mlp - self.input.float() - output).abs() / scale).amax())
        if not gap < SLACK:
            self._without_sublayers(f"block {layer}: its output is not its input plus its sublayers' outputs (off by {gap:.0%})")
            self.states = {state: values for state, values in self.states.items() if state.sublayer == "block"}

    def _final(self, module, args, output):
        if self.depth + 1 in self.layers:
            self.states[State(self.depth + 1)] = first(output)


def first(output):
    """A module's hidden states, which may come with others behind them."""
    return output if isinstance(output, torch.Tensor) else output[0]


def batches(lengths: Sequence[int], tokens: int) -> list[range]:
    """Runs of successive texts whose padded size, longest times number, is at most `tokens` (or one text)."""
    runs, start = [], 0
    for stop in range(1, len(lengths) + 1):
        if stop == len(lengths) or max(lengths[start : stop + 1]) * (stop + 1 - start) > tokens:
            runs.append(range(start, stop))
            start = stop
    return runs


def padded(sample: Sample, run: range) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of a run of texts behind their prefix, padded with 0 at the end, and which are real: (texts, tokens)."""
    lengths = torch.tensor([len(sample.prefix) + len(sample.ids[text]) for text in run])
    ids = torch.zeros(len(run), int(lengths.max()), dtype=torch.long)
    for row, text in enumerate(run):
        ids[row, : lengths[row]] = torch.tensor([*sample.prefix, *sample.ids[text].tolist()])
    return ids, torch.arange(ids.shape[1]) < lengths[:, None]


def surprisals(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """-ln p of each token (texts, tokens), in nats, from logits (texts, tokens, vocabulary); NaN for the first."""
    found = torch.full(ids.shape, torch.nan, device=ids.device)
    for row in range(len(ids)):
        found[row, 1:] = torch.nn.functional.cross_entropy(logits[row, :-1].float(), ids[row, 1:], reduction="none")
    return found


def batch_limit(model: PreTrainedModel, batch_tokens: int) -> int:
    """Tokens in a batch of which the logits are not too many."""
    return min(batch_tokens, LOGITS // model.config.get_text_config().vocab_size)


@torch.inference_mode()
def capture(recorder: Recorder, sample: Sample, batch_tokens: int) -> Iterator[Captured]:
    """Runs a model over texts and yields each batch's states, in the order of the texts.

    Texts are padded at their end, which a causal model cannot see; no row of padding or prefix is handed out. A first token has a
    surprisal only where a prefix precedes it.
    """
    model, start = recorder.model, len(sample.prefix)
    with recorder.hooked():
        for run in batches([start + len(ids) for ids in sample.ids], batch_limit(model, batch_tokens)):
            ids, real = padded(sample, run)
            ids, mask = ids.to(model.device), real.to(model.device)
            logits = model(input_ids=ids, attention_mask=mask.long(), use_cache=False).logits
            surprisal = surprisals(logits, ids)
            del logits
            kept = None if bool(real.all()) else mask[:, start:]
            if missing := recorder.layers - {state.layer for state in recorder.states}:
                raise DataError(f"{type(model).__name__}: its forward pass does not show layer {min(missing)}")
            states = {state: rows(values[:, start:], kept).float().numpy() for state, values in recorder.states.items()}
            recorder.states.clear()
            recorder.checked = True
            yield Captured(rows(ids[:, start:], kept).numpy(), rows(surprisal[:, start:], kept).numpy(), states)


def rows(values: torch.Tensor, kept: torch.Tensor | None) -> torch.Tensor:
    """The kept positions of a batch (texts, tokens, ...), text after text, on the CPU."""
    return (values.flatten(0, 1) if kept is None else values[kept]).cpu()
