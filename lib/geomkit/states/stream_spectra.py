"""Measure a stream of states: spectra of texts and of the corpus, documents' sums, and extracts for later stages.

A mode that subtracts the mean of the corpus, or that leaves rows as long as they are, needs sums of all rows before: the stream
is then read twice. Jobs that share the texts of a corpus read those sums from files (`geomkit.states.row_sums`). Sums over the
corpus are in fixed point, with one contribution for each batch, or each document in it, so that neither the kind of stream nor
the number of parts changes a bit.
"""

import bisect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from geomkit.core.arrays import Array, as_numpy, reals
from geomkit.core.logs import progress
from geomkit.core.state import MLP_HIDDEN, PLAIN, State
from geomkit.core.variants import TRAINED
from geomkit.measures.accumulation import StateSpectra, text_gains
from geomkit.measures.norms import NORMS, plain
from geomkit.measures.spectra import FixedPointCovariance, is_centred, is_unit
from geomkit.states.drawn import Drawn
from geomkit.states.extracts import NOTHING, Requested, StateExtracts
from geomkit.states.row_sums import RowSum, row_sum, total_of
from geomkit.states.sinks import SinkEffects
from geomkit.states.spectra import GAINED, SpectraWriter
from geomkit.states.stream import WIDEST, Batch, States, keeps_documents
from geomkit.states.texts import Texts, by_document

FEW = 1 << 28
"""Numbers in the rows of a pass (1 GiB), up to which all of them are kept for the next one: a model then runs once."""


@dataclass(frozen=True)
class Plan:
    """Settings of the measurement: normalisations, lengths in tokens, and extracts for later stages.

    plain: whether the final state is also measured without the final norm's gain and bias. documents: whether each document's
    sums are kept, of states for which that is possible. corpus: whether all rows together are measured. scored: whether
    surprisals are kept; without them a running model need not compute its logits. texts: numbers of those that are measured, if
    not all.
    """

    modes: Sequence[str]
    lengths: Sequence[int]
    requested: Requested = NOTHING
    plain: bool = False
    documents: bool = True
    corpus: bool = True
    scored: bool = True
    texts: Collection[int] | None = None

    @property
    def two_passes(self) -> bool:
        """Whether sums of all rows are needed first."""
        return self.corpus and any(is_centred(mode) or not is_unit(mode) for mode in self.modes)


def missing_spectra(states: States, lengths: Sequence[int]) -> dict[str, str]:
    """List what the spectra of these states will lack, with reasons."""
    longest = max(states.texts.tokens)
    absent = {f"n = {n}": f"the longest text has {longest} tokens" for n in lengths if n > longest}
    wide = [  # a part without texts has no widths, and does not say how deep the model is
        state
        for state, width in states.widths.items()
        if state.layer >= depth_of(states) and not keeps_documents(state, depth_of(states), width)
    ]
    of_mlps = [state for state in wide if state.sublayer == MLP_HIDDEN]
    for state in [*of_mlps, *[state for state in wide if state not in of_mlps][:1]]:
        absent[f"documents/{state.path}"] = f"covariances of documents are kept up to a width of {WIDEST}"
    return absent


@dataclass
class Work:
    """Texts that a job is to read, each as often as it is read, and how many of them it has read."""

    total: int
    done: int = 0


def texts_read(states: States, plan: Plan, summed: bool) -> int:
    """Count the texts that the measurement of a variant reads. summed: whether sums of all rows are known."""
    texts = len([text for text in states.share if plan.texts is None or text in plan.texts])
    again = plan.two_passes and not summed
    return sum(texts * (2 if again and not keeps_rows(states, group) else 1) for group in states.groups())


def keeps_rows(states: States, group: Sequence[State]) -> bool:
    """Whether the rows of a pass are so few that they are kept for a second one."""
    tokens = sum(states.texts.tokens[states.share.start : states.share.stop])
    return tokens * sum(states.widths[state] for state in group) <= FEW


def depth_of(states: States) -> int:
    """Return the number of the model's blocks."""
    return int(str(states.attributes["depth"]))


def measure_variant(
    writer: SpectraWriter,
    variant: str,
    states: States,
    plan: Plan,
    name: str,
    sums: Mapping[State, RowSum] | None = None,
    work: Work | None = None,
) -> None:
    """Measure one variant, in as many passes as the modes and the stream take.

    sums: of all rows, where they are known. work: that of the job, if there is more than this.
    """
    sinks = plan.requested.sinks if variant == TRAINED else None
    blocks = [state for state in states.widths if state.sublayer == "block"]
    work = work or Work(texts_read(states, plan, sums is not None))
    for number, group in enumerate(states.groups()):
        read = Passes(states, group, plan, plan.scored and number == 0, work)
        before = sums
        if before is None and plan.two_passes:
            before = total_of({state: row_sum(own) for state, own in batch.rows.items()} for batch in read(f"{name}, means"))
        tokens, effects = Tokens(), blank_effects(sinks, blocks, states) if sinks and {*blocks} <= {*group} else None
        measured: dict[State, Measured] = {}
        for batch in read(name, last=True):
            tokens.add(batch)
            if effects and sinks:
                effects.add(batch, states)
            for state, rows in batch.rows.items():
                if state not in measured:
                    measured[state] = Measured.blank(variant, state, states, rows, before or {}, plan)
                measured[state].add(writer, batch)
        if number == 0:
            if plan.texts is not None:
                writer.measured_texts(variant, sorted(plan.texts))
                if not isinstance(states, Drawn):
                    writer.ids_of_texts(variant, sorted(plan.texts), tokens.ids)
            elif tokens.surprisal or not isinstance(states, Drawn):
                tokens.write(writer, variant, states)
            if sinks and effects is None:
                effects = blank_effects(sinks, blocks, states)
                for batch in progress(states.batches(blocks), f"{name}, sinks", len(states.borders)):
                    effects.add(batch, states)
        if effects:
            effects.write(writer.file)
        for own in measured.values():
            own.write(writer)


def blank_effects(sinks: Mapping[str, Any], blocks: Sequence[State], states: States) -> SinkEffects:
    layers = [state.layer for state in blocks]
    shape = (sinks["thresholds"], layers, sinks["modes"], sinks["metrics"], sinks["eps2"], len(states.share))
    return SinkEffects.blank(*shape, all_tokens=sinks.get("all_tokens", True))


class Passes:
    """One pass or two over some states of a stream, with the plain final state if the plan says so; one is enough for few rows.

    A call takes the text of the progress bar, and whether it is the last, whose batches are scored if `scored`.
    """

    def __init__(self, states: States, group: Sequence[State], plan: Plan, scored: bool, work: Work):
        self.states, self.group, self.texts, self.scored = states, group, plan.texts, scored
        self.work, self.few = work, plan.two_passes and keeps_rows(states, group)
        self.norm = final_norm_of(states) if plan.plain and State(depth_of(states)) in group else None
        self.kept: list[Batch] = []

    def __call__(self, name: str, last: bool = False) -> Iterator[Batch]:
        if self.kept:
            yield from self.kept
            return
        scored = self.scored and (last or self.few)
        batches = self.states.batches(self.group, scored, texts=self.texts)
        for batch in progress(batches, name, self.work.total, self.work.done, lambda batch: len(batch.texts)):
            self.work.done += len(batch.texts)
            if self.norm:
                final = State(depth_of(self.states) + 1, PLAIN)
                batch = batch._replace(rows={**batch.rows, final: self.norm(batch.rows[State(depth_of(self.states))])})
            if self.few:
                self.kept.append(batch)
            yield batch


def final_norm_of(states: States) -> Callable[[Array], Array] | None:
    """Return the final norm of a stream's model without its gain and bias, as a function of the last block's rows.

    None where the model has no final norm that is known.
    """
    kind = str(states.attributes.get("final norm", "none"))
    return partial(plain, norm=kind, eps=float(str(states.attributes["final norm eps"]))) if kind in NORMS else None


@dataclass
class Tokens:
    """Ids and surprisals of the batches so far."""

    ids: list[np.ndarray] = field(default_factory=list)
    surprisal: list[np.ndarray] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        if batch.surprisal is not None:
            self.surprisal.append(batch.surprisal)
        self.ids.append(batch.ids)

    def write(self, writer: SpectraWriter, variant: str, states: States) -> None:
        writer.tokens(variant, self.ids, None if "surprisal" in states.absent else self.surprisal or None)


@dataclass(frozen=True)
class Measured:
    """Measurements of one state so far.

    documents: the texts of each document whose sums are stored; gain: constants of the information gain.
    """

    variant: str
    state: State
    texts: Texts
    whole: Mapping[str, FixedPointCovariance]
    spectra: StateSpectra
    documents: Sequence[range]
    gain: Mapping[str, Any] | None
    gains: list[np.ndarray]
    extracts: StateExtracts

    @classmethod
    def blank(
        cls, variant: str, state: State, states: States, rows: Any, before: Mapping[State, RowSum], plan: Plan
    ) -> "Measured":
        """Start the measurement of a state with rows like these (tokens, d)."""
        texts, share, width, tokens = states.texts, states.share, rows.shape[1], sum(states.texts.tokens)
        total, squares = before[state] if plan.two_passes else (np.zeros(width), 0.0)
        mean, depth = reals(total / tokens, like=rows), depth_of(states)
        # squares are summed in another order here: twice their sum is a bound that rounding does not reach
        summed = plan.modes if plan.corpus else ()
        whole = {mode: FixedPointCovariance(width, tokens if is_unit(mode) else 2 * squares, mean) for mode in summed}
        documents = plan.documents and not isinstance(states, Drawn) and keeps_documents(state, depth, width)
        return cls(
            variant,
            state,
            texts,
            whole,
            StateSpectra(width, plan.modes, plan.lengths, mean, documents, whole, states.dtype),
            list(by_document(texts.document[share.start : share.stop], share.start)) if documents else [],
            plan.requested.gain if variant in GAINED else None,
            [],
            StateExtracts(state, depth, width, texts, plan.requested.of(variant), mean),
        )

    def add(self, writer: SpectraWriter, batch: Batch) -> None:
        """Add a batch's rows; sums of a document are written when its last text has been added."""
        rows, sizes = batch.rows[self.state], self.texts.tokens[batch.texts.start : batch.texts.stop]
        if not self.documents:
            self.spectra.add(rows, sizes)
        first = bisect.bisect_right(self.documents, batch.texts.start, key=lambda own: own.stop)
        offset = self.texts.offset
        for document, own in enumerate(self.documents[first:], first):
            part = range(max(own.start, batch.texts.start), min(own.stop, batch.texts.stop))
            if not len(part):
                break
            begin, end = (offset[text] - offset[batch.texts.start] for text in (part.start, part.stop))
            self.spectra.add(rows[begin:end], self.texts.tokens[part.start : part.stop])
            if part.stop == own.stop:
                for mode, sums in self.spectra.end_document().items():
                    writer.document(self.variant, mode, self.state, document, sums)
        self.extracts.add(rows, batch.texts)
        if self.gain:
            self.gains.extend(map(as_numpy, text_gains(rows, sizes, self.gain["eps2"], self.gain["n"])))

    def write(self, writer: SpectraWriter) -> None:
        for mode, rows in self.whole.items():
            writer.whole(self.variant, mode, self.state, rows)
        for mode, spectrum in self.spectra.texts():
            writer.texts(self.variant, mode, self.state, spectrum)
        self.extracts.write(writer, self.variant)
        if self.gains:
            writer.gains(self.variant, self.state, self.gains)
