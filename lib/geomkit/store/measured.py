"""What tables hold, asked for: a family's part of the merged table, and of the resampled corpora, as arrays; means as rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geomkit.config import resolve_layers
from geomkit.errors import DataError
from geomkit.store.parquet import read_table
from geomkit.store.provenance import replacing
from geomkit.store.tables import check_seeds
from geomkit.variants import TRAINED, base

LAYERS = ("embedding", "last", "final")
"""The layers that models of different depth have in common: 0, the last block's output, after the final norm."""


class Key(NamedTuple):
    """What an array holds values of; the loss has no layer and no normalisation."""

    layer: str | None
    normalise: str | None
    length: int | None
    """How many first tokens of each text; None: the whole corpus."""
    metric: str

    @property
    def order(self) -> tuple[str, str, int, str]:
        """By which keys are sorted: the corpus first."""
        return self.layer or "", self.normalise or "", self.length or 0, self.metric


@dataclass(frozen=True)
class MeasuredModel:
    """The model that one row of the arrays was measured on."""

    name: str
    seed: int | None
    params_nonembedding: int
    params_total: int
    width: int


Variants = dict[str, dict[Key, np.ndarray]]
"""By variant and key an array whose first axis is models."""

RESAMPLES = pa.schema(
    [(name, pa.string()) for name in ("family", "model", "variant", "layer", "normalise", "metric")]
    + [("eps2", pa.float64()), ("values", pa.list_(pa.float64()))]
)
"""Metrics of resampled corpora; every list is as long, and its k-th value is of the same draw of documents. eps2 is that of
metrics that depend on it, else null."""


@dataclass(frozen=True)
class Measured:
    """One family on one corpus: by variant and key an array (models, texts), NaN where there is no value.

    `documents` (texts,) names the texts' documents; the whole corpus is one text of its own.
    """

    models: Sequence[MeasuredModel]
    documents: Sequence[str]
    variants: Variants
    eps2: Mapping[str, float | None]
    """Of each metric; None for one that does not depend on it."""


def beside(variants: Variants, key: Key) -> dict[str, np.ndarray]:
    """What a key names: trained models and every null, untrained twins averaged.

    A null, or a twin, that a model with trained values has none of is left out: it would take the model from the law.
    """
    found: dict[str, list[np.ndarray]] = {}
    models = has_values(variants[TRAINED][key]) if key in variants.get(TRAINED, {}) else None
    for variant, values in variants.items():
        if key in values and (models is None or variant == TRAINED or has_values(values[key])[models].all()):
            found.setdefault(base(variant), []).append(values[key])
    return {name: np.mean(arrays, axis=0) for name, arrays in found.items()}


def has_values(values: np.ndarray) -> np.ndarray:
    """Of each model (models,), whether there is any value."""
    found: np.ndarray = np.isfinite(values).any(axis=tuple(range(1, values.ndim)))
    return found


def families(path: Path) -> list[tuple[str, str]]:
    """(family, corpus) of everything in a table, sorted."""
    table = read_table(path, columns=["family", "corpus"]).unify_dictionaries()
    pairs = table.group_by(["family", "corpus"], use_threads=False).aggregate([]).to_pylist()
    return sorted((row["family"], row["corpus"]) for row in pairs)


def read_measured(path: Path, family: str, corpus: str) -> Measured:
    """Everything but losses that the table holds of a family on a corpus, at the layers that its models have in common.

    Raises DataError for two models of one size that no seed tells apart.
    """
    behind = pc.subtract(pc.field("layer"), pc.field("depth"))
    common = (pc.field("layer") == 0) | (behind == 0) | (behind == 1)
    where = (pc.field("family") == family) & (pc.field("corpus") == corpus) & (pc.field("sublayer") == "block") & common
    facts = ["model", "seed", "params_nonembedding", "params_total"]
    columns = [*facts, "depth", "d", "variant", "layer", "normalise", "n", "metric", "text", "value", "eps2"]
    table = read_table(path, columns=columns, filters=where).unify_dictionaries().combine_chunks()
    found = table.group_by(facts, use_threads=False).aggregate([("d", "max")]).to_pylist()
    models = [
        MeasuredModel(row["model"], row["seed"], row["params_nonembedding"], row["params_total"], row["d_max"]) for row in found
    ]
    models.sort(key=lambda model: (model.params_nonembedding, model.name))
    check_seeds(family, ((model.name, model.seed, model.params_nonembedding) for model in models))
    place = {model.name: row for row, model in enumerate(models)}

    text, layer, depth, n, value = (table[name].to_numpy() for name in ("text", "layer", "depth", "n", "value"))
    (names, model), (variants, variant), (modes, mode), (metrics, metric) = (
        codes(table[name]) for name in ("model", "variant", "normalise", "metric")
    )
    of_text = text_documents(path, family, corpus)
    row, length = np.array([place.get(name, -1) for name in names])[model], np.where(text < 0, 0, n)
    arrays: dict[str, dict[Key, np.ndarray]] = {}
    for (v, p, m, count, k), rows in by_cell(variant, np.where(layer == 0, 0, 1 + layer - depth), mode, length, metric):
        block = np.full((len(models), of_text.size if count else 1), np.nan)
        block[row[rows], np.maximum(text[rows], 0)] = value[rows]
        arrays.setdefault(variants[v], {})[Key(LAYERS[p], modes[m], count or None, metrics[k])] = block
    return Measured(models, of_text.tolist(), arrays, distortions(table, path))


def distortions(table: pa.Table, path: Path) -> dict[str, float | None]:
    """The eps2 of each metric in a table. Raises DataError for a metric that was measured at two."""
    found: dict[str, float | None] = {}
    for row in table.group_by(["metric", "eps2"], use_threads=False).aggregate([]).to_pylist():
        if found.setdefault(row["metric"], row["eps2"]) != row["eps2"]:
            raise DataError(f"{path}: {row['metric']} was measured at eps2 {found[row['metric']]} and {row['eps2']}")
    return found


def text_documents(path: Path, family: str, corpus: str) -> np.ndarray:
    """Names of all texts' documents (texts,): those too short for any length have at least a loss."""
    where = (pc.field("family") == family) & (pc.field("corpus") == corpus) & (pc.field("text") >= 0)
    table = read_table(path, columns=["text", "document"], filters=where).unify_dictionaries().combine_chunks()
    text, (documents, document) = table["text"].to_numpy(), codes(table["document"])
    found = np.full(text.max() + 1 if text.size else 0, "", dtype=object)
    found[text] = documents[document]
    return found


def write_resamples(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """A table of resampled corpora: its columns are those of RESAMPLES."""
    with replacing(path) as temporary:
        pq.write_table(pa.table({name: [row[name] for row in rows] for name in RESAMPLES.names}, RESAMPLES), temporary)


def read_resamples(path: Path, family: str, models: Sequence[str]) -> Variants:
    """Arrays (models, resamples) of what each of the named models of a family has."""
    table = read_table(path, filters=pc.field("family") == family)
    if not len(table):
        return {}
    draws = table["values"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    found: dict[str, dict[Key, dict[str, np.ndarray]]] = {}
    for row, values in zip(table.drop(["values"]).to_pylist(), draws, strict=True):
        key = Key(row["layer"], row["normalise"], None, row["metric"])
        found.setdefault(row["variant"], {}).setdefault(key, {})[row["model"]] = values
    return {
        variant: {key: np.stack([rows[model] for model in models]) for key, rows in keys.items() if len(rows) == len(models)}
        for variant, keys in found.items()
    }


def read_losses(
    path: Path, family: str, corpus: str, models: Sequence[MeasuredModel]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By variant that all models have a loss of, the nats of each text and the tokens that they are a sum over, both (models,
    texts)."""
    where = (pc.field("family") == family) & (pc.field("corpus") == corpus) & (pc.field("metric") == "loss")
    table = read_table(path, columns=["model", "variant", "text", "n", "value"], filters=where & (pc.field("text") >= 0))
    place, texts = {model.name: row for row, model in enumerate(models)}, 1 + max(table["text"].to_pylist(), default=-1)
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for row in table.to_pylist():
        nats, tokens = found.setdefault(row["variant"], (np.zeros((len(models), texts)), np.zeros((len(models), texts))))
        nats[place[row["model"]], row["text"]] = row["n"] * row["value"]
        tokens[place[row["model"]], row["text"]] = row["n"]
    return {variant: pair for variant, pair in found.items() if pair[1].any(axis=1).all()}


def by_cell(*columns: np.ndarray) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """The values of every cell that columns (rows,) of whole numbers from 0 have, sorted, each with the numbers of its rows.

    Of few distinct values in millions of rows: it counts where sorting them would take ten times as long.
    """
    if not columns[0].size:
        return
    present = [np.bincount(column) > 0 for column in columns]
    values = [np.flatnonzero(own) for own in present]
    shape = [len(own) for own in values]
    cell = np.ravel_multi_index([(np.cumsum(own) - 1)[column] for own, column in zip(present, columns, strict=True)], shape)
    counts = np.bincount(cell)
    order = np.argsort(cell.astype(np.min_scalar_type(len(counts))), kind="stable")  # numpy counts numbers of 16 bits too
    found = np.flatnonzero(counts)
    for place, rows in zip(found, np.split(order, np.cumsum(counts[found])[:-1]), strict=True):
        yield tuple(int(own[k]) for own, k in zip(values, np.unravel_index(place, shape), strict=True)), rows


def codes(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Names (k,), and which of them each row has: (rows,), -1 for none."""
    encoded = column.combine_chunks()
    return np.array(encoded.dictionary.to_pylist(), dtype=object), encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)


def text_means(path: Path, metrics: Iterable[str], length: int, normalise: str) -> list[dict[str, Any]]:
    """One row for each model, corpus, variant, layer and metric: the mean, over texts, of their first `length` tokens.

    The columns are those of the tables, in order of corpus, metric, family and size. Raises DataError if there are none.
    """
    metrics = list(metrics)
    texts = (pc.field("text") >= 0) & (pc.field("n") == length) & (pc.field("normalise") == normalise)
    rows = mean_rows(path, pc.field("metric").isin(metrics) & texts & (pc.field("sublayer") == "block"))
    if not rows:
        raise DataError(f"{path}: no row for {', '.join(metrics)}, n = {length}, {normalise}{why_none(path, length)}")
    return rows


def why_none(path: Path, length: int) -> str:
    """Explain why a table has no text of a length: the lengths that there are, and the remedy."""
    lengths = pc.unique(
        read_table(path, columns=["n"], filters=(pc.field("text") >= 0) & (pc.field("layer") >= 0))["n"]
    ).to_pylist()
    if length in lengths or not read_table(path, columns=["n"]).num_rows:
        return ""
    shorter = (
        f"they are measured at n = {', '.join(map(str, sorted(lengths)))}" if lengths else "they are shorter than entropy.lengths"
    )
    return (
        f"; no text is as long ({shorter}): set a smaller scaling.primary.length, among entropy.lengths, or take longer documents"
    )


def corpus_losses(path: Path) -> list[dict[str, Any]]:
    """One row for each model, corpus and variant that a model was run on: the loss in nats a token."""
    return mean_rows(path, (pc.field("metric") == "loss") & (pc.field("text") == -1))


def endpoint(path: Path, metrics: Iterable[str], layer: str, length: int, normalise: str) -> list[dict[str, Any]]:
    """`text_means` at one layer, `last` or `final`, and `corpus_losses`.

    Raises DataError if there are no such means, or none at that layer.
    """
    rows = text_means(path, metrics, length, normalise)
    at_layer = [row for row in rows if [row["layer"]] == resolve_layers(layer, row["depth"])]
    if not at_layer:
        raise DataError(f"{path}: no row at layer {layer}")
    return at_layer + corpus_losses(path)


def mean_rows(path: Path, where: pc.Expression) -> list[dict[str, Any]]:
    keys = [
        "family",
        "model",
        "seed",
        "params_nonembedding",
        "params_total",
        "depth",
        "d",
        "corpus",
        "variant",
        "layer",
        "metric",
        "eps2",
    ]
    table = read_table(path, columns=[*keys, "value", "bound"], filters=where).unify_dictionaries().combine_chunks()
    means = table.group_by(keys, use_threads=False).aggregate([("value", "mean"), ("bound", "mean")])
    rows = means.rename_columns([*keys, "value", "bound"]).to_pylist()
    return sorted(rows, key=lambda row: (row["corpus"], row["metric"], row["family"], row["params_nonembedding"], row["model"]))
