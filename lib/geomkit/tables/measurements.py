"""Read tidy tables as arrays (models, texts), one for each place of measurement, and as means over texts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, reduce
from operator import or_
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geomkit.core.errors import DataError
from geomkit.core.state import PLAIN, TOKENS, State
from geomkit.core.variants import TRAINED, base
from geomkit.tables.parquet import parquet_file, read_table
from geomkit.tables.tidy import FACTS, NAME, check_seeds

EMBEDDING, LAST, FINAL = "embedding", "last", "final"
SHARED = (EMBEDDING, LAST, FINAL)
"""Layers that models of different depth have in common: 0, the last block's output, after the final norm. `plain` is the last
again, without the final norm's gain and bias."""
PROJECTED, RANDOM, PROJECTED_SHUFFLED = "projected", "random-projection", "projected-shuffled"
"""Variants of which a model has rows on several numbers of directions."""
Layer = str | int | None
"""A layer's one name: the word that models of any depth have for it, else its number; None for rows of no layer."""


def name_layer(layer: Layer | State, depth: int) -> Layer:
    """Give a layer its one name in a model of `depth` blocks: `last`, depth and State(depth) are one place."""
    if isinstance(layer, State):
        layer = PLAIN if layer.sublayer == PLAIN else layer.layer
    words: dict[Layer, str] = {depth: LAST, depth + 1: FINAL, 0: EMBEDDING}
    return words.get(layer, layer)


def number_layer(layer: Layer, depth: int) -> Layer:
    """Give the number of a layer that has one: of all but `plain` and None."""
    numbers: dict[Layer, int] = {EMBEDDING: 0, LAST: depth, FINAL: depth + 1}
    return numbers.get(layer, layer)


@dataclass(frozen=True)
class Where:
    """Place of a measurement: layer, length, normalisation, number of directions, and rows.

    layer: its name. length: how many first tokens of each text (None: the whole corpus). directions: on how many of a model's
    directions, if on fewer than all. rows: `TOKENS`, or `last` or `mean`, one for each text of the corpus. The loss has no layer
    and no normalisation.

    eps2: squared distortion of a metric that depends on it. A table has one for each metric, so it tells no two places apart.
    """

    layer: Layer
    normalise: str | None
    length: int | None
    metric: str
    directions: int | None = None
    rows: str = TOKENS
    eps2: float | None = field(default=None, compare=False)

    @property
    def order(self) -> tuple[str, str, int, str, str]:
        """Sort key that puts the corpus first."""
        return (
            str(self.layer or ""),
            self.normalise or "",
            self.length or 0,
            "" if self.rows == TOKENS else self.rows,
            self.metric,
        )

    @property
    def columns(self) -> dict[str, Any]:
        """Columns of records for this place."""
        return {name: getattr(self, name) for name in ("layer", "normalise", "length", "rows", "metric", "eps2")}


@dataclass(frozen=True)
class MeasuredModel:
    """A model in one row of the arrays. width: of its widest state."""

    name: str
    seed: int | None
    params_nonembedding: int
    params_total: int
    depth: int
    width: int


LOSS = Where(None, None, None, "loss")
"""The loss, which has no layer, beside the metrics of clouds."""
Arrays = dict[Where, np.ndarray]
Variants = dict[str, Arrays]
"""By variant and place an array whose first axis is models."""


class Loss(NamedTuple):
    """Loss of each text in nats a token, and the number of tokens it averages: (models, texts), NaN and 0 where there is none."""

    values: np.ndarray
    tokens: np.ndarray

    @property
    def nats(self) -> np.ndarray:
        """Sum of the loss over each text's tokens, in nats."""
        return np.where(self.tokens > 0, self.tokens * self.values, 0)

    @property
    def corpus(self) -> np.ndarray:
        """Loss of each model over all texts, in nats a token."""
        return np.asarray(self.nats.sum(axis=1) / self.tokens.sum(axis=1))


@dataclass(frozen=True)
class Measurements:
    """Metrics of one family on one corpus: by variant and place an array (models, texts).

    For the whole corpus it is (models, 1); NaN where there is no value. Variants and places are in the order of the table's
    variants, layers, and metrics.

    documents: of each text, empty where none is known. widths: by layer, of each model (models,), 0 where it has none.
    """

    family: str
    corpus: str
    models: Sequence[MeasuredModel]
    documents: Sequence[str]
    variants: Variants
    widths: Mapping[Layer, np.ndarray]
    load_losses: Callable[[], dict[str, Loss]] = dict

    @property
    def source(self) -> dict[str, Any]:
        """Columns of records that state the source of the numbers."""
        return {"family": self.family, "published": False, "corpus": self.corpus}

    @cached_property
    def losses(self) -> dict[str, Loss]:
        """Losses by variant."""
        return self.load_losses()

    @cached_property
    def eps2(self) -> dict[str, float | None]:
        return {where.metric: where.eps2 for arrays in self.variants.values() for where in arrays}

    def restricted(self, rows: Sequence[int]) -> "Measurements":
        """Keep some models, by their numbers."""
        chosen = list(rows)
        return replace(
            self,
            models=[self.models[row] for row in chosen],
            variants={name: {where: values[chosen] for where, values in of.items()} for name, of in self.variants.items()},
            widths={layer: widths[chosen] for layer, widths in self.widths.items()},
            load_losses=lambda: {name: Loss(*(part[chosen] for part in loss)) for name, loss in self.losses.items()},
        )

    def narrowest(self, row: int) -> int:
        """Return the dimensions of a model's narrowest state."""
        return min(int(width[row]) for layer, width in self.widths.items() if layer is not None and width[row])

    def known_losses(self) -> dict[str, Loss]:
        """Losses of the variants that every model has."""
        return {variant: loss for variant, loss in self.losses.items() if loss.tokens.any(axis=1).all()}

    def at(self, where: Where, variant: str = TRAINED) -> np.ndarray | None:
        """Return the array of a place whose layer is named in any way; None where no model was measured.

        Untrained twins are averaged.

        A number is each model's own layer of that number, whatever its depth.
        """
        twins = []
        for name, arrays in self.variants.items():
            rows = [arrays.get(replace(where, layer=name_layer(where.layer, model.depth))) for model in self.models]
            if base(name) == variant and (known := [row for row in rows if row is not None]):
                missing = np.full_like(known[0][0], np.nan)
                twins.append(np.array([missing if array is None else array[row] for row, array in enumerate(rows)]))
        return np.mean(twins, axis=0) if twins else None

    def projections(self, variant: str, where: Where, widths: Sequence[int]) -> dict[int, np.ndarray]:
        """Return the values of each model, by its row, on as many of its directions as each of the widths: (widths, texts).

        NaN for a width that it was not projected on; models that were projected on none are left out.
        """
        arrays = self.variants.get(variant, {})
        on = {width: arrays.get(replace(where, directions=int(width))) for width in set(widths)}
        shape = next((array.shape for array in on.values() if array is not None), None)
        if shape is None:
            return {}
        stacked = np.full((len(widths), *shape), np.nan)
        for row, width in enumerate(widths):
            if (array := on[width]) is not None:
                stacked[row] = array
        return {row: stacked[:, row] for row in range(shape[0]) if np.isfinite(stacked[:, row]).any()}


def beside(variants: Variants, where: Where) -> dict[str, np.ndarray]:
    """Return the arrays of one place: trained models and every null, untrained twins averaged.

    A null, or a twin, that a model with trained values has none of is left out: it would take the model from the law.
    """
    grouped: dict[str, list[np.ndarray]] = {}
    models = has_values(variants[TRAINED][where]) if where in variants.get(TRAINED, {}) else None
    for variant, values in variants.items():
        if where in values and (models is None or variant == TRAINED or has_values(values[where])[models].all()):
            grouped.setdefault(base(variant), []).append(values[where])
    return {name: np.mean(arrays, axis=0) for name, arrays in grouped.items()}


def has_values(values: np.ndarray) -> np.ndarray:
    """Whether each model (models,) has any value."""
    known: np.ndarray = np.isfinite(values).any(axis=tuple(range(1, values.ndim)))
    return known


# rows of a table

LOSSES = pc.field("metric").isin(["loss", "loss_per_byte"])
BLOCKS = (pc.field("sublayer") == "block") | (pc.field("layer").is_null() & ~LOSSES)
"""Rows of blocks' outputs, and drawn rows, which are of no layer."""
TEXTS = pc.field("text") >= 0
COLUMNS = ("seed", *FACTS, "variant", "layer", "sublayer", "rows", "normalise", "n", "metric", "text", "d", "value", "eps2")


def rows_at(layer: Layer) -> pc.Expression:
    """Select the rows of a layer, by its name or number."""
    if layer == PLAIN:
        return pc.field("sublayer") == PLAIN
    return (pc.field("layer") == number_layer(layer, pc.field("depth"))) & (pc.field("sublayer") == "block")


def families(path: Path) -> list[tuple[str, str]]:
    """List (family, corpus) of everything in a table, sorted."""
    table = read_table(path, columns=["family", "corpus"]).unify_dictionaries()
    pairs = table.group_by(["family", "corpus"], use_threads=False).aggregate([]).to_pylist()
    return sorted((row["family"], row["corpus"]) for row in pairs)


def only_family(path: Path) -> tuple[str, str]:
    """Return (family, corpus) of a table with only one. Raises DataError for any other number."""
    present = families(path)
    if len(present) != 1:
        raise DataError(f"{path}: it holds measurements of {len(present)} families and corpora, not of one")
    return present[0]


def read_measurements(
    path: Path,
    family: str,
    corpus: str,
    layers: Iterable[Layer] | None = None,
    metrics: Iterable[str] | None = None,
    variants: Iterable[str] | None = None,
    by_size: bool = True,
    like: Measurements | None = None,
) -> Measurements:
    """Read the measurements of a family on a corpus from a table, optionally of some layers, metrics or variants only.

    By default at blocks' outputs and `plain`.

    Models come by size and name, each told from others of its size by a seed; or (not by_size) in the table's order; or are those
    of `like`, whose texts they have read. In a table of projections a row's model is the donor.
    Raises DataError for two models of one size that no seed tells apart, and for a metric that was measured at two eps2.
    """
    whose = (pc.field("family") == family) & (pc.field("corpus") == corpus)
    chosen = whose & (rows_at(PLAIN) | BLOCKS if layers is None else reduce(or_, map(rows_at, layers)))
    model = "donor" if "donor" in parquet_file(path).schema_arrow.names else "model"
    named = {"metric": metrics, "variant": variants, model: [one.name for one in like.models] if like else None}
    for name, values in named.items():
        chosen &= pc.scalar(True) if values is None else pc.field(name).isin(list(values))
    table = read_rows(path, [model, *COLUMNS], chosen).unify_dictionaries().combine_chunks()
    models = list(like.models) if like else models_of(table, model)
    if by_size and not like:
        models.sort(key=lambda one: (one.params_nonembedding or 0, one.name))
        check_seeds(family, ((one.name, one.seed, one.params_nonembedding) for one in models))
    documents = like.documents if like else text_documents(path, whose)
    places = {one.name: row for row, one in enumerate(models)}
    arrays = arrays_of(table, model, places, len(documents), distortions(table, path))
    losses = dict if like else partial(losses_of, path, whose, places, len(documents))
    return Measurements(family, corpus, models, documents, arrays, widths_of(table, model, places), losses)


def read_rows(path: Path, columns: Sequence[str], chosen: pc.Expression) -> pa.Table:
    """Read columns of the chosen rows. A table without the column `rows` is of tokens."""
    known = [name for name in columns if name != "rows" or name in parquet_file(path).schema_arrow.names]
    table = read_table(path, columns=known, filters=chosen)
    return table if len(known) == len(columns) else table.append_column("rows", pa.nulls(len(table), NAME))


def models_of(table: pa.Table, model: str) -> list[MeasuredModel]:
    """Return models in the order of the table's rows; attributes that no row states are None."""
    rows = table.group_by([model], use_threads=False).aggregate([(name, "max") for name in ("seed", *FACTS, "d")]).to_pylist()
    return [MeasuredModel(row[model], *(row[f"{name}_max"] for name in ("seed", *FACTS, "d"))) for row in rows]


def widths_of(table: pa.Table, model: str, places: Mapping[str, int]) -> dict[Layer, np.ndarray]:
    """Return the largest width of each model's rows, by layer."""
    keys = [model, "depth", "layer", "sublayer"]
    widths: dict[Layer, np.ndarray] = {}
    for row in table.group_by(keys, use_threads=False).aggregate([("d", "max")]).to_pylist():
        layer = PLAIN if row["sublayer"] == PLAIN else name_layer(row["layer"], row["depth"])
        widths.setdefault(layer, np.zeros(len(places), int))[places[row[model]]] = row["d_max"] or 0
    return widths


def arrays_of(table: pa.Table, model: str, places: Mapping[str, int], texts: int, eps2: Mapping[str, float | None]) -> Variants:
    """Return the table's values as arrays."""
    if not len(table):
        return {}
    text, layer, depth, n, d = (table[name].fill_null(-1).to_numpy() for name in ("text", "layer", "depth", "n", "d"))
    (names, name), (variants, variant), (parts, part), (modes, mode), (metrics, metric), (kinds_of_rows, pooled) = (
        codes(table[column]) for column in (model, "variant", "sublayer", "normalise", "metric", "rows")
    )
    row, value = np.array([places.get(one, -1) for one in names])[name], table["value"].to_numpy()
    last = max(int(depth.max()), 1)
    words: dict[int, Layer] = {0: EMBEDDING, last: LAST, last + 1: FINAL, last + 2: PLAIN, last + 3: None}
    kinds = [parts[part] == PLAIN, layer < 0, layer == 0, layer >= depth]
    at = np.select(kinds, [last + 2, last + 3, 0, last + layer - depth], layer)
    of_tokens = np.array([kind in (None, TOKENS) for kind in kinds_of_rows])[pooled]
    donated = of_tokens | (model == "donor")  # of whole texts, a model's own table has the donor's rows at its own width alone
    several = np.isin(variants, (PROJECTED, RANDOM, PROJECTED_SHUFFLED))[variant] & donated | (layer < 0)
    length, directions = np.where(text < 0, 0, n), np.where(several, d, 0)
    arrays: Variants = {}
    for (v, p, m, count, k, own, r), rows in by_cell(variant, at, mode, length, metric, directions, pooled):
        block = np.full((len(places), texts if count else 1), np.nan)
        block[row[rows], np.maximum(text[rows], 0)] = value[rows]
        kind = kinds_of_rows[r] or TOKENS
        where = Where(words.get(p, p), modes[m], count or None, metrics[k], own or None, kind, eps2[metrics[k]])
        arrays.setdefault(variants[v], {})[where] = block
    return arrays


def losses_of(path: Path, whose: pc.Expression, places: Mapping[str, int], texts: int) -> dict[str, Loss]:
    """Return losses of texts by variant."""
    columns = ["model", "variant", "text", "n", "value"]
    table = read_table(path, columns=columns, filters=whose & TEXTS & (pc.field("metric") == "loss")).unify_dictionaries()
    losses: dict[str, Loss] = {}
    for row in table.to_pylist():
        if row["model"] in places:
            shape = len(places), texts
            values, tokens = losses.setdefault(row["variant"], Loss(np.full(shape, np.nan), np.zeros(shape)))
            values[places[row["model"]], row["text"]], tokens[places[row["model"]], row["text"]] = row["value"], row["n"]
    return losses


def distortions(table: pa.Table, path: Path) -> dict[str, float | None]:
    """Return the eps2 of each metric in a table. Raises DataError for a metric that was measured at two."""
    eps2: dict[str, float | None] = {}
    for row in table.group_by(["metric", "eps2"], use_threads=False).aggregate([]).to_pylist():
        if eps2.setdefault(row["metric"], row["eps2"]) != row["eps2"]:
            raise DataError(f"{path}: {row['metric']} was measured at eps2 {eps2[row['metric']]} and {row['eps2']}")
    return eps2


def text_documents(path: Path, whose: pc.Expression) -> list[str]:
    """Return the names of all texts' documents: those too short for any length have at least a loss."""
    table = read_table(path, columns=["text", "document"], filters=whose & TEXTS).unify_dictionaries().combine_chunks()
    text, (documents, document) = table["text"].to_numpy(), codes(table["document"])
    names = np.full(text.max() + 1 if text.size else 0, "", dtype=object)
    names[text] = documents[document]
    return list(names)


def by_cell(*columns: np.ndarray) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """Group rows by the values of integer columns (rows,) that start at 0: each cell, sorted, with the numbers of its rows.

    It counts, since sorting few distinct values in millions of rows would take ten times as long.

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
    cells = np.flatnonzero(counts)
    for place, rows in zip(cells, np.split(order, np.cumsum(counts[cells])[:-1]), strict=True):
        yield tuple(int(own[k]) for own, k in zip(values, np.unravel_index(place, shape), strict=True)), rows


def codes(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Encode a column: names, the last of them None, and which of them each row has: (rows,)."""
    encoded = column.combine_chunks()
    names = [*encoded.dictionary.to_pylist(), None]
    return np.array(names, dtype=object), encoded.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)


def read_resamples(path: Path, family: str, depths: Mapping[str, int]) -> Variants:
    """Read metrics of resampled corpora as arrays (models, resamples), where these models and no others of the family have them.

    depths: of these models, by name, in the order of the arrays.
    """
    table = read_table(path, filters=pc.field("family") == family)
    if not len(table):
        return {}
    draws = table["values"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    grouped: dict[str, dict[Where, dict[str, np.ndarray]]] = {}
    for row, values in zip(table.drop(["values"]).to_pylist(), draws, strict=True):
        layer = int(row["layer"]) if row["layer"].isdecimal() else row["layer"]
        own = {"rows": row.get("rows", TOKENS), "eps2": row["eps2"]}
        where = Where(name_layer(layer, depths.get(row["model"], 0)), row["normalise"], None, row["metric"], **own)
        grouped.setdefault(row["variant"], {}).setdefault(where, {})[row["model"]] = values
    return {
        variant: {
            where: np.stack([rows[name] for name in depths]) for where, rows in places.items() if rows.keys() == depths.keys()
        }
        for variant, places in grouped.items()
    }


# means over texts


def text_means(
    path: Path,
    metrics: Iterable[str],
    length: int | None,
    normalise: str,
    layer: Layer = None,
    each: Sequence[str] = (),
    rows: str = TOKENS,
) -> list[dict[str, Any]]:
    """Average each metric over texts: one row for each model, corpus, variant, layer (or of one layer) and metric.

    Means are of the first `length` tokens of texts; or of the corpus's one cloud of other `rows`, which has no length.

    The columns are those of the tables, in order of corpus, metric, family and size; those in `each` are lists over texts, named
    `each_value` and so on. Raises DataError if there are none.
    """
    metrics = list(metrics)
    clouds = TEXTS & (pc.field("n") == length) if rows == TOKENS else (pc.field("rows") == rows)
    layers = pc.field("sublayer") == "block" if layer is None else rows_at(layer)
    means = mean_rows(path, pc.field("metric").isin(metrics) & clouds & (pc.field("normalise") == normalise) & layers, each)
    if not means:
        where = f"{f'n = {length}' if rows == TOKENS else f'{rows} of each text'}, {normalise}"
        where += "" if layer is None else f", at layer {layer}"
        raise DataError(f"{path}: no row for {', '.join(metrics)}, {where}{why_none(path, length) if rows == TOKENS else ''}")
    return means


def why_none(path: Path, length: int | None) -> str:
    """Explain why a table has no text of a length: the lengths that there are, and the remedy."""
    lengths = pc.unique(read_table(path, columns=["n"], filters=TEXTS & (pc.field("layer") >= 0))["n"]).to_pylist()
    if length in lengths or not read_table(path, columns=["n"]).num_rows:
        return ""
    shorter = (
        f"they are measured at n = {', '.join(map(str, sorted(lengths)))}" if lengths else "they are shorter than entropy.lengths"
    )
    return (
        f"; no text is as long ({shorter}): set a smaller scaling.primary.length, among entropy.lengths, or take longer documents"
    )


def corpus_losses(path: Path) -> list[dict[str, Any]]:
    """Average the loss over a corpus: one row for each model, corpus and variant that a model was run on, in nats a token."""
    return mean_rows(path, (pc.field("metric") == "loss") & (pc.field("text") == -1))


def text_losses(path: Path, each: Sequence[str]) -> list[dict[str, Any]]:
    """Average the loss over texts, as `corpus_losses` does over tokens; columns in `each` as `text_means` has them."""
    return mean_rows(path, (pc.field("metric") == "loss") & TEXTS, each)


def mean_rows(path: Path, chosen: pc.Expression, each: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Average the chosen rows of one model, corpus, variant, layer and metric; columns in `each` are listed."""
    keys = ["family", "model", "seed", *FACTS, "d", "corpus", "variant", "layer", "metric", "eps2"]
    columns = dict.fromkeys([*keys, "value", "bound", *each])
    table = read_table(path, columns=list(columns), filters=chosen).unify_dictionaries().combine_chunks()
    for name in each:
        column = table[name].cast(pa.string()) if name == "document" else table[name]
        table = table.append_column(f"each_{name}", column)
    lists = [f"each_{name}" for name in each]
    taken = [("value", "mean"), ("bound", "mean"), *((name, "list") for name in lists)]
    means = table.group_by(keys, use_threads=False).aggregate(taken)
    rows = means.rename_columns([*keys, "value", "bound", *lists]).to_pylist()
    return sorted(rows, key=lambda row: (row["corpus"], row["metric"], row["family"], row["params_nonembedding"], row["model"]))
