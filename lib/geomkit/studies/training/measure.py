"""Measure one training's models at several steps, text by text at every layer, with their nulls.

Variants of the table: `trained` and `shuffled` of every step; untrained twins and drawn rows once, under the first step's name,
for they are the same at every step. Text -1 is the whole corpus, whose resamples (`geomkit.tables.tidy.write_resamples`) are
of the same documents at all steps.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.core.variants import TRAINED, VARIANTS, base
from geomkit.laws.resampling import Documents
from geomkit.measures.entropy import measure
from geomkit.measures.spectra import CovarianceAccumulator, normalise, redrawn, row_spectrum
from geomkit.states.stream import OpenByName
from geomkit.states.text_metrics import Seen, Wanted, add_loss, add_run, read_stream
from geomkit.states.texts import Texts
from geomkit.tables.tidy import TableWriter, facts, write_resamples


def measure_training(
    states: OpenByName,
    folders: Sequence[Path],
    seeds: Mapping[str, int | None],
    output: Path,
    resampled: Path,
    family: str,
    variants: Sequence[str],
    drawn: Sequence[str],
    length: int,
    normalisation: str,
    metrics: Sequence[str],
    parameters: Mapping[str, float],
    resamples: int,
    seed: int,
) -> None:
    """folders: of the models in the order of their steps. seeds: by their names, in that order. drawn: nulls of drawn rows."""
    wanted = Wanted([normalisation], [length], metrics, parameters, plain=False, documents=True)
    table = TableWriter(family=family, corpus=output.stem)
    corpora: list[dict[str, object]] = []
    missing: dict[str, str] = {}
    first, open_model = next(iter(seeds)), states()
    for name, folder in progress(zip(seeds, folders, strict=True), output.parent.name, len(seeds)):
        open_variant = open_model(name, folder)
        for variant in variants:
            if base(variant) != variant and name != first:
                continue  # its weights are of the architecture, whatever the step
            with open_variant(variant) as own:
                texts = own.texts
                table.common = {**table.common, "model": name, "seed": seeds[name], **facts(own.attributes)}
                seen = read_stream(own, wanted)
            missing |= add_run(table, variant, seen, texts, wanted)
            add_loss(table, variant, seen, texts)
            if variant == TRAINED:
                corpora += add_corpus(table, seen, texts, wanted, family, name, resamples, seed)
        if name == first:
            widths = {spectrum.d for spectrum in seen.spectra.values()}
            for null in drawn:
                for width in sorted(widths):
                    add_drawn(table, null, width, texts, wanted, seed)
    table.write(output, missing)
    write_resamples(resampled, corpora)


def add_corpus(
    table: TableWriter, seen: Seen, texts: Texts, wanted: Wanted, family: str, name: str, resamples: int, seed: int
) -> list[dict[str, object]]:
    """Add the metrics of the whole corpus, and return them in resamples of its documents."""
    documents = list(dict.fromkeys(texts.document))
    draws = Documents.draw(documents, resamples, rng(seed, "corpus", table.common["corpus"])).draws.T
    rows: list[dict[str, object]] = []
    for state, sums in seen.sums.items():
        parts = [sums[document] for document in documents]
        whole = CovarianceAccumulator(parts[0].d)
        for part in parts:
            whole.merge(part)
        spectrum = whole.spectrum()
        results = measure(spectrum, wanted.metrics, **wanted.parameters)
        where = {"variant": TRAINED, "normalise": wanted.modes[0]}
        table.add_metrics(spectrum, results, text=-1, **state._asdict(), **where)
        again = measure(redrawn(parts, draws, centred=False), wanted.metrics, **wanted.parameters)
        for metric, result in again.items():
            place = {"family": family, "model": name, "layer": str(state.layer), "metric": metric}
            eps2, values = result.parameters.get("eps2"), np.broadcast_to(result.value, resamples)
            rows.append({**where, **place, "eps2": eps2, "values": values})
    return rows


def add_drawn(table: TableWriter, null: str, width: int, texts: Texts, wanted: Wanted, seed: int) -> None:
    """Add the metrics of random rows drawn in the shape of each text; they have no layer."""
    (mode,), (n,) = wanted.modes, wanted.lengths
    numbers = [text for text, tokens in enumerate(texts.tokens) if tokens >= n]
    draws = rng(seed, null, width)
    rows = np.stack([VARIANTS[null].make(n, width, draws) for _ in numbers])
    spectrum = row_spectrum(normalise(rows, mode))
    results = measure(spectrum, wanted.metrics, **wanted.parameters)
    columns = {"text": numbers, "document": [texts.document[text] for text in numbers]}
    none = dict.fromkeys(State._fields)
    table.add_metrics(spectrum, results, **columns, **none, variant=null, normalise=mode)
