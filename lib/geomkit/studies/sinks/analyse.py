"""Measure how much of each layer's spectrum is due to attention sinks: metrics of texts with and without their sinks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.provenance import rng
from geomkit.laws.resampling import Documents
from geomkit.states.refusals import refused_table
from geomkit.states.sinks import SinkEffects, read_sinks
from geomkit.states.spectra import Spectra
from geomkit.tables.experiments import SinkEffect
from geomkit.tables.rows import defined, write_csv
from geomkit.tables.tidy import COLUMNS, TableWriter, columns_of

RESAMPLES = 1000
Key = tuple[int, str | None, str, float | None, str]
"""Layer, normalisation, metric, threshold, kind."""


def measure_without_sinks(
    spectra: Path,
    output: Path,
    summary: Path,
    family: str,
    model_seed: int | None,
    seed: int,
) -> None:
    """Write a table of all texts (variants `trained`, and `without-sinks` at the first threshold) and a summary."""
    with refused_table(output, COLUMNS, summary, SinkEffect), Spectra(spectra) as file:
        common: dict[str, Any] = columns_of(spectra, file.attributes, family, model_seed)
        effects, documents = read_sinks(file.file), file.text_list.document
        widths = {state.layer: width for state, width in file.widths.items() if state.sublayer == "block"}
        absent = file.absent | without_two_tokens(effects)
        table = TableWriter(**common, sublayer="block", eps2=effects.eps2)
        drawn = Documents.draw(documents, RESAMPLES, rng(seed, "sinks", spectra.stem))
        rows, length = [], max(file.text_list.tokens)
        for (layer, mode, metric, threshold, kind), values in text_values(effects):
            where: dict[str, Any] = {"layer": layer, "d": widths[layer], "metric": metric}
            if kind in ("all", "without") and threshold in (None, effects.thresholds[0]):
                variant = "trained" if kind == "all" else "without-sinks"
                table.add(**where, normalise=mode, variant=variant, text=np.arange(len(values)), document=documents, value=values)
            number = int(np.isfinite(values).sum())
            if number:
                value, low, high, count = drawn.mean(values)
                ends: dict[str, Any] = {"low": defined(low), "high": defined(high), "documents": count, "n": number}
                columns: dict[str, Any] = {"normalise": mode, "threshold": threshold, "kind": kind, "length": length}
                rows.append(SinkEffect(**common, **where, value=value, **ends, **columns))
        table.write(output, absent)
        write_csv(summary, SinkEffect, rows)


def text_values(effects: SinkEffects) -> Iterator[tuple[Key, np.ndarray]]:
    """Values of every text (texts,) by key. A text with fewer than two tokens left has none."""
    for threshold, count in zip(effects.thresholds, effects.count, strict=True):
        yield (0, None, "sinks", threshold, "sinks"), count
    for row, layer in enumerate(effects.layers):
        for column, mode in enumerate(effects.modes):
            whole = dict(zip(effects.metrics, effects.whole[row, column], strict=True))
            for metric, values in whole.items():
                yield (layer, mode, metric, None, "all"), values
            for threshold, left in zip(effects.thresholds, effects.without[:, row, column], strict=True):
                for metric, values in zip(effects.metrics, left, strict=True):
                    yield (layer, mode, metric, threshold, "without"), values
                    yield (layer, mode, metric, threshold, "difference"), values - whole[metric]


def without_two_tokens(effects: SinkEffects) -> dict[str, str]:
    """Texts in which fewer than two tokens are not sinks."""
    few = np.isnan(effects.without[:, 0, 0, 0])
    return {
        f"text {text} without sinks above {effects.thresholds[number]:g}": "fewer than two tokens are left"
        for number, text in np.argwhere(few).tolist()
    }
