"""Fit laws with model size at lengths proportional to the width (following.csv): twice and half as many tokens as a model is
wide, so that the ratio of tokens to directions is the same at every size. Only differences from the projected null are exponents
there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from geomkit.core.arrays import Array
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import PLAIN
from geomkit.core.variants import TRAINED
from geomkit.laws.differences import difference_of
from geomkit.laws.resampling import Documents
from geomkit.laws.verdicts import MARGINS, Endpoint, Judgement, judge
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import Measurement, measure
from geomkit.measures.projection import leading_directions, projected
from geomkit.measures.spectra import is_centred, normalise, row_spectrum
from geomkit.states.donors import Source, by_corpus, families_of, family_of, incomparable
from geomkit.states.stream import Open
from geomkit.studies.size_laws.rows import FollowedVerdict
from geomkit.tables.parquet import read_table
from geomkit.tables.rows import write_csv
from geomkit.tables.tidy import DONOR_COLUMNS, TableWriter

FOLLOWS = {"2d": 2.0, "d/2": 0.5}
LAYERS = ("last", "final", PLAIN)
COLUMNS = ("difference", "low", "high", "low_90", "high_90", "p", "margin", "donors", "fit", "flags", "sizes")
Values = dict[str, Array]
"""By metric, (texts,)."""


@dataclass(frozen=True)
class Cell:
    """Where laws are judged: a layer, the rule of length, and of each member how wide it is and how many tokens that makes; the
    texts that are long enough for all, and their documents."""

    layer: str
    follows: str
    widths: list[int]
    lengths: list[int]
    texts: list[int]
    documents: list[str]

    def narrower(self, width: int) -> list[tuple[int, int]]:
        """Width and tokens of every narrower model."""
        return [pair for pair in sorted(set(zip(self.widths, self.lengths, strict=True))) if pair[0] < width]


@dataclass(frozen=True)
class Shown:
    """Of one model in one cell: itself at its own length, and on as many directions as each narrower model is wide, at that
    model's length, by width; and the eps2 of every metric."""

    own: Values
    narrower: dict[int, Values]
    eps2: Mapping[str, float | None]


def judge_following(
    spectra: Iterable[Path],
    tables: Iterable[Path],
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    output: Path,
    mode: str,
    resamples: int,
    seed: int,
) -> None:
    """Every metric that has a margin, of every family, corpus, layer and rule of length, from the tables of `follow_model`, which
    are named by their corpora, in folders of their models' names, as `spectra` are."""
    rows: list[FollowedVerdict] = []
    made = {(path.stem, path.parent.name): path for path in tables}
    for corpus, files in sorted(by_corpus(spectra).items()):
        for family, members in families_of(files, families, seeds).items():
            if incomparable(members) is None:
                draw = rng(seed, "following", family, corpus)
                own = {model.name: made[corpus, model.name] for model in members}
                rows += of_family(members, own, mode, resamples, draw, {"family": family, "corpus": corpus})
    write_csv(output, FollowedVerdict, rows)


def follow_model(
    states: Open,
    spectra: Iterable[Path],
    output: Path,
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    mode: str,
    parameters: Mapping[str, float],
) -> None:
    """A table of what one model, which names the output's folder, shows in every cell; empty where its family has none.

    spectra: of all models of its family, which say how wide they are. Projected rows have the width as `d` and the model as
    `donor`.
    """
    table = TableWriter(DONOR_COLUMNS, model=output.parent.name, corpus=output.stem, normalise=mode)
    model, members = family_of(output.parent.name, spectra, families, seeds)
    places = list(cells(members)) if model is not None and incomparable(members) is None else []
    if model is not None and places:
        with states()(TRAINED) as opened:
            own = model.of(opened, [cell.layer for cell in places])
            for cell in progress(places, output.parent.name):
                add_shown(table, own, cell, shown(own, cell, mode, parameters))
    table.write(output, {})


def cells(members: Sequence[Source]) -> Iterator[Cell]:
    """Every layer and rule of length for which some texts, of two documents at least, are long enough."""
    layers = [layer for layer in LAYERS if not any(model.missing(layer) for model in members)]
    texts = members[0].texts
    for layer, (follows, times) in product(layers, FOLLOWS.items()):
        widths = [model.width(layer) for model in members]
        lengths = [int(times * width) for width in widths]
        chosen = [text for text, tokens in enumerate(texts.tokens) if tokens >= max(lengths)]
        documents = [texts.document[text] for text in chosen]
        if min(lengths) >= 2 and len(set(documents)) >= 2:
            yield Cell(layer, follows, widths, lengths, chosen, documents)


def of_family(
    members: Sequence[Source],
    made: Mapping[str, Path],
    mode: str,
    resamples: int,
    draw: np.random.Generator,
    source: Mapping[str, str],
) -> Iterator[FollowedVerdict]:
    size = [model.facts["params_nonembedding"] for model in members]
    for cell in progress(list(cells(members)), f"{source['family']} {source['corpus']}"):
        tables = [read_shown(made[model.name], model, cell) for model in members]
        values, nulls = [one.own for one in tables], [one.narrower for one in tables]
        drawn = Documents.draw(cell.documents, resamples, draw).draws
        names = [name for name in MARGINS if name in values[0]]
        endpoints = {name: endpoint(name, values, nulls, cell.widths, size, drawn) for name in names}
        for name, judgement in judge(endpoints, separate=True).items():
            where = {**source, "layer": cell.layer, "follows": cell.follows, "normalise": mode, "metric": name}
            yield record({**where, "texts": len(cell.texts)}, tables[0].eps2.get(name), judgement)


def shown(model: Source, cell: Cell, mode: str, parameters: Mapping[str, float]) -> Shown:
    """Measures one model's rows in one cell. Directions that other documents do not determine are left out."""
    stored, width, starts = model.rows(cell.layer), model.width(cell.layer), model.texts.offset[:-1][cell.texts, None]
    fold = document_folds(cell.documents)
    n = int(FOLLOWS[cell.follows] * width)
    rows = normalise(stored[starts + np.arange(n)], mode, dtype=model.dtype)
    own = measure(row_spectrum(rows, centred=is_centred(mode)), list(MARGINS), **parameters)
    narrower = {}
    for k, tokens in cell.narrower(width):
        rows = stored[starts + np.arange(tokens)]
        directions = leading_directions(rows, mode, fold, model.dtype)
        if directions.rank.min() >= k:
            spectrum = projected(rows, mode, fold, [k], directions, model.dtype)[k].spectrum
            narrower[k] = per_text(measure(spectrum, list(MARGINS), **parameters), len(cell.texts))
    return Shown(per_text(own, len(cell.texts)), narrower, {name: one.parameters.get("eps2") for name, one in own.items()})


def per_text(results: Mapping[str, Measurement], texts: int) -> Values:
    return {name: np.broadcast_to(np.asarray(one.value, dtype=float), (texts,)) for name, one in results.items()}


def add_shown(table: TableWriter, model: Source, cell: Cell, found: Shown) -> None:
    """Adds rows for every metric of a model itself, and of its rows on fewer directions."""
    width = model.width(cell.layer)
    for k, values in {width: found.own, **found.narrower}.items():
        for name, value in values.items():
            table.add(
                **model.state(cell.layer)._asdict(),
                **{"variant": "trained", "donor": None} if k == width else {"variant": "projected", "donor": model.name},
                **{"n": int(FOLLOWS[cell.follows] * k), "d": k, "metric": name, "eps2": found.eps2.get(name)},
                text=cell.texts,
                document=cell.documents,
                value=value,
            )


def read_shown(path: Path, model: Source, cell: Cell) -> Shown:
    """Reads the rows of one cell that `add_shown` wrote."""
    state, place = model.state(cell.layer), {text: row for row, text in enumerate(cell.texts)}
    where = (pc.field("layer") == state.layer) & (pc.field("sublayer") == state.sublayer)
    by_width: dict[int, Values] = {}
    eps2: dict[str, float | None] = {}
    for row in read_table(path, filters=where).to_pylist():
        if row["n"] == int(FOLLOWS[cell.follows] * row["d"]):
            values = by_width.setdefault(row["d"], {}).setdefault(row["metric"], np.full(len(place), np.nan))
            values[place[row["text"]]] = row["value"]
            eps2[row["metric"]] = row["eps2"]
    own = by_width.pop(model.width(cell.layer))
    return Shown(own, by_width, eps2)


def endpoint(
    metric: str,
    values: Sequence[Values],
    nulls: Sequence[Mapping[int, Values]],
    widths: Sequence[int],
    size: Sequence[int],
    drawn: Array,
) -> Endpoint:
    """Differences from every donor, widest first; seeds of a donor are averaged geometrically."""
    own = np.array([value[metric] for value in values])
    missing = np.full(own.shape[1], np.nan)
    donors = {}
    for width in sorted(set(widths), reverse=True):
        seeds = [null for null, of in zip(nulls, widths, strict=True) if of == width]
        levels = [[np.log(null[k][metric]) if k in null else missing for k in widths] for null in seeds]
        difference = difference_of(size, own, np.exp(np.mean(levels, axis=0)), drawn)
        if difference is not None:
            donors[f"width {width}"] = difference
    return Endpoint(donors, MARGINS[metric], primary=False, absent="no model of the family is wide enough to be a donor")


def record(where: Mapping[str, Any], eps2: float | None, judgement: Judgement) -> FollowedVerdict:
    columns = {name: judgement.columns.get(name) for name in COLUMNS}
    numbers: dict[str, Any] = {name: None if value == "" else value for name, value in columns.items()}
    verdict = judgement.verdict
    return FollowedVerdict(**where, published=False, eps2=eps2, verdict=verdict.kind, reason=verdict.reason, **numbers)
