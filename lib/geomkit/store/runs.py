"""Tables of models that were measured as they ran, as arrays over texts: trainings of every shape and step, each by its name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geomkit.errors import DataError
from geomkit.store.measured import text_documents
from geomkit.store.parquet import read_table
from geomkit.store.states import PLAIN
from geomkit.variants import base


class Place(NamedTuple):
    """What an array holds values of: drawn rows have no layer, and the loss has no width either."""

    variant: str
    """Its declared name: untrained twins are averaged."""
    layer: int | str | None
    metric: str
    d: int | None


@dataclass(frozen=True)
class MeasuredRun:
    """A model of a table: its sizes, and by place values (texts,), NaN where a text has none. tokens (texts,): of the loss."""

    model: str
    family: str
    params_nonembedding: int
    params_total: int
    depth: int
    values: Mapping[Place, np.ndarray]

    @property
    def width(self) -> int:
        """The narrowest d of what it was itself measured at."""
        return min(place.d for place in self.values if place.variant == "trained" and place.d is not None)

    def at(self, layer: int | str, metric: str, variant: str = "trained") -> np.ndarray:
        """Raises DataError where it was not measured."""
        for place, values in self.values.items():
            if (place.variant, place.layer, place.metric) == (variant, self.number(layer), metric):
                return values
        raise DataError(f"{self.model}: no {metric} at layer {layer}, {variant}")

    def number(self, layer: int | str) -> int | str:
        """`last` and `final` by number; other names as they are."""
        return {"last": self.depth, "final": self.depth + 1}.get(str(layer), layer)

    @property
    def loss(self) -> np.ndarray:
        """Of each text, nats a token."""
        return self.values[Place("trained", None, "loss", None)]


@dataclass(frozen=True)
class Runs:
    """Models by name, in the tables' order; the corpus, and the name of each text's document (texts,). eps2: of each metric."""

    models: Mapping[str, MeasuredRun]
    corpus: str
    documents: list[str]
    eps2: Mapping[str, float | None]


def read_runs(paths: Iterable[Path]) -> Runs:
    """Tables of one corpus. Raises DataError for a model that is in two tables, and for texts of different documents."""
    models: dict[str, MeasuredRun] = {}
    documents: list[str] | None = None
    corpus = ""
    eps2: dict[str, float | None] = {}
    for path in paths:
        table = read_table(path, filters=pc.field("text") >= 0)
        pairs = table.select(["family", "corpus"]).slice(0, 1).to_pylist()
        if not pairs:
            raise DataError(f"{path}: it holds no measurement")
        own = text_documents(path, pairs[0]["family"], pairs[0]["corpus"]).tolist()
        if documents is not None and own != documents:
            raise DataError(f"{path}: its texts are not those of the tables before it (another tokenizer, or other texts)")
        documents, corpus = own, pairs[0]["corpus"]
        eps2 |= {row["metric"]: row["eps2"] for row in table.group_by(["metric", "eps2"]).aggregate([]).to_pylist()}
        for model in models_of(table, len(own)):
            if model.model in models:
                raise DataError(f"{path}: {model.model} was measured already, in another table")
            models[model.model] = model
    return Runs(models, corpus, documents or [], eps2)


def models_of(table: pa.Table, texts: int) -> Iterable[MeasuredRun]:
    keys = ["model", "family", "params_nonembedding", "params_total", "depth"]
    places = ["variant", "layer", "sublayer", "metric", "d"]
    plain = table.unify_dictionaries().combine_chunks()
    for name in ("model", "family", "variant", "sublayer", "metric"):
        plain = plain.set_column(plain.schema.get_field_index(name), name, plain[name].cast(pa.string()))
    groups = plain.group_by([*keys, *places], use_threads=False).aggregate([("text", "list"), ("value", "list")]).to_pylist()
    found: dict[tuple, dict[Place, list[np.ndarray]]] = {}
    for row in groups:
        values = np.full(texts, np.nan)
        values[row["text_list"]] = row["value_list"]
        layer = PLAIN if row["sublayer"] == PLAIN else row["layer"]
        width = None if row["metric"] == "loss" else row["d"]
        place = Place(base(row["variant"]), layer, row["metric"], width)
        found.setdefault(tuple(row[key] for key in keys), {}).setdefault(place, []).append(values)
    for facts, own in found.items():
        means = {place: np.asarray(np.mean(arrays, axis=0)) for place, arrays in own.items()}
        yield MeasuredRun(**dict(zip(keys, facts, strict=True)), values=means)
