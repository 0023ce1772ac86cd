"""Passes of a running model over the texts of one job, batch by batch, and what a first pass finds: sums of rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.arrays import as_numpy, namespace, reals
from geomkit.config import ModelSpec
from geomkit.lm.capture import Captured, Recorder, batch_groups, batch_limit, capture, with_texts
from geomkit.lm.cutting import texts_for
from geomkit.lm.dumping import Share, prepare, share_of
from geomkit.lm.masking import Masking, masks_of
from geomkit.lm.memory import check_memory
from geomkit.lm.models import load_config
from geomkit.lm.placing import Homes
from geomkit.lm.variants import Bench
from geomkit.logs import progress
from geomkit.measures.spectra import squared_length
from geomkit.store.decomposition import by_document
from geomkit.store.dumps import State, not_finite
from geomkit.store.parts import ASKED, numbered, part_name
from geomkit.store.row_sums import RowSum, add
from geomkit.store.texts import Sample, StoredTexts, Texts


@dataclass(frozen=True)
class Job:
    """What one job runs. stored: the texts of the corpus; facts: where everything came from; share: the texts of the job; busy:
    names of the parts that have texts; dump: the `layers` and `sublayers` that are measured; masks: how a masked model's tokens
    are masked; homes: where the sums of a state are kept."""

    name: str
    stored: StoredTexts
    bench: Bench
    facts: Mapping[str, object]
    share: Share
    busy: list[str | None]
    part: str | None
    dump: Mapping[str, Any]
    batch_tokens: int
    masks: Masking | None
    homes: Homes

    @property
    def texts(self) -> Texts:
        """Of the corpus."""
        return self.stored.sample.texts

    @cached_property
    def documents(self) -> list[range]:
        """The texts of each document of the share."""
        return list(by_document(self.share.texts.document))

    def own(self, states: Sequence[State]) -> Sequence[State]:
        """The job's share of states whose rows are drawn, not run."""
        return states[self.busy.index(self.part) :: len(self.busy)] if self.share.batches else []

    @property
    def of_run(self) -> dict[str, object]:
        """Attributes that files of all parts have: where everything came from, and how the model is run."""
        how = {"layers": self.dump["layers"], "sublayers": self.dump["sublayers"], "batch_tokens": self.batch_tokens}
        return {**self.facts, **asked(**how, tokens=sum(self.texts.tokens))}


def job_of(
    spec: ModelSpec,
    texts: Path,
    name: str,
    dump: Mapping[str, Any],
    batch_tokens: int,
    modes: Sequence[str],
    seed: int,
    origin: Mapping[str, Any],
    part: str | None = None,
    whitened: Any = None,
) -> Job:
    """The job of a part of the texts by its name, or of all texts. modes, whitened: what is to be measured.

    Raises ConfigError, before the model is loaded, where memory would not do.
    """
    stored = texts_for(texts, spec, name)
    bench, facts = prepare(spec, stored, name, seed, origin)
    homes = check_memory(name, spec, dump, modes, batch_tokens, whitened)
    masks = masks_of(spec)
    groups = batch_groups(stored.sample, batch_limit(load_config(spec), batch_tokens), masks)
    names = [part_name(number, numbered(part)[1]) for number in range(numbered(part)[1])] if part else [None]
    shares = {each: share_of(groups, stored.sample.texts, each) for each in names}
    busy = [each for each, share in shares.items() if share.batches]
    return Job(name, stored, bench, facts, shares[part], busy, part, dump, batch_tokens, masks, homes)


def asked(**settings: object) -> dict[str, str]:
    """Settings of a run as attributes of its files."""
    return {f"{ASKED}{name}": json.dumps(value, sort_keys=True) for name, value in settings.items()}


def passes(recorder: Recorder, run: Sample, job: Job, name: str, scored: bool = True) -> Iterator[tuple[Captured, range]]:
    """Every batch of a pass over the texts of a job, and which of them it holds. scored: whether surprisals are asked for.

    Raises DataError for a state that is not finite, and for a surprisal that is not, but for a text's first.
    """
    share = job.share
    batches = capture(recorder, run, job.batch_tokens, job.masks, job.homes, only=share.batches, scored=scored)
    for batch, texts in with_texts(progress(batches, name, len(share.batches)), share.texts):
        check_finite(batch, share.texts, texts, scored)
        yield batch, texts


def check_finite(batch: Captured, texts: Texts, of_batch: range, scored: bool) -> None:
    for state, rows in batch.states.items():
        if not np.isfinite(float(namespace(rows).sum(rows))):
            raise not_finite(state.path)
    firsts = texts.offset[of_batch.start : of_batch.stop] - texts.offset[of_batch.start]
    if scored and not np.isfinite(np.delete(batch.surprisal, firsts)).all():
        raise not_finite("tokens/surprisal")


def row_sums(recorder: Recorder, run: Sample, job: Job, name: str) -> Iterator[dict[State, RowSum]]:
    """Sums of every batch's rows: a pass of the model of its own."""
    for batch, _ in passes(recorder, run, job, name, scored=False):
        rows = {state: reals(values) for state, values in batch.states.items()}
        yield {
            state: (as_numpy(namespace(own).sum(own, axis=0)).astype(np.float64), float(squared_length(own)))
            for state, own in rows.items()
        }


def all_row_sums(recorder: Recorder, run: Sample, job: Job, name: str) -> dict[State, RowSum]:
    """Those of all texts of a job together."""
    found: dict[State, RowSum] = {}
    for batch in row_sums(recorder, run, job, name):
        found = {state: add(found[state], own) if state in found else own for state, own in batch.items()}
    return found
