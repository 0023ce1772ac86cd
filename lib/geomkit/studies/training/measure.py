"""Measure one training's models at several steps, text by text at every layer, with their nulls.

Variants of the table: `trained` and `shuffled` of every step; untrained twins and drawn rows once, under the first step's name,
for they are the same at every step. Text -1 is the corpus with one row for each text (`geomkit.studies.training.published`); its
resamples (`geomkit.tables.tidy.write_resamples`) are of the same documents at all steps.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.core.variants import TRAINED, base
from geomkit.laws.resampling import Documents
from geomkit.measures.entropy import measure, measured_and_absent, undefined
from geomkit.measures.nulls import null_rows
from geomkit.measures.resampled_rows import resampled_metrics
from geomkit.measures.spectra import is_centred, normalise, row_spectrum
from geomkit.states.stream import OpenByName
from geomkit.states.text_metrics import Seen, Wanted, add_loss, add_run, read_stream
from geomkit.states.texts import Texts
from geomkit.studies.training.published import Cloud, clouds_beside
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
    pooled: Sequence[str] = (),
) -> None:
    """folders: of the models in the order of their steps. seeds: by their names, in that order. drawn: nulls of drawn rows.
    pooled: rows of whole texts that are measured beside the published ones."""
    clouds = clouds_beside(pooled, normalisation, metrics, parameters)
    kinds = tuple(dict.fromkeys(cloud.rows for cloud in clouds))
    wanted = Wanted([normalisation], [length], metrics, parameters, plain=False, pooled=kinds)
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
                texts, dtype = own.texts, own.dtype
                table.common = {**table.common, "model": name, "seed": seeds[name], **facts(own.attributes)}
                seen = read_stream(own, wanted)
            missing |= add_run(table, variant, seen, texts, wanted)
            add_loss(table, variant, seen, texts)
            for cloud in clouds:
                missing |= add_cloud(table, variant, seen, cloud, dtype)
                if variant == TRAINED:
                    drawn_documents = Documents.draw(texts.document, resamples, rng(seed, "corpus", output.stem)).draws.T
                    corpora += resampled_cloud(seen, cloud, dtype, drawn_documents, {"family": family, "model": name})
        if name == first:
            widths = {spectrum.d for spectrum in seen.spectra.values()}
            for null in drawn:
                for width in sorted(widths):
                    add_drawn(table, null, width, texts, wanted, seed)
                    for cloud in clouds:
                        add_drawn_cloud(table, null, width, texts, cloud, seed)
    table.write(output, missing)
    write_resamples(resampled, corpora)


def add_cloud(table: TableWriter, variant: str, seen: Seen, cloud: Cloud, dtype: str) -> dict[str, str]:
    """Add the metrics of the corpus with one row for each text, at every state. Returns what is missing, with reasons."""
    missing: dict[str, str] = {}
    where = f"{cloud.rows} of each text, {cloud.normalise}"
    for state, rows in seen.pooled[cloud.rows].items():
        if len(rows) <= is_centred(cloud.normalise):
            return {where: "one text has no deviation from its mean"}
        spectrum = row_spectrum(normalise(rows, cloud.normalise, dtype=dtype), is_centred(cloud.normalise))
        results, without = measured_and_absent(spectrum, cloud.metrics, cloud.parameters)
        columns = {"rows": cloud.rows, "normalise": cloud.normalise, "variant": variant, "text": -1}
        table.add_metrics(spectrum, results, **columns, **state._asdict())
        missing |= {f"{name}, {where}": why for name, why in without.items()}
        missing |= {f"{name}, {variant}, {where}, /{state.path}": why for name, why in undefined(spectrum, results).items()}
    return missing


def resampled_cloud(
    seen: Seen, cloud: Cloud, dtype: str, counts: np.ndarray, model: Mapping[str, object]
) -> list[dict[str, object]]:
    """Return the metrics of the corpus with one row for each text in resamples of its documents; counts (resamples, texts)."""
    rows: list[dict[str, object]] = []
    for state, own in seen.pooled[cloud.rows].items():
        if len(own) <= is_centred(cloud.normalise):
            return []
        normalised = normalise(own, cloud.normalise, dtype=dtype)
        results = resampled_metrics(normalised, counts, is_centred(cloud.normalise), cloud.metrics, cloud.parameters)
        place = {**model, "variant": TRAINED, "layer": str(state.layer), "rows": cloud.rows, "normalise": cloud.normalise}
        for name, result in results.items():
            eps2 = result.measured.parameters.get("eps2")
            rows.append({**place, "metric": name, "eps2": eps2, "values": result.drawn})
    return rows


def add_drawn(table: TableWriter, null: str, width: int, texts: Texts, wanted: Wanted, seed: int) -> None:
    """Add the metrics of random rows drawn in the shape of each text; they have no layer."""
    (mode,), (n,) = wanted.modes, wanted.lengths
    numbers = [text for text, tokens in enumerate(texts.tokens) if tokens >= n]
    draws = rng(seed, null, width)
    rows = np.stack([null_rows(null, n, width, draws) for _ in numbers])
    spectrum = row_spectrum(normalise(rows, mode))
    results = measure(spectrum, wanted.metrics, **wanted.parameters)
    columns = {"text": numbers, "document": [texts.document[text] for text in numbers]}
    none = dict.fromkeys(State._fields)
    table.add_metrics(spectrum, results, **columns, **none, variant=null, normalise=mode)


def add_drawn_cloud(table: TableWriter, null: str, width: int, texts: Texts, cloud: Cloud, seed: int) -> None:
    """Add the metrics of as many random rows as there are texts; they have no layer."""
    n = len(texts.tokens)
    if n > is_centred(cloud.normalise):
        rows = null_rows(null, n, width, rng(seed, null, width, cloud.rows))
        spectrum = row_spectrum(normalise(rows, cloud.normalise), is_centred(cloud.normalise))
        columns = {"rows": cloud.rows, "normalise": cloud.normalise, "variant": null, "text": -1}
        results = measure(spectrum, cloud.metrics, **cloud.parameters)
        table.add_metrics(spectrum, results, **columns, **dict.fromkeys(State._fields))
