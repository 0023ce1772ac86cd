"""Compare text with text shuffled in blocks: effects, their growth beyond wider models on fewer directions, and the loss."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.laws.pairs import LEAST_WIDTHS, Coefficient, PairDesign
from geomkit.laws.resampling import Documents, percentile_interval
from geomkit.studies.word_order.rows import (
    ACROSS,
    ALL,
    ALONG,
    BEYOND,
    BLOCKS,
    FACTS,
    GROWTH,
    OF_TEXT,
    OWN,
    WITHIN,
    OrderEffect,
    OrderLaw,
)
from geomkit.tables.parquet import read_table
from geomkit.tables.rows import defined, write_csv

RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Order:
    """One model on one corpus.

    logs: ln(text / shuffled) (texts, blocks), by directions and their number. nats (texts, blocks). `mean_logs` and `mean_nats`
    (blocks, 1 + resamples) are means over texts, column 0, and over those of resampled documents.
    """

    model: str
    family: str
    seed: int | None
    step: int | None
    corpus: str
    facts: Mapping[str, Any]
    documents: Documents
    logs: Mapping[tuple[str, int], Array]
    nats: Array

    @property
    def size(self) -> int:
        return int(self.facts["params_nonembedding"])

    @property
    def effect(self) -> Array:
        """ln(text / shuffled) in all directions: (texts, blocks)."""
        return self.logs[ALL, self.facts["d"]]

    def means(self, values: Array) -> Array:
        """Average values (texts, blocks) over texts, and in resamples: (blocks, 1 + resamples)."""
        return np.vstack([values.mean(axis=0), self.documents.means(values)]).T

    @cached_property
    def mean_logs(self) -> Array:
        return self.means(self.effect)

    @cached_property
    def mean_nats(self) -> Array:
        return self.means(self.nats)


def compare_orders(
    tables: Sequence[Path],
    output: Path,
    laws: Path,
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    steps: Mapping[str, int | None],
    length: int,
    seed: int,
) -> None:
    """Write word_order.csv and word_order_laws.csv from tables of texts, {model}/{corpus}.parquet.

    families, seeds, steps: of the models, by name.
    """
    orders = []
    for path in tables:
        name = path.parent.name
        common = {"model": name, "family": families[name], "seed": seeds[name], "step": steps[name], "corpus": path.stem}
        orders.append(read_order(path, common, rng(seed, "word order", path.stem)))
    write_csv(output, OrderEffect, [row for order in orders for row in effects(order, length)])
    groups = dict.fromkeys((order.family, order.corpus) for order in orders)
    found = []
    for family, corpus in groups:
        own = [order for order in orders if (order.family, order.corpus) == (family, corpus)]
        documents = min(len(order.documents.counts.T) for order in own)
        found += [OrderLaw(family=family, corpus=corpus, length=length, documents=documents, **row) for row in laws_of(own)]
    write_csv(laws, OrderLaw, found)


def read_order(path: Path, common: Mapping[str, Any], draw: np.random.Generator) -> Order:
    """Read the table of one model on one corpus. Resamples of one list of documents are the same for all models."""
    table = read_table(path)
    columns = {name: np.array(table[name].to_pylist()) for name in ("block", "directions", "d", "document")}
    values, surprisal = (np.array(table[name].to_pylist(), dtype=float) for name in ("value", "surprisal"))

    def of(block: int, directions: str, d: int) -> np.ndarray:
        return np.asarray((columns["block"] == block) & (columns["directions"] == directions) & (columns["d"] == d))

    facts = json.loads(table.schema.metadata[FACTS])
    text = of(0, ALL, facts["d"])
    places = dict.fromkeys(zip(columns["directions"].tolist(), columns["d"].tolist(), strict=True))
    logs = {}
    for directions, d in places:
        text_on = OF_TEXT if directions == OWN else directions
        own = [values[of(0, text_on, d)], *(values[of(block, directions, d)] for block in BLOCKS)]
        if all(map(len, own)):  # not all may have as many directions
            logs[directions, d] = np.stack([np.log(own[0]) - np.log(shuffled) for shuffled in own[1:]], axis=1)
    nats = np.stack([surprisal[of(block, ALL, facts["d"])] - surprisal[text] for block in BLOCKS], axis=1)
    documents = Documents.draw(columns["document"][text], RESAMPLES, draw)
    return Order(**common, facts=facts, documents=documents, logs=logs, nats=nats)


def effects(order: Order, length: int) -> Iterator[OrderEffect]:
    """Yield one model's effect, its nats, and how they go together over texts, at each block length."""
    facts = {name: value for name, value in order.facts.items() if name != "ids"}
    common: dict[str, Any] = {name: getattr(order, name) for name in ("model", "family", "seed", "step", "corpus")} | facts
    common |= {"layer": facts["depth"], "metric": "erank_covariance", "normalise": "centre-unit", "length": length}
    for place, block in enumerate(BLOCKS):
        effect, nats = (order.documents.mean(values[:, place]) for values in (order.effect, order.nats))
        own: dict[str, Any] = dict.fromkeys(("texts", "texts_low", "texts_high"))
        with suppress(DataError):  # a model that order does not change
            ranks = order.documents.partial_rank_correlation(-order.effect[:, place], order.nats[:, place])
            own = {"texts": defined(ranks.value), "texts_low": defined(ranks.low), "texts_high": defined(ranks.high)}
        yield OrderEffect(
            **common, **own, block=block, n=len(order.effect), documents=effect.documents,
            value=effect.value, low=defined(effect.low), high=defined(effect.high),
            nats=nats.value, nats_low=defined(nats.low), nats_high=defined(nats.high),
        )  # fmt: skip


def laws_of(orders: Sequence[Order]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one family on one corpus."""
    if any(order.step is not None for order in orders):
        yield from along_training(orders)
        return
    within = [-rank_correlations(order.mean_logs.T, order.mean_nats.T) for order in orders]
    sizes = sorted({order.size for order in orders})
    yield correlation(WITHIN, None, within, len(sizes))
    if len(sizes) < LEAST_WIDTHS or len({order.facts["ids"] for order in orders}) > 1:
        return  # a pair model takes as many widths, and models that read the same texts
    groups = [[order for order in orders if order.size == size] for size in sizes]
    effect, nats = (np.array([mean_of(group, name) for group in groups]) for name in ("mean_logs", "mean_nats"))
    for place, block in enumerate(BLOCKS):
        yield correlation(ACROSS, block, [-rank_correlations(effect[:, place].T, nats[:, place].T)], len(sizes))
        for directions in (OF_TEXT, OWN):
            yield from growth(groups, effect[:, place], place, directions)


def mean_of(orders: Sequence[Order], name: str) -> Array:
    """Average what models have under a name, (blocks, 1 + resamples)."""
    return np.asarray(np.mean([getattr(order, name) for order in orders], axis=0))


def along_training(orders: Sequence[Order]) -> Iterator[dict[str, Any]]:
    """Correlate effect and nats over the steps of each width, seeds averaged; mean over widths."""
    sizes = sorted({order.size for order in orders})
    by_size = [[order for order in orders if order.size == size] for size in sizes]
    steps = [sorted({order.step for order in own if order.step is not None}) for own in by_size]

    def curves(name: str) -> list[Array]:
        """Values of each width, (steps, blocks, 1 + resamples)."""
        return [
            np.array([mean_of([order for order in own if order.step == step], name) for step in those])
            for own, those in zip(by_size, steps, strict=True)
        ]

    effect, nats = curves("mean_logs"), curves("mean_nats")
    for place, block in enumerate(BLOCKS):
        pairs = zip(effect, nats, strict=True)
        yield correlation(ALONG, block, [-rank_correlations(x[:, place].T, y[:, place].T) for x, y in pairs], len(sizes))


def rank_correlations(x: Array, y: Array) -> Array:
    """Compute Spearman's rho of x and y (..., n) along the last axis; NaN where one of them does not vary."""
    ranks = [stats.rankdata(values, axis=-1) for values in (x, y)]
    one, two = (own - own.mean(axis=-1, keepdims=True) for own in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((one * two).sum(axis=-1) / np.sqrt(np.square(one).sum(axis=-1) * np.square(two).sum(axis=-1)))


def correlation(kind: str, block: int | None, drawn: Sequence[Array], sizes: int) -> dict[str, Any]:
    """Average correlations (1 + resamples,) of several models, with the interval over documents."""
    mean = np.mean(drawn, axis=0)
    low, high = percentile_interval(mean[1:])
    none = dict.fromkeys(("directions", "low_90", "high_90", "p"))
    return none | {"kind": kind, "block": block, "value": float(mean[0]), "low": low, "high": high, "sizes": sizes}


def growth(groups: Sequence[Sequence[Order]], effect: Array, place: int, directions: str) -> Iterator[dict[str, Any]]:
    """Yield the slope of the effect with ln N (sizes, 1 + resamples), and what it has beyond wider models on fewer directions.

    groups: models by size, in order.
    """
    known: dict[tuple[int, int], Array] = {}
    widths = [group[0].facts["d"] for group in groups]
    for donor, group in enumerate(groups):
        for target, v in enumerate(widths):
            own = [order.means(order.logs[directions, v])[place] for order in group if (directions, v) in order.logs]
            if v < widths[donor] and own:
                known[donor, target] = np.mean(own, axis=0)
    pairs = np.array(list(known), dtype=np.intp).reshape(-1, 2)
    design = PairDesign(np.log([group[0].size for group in groups]), pairs[:, 0], pairs[:, 1])
    difference = np.array([effect[target] - own for (_, target), own in known.items()]).reshape(len(pairs), -1)
    try:
        model = design.fit(difference[:, 0], effect[:, 0], difference[:, 1:], effect[:, 1:])
    except DataError as reason:
        print(f"{groups[0][0].family} on {groups[0][0].corpus}, {directions}: {reason}")
        return
    both: list[tuple[str, str | None, Coefficient | None]] = [(BEYOND, directions, model.slope)]
    for kind, at, slope in [*both, *([(GROWTH, None, model.exponent)] if directions == OF_TEXT else [])]:
        assert slope is not None
        low, high = slope.interval()
        low_90, high_90 = slope.interval(0.9)
        yield {
            "kind": kind, "directions": at, "block": BLOCKS[place], "value": slope.value, "low": low, "high": high,
            "low_90": low_90, "high_90": high_90, "p": slope.p, "sizes": len(groups),
        }  # fmt: skip
