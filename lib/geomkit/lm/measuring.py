"""Spectra, information gains and surprisal of one model on one corpus while it runs: no state reaches a disk.

The numbers are those that `geomkit.studies.spectra` finds in dumps. Where a mode subtracts the mean of the corpus, the model runs
twice over the texts, once for the mean. Memory: `geomkit.lm.memory`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.arrays import as_numpy, namespace, reals
from geomkit.config import CAUSAL
from geomkit.lm.capture import Captured, Recorder, batch_groups, batch_limit, batch_texts, capture
from geomkit.lm.cutting import texts_for
from geomkit.lm.dumping import masks_of, of_model, padded_counts, prepare, recorder_of
from geomkit.lm.masking import Masking
from geomkit.lm.memory import check_memory
from geomkit.lm.placing import Homes
from geomkit.logs import progress
from geomkit.measures.accumulation import StateSpectra, text_gains
from geomkit.measures.spectra import is_centred
from geomkit.store.decomposition import (
    by_document,
    decompose,
    drawn_rows,
    keeps_documents,
    what_is_absent,
    write_document,
    write_state,
)
from geomkit.store.dumps import State, not_finite, order
from geomkit.store.extracts import NOTHING, Asked, StateExtracts
from geomkit.store.refusals import refused_files
from geomkit.store.sinks import SinkEffects
from geomkit.store.spectra import GAINED, SpectraWriter, write_spectra
from geomkit.store.texts import Sample, Texts
from geomkit.variants import TRAINED, make_run

ALL_NULLS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Plan:
    """What is measured: normalisations, lengths in tokens, constants of the information gain if it is asked for, tokens in a
    batch, how a masked model's tokens are masked, what later stages ask of the trained model, and where the sums of a state are
    kept if not in the host's memory."""

    modes: Sequence[str]
    lengths: Sequence[int]
    gain: Mapping[str, Any] | None
    batch_tokens: int
    masks: Masking | None = None
    asked: Asked = NOTHING
    homes: Homes = field(default_factory=dict)


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
) -> None:
    """Writes the spectra of one model and corpus; refused ones if the model does not show its hidden states.

    dump: the `layers` and `sublayers` that are measured; left_out: nulls that it has none of, and why. Raises ConfigError, before
    the model runs, where memory would not do.
    """
    name = output.parent.name
    stored = texts_for(texts, folder, name, trust_remote_code)
    bench, facts = prepare(folder, stored, name, compute, seed, origin, trust_remote_code, objective)
    homes = check_memory(name, folder, dump, modes, compute, bench.device, trust_remote_code, whitened, objective)
    plan = Plan(modes, lengths, gain, compute["batch_tokens"], masks_of(bench), Asked(gain, whitened, sinks), homes)
    listed = stored.sample.texts
    absent = dict(left_out)
    widths: dict[State, int] = {}
    with refused_files([output]):
        attributes = facts | {"variant": TRAINED} | of_model(bench.model())
        with write_spectra(output, listed, attributes, absent) as writer:
            writer.vocabulary(padded_counts(stored, folder, trust_remote_code))
            for variant in variants:
                model, run = make_run(variant, bench)
                recorder = recorder_of(model, dump)
                found = measure_variant(writer, variant, recorder, run, plan, f"{name} {variant}")
                if variant == TRAINED:
                    widths = found
                    absent |= recorder.absent | what_is_absent(widths, recorder.depth, listed, lengths)
                del model, recorder  # or two models would be in memory
            for null in drawn:
                for state, width in progress(widths.items(), f"{name} {null}"):
                    rows = drawn_rows(null, state, listed, width, seed)
                    decompose(writer, null, state, rows, width, listed, modes, lengths, False)


def measure_variant(
    writer: SpectraWriter, variant: str, recorder: Recorder, run: Sample, plan: Plan, name: str
) -> dict[State, int]:
    """One variant, in as many passes as the modes take. Returns the states that it has, with their widths."""
    means = state_means(recorder, run, plan, name) if any(map(is_centred, plan.modes)) else {}
    measured: dict[State, Measured] = {}
    ids, surprisal = [], []
    effects: SinkEffects | None = None
    for batch, texts in passes(recorder, run, plan, name):
        check_finite(batch, run.texts, texts)
        if plan.asked.sinks and variant == TRAINED:
            layers = sorted(state.layer for state in batch.states if state.sublayer == "block")
            effects = effects or SinkEffects.blank(plan.asked.sinks["thresholds"], layers, run.texts)
            effects.add(batch.states, run.texts, texts, plan.asked.sinks["eps2"])
        ids.append(batch.ids)
        surprisal.append(batch.surprisal)
        for state, rows in batch.states.items():
            if state not in measured:
                width = rows.shape[1]
                mean = means.get(state, reals(np.zeros(width), like=rows))
                documents = keeps_documents(state, recorder.depth, width)
                spectra = StateSpectra(width, plan.modes, plan.lengths, mean, documents)
                asked = plan.asked if variant == TRAINED else NOTHING
                extracts = StateExtracts(state, recorder.depth, width, run.texts, asked, mean)
                measured[state] = Measured(spectra, documents, [], extracts)
            add_rows(writer, variant, state, measured[state], rows, run.texts, texts)
            measured[state].extracts.add(rows, texts)
            if plan.gain and variant in GAINED:
                sizes = run.texts.tokens[texts.start : texts.stop]
                measured[state].gains.extend(map(as_numpy, text_gains(rows, sizes, plan.gain["eps2"], plan.gain["n"])))
    writer.tokens(variant, ids, surprisal)
    if effects:
        effects.write(writer.file)
    for state, found in measured.items():
        write_state(writer, variant, state, found.spectra)
        found.extracts.write(writer, variant)
        if found.gains:
            writer.gains(variant, state, found.gains)
    return {state: measured[state].spectra.d for state in sorted(measured, key=order)}


@dataclass(frozen=True)
class Measured:
    """What was found of one state so far, and whether sums of its documents are kept."""

    spectra: StateSpectra
    documents: bool
    gains: list[np.ndarray]
    extracts: StateExtracts


def passes(recorder: Recorder, run: Sample, plan: Plan, name: str) -> Iterator[tuple[Captured, range]]:
    """Every batch of a pass over the texts, and which texts it holds."""
    start = 0
    limit = batch_limit(recorder.model.config, plan.batch_tokens)
    total = sum(map(len, batch_groups(run, limit, plan.masks)))
    for batch in progress(capture(recorder, run, plan.batch_tokens, plan.masks, plan.homes), name, total):
        texts = batch_texts(run.texts, start, len(batch.ids))
        yield batch, texts
        start = texts.stop


def state_means(recorder: Recorder, run: Sample, plan: Plan, name: str) -> dict[State, Any]:
    """The mean row of every state, where its sums are: a pass of the model of its own."""
    totals: dict[State, Any] = {}
    for batch, _ in passes(recorder, run, plan, f"{name}, means"):
        for state, rows in batch.states.items():
            total = namespace(rows).sum(reals(rows), axis=0)
            totals[state] = totals[state] + total if state in totals else total
    return {state: total / run.texts.offset[-1] for state, total in totals.items()}


def check_finite(batch: Captured, texts: Texts, of_batch: range) -> None:
    """Raises DataError for a state that is not finite, and for a surprisal that is not, but for a text's first."""
    for state, rows in batch.states.items():
        if not np.isfinite(float(namespace(rows).sum(rows))):
            raise not_finite(state.path)
    firsts = texts.offset[of_batch.start : of_batch.stop] - texts.offset[of_batch.start]
    if not np.isfinite(np.delete(batch.surprisal, firsts)).all():
        raise not_finite("tokens/surprisal")


def add_rows(
    writer: SpectraWriter, variant: str, state: State, measured: Measured, rows: Any, texts: Texts, of_batch: range
) -> None:
    """Adds a batch's rows; where sums of documents are kept, each is written when its last text has been added."""
    if not measured.documents:
        measured.spectra.add(rows, texts.tokens[of_batch.start : of_batch.stop])
        return
    offset = texts.offset
    for document, own in enumerate(by_document(texts.document)):
        part = range(max(own.start, of_batch.start), min(own.stop, of_batch.stop))
        if not len(part):
            continue
        first, last = (offset[text] - offset[of_batch.start] for text in (part.start, part.stop))
        measured.spectra.add(rows[first:last], texts.tokens[part.start : part.stop])
        if part.stop == own.stop:
            write_document(writer, variant, state, document, measured.spectra.end_document())
