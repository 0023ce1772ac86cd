"""Measure gain, surprisal and the entropy of the prediction at every token of some texts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from geomkit.core.config import CAUSAL, ModelSpec
from geomkit.core.errors import RefusalError
from geomkit.core.logs import progress
from geomkit.core.provenance import replacing
from geomkit.core.state import State
from geomkit.core.variants import TRAINED, make_run
from geomkit.measures.gain import information_gain
from geomkit.measures.spectra import normalise
from geomkit.models.capture import Recorder, surprisals, taken
from geomkit.models.cutting import texts_for
from geomkit.models.load import blocks, sizes
from geomkit.models.placing import HOSTED, entry
from geomkit.models.selfcheck import forward, padded, predictions
from geomkit.models.variants import Bench
from geomkit.states.extracts import shown_texts
from geomkit.studies.next_token.rows import FACTS, TOKENS

VARIANTS = (TRAINED, "shuffled")


def measure_tokens(folder: Path, texts: Path, output: Path, spec: ModelSpec, number: int, eps2: float, seed: int) -> None:
    """Write a row for each token of the first text of so many documents, as they are and shuffled.

    Raises RefusalError for a masked model, which predicts no next token.
    """
    if spec.objective != CAUSAL:
        raise RefusalError(f"{folder.name}: its objective is {spec.objective}, and it predicts no next token")
    own = spec.at(folder)
    stored = texts_for(texts, own, folder.name)
    bench, rows = Bench(own, stored.sample, seed), list[dict[str, Any]]()
    chosen = shown_texts(stored.sample.texts.document, number)
    for variant in VARIANTS:
        model, sample = make_run(variant, bench)
        recorder = Recorder(model, range(len(blocks(model)) + 1), False)
        recorder.try_out(sample)
        for text in progress(chosen, f"{folder.name} {variant}"):
            document = sample.texts.document[text]
            for token in tokens_of(recorder, sample.prefix, sample.ids[text], stored.counts, eps2):
                rows.append({"variant": variant, "document": document, **token})
    facts = {"depth": recorder.depth, "d": recorder.widths[State(recorder.depth)], **vars(sizes(model))}
    with replacing(output) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=TOKENS.with_metadata({FACTS: json.dumps(facts)})), temporary)


@torch.inference_mode()
def tokens_of(
    recorder: Recorder, prefix: list[int], ids: np.ndarray, counts: np.ndarray, eps2: float
) -> Iterator[dict[str, Any]]:
    """Yield the tokens of one text that have a next one."""
    whole, real = padded([[*prefix, *ids.tolist()]])
    device, start = entry(recorder.model), len(prefix)
    whole, real = whole.to(device), real.to(device)
    with recorder.hooked():
        logits = predictions(forward(recorder.model, whole, real))
        states = taken(recorder, whole.shape[1], start, None, HOSTED)
    nats, entropy = surprisals(logits, whole)[0, start:].double().cpu().numpy(), entropies(logits)[0, start:].cpu().numpy()
    depth = recorder.depth
    gains = np.stack([information_gain(normalise(states[State(layer)], "unit"), eps2) for layer in range(depth + 1)], axis=1)
    frequency = np.log(counts[ids] + 0.5)
    for position, token in enumerate(ids[:-1]):
        before = np.flatnonzero(ids[:position] == token)
        yield {
            "entropy": float(entropy[position]),
            "surprisal": float(nats[position]),
            "recency": float(np.log(position - before[-1] if len(before) else position + 1)),
            "frequency": float(frequency[position]),
            "position": float(position),
            "next_surprisal": float(nats[position + 1]),
            "gains": gains[position].tolist(),
        }


def entropies(logits: torch.Tensor) -> torch.Tensor:
    """Compute the entropy of each prediction (texts, tokens), in nats, from logits (texts, tokens, vocabulary), in float64."""
    found = torch.empty(logits.shape[:2], dtype=torch.float64, device=logits.device)
    for row, own in enumerate(logits):
        for start in range(0, len(own), 64):
            logs = own[start : start + 64].double().log_softmax(-1)
            found[row, start : start + 64] = -(logs.exp() * logs).nan_to_num(0).sum(-1)
    return found
