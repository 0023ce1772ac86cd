"""Metrics at a model's final state beside those of many untrained twins, text by text; states are measured as they come, and
none is stored.

Variants of the table: `trained` and `untrained-0` .., at the last block's output, the final state, and (sublayer `plain`) the
final state without the gain and bias that the final norm has learnt.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from geomkit.config import CAUSAL, MASKED
from geomkit.lm.capture import Recorder, capture
from geomkit.lm.cutting import texts_for
from geomkit.lm.masking import Masking, masking
from geomkit.lm.models import blocks, find_device, load_tokenizer, sizes
from geomkit.lm.norms import FinalNorm, final_norm
from geomkit.lm.variants import Bench
from geomkit.logs import progress
from geomkit.measures.entropy import absent, eps2_of, measure
from geomkit.measures.norms import plain
from geomkit.measures.spectra import Spectrum, is_centred, normalise, spectrum
from geomkit.store.dumps import PLAIN, State
from geomkit.store.tables import TableWriter
from geomkit.store.texts import Sample, Texts
from geomkit.variants import TRAINED, make_run

Place = tuple[State, str, int]
"""A state, a normalisation, and how many first tokens of each text."""


@dataclass(frozen=True)
class Wanted:
    """What is measured: normalisations, lengths in tokens, metrics (None: all) and their parameters."""

    modes: Sequence[str]
    lengths: Sequence[int]
    metrics: Sequence[str] | None
    parameters: Mapping[str, float]


def measure_final_state(
    folder: Path,
    texts: Path,
    output: Path,
    family: str,
    seed: int | None,
    twins: int,
    modes: Sequence[str],
    lengths: Sequence[int],
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
    compute: Mapping[str, Any],
    trust_remote_code: bool,
    objective: str = CAUSAL,
) -> None:
    """Writes the table of one model and corpus, which the path of the output names. What it does not hold is among `absent`."""
    name, wanted = output.parent.name, Wanted(modes, lengths, metrics, parameters)
    sample = texts_for(texts, folder, name, trust_remote_code).sample
    # what is drawn here is named by the twins' own numbers
    bench = Bench(folder, sample, 0, compute["dtype"], find_device(compute["device"]), trust_remote_code, objective)
    masks = masking(load_tokenizer(folder, trust_remote_code)) if objective == MASKED else None
    longest = max(sample.texts.tokens)
    missing = {f"n = {n}": f"the longest text has {longest} tokens" for n in lengths if n > longest}
    model = bench.model()
    facts = {"depth": len(blocks(model)), **vars(sizes(model))}
    table = TableWriter(model=name, family=family, seed=seed, corpus=output.stem, **facts)
    del model  # or two models would be in memory
    for variant in progress([TRAINED, *(f"untrained-{twin}" for twin in range(twins))], f"{name} final state"):
        absences = add_run(table, variant, make_run(variant, bench), wanted, compute["batch_tokens"], masks)
        if variant == TRAINED:
            missing |= absences
    table.write(output, missing)


def add_run(
    table: TableWriter,
    variant: str,
    run: tuple[PreTrainedModel, Sample],
    wanted: Wanted,
    batch_tokens: int,
    masks: Masking | None = None,
) -> dict[str, str]:
    """Adds the rows of one model on the texts that it reads. Returns what is missing, with reasons."""
    model, sample = run
    norm = final_norm(model)
    missing = {PLAIN: norm} if isinstance(norm, str) else {}
    for (state, mode, n), found in spectra(model, norm, sample, wanted, batch_tokens, masks).items():
        long_enough = [text for text, tokens in enumerate(sample.texts.tokens) if tokens >= n]
        columns = {"text": long_enough, "document": [sample.texts.document[text] for text in long_enough]}
        results = measure(found, wanted.metrics, **wanted.parameters)
        eps2 = eps2_of(results, wanted.parameters)
        table.add_metrics(found, results, eps2, **columns, **state._asdict(), variant=variant, normalise=mode)
        missing |= {f"{name}, {mode}, n = {n}": why for name, why in absent(found, wanted.metrics, **wanted.parameters).items()}
        for name, result in results.items():
            if undefined := int(np.isnan(result.value).sum()):
                missing[f"{name}, {variant}, {mode}, n = {n}, /{state.path}"] = (
                    f"undefined for {undefined} of {np.size(result.value)} texts (a zero eigenvalue)"
                )
    return missing


def spectra(
    model: PreTrainedModel,
    norm: FinalNorm | str,
    sample: Sample,
    wanted: Wanted,
    batch_tokens: int,
    masks: Masking | None = None,
) -> dict[Place, Spectrum]:
    """Spectra of the first n tokens of every text that has as many; memory holds one batch of hidden states."""
    depth = len(blocks(model))
    parts: dict[Place, list[Spectrum]] = defaultdict(list)
    start = 0
    for batch in capture(Recorder(model, [depth, depth + 1], False), sample, batch_tokens, masks):
        tokens = within(sample.texts, start, len(batch.ids))
        start += len(tokens)
        states = {State(layer): batch.states[State(layer)] for layer in (depth, depth + 1)}
        if isinstance(norm, FinalNorm):
            states[State(depth + 1, PLAIN)] = plain(states[State(depth)], norm.kind, norm.eps)
        for state, rows in states.items():
            for mode, n, found in of_batch(rows, tokens, wanted):
                parts[state, mode, n].append(found)
    return {
        place: replace(found[0], eigenvalues=np.concatenate([part.eigenvalues for part in found]))
        for place, found in parts.items()
    }


def within(texts: Texts, start: int, tokens: int) -> np.ndarray:
    """Lengths of the texts from number `start` on that a batch of so many tokens holds."""
    ends = np.cumsum(texts.tokens[start:])
    return np.asarray(texts.tokens[start:])[: int(np.searchsorted(ends, tokens)) + 1]


def of_batch(rows: np.ndarray, tokens: np.ndarray, wanted: Wanted) -> Iterator[tuple[str, int, Spectrum]]:
    """(normalisation, length, spectra of the texts that are as long) of rows, text after text."""
    first = np.cumsum(tokens) - tokens
    for n in wanted.lengths:
        clouds = rows[first[tokens >= n, None] + np.arange(n)]
        for mode in wanted.modes if len(clouds) else []:
            centred = is_centred(mode)
            if n > centred:
                yield mode, n, spectrum(normalise(clouds, mode), centred=centred)
