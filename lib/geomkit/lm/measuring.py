"""Spectra, information gains and surprisal of one model on one corpus while it runs: no state reaches a disk.

The numbers are those that `geomkit.studies.spectra` finds in dumps, up to rounding. A mode that subtracts the mean of the corpus,
or that leaves rows as long as they are, needs sums of all rows before: the model then runs twice over the texts. Several jobs may
share the texts, each a part of them: then `geomkit.lm.first_pass` makes those sums for all, and `geomkit.store.partial_spectra`
puts together what each has measured. Sums over the corpus are in fixed point, so that the number of parts changes no bit.
Memory: `geomkit.lm.memory`.
"""

import bisect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.arrays import as_numpy, reals
from geomkit.config import CAUSAL
from geomkit.lm.capture import Recorder
from geomkit.lm.dumping import of_model, padded_counts, recorder_of
from geomkit.lm.passes import Job, all_row_sums, asked, job_of, passes
from geomkit.logs import progress
from geomkit.measures.accumulation import StateSpectra, text_gains
from geomkit.measures.spectra import FixedPointCovariance, is_centred, is_unit
from geomkit.store.decomposition import (
    decompose,
    drawn_rows,
    keeps_documents,
    what_is_absent,
    write_document,
    write_state,
)
from geomkit.store.dumps import State, order, states_type
from geomkit.store.extracts import NOTHING, Asked, StateExtracts
from geomkit.store.partial_spectra import write_part
from geomkit.store.parts import PART
from geomkit.store.refusals import refused_files
from geomkit.store.row_sums import RowSum, read_row_sums
from geomkit.store.sinks import SinkEffects
from geomkit.store.spectra import GAINED, SCHEMA, SpectraWriter, write_spectra
from geomkit.store.texts import Sample
from geomkit.variants import TRAINED, make_run

ALL_NULLS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Plan:
    """What is measured: normalisations, lengths in tokens, constants of the information gain if it is asked for, and what later
    stages ask of the trained model."""

    modes: Sequence[str]
    lengths: Sequence[int]
    gain: Mapping[str, Any] | None
    asked: Asked = NOTHING

    @property
    def two_passes(self) -> bool:
        """Whether sums of all rows have to be known before."""
        return any(is_centred(mode) or not is_unit(mode) for mode in self.modes)


def measure_model(
    folder: Path,
    texts: Path,
    output: Path,
    dump: Mapping[str, Any],
    compute: Mapping[str, Any],
    modes: Sequence[str],
    lengths: Sequence[int],
    variants: Sequence[str],
    drawn: Sequence[str],
    gain: Mapping[str, Any] | None,
    seed: int,
    origin: Mapping[str, Any],
    trust_remote_code: bool,
    objective: str = CAUSAL,
    left_out: Mapping[str, str] = ALL_NULLS,
    whitened: Any = None,
    sinks: Mapping[str, Any] | None = None,
    part: str | None = None,
    sums: Sequence[Path] = (),
) -> None:
    """Writes the spectra of one model and corpus; refused ones if the model does not show its hidden states.

    dump: the `layers` and `sublayers` that are measured; left_out: nulls that it has none of, and why. part: the name of the part
    of the texts that is measured, where it is not all of them; sums: then the files of the first pass over every part, where the
    modes need one. Raises ConfigError, before the model runs, where memory would not do, and DataError for sums of another run.
    """
    name = output.parent.name
    plan = Plan(modes, lengths, gain, Asked(gain, whitened, sinks))
    absent = dict(left_out)
    widths: dict[State, int] = {}
    with refused_files([output]):
        job = job_of(folder, texts, name, dump, compute, modes, seed, origin, trust_remote_code, objective, part, whitened)
        with writing(output, job, plan, variants, drawn, absent) as writer:
            writer.vocabulary(padded_counts(job.stored, folder, trust_remote_code))
            for variant in variants if job.share.batches else []:
                before = read_row_sums([Path(path) for path in sums], job.of_run, variant) if part else None
                model, run = make_run(variant, job.bench)
                recorder = recorder_of(model, dump)
                found = measure_variant(writer, variant, recorder, run, job, plan, before)
                if variant == TRAINED:
                    widths = found
                    absent |= recorder.absent | what_is_absent(widths, recorder.depth, job.texts, lengths)
                del model, recorder  # or two models would be in memory
            for null in drawn:
                for state in progress(job.own(list(widths)), f"{job.name} {null}"):
                    rows = drawn_rows(null, state, job.texts, widths[state], seed)
                    decompose(writer, null, state, rows, widths[state], job.texts, modes, lengths, False)


def writing(
    output: Path, job: Job, plan: Plan, variants: Sequence[str], drawn: Sequence[str], absent: Mapping[str, str]
) -> AbstractContextManager[SpectraWriter]:
    """A writer of spectra, or of a part of them."""
    # a part without texts has no use for the model
    known = of_model(job.bench.model()) if job.share.batches else {}
    attributes = {**job.facts, "variant": TRAINED, **known, "schema": SCHEMA}
    if job.part is None:
        return write_spectra(output, job.texts, dict(sorted(attributes.items())), absent)
    extracts = {"gain": plan.gain, "whitened": plan.asked.whitened, "sinks": plan.asked.sinks}
    settings = asked(modes=plan.modes, lengths=plan.lengths, variants=variants, drawn=drawn, **extracts)
    attributes |= job.of_run | settings | {PART: job.part}
    return write_part(output, job.share.texts, attributes, absent, job.share.sizes or [])


def measure_variant(
    writer: SpectraWriter,
    variant: str,
    recorder: Recorder,
    run: Sample,
    job: Job,
    plan: Plan,
    before: Mapping[State, RowSum] | None = None,
) -> dict[State, int]:
    """One variant, in as many passes as the modes take. Returns the states that it has, with their widths.

    before: what a first pass over all parts has found; None where it is to be made here.
    """
    name = f"{job.name} {variant}"
    if before is None:
        before = all_row_sums(recorder, run, job, f"{name}, means") if plan.two_passes else {}
    measured: dict[State, Measured] = {}
    ids, surprisal = [], []
    effects: SinkEffects | None = None
    for batch, texts in passes(recorder, run, job, name):
        if plan.asked.sinks and variant == TRAINED:
            layers = sorted(state.layer for state in batch.states if state.sublayer == "block")
            asked = plan.asked.sinks
            effects = effects or SinkEffects.blank(asked["thresholds"], layers, asked["metrics"], job.share.texts)
            effects.add(batch.states, job.share.texts, texts, plan.asked.sinks["eps2"], states_type(job.facts))
        ids.append(batch.ids)
        surprisal.append(batch.surprisal)
        for state in sorted(batch.states, key=order):
            rows = batch.states[state]
            if state not in measured:
                measured[state] = Measured.blank(state, recorder.depth, rows, before, job, variant, plan)
            add_rows(writer, variant, state, measured[state], rows, job, texts)
            measured[state].extracts.add(rows, range(job.share.first + texts.start, job.share.first + texts.stop))
            if plan.gain and variant in GAINED:
                sizes = job.share.texts.tokens[texts.start : texts.stop]
                measured[state].gains.extend(map(as_numpy, text_gains(rows, sizes, plan.gain["eps2"], plan.gain["n"])))
    writer.tokens(variant, ids, surprisal)
    if effects:
        effects.write(writer.file)
    for state, found in measured.items():
        write_state(writer, variant, state, found.spectra)
        found.extracts.write(writer, variant)
        if found.gains:
            writer.gains(variant, state, found.gains)
    return {state: found.spectra.d for state, found in measured.items()}


@dataclass(frozen=True)
class Measured:
    """What was found of one state so far, and whether sums of its documents are kept."""

    spectra: StateSpectra
    documents: bool
    gains: list[np.ndarray]
    extracts: StateExtracts

    @classmethod
    def blank(
        cls, state: State, depth: int, rows: Any, before: Mapping[State, RowSum], job: Job, variant: str, plan: Plan
    ) -> "Measured":
        """An empty record for a state with rows like these (tokens, d)."""
        texts, dtype = job.texts, states_type(job.facts)
        width, tokens = rows.shape[1], int(texts.offset[-1])
        total, squares = before[state] if plan.two_passes else (np.zeros(width), 0.0)
        mean = reals(total / tokens, like=rows)
        # squares are summed in another order here: twice their sum is a bound that rounding does not reach
        whole = {mode: FixedPointCovariance(width, tokens if is_unit(mode) else 2 * squares, mean) for mode in plan.modes}
        documents = keeps_documents(state, depth, width)
        spectra = StateSpectra(width, plan.modes, plan.lengths, mean, documents, whole, dtype)
        wanted = plan.asked if variant == TRAINED else NOTHING
        return cls(spectra, documents, [], StateExtracts(state, depth, width, texts, wanted, mean, parted=True))


def add_rows(writer: SpectraWriter, variant: str, state: State, measured: Measured, rows: Any, job: Job, of_batch: range) -> None:
    """Adds a batch's rows; where sums of documents are kept, each is written when its last text has been added."""
    texts = job.share.texts
    if not measured.documents:
        measured.spectra.add(rows, texts.tokens[of_batch.start : of_batch.stop])
        return
    offset = texts.offset
    first_document = bisect.bisect_right(job.documents, of_batch.start, key=lambda own: own.stop)
    for document in range(first_document, len(job.documents)):
        own = job.documents[document]
        part = range(max(own.start, of_batch.start), min(own.stop, of_batch.stop))
        if not len(part):
            break
        first, last = (offset[text] - offset[of_batch.start] for text in (part.start, part.stop))
        measured.spectra.add(rows[first:last], texts.tokens[part.start : part.stop])
        if part.stop == own.stop:
            write_document(writer, variant, state, document, measured.spectra.end_document())
