"""Stream the hidden states of a running model, on all texts of a corpus or a part of them. No state reaches a disk."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
from transformers import PreTrainedModel

from geomkit.core.arrays import namespace
from geomkit.core.config import MASKED, ModelSpec, hidden_layers, resolve_layers
from geomkit.core.provenance import versions
from geomkit.core.state import MLP_HIDDEN, State, order
from geomkit.core.variants import make_run
from geomkit.models.attention import read_attention
from geomkit.models.backends import BACKENDS
from geomkit.models.capture import Recorder, all_rows, batch_groups, batch_limit, capture
from geomkit.models.cutting import texts_for
from geomkit.models.load import blocks, setting, sizes, some
from geomkit.models.masking import Masking
from geomkit.models.memory import check_memory, check_rows
from geomkit.models.norms import FinalNorm, final_norm
from geomkit.models.placing import HOSTED, Homes
from geomkit.models.readout import Head, Unembedding, masked_rows, read_out
from geomkit.models.selfcheck import read_states
from geomkit.models.variants import Bench
from geomkit.states.parts import numbered, requested
from geomkit.states.stream import DTYPE, Attended, Batch, Readout, States, not_finite, ranges, runs_of, states_type
from geomkit.states.texts import Sample, StoredTexts, Texts

OF_READING = ("template", "special tokens", "special tokens written", "special tokens read", "added tokens read", "no bytes")
"""Attributes on how documents were read, of a file of texts and of states on them."""
EVERYTHING: Mapping[str, Any] = {"layers": "all", "sublayers": False}
NOWHERE: Mapping[str, Any] = {}


def runs(
    folder: Path,
    texts: Path,
    model: str,
    spec: ModelSpec,
    batch_tokens: int,
    seed: int,
    dump: Mapping[str, Any] = EVERYTHING,
    origin: Mapping[str, Any] = NOWHERE,
    part: str | None = None,
    modes: Sequence[str] | None = None,
    whitened: Any = None,
) -> "Runs":
    """Open a model, by its name and folder, on the texts of a corpus, to be called with the names of variants.

    dump: the `layers`, `sublayers` and `mlp_hidden` that are read; origin: where the model comes from; part: the name of the part
    of the texts that is run, where it is not all of them. modes, whitened: what is to be summed over the corpus, for which
    ConfigError says, before the model is loaded, where memory would not do. Raises DataError for texts of another tokenizer.
    """
    own = spec.at(folder)
    stored = texts_for(texts, own, model)
    homes = HOSTED if modes is None else check_memory(model, own, dump, modes, batch_tokens, whitened)
    bench = Bench(own, stored.sample, seed)
    groups = batch_groups(stored.sample, batch_limit(bench.config, batch_tokens), bench.masks)
    share = share_of(groups, stored.sample.texts, part)
    return Runs(model, bench, stored, dump, batch_tokens, bench.masks, homes, share, origin, part)


def runs_on(bench: Bench, stored: StoredTexts, name: str, batch_tokens: int) -> "Runs":
    """Return a model on a bench, to be called with the names of variants. Texts are those of the bench."""
    masks = bench.masks
    share = share_of(batch_groups(stored.sample, batch_limit(bench.config, batch_tokens), masks), stored.sample.texts, None)
    return Runs(name, bench, stored, EVERYTHING, batch_tokens, masks, HOSTED, share, NOWHERE)


def runs_by_name(
    texts: Path, spec: ModelSpec, batch_tokens: int, seed: int, dump: Mapping[str, Any] = EVERYTHING
) -> Callable[[str, Path], "Runs"]:
    """Return a function that opens any of several models of one tokenizer, by its name and folder."""
    return lambda model, folder: runs(folder, texts, model, spec, batch_tokens, seed, dump)


@dataclass(frozen=True)
class Share:
    """Texts that one job runs: the numbers of its batches, the number of texts in each, and the texts."""

    batches: range
    borders: list[int]
    texts: range


def share_of(groups: Sequence[Sequence[range]], texts: Texts, part: str | None) -> Share:
    """Return the share of a part: a group belongs to the part, of all parts of as many tokens, that its first token falls into.

    So parts are runs of whole groups, one after another; the first has texts, and others may have none.
    """
    before, mine = [], list(groups)
    if part is not None:
        number, parts = numbered(part)
        begins = texts.offset[[group[0].start for group in groups]]
        own = np.searchsorted(begins * parts, np.arange(number, number + 2) * texts.offset[-1])
        before, mine = list(groups[: own[0]]), list(groups[own[0] : own[1]])
    borders = [len(run) for group in mine for run in group]
    first, start = sum(map(len, before)), mine[0][0].start if mine else 0
    return Share(range(first, first + len(borders)), borders, range(start, start + sum(borders)))


@dataclass(frozen=True)
class Runs:
    """A model on the texts of a corpus; called with the name of a variant, it returns its `States`.

    One model is in memory at a time: each stream is to be closed before the next one is opened.
    """

    name: str
    bench: Bench
    stored: StoredTexts
    dump: Mapping[str, Any]
    batch_tokens: int
    masks: Masking | None
    homes: Homes
    share: Share
    origin: Mapping[str, Any]
    part: str | None = None

    def __call__(self, variant: str) -> States:
        return Running(self, variant)

    @cached_property
    def facts(self) -> dict[str, object]:
        """Attributes of the model and the texts, and of a part also of the run."""
        spec = self.bench.spec
        attributes: dict[str, object] = (
            {f"model {key}": value for key, value in self.origin.items()}
            | reading_attributes(self.stored, spec.objective)
            | {
                "model": self.name,
                "weights sha256": self.bench.weights_sha256,
                "tokenizer sha256": self.stored.attributes["tokenizer sha256"],
                "corpus sha256": self.stored.attributes["corpus sha256"],
                "objective": spec.objective,
                DTYPE: spec.dtype,
                "device": self.bench.device,
                "seed": self.bench.seed,
                "versions": versions(*BACKENDS, "numpy"),
            }
        )
        if self.part is None:
            return attributes
        how = {key: self.dump[key] for key in ("layers", "sublayers", MLP_HIDDEN) if self.dump.get(key) not in (None, [])}
        return attributes | requested(**how, batch_tokens=self.batch_tokens, tokens=sum(self.stored.sample.texts.tokens))


def reading_attributes(stored: StoredTexts, objective: str) -> dict[str, object]:
    """Return attributes on how documents were read.

    A masked model's first token is scored too: its bytes are known if a prefix made the tokenizer count them.
    """
    attributes = {key: value for key, value in stored.attributes.items() if key in OF_READING}
    if objective == MASKED and not stored.sample.prefix and not attributes.get("no bytes"):
        attributes["no bytes"] = "all tokens of a text are scored, and the bytes of the first are not known"
    return attributes


class Running:
    """`geomkit.states.stream.States` of one variant. Its model is loaded when its states, or its attributes, are requested."""

    def __init__(self, runs: Runs, variant: str):
        self.runs, self.variant = runs, variant
        self.texts, self.borders, self.share = runs.stored.sample.texts, runs.share.borders, runs.share.texts
        self._running: tuple[Recorder, Sample] | None = None
        self._attributes: dict[str, object] | None = None

    def _run(self) -> tuple[Recorder, Sample]:
        """The recorder of the model, which is loaded now, and the texts as this variant reads them."""
        if self._running is None:
            bench, dump = self.runs.bench, self.runs.dump
            model, sample = make_run(self.variant, bench)
            if bench.recorder is None or bench.recorder.model is not model:
                depth = len(blocks(model))
                layers = resolve_layers(dump["layers"], depth)
                bench.recorder = Recorder(model, layers, dump["sublayers"], hidden_layers(dump, depth))
                bench.recorder.try_out(sample, self.runs.masks)
            self._running = bench.recorder, sample
        return self._running

    @property
    def recorder(self) -> Recorder:
        return self._run()[0]

    @property
    def sample(self) -> Sample:
        """Texts as this variant reads them."""
        return self._run()[1]

    @property
    def attributes(self) -> dict[str, object]:
        if self._attributes is None:  # to find the final norm the model runs
            own = attributes_of(self.recorder.model) if self.share else {}  # a part without texts has no use for the model
            self._attributes = {**self.runs.facts, "variant": self.variant, **own}
        return self._attributes

    @property
    def absent(self) -> Mapping[str, str]:
        return self.recorder.absent if self.share else {}

    @property
    def widths(self) -> dict[State, int]:
        recorded = self.recorder.widths if self.share else {}
        return {state: recorded[state] for state in sorted(recorded, key=order)}

    @property
    def dtype(self) -> str:
        return states_type({DTYPE: self.runs.bench.spec.dtype})

    def groups(self) -> list[list[State]]:
        return [list(self.widths)] if self.share else []

    def batches(
        self,
        states: Sequence[State] | None = None,
        scored: bool = False,
        start: int = 0,
        texts: Collection[int] | None = None,
    ) -> Iterator[Batch]:
        """See `geomkit.states.stream.States`; arrays, or, where a GPU keeps the sums of a state, tensors on it."""
        if not self.share:
            return
        sample, only = self.sample, self.runs.share.batches
        listed: list[Sequence[int]] = [*ranges(self.borders, self.share.start)]
        if texts is not None:  # run without the others
            numbers = [text for text in self.share if text in texts]
            sample, limit = sample.some(numbers), batch_limit(self.runs.bench.config, self.runs.batch_tokens)
            groups = batch_groups(sample, limit, self.runs.masks)
            listed = [numbers[run.start : run.stop] for group in groups for run in group]
            only = range(len(listed))
        if not listed[start:]:
            return
        how = (self.runs.batch_tokens, self.runs.masks, self.runs.homes)
        captured = capture(self.recorder, sample, *how, only=only[start:], scored=scored)
        for together, batch in zip(listed[start:], captured, strict=True):
            stop = 0
            for own in runs_of(together):
                begin, stop = stop, stop + sum(self.texts.tokens[own.start : own.stop])
                rows = {state: batch.states[state][begin:stop] for state in (self.widths if states is None else states)}
                surprisal = batch.surprisal[begin:stop] if scored else None
                self._check_finite(rows, own, surprisal)
                yield Batch(own, batch.ids[begin:stop], surprisal, rows)

    def _check_finite(self, rows: Mapping[State, Any], texts: range, surprisal: np.ndarray | None) -> None:
        for state, values in rows.items():
            if not np.isfinite(float(namespace(values).sum(values))):
                raise not_finite(state.path)
        offset = self.texts.offset
        firsts = offset[texts.start : texts.stop] - offset[texts.start]
        if surprisal is not None and not np.isfinite(np.delete(surprisal, firsts)).all():
            raise not_finite("tokens/surprisal")

    def gather(self, states: Sequence[State] | None = None, texts: Sequence[int] | None = None) -> dict[State, np.ndarray]:
        """See `geomkit.states.stream.States`."""
        runs, spec = self.runs, self.runs.bench.spec
        if self._running is None:
            total = sum(self.texts.tokens[text] for text in (self.share if texts is None else texts))
            check_rows(runs.name, spec, total, runs.dump)
        rows = all_rows(self.recorder, self.sample, runs.batch_tokens, runs.masks, self.share if texts is None else texts)
        return {state: rows[state] for state in (self.widths if states is None else states)}

    def readout(self, tokens: np.ndarray, rows: Mapping[State, np.ndarray]) -> Readout:
        """See `geomkit.states.stream.Model`."""
        runs, ids = self.runs, np.concatenate(self.sample.ids)
        head = Head(self.recorder)
        if runs.masks is not None:
            own = masked_rows(self.recorder, self.sample, tokens, runs.masks, runs.batch_tokens)
            rows = {state: own[state] for state in rows}
        matrix = Unembedding(head)
        apart = matrix.gain if isinstance(matrix.gain, str) else ""
        lens = read_out(head, rows, ids[tokens + (runs.masks is None)])
        return Readout(lens, len(matrix.weight), matrix.covariance(), apart)

    def attention(self, texts: Sequence[int], n: int) -> Iterator[Attended]:
        """See `geomkit.states.stream.Model`."""
        every = Recorder(self.recorder.model, range(self.recorder.depth + 1), False)
        yield from read_attention(every, self.sample, texts, n, self.runs.masks.suffix if self.runs.masks else ())

    def ids(self, text: int) -> np.ndarray:
        return self.sample.ids[text]

    def words(self, ids: Sequence[int]) -> list[str]:
        """See `geomkit.states.stream.States`."""
        return [self.runs.bench.tokenizer.decode([number]) for number in ids]

    def vocabulary(self) -> np.ndarray:
        """Return how often each token id occurs elsewhere in the corpus, padded to the model's vocabulary."""
        counts = self.runs.stored.counts
        return np.pad(counts, (0, max(0, setting(self.runs.bench.config, "vocab_size") - len(counts))))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._running = None  # or two models would be in memory


ATTRIBUTES: WeakKeyDictionary[PreTrainedModel, dict[str, object]] = WeakKeyDictionary()


def attributes_of(model: PreTrainedModel) -> dict[str, object]:
    """Return attributes of a model, for which it runs once."""
    if model not in ATTRIBUTES:
        ATTRIBUTES[model] = model_attributes(model)
    return ATTRIBUTES[model]


def model_attributes(model: PreTrainedModel) -> dict[str, object]:
    """Return attributes of a model.

    They are sizes, final norm, weights of its checkpoint that were left out, and transformers' own numbering of its states, if
    different.
    """
    beside, numbering = getattr(model, "left_out", []), read_states(model).numbering
    about = {"depth": len(blocks(model)), **vars(sizes(model)), **norm_attributes(final_norm(model))}
    about |= {"weights left out": some(beside)} if beside else {}
    return about | ({"numbering": numbering} if numbering else {})


def norm_attributes(norm: FinalNorm | str) -> dict[str, object]:
    """Return attributes of the final norm, so that its gain and bias can be left out later."""
    return {"final norm": "none"} if isinstance(norm, str) else {"final norm": norm.kind, "final norm eps": norm.eps}
