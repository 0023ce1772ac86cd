"""Read hidden states out through a model's own head: final norm, whatever else follows the blocks, and the output matrix.

The model itself runs, with blocks that hand on given states instead of computing: soft caps, scales, biases, projections and
layers of a head are its own, whatever they are. On every run the state after the last block must give the model's own logits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from geomkit.core.errors import RefusalError
from geomkit.core.state import State
from geomkit.measures.norms import plain
from geomkit.measures.readout import Lens, log_probabilities, logit_lens
from geomkit.models.capture import Recorder, batch_limit, taken, with_prefix
from geomkit.models.load import output_matrix
from geomkit.models.masking import Masking
from geomkit.models.norms import MISFIT, final_norm, gains, misfit, probe_rows
from geomkit.models.placing import HOSTED, entry
from geomkit.models.selfcheck import EXACT, first, forward, gap, padded, predictions, running, short_texts
from geomkit.states.texts import Sample

LOGITS = 1 << 25
"""Logits that are computed at once."""


class Head:
    """What a model makes of the state after its last block.

    Raises RefusalError for a model whose head cannot be run alone, or whose head's logits for the last state are not its own.
    """

    @torch.inference_mode()
    def __init__(self, recorder: Recorder):
        self.model, self.blocks, self.how = recorder.model, recorder.blocks, recorder.how
        self.name = type(self.model).__name__
        text = short_texts(self.model)[-1][0]
        self.token = text[0]
        returned: list[Any] = []
        hook = self.blocks[-1].register_forward_hook(lambda block, args, output: returned.append(copied(output)))
        try:
            with running(self.name):
                ids, real = (each.to(entry(self.model)) for each in padded([text]))
                own = predictions(forward(self.model, ids, real))
        finally:
            hook.remove()
        self.returned = returned[0]
        state = self.how.rows(self.how.state(self.returned), len(text))[0]
        off = gap(finite(self.logits(state)), finite(self.how.rows(own, len(text))[0]))
        if not off <= EXACT.get(self.model.dtype, 1e-4):
            raise RefusalError(
                f"{self.name}: what its head makes of the state after the last block is not its own prediction (off by {off:.1%})"
            )

    @torch.inference_mode()
    def logits(self, rows: torch.Tensor) -> torch.Tensor:
        """Compute the logits (k, vocabulary) of states (k, d), each in place of that of a text of one token."""
        like = first(self.returned)
        ids = torch.full((len(rows), 1), self.token, device=entry(self.model))
        state = torch.zeros(len(rows), self.how.skipped + 1, like.shape[-1], dtype=like.dtype, device=like.device)
        state[:, self.how.skipped] = rows.to(state)
        with handing_on(self.blocks, lambda: self.output(state.clone())), running(self.name):
            return self.how.rows(predictions(forward(self.model, ids, torch.ones_like(ids))), 1)[:, 0]

    def output(self, state: torch.Tensor) -> Any:
        """Return a state in the form in which the last block returns its own."""
        if isinstance(self.returned, torch.Tensor):
            return state
        named = isinstance(self.returned, Mapping)
        values = list(self.returned.values() if named else self.returned)
        shape = first(self.returned).shape
        for place, value in enumerate(values):
            if place == 0:
                values[place] = state
            elif self.how.summed and isinstance(value, torch.Tensor) and value.shape == shape:
                values[place] = torch.zeros_like(state)
        return dict(zip(self.returned, values, strict=True)) if named else type(self.returned)(values)

    @torch.inference_mode()
    def reads(self, rows: torch.Tensor) -> torch.Tensor | None:
        """Return what the output matrix is given for states (k, d); None where the model names no output matrix, or leaves it."""
        given: list[torch.Tensor] = []
        matrix = output_matrix(self.model)
        if matrix is None:
            return None
        hook = matrix.register_forward_pre_hook(lambda module, args: given.append(args[0]))
        try:
            self.logits(rows)
        finally:
            hook.remove()
        return self.how.rows(given[-1], 1)[:, 0] if given and given[-1].ndim == 3 else None


def copied(output: Any) -> Any:
    """Copy the tensors of a block's output, which the model may change in place."""
    if isinstance(output, torch.Tensor):
        return output.clone()
    if isinstance(output, Mapping):
        return {name: copied(value) for name, value in output.items()}
    return tuple(copied(value) for value in output) if isinstance(output, tuple | list) else output


def finite(logits: torch.Tensor) -> torch.Tensor:
    """Return logits with 0 in place of those of tokens that are never predicted."""
    return logits.masked_fill(logits.isinf(), 0)


@contextmanager
def handing_on(blocks: Iterable[torch.nn.Module], output: Callable[[], Any]) -> Iterator[None]:
    """Let blocks return what a function gives, and compute nothing, inside the block."""
    own = [vars(block).get("forward") for block in blocks]
    for block in blocks:
        block.forward = lambda *args, **options: output()
    try:
        yield
    finally:
        for block, forward_of_block in zip(blocks, own, strict=True):
            del block.forward
            if forward_of_block is not None:
                block.forward = forward_of_block


def read_out(head: Head, rows: Mapping[State, np.ndarray], targets: np.ndarray) -> dict[State, Lens]:
    """Score the prediction of every state of some tokens, beside that of the last of the states.

    rows: (tokens, d) of each state, the state after the last block being the last; targets: (tokens,), the token that each is to
    predict. Tokens are taken in groups, so that memory holds few predictions.
    """
    states, vocabulary = list(rows), head.logits(as_rows(rows, slice(0, 1))).shape[-1]
    group = max(1, min(len(targets), LOGITS // vocabulary))
    together = max(1, LOGITS // (vocabulary * group))
    parts: dict[State, list[Lens]] = {state: [] for state in states}
    for start in range(0, len(targets), group):
        taken_rows = slice(start, start + group)
        wanted = targets[taken_rows]
        final = log_probabilities(head.logits(torch.from_numpy(rows[states[-1]][taken_rows])))
        for begin in range(0, len(states), together):
            some = states[begin : begin + together]
            logits = head.logits(as_rows({state: rows[state] for state in some}, taken_rows))
            for state, own in zip(some, logits.split(len(wanted)), strict=True):
                parts[state].append(logit_lens(own, final, wanted))
    return {state: Lens(*(np.concatenate(column) for column in zip(*own, strict=True))) for state, own in parts.items()}


def as_rows(rows: Mapping[State, np.ndarray], taken_rows: slice) -> torch.Tensor:
    """Stack the rows of states, one state after another."""
    return torch.from_numpy(np.concatenate([own[taken_rows] for own in rows.values()]))


def masked_rows(
    recorder: Recorder, sample: Sample, tokens: np.ndarray, masking: Masking, batch_tokens: int
) -> dict[State, np.ndarray]:
    """Collect the rows (tokens, d) of every state at single tokens of a corpus, each masked in a copy of its text."""
    limit = batch_limit(recorder.model.config, batch_tokens)
    offset, parts = sample.texts.offset, []
    places = [(text := int(np.searchsorted(offset, token, "right")) - 1, int(token - offset[text])) for token in tokens]
    for text, place in places:
        (ids,) = with_prefix(sample, range(text, text + 1), masking.suffix)
        ids[len(sample.prefix) + place] = masking.token
        parts.append((ids, len(sample.prefix) + place))
    return {state: np.concatenate(own) for state, own in masked_batches(recorder, parts, limit).items()}


@torch.inference_mode()
def masked_batches(recorder: Recorder, copies: Sequence[tuple[list[int], int]], limit: int) -> dict[State, list[np.ndarray]]:
    """Run copies of texts in batches of at most `limit` tokens; of each, keep the row of one token at every state."""
    found: dict[State, list[np.ndarray]] = {}
    start = 0
    while start < len(copies):
        longest = max(len(ids) for ids, _ in copies[start:])
        some = copies[start : start + max(1, limit // longest)]
        start += len(some)
        for texts in recorder.passes([ids for ids, _ in some]):
            mine, some = some[: len(texts)], some[len(texts) :]
            ids, real = (each.to(entry(recorder.model)) for each in padded(texts))
            kept = torch.zeros(ids.shape, dtype=torch.bool, device=ids.device)
            kept[torch.arange(len(mine)), [place for _, place in mine]] = True
            with recorder.hooked():
                forward(recorder.model, ids, real)
            for state, rows in taken(recorder, ids.shape[1], 0, kept, HOSTED).items():
                found.setdefault(state, []).append(rows)
    return found


class Unembedding:
    """Rows of a model's output matrix, as they meet its states.

    gain: (d,), what the head multiplies each coordinate of a state by, after the final norm without gain and bias; a string says
    why the output matrix does not meet the model's states in this way. Raises RefusalError where there is no matrix of numbers.
    """

    def __init__(self, head: Head):
        matrix = output_matrix(head.model)
        weight = None if matrix is None else getattr(matrix, "weight", None)
        if weight is None or weight.ndim != 2 or not weight.is_floating_point() or weight.is_meta:
            raise RefusalError(f"{head.name}: no output matrix of plain numbers")
        self.weight = weight.detach()
        self.gain = gain(head)

    def covariance(self) -> np.ndarray:
        """Compute the covariance of the matrix's rows over the vocabulary, (d, d), with the gain in them if it is known."""
        scale = None if isinstance(self.gain, str) else torch.from_numpy(self.gain)
        d = self.weight.shape[1]
        moment, total = np.zeros((d, d)), np.zeros(d)
        for rows in self.weight.split(1 << 13):
            own = rows.double().cpu()
            own = own.numpy() if scale is None else (own * scale).numpy()
            moment += own.T @ own
            total += own.sum(axis=0)
        mean = total / len(self.weight)
        return np.asarray(moment / len(self.weight) - np.outer(mean, mean))


def gain(head: Head) -> np.ndarray | str:
    """Find what a head multiplies each coordinate of a state by (d,), or say why it does more than that."""
    norm = final_norm(head.model)
    rows = probe_rows(first(head.returned).shape[-1], head.model.dtype)
    given = head.reads(rows)
    reason = f"{head.name}: layers of its own stand between its states and its output matrix"
    if given is None or given.shape != rows.shape:
        return reason
    x, y = rows.double().numpy(), given.double().cpu().numpy()
    if not isinstance(norm, str):
        x = plain(x, norm.kind, norm.eps)
    return reason if misfit(x, y) > MISFIT.get(head.model.dtype, 1e-4) else np.asarray(gains(x, y))
