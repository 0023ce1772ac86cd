"""Summarise what attention and MLP sublayers do: metrics after each, and what ablating each changes, with intervals over
documents."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.provenance import rng
from geomkit.laws.resampling import Documents
from geomkit.tables.experiments import SublayerEffect
from geomkit.tables.rows import defined, write_csv
from geomkit.tables.tidy import read_columns

RESAMPLES = 1000
CONTRAST = "mlp minus attention"
KEY = ("layer", "sublayer", "kind", "at", "metric")
OWN = ("model", "family", "seed", "corpus", "params_nonembedding", "params_total", "depth", "d")


def summarise_components(table: Path, output: Path, seed: int) -> None:
    """Write the summary of one model and corpus; an ablation is summarised by its change from the whole model, text by text."""
    rows = read_columns(table, [*KEY, *OWN, "text", "document", "value"])
    if not rows:  # the model was refused, and the table says why
        write_csv(output, SublayerEffect, [])
        return
    documents = {row["text"]: row["document"] for row in rows}
    places = {text: place for place, text in enumerate(sorted(documents))}
    values: dict[tuple[Any, ...], np.ndarray] = defaultdict(lambda: np.full(len(places), np.nan))
    for row in rows:
        values[tuple(row[name] for name in KEY)][places[row["text"]]] = row["value"]
    drawn = Documents.draw([documents[text] for text in places], RESAMPLES, rng(seed, "components", table.stem))
    common = {name: rows[0][name] for name in OWN}
    write_csv(output, SublayerEffect, effects(values, drawn, common))


def effects(values: dict[tuple[Any, ...], np.ndarray], drawn: Documents, common: dict[str, Any]) -> list[SublayerEffect]:
    """Make rows of the summary from values (texts,) by layer, sublayer, kind, state and metric."""
    changes = {
        key: column if key[2] in ("after", "none") else column - values[0, "block", "none", *key[3:]]
        for key, column in values.items()
    }
    rows = []
    for (layer, sublayer, kind, at, metric), change in (changes | contrasts(changes)).items():
        value, low, high, count = drawn.mean(change)
        ends: dict[str, Any] = {"low": defined(low), "high": defined(high), "documents": count}
        where: dict[str, Any] = {"layer": layer, "sublayer": sublayer, "kind": kind, "at": at, "metric": metric}
        rows.append(SublayerEffect(**common, **where, value=value, **ends, n=int(np.isfinite(change).sum())))
    return rows


def contrasts(changes: dict[tuple[Any, ...], np.ndarray]) -> dict[tuple[Any, ...], np.ndarray]:
    """MLP minus attention, text by text, averaged over all blocks but the first, which turns embeddings into hidden states.

    Both sublayers of a block are held against the same input, so what is after them needs no other reference.
    """
    pairs: dict[tuple[Any, ...], list[np.ndarray]] = defaultdict(list)
    for (layer, sublayer, kind, at, metric), mlp in changes.items():
        other = (layer, "attention", kind, "attention" if kind == "after" else at, metric)
        if sublayer == "mlp" and layer > 1 and other in changes:
            pairs[-1, CONTRAST, kind, None if kind == "after" else at, metric].append(mlp - changes[other])
    return {key: np.mean(columns, axis=0) for key, columns in pairs.items()}
