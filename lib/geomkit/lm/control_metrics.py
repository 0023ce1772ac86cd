"""The protocol's endpoints of the ladder and of the trainings beside it, text by text, and what the ladder's widest model shows
on as many of its leading directions as each of them is wide: one table, small enough to ship where the weights are not."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from geomkit.lm.capture import Recorder, all_rows
from geomkit.lm.cutting import texts_for
from geomkit.lm.models import blocks, find_device, load_model, sizes
from geomkit.lm.norms import FinalNorm, final_norm
from geomkit.lm.running import Wanted, add_loss, add_run, run_model
from geomkit.logs import progress
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import measure
from geomkit.measures.norms import plain
from geomkit.measures.projection import projected
from geomkit.store.dumps import PLAIN, State
from geomkit.store.records.files import folders_of
from geomkit.store.tables import TableWriter
from geomkit.store.texts import Sample
from geomkit.variants import TRAINED


def measure_controls(
    models: Sequence[Path],
    texts: Path,
    output: Path,
    family: str,
    length: int,
    normalisation: str,
    metrics: Sequence[str],
    parameters: Mapping[str, float],
    compute: Mapping[str, Any],
) -> None:
    """models: files of all models, in folders that have their names. The widest of them is the donor of the projected null."""
    wanted = Wanted([normalisation], [length], metrics, parameters)
    device = find_device(compute["device"])
    table = TableWriter(family=family, corpus=texts.stem)
    widths: dict[str, int] = {}
    missing: dict[str, str] = {}
    named = {folder.name: folder for folder in folders_of(models)}
    for name, folder in progress(named.items(), "controls", len(named)):
        sample = texts_for(texts, folder, name, False).sample
        model = load_model(folder, compute["dtype"], device)
        depth = len(blocks(model))
        table.common = {**table.common, "model": name, "depth": depth, **vars(sizes(model))}
        seen = run_model(model, sample, [depth, depth + 1], wanted, compute["batch_tokens"])
        widths[name] = next(iter(seen.spectra.values())).d
        missing |= {f"{name}: {what}": why for what, why in add_run(table, TRAINED, seen, sample.texts, wanted).items()}
        add_loss(table, TRAINED, seen, sample.texts)
    donor = max(widths, key=lambda name: widths[name])
    model = load_model(named[donor], compute["dtype"], device)
    table.common = {**table.common, "model": donor, "depth": len(blocks(model)), **vars(sizes(model))}
    add_projected(table, model, sample, sorted(set(widths.values())), wanted, compute)
    table.write(output, missing)


def add_projected(
    table: TableWriter, model: PreTrainedModel, sample: Sample, widths: Sequence[int], wanted: Wanted, compute: Mapping[str, Any]
) -> None:
    """Adds a donor's rows on its leading directions of other documents, for every width."""
    (mode,), (n,) = wanted.modes, wanted.lengths
    long_enough = [text for text, tokens in enumerate(sample.texts.tokens) if tokens >= n]
    documents = [sample.texts.document[text] for text in long_enough]
    columns = {"text": long_enough, "document": documents}
    start = sample.texts.offset[:-1][long_enough]
    for state, rows in states_of(model, sample, compute["batch_tokens"]).items():
        clouds = rows[start[:, None] + np.arange(n)]
        for result in projected(clouds, mode, document_folds(documents), widths, dtype=compute["dtype"]).values():
            found = measure(result.spectrum, wanted.metrics, **wanted.parameters)
            where = {**columns, **state._asdict(), "variant": "projected", "normalise": mode}
            table.add_metrics(result.spectrum, found, **where)


def states_of(model: PreTrainedModel, sample: Sample, batch_tokens: int) -> dict[State, np.ndarray]:
    """Rows (tokens, d) of the last block's output, of the final state, and of that without gain and bias."""
    depth = len(blocks(model))
    found = all_rows(Recorder(model, [depth, depth + 1], False), sample, batch_tokens)
    norm = final_norm(model)
    if isinstance(norm, FinalNorm):
        found[State(depth + 1, PLAIN)] = plain(found[State(depth)], norm.kind, norm.eps)
    return found
