"""How much of each layer's spectrum is attention sinks: metrics of texts as they are and without their sinks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.laws.resampling import Documents
from geomkit.logs import progress
from geomkit.measures.entropy import measure
from geomkit.measures.sinks import sinks
from geomkit.measures.spectra import modes, normalise, spectrum
from geomkit.store.dumps import Dump
from geomkit.store.provenance import rng
from geomkit.store.records.experiments import SinkEffect
from geomkit.store.records.files import defined, write_csv
from geomkit.store.refusals import refused_table
from geomkit.store.tables import COLUMNS, TableWriter, facts

METRICS = ("rate_distortion_ratio", "erank_covariance")
RESAMPLES = 1000
Key = tuple[int, str | None, str, float | None, str]
"""Layer, normalisation, metric, threshold, kind."""


def measure_without_sinks(
    dumped: Path,
    output: Path,
    summary: Path,
    family: str,
    model_seed: int | None,
    thresholds: Sequence[float],
    eps2: float,
    seed: int,
) -> None:
    """Writes a table of all texts (variants `trained`, and `without-sinks` at the first threshold) and a summary."""
    model, corpus = dumped.parent.parent.name, dumped.parent.name
    with refused_table(output, COLUMNS, summary, SinkEffect), Dump(dumped) as dump:
        common: dict[str, Any] = {"model": model, "family": family, "seed": model_seed, "corpus": corpus}
        common |= facts(dump.attributes)
        documents, absent = dump.texts.document, dict(dump.absent)
        values, widths = text_values(dump, thresholds, eps2, absent)
        table = TableWriter(**common, sublayer="block", eps2=eps2)
        drawn = Documents.draw(documents, RESAMPLES, rng(seed, "sinks", corpus))
        rows = []
        for (layer, mode, metric, threshold, kind), found in values.items():
            where: dict[str, Any] = {"layer": layer, "d": widths[layer], "metric": metric}
            if kind in ("all", "without") and threshold in (None, thresholds[0]):
                variant = "trained" if kind == "all" else "without-sinks"
                table.add(**where, normalise=mode, variant=variant, text=np.arange(len(found)), document=documents, value=found)
            number = int(np.isfinite(found).sum())
            if number:
                value, low, high, count = drawn.mean(found)
                ends: dict[str, Any] = {"low": defined(low), "high": defined(high), "documents": count, "n": number}
                rows.append(SinkEffect(**common, **where, value=value, **ends, normalise=mode, threshold=threshold, kind=kind))
        table.write(output, absent)
        write_csv(summary, SinkEffect, rows)


def text_values(
    dump: Dump, thresholds: Sequence[float], eps2: float, absent: dict[str, str]
) -> tuple[dict[Key, np.ndarray], Mapping[int, int]]:
    """Values of every text (texts,) by key, and each layer's width. A text that keeps fewer than two tokens has none."""
    texts = len(dump.offset) - 1
    values: dict[Key, np.ndarray] = defaultdict(lambda: np.full(texts, np.nan))
    states = [state for state in dump.states if state.sublayer == "block"]
    for text in progress(range(texts), "texts"):
        clouds = {state.layer: dump.rows(state, text, text + 1).astype(np.float64) for state in states}
        norms = np.stack([np.linalg.norm(cloud, axis=1) for cloud in clouds.values()])
        outliers = {threshold: sinks(norms, threshold) for threshold in thresholds}
        for threshold, found in outliers.items():
            values[0, None, "sinks", threshold, "sinks"][text] = found.sum()
        for layer, cloud in clouds.items():
            for mode in modes:
                whole = metrics_of(cloud, mode, eps2)
                for metric, value in whole.items():
                    values[layer, mode, metric, None, "all"][text] = value
                for threshold, found in outliers.items():
                    if (~found).sum() < 2:
                        absent[f"text {text} without sinks above {threshold:g}"] = "fewer than two tokens are left"
                        continue
                    for metric, value in (metrics_of(cloud[~found], mode, eps2) if found.any() else whole).items():
                        values[layer, mode, metric, threshold, "without"][text] = value
                        values[layer, mode, metric, threshold, "difference"][text] = value - whole[metric]
    return dict(values), {state.layer: dump.width(state) for state in states}


def metrics_of(rows: np.ndarray, mode: str, eps2: float) -> dict[str, float]:
    """Metrics of a text's rows (n, d). The rate distortion of raw rows is that of rows of mean squared length 1."""
    scaled = normalise(rows, mode)
    if mode == "raw":
        scaled = scaled / np.sqrt(np.mean(np.square(scaled).sum(axis=1)))
    return {
        name: float(found.value) for name, found in measure(spectrum(scaled, mode == "centre-unit"), METRICS, eps2=eps2).items()
    }
