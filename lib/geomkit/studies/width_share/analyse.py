"""Fit laws with model size at lengths proportional to the width (following.csv): twice and half as many tokens as a model is
wide, so that the ratio of tokens to directions is the same at every size. Only differences from the projected null are exponents
there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import PLAIN
from geomkit.core.variants import TRAINED
from geomkit.laws.differences import difference_of
from geomkit.laws.resampling import Documents
from geomkit.laws.verdicts import MARGINS, Endpoint, Judgement, judge
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import measure
from geomkit.measures.projection import leading_directions, projected
from geomkit.measures.spectra import is_centred, normalise, row_spectrum
from geomkit.states.donors import Source, by_corpus, families_of, family_of, incomparable
from geomkit.states.stream import Open
from geomkit.studies.size_laws.rows import FollowedVerdict
from geomkit.tables.measurements import PROJECTED, Measurements, Where, read_measurements
from geomkit.tables.rows import write_csv
from geomkit.tables.tidy import DONOR_COLUMNS, TableWriter, columns_of

FOLLOWS = {"2d": 2.0, "d/2": 0.5}
LAYERS = ("last", "final", PLAIN)
COLUMNS = ("difference", "low", "high", "low_90", "high_90", "p", "margin", "donors", "fit", "flags", "sizes")


@dataclass(frozen=True)
class Cell:
    """A place at which laws are judged: a layer, the rule of length, each member's width and its number of tokens, and the texts
    that are long enough for all, with their documents."""

    layer: str
    follows: str
    widths: list[int]
    lengths: list[int]
    texts: list[int]
    documents: list[str]

    def narrower(self, width: int) -> list[tuple[int, int]]:
        """Width and tokens of every narrower model."""
        return [pair for pair in sorted(set(zip(self.widths, self.lengths, strict=True))) if pair[0] < width]

    def where(self, metric: str, mode: str, width: int) -> Where:
        """Place at which a model of a width is measured."""
        return Where(self.layer, mode, int(FOLLOWS[self.follows] * width), metric)


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
    """Judge every metric with a margin, of every family, corpus, layer and rule of length, from the tables of `follow_model`,
    which are named by their corpora, in folders of their models' names, as `spectra` are."""
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
    """Write the measurements of one model, which names the output's folder, in every cell; none where its family has no cell.

    spectra: of all models of its family, which say how wide they are. Projected rows have the width as `d` and the model as
    `donor`.
    """
    table = TableWriter(DONOR_COLUMNS, normalise=mode, donor=output.parent.name)
    model, members = family_of(output.parent.name, spectra, families, seeds)
    places = list(cells(members)) if model is not None and incomparable(members) is None else []
    if model is not None and places:
        table.common |= columns_of(output, model.attributes, model.family, model.seed)
        with states()(TRAINED) as opened:
            own = model.of(opened, [cell.layer for cell in places])
            for cell in progress(places, output.parent.name):
                add_cell(table, own, cell, mode, parameters)
    table.write(output, {})


def cells(members: Sequence[Source]) -> Iterator[Cell]:
    """Every layer and rule of length with texts that are long enough, of two documents at least."""
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
    measured = [read_measurements(made[model.name], source["family"], source["corpus"]) for model in members]
    for cell in progress(list(cells(members)), f"{source['family']} {source['corpus']}"):
        drawn = Documents.draw(cell.documents, resamples, draw).draws
        known = measured[0].variants[TRAINED]
        names = [name for name in MARGINS if cell.where(name, mode, cell.widths[0]) in known]
        endpoints = {name: endpoint(cell, name, mode, measured, size, drawn) for name in names}
        for name, judgement in judge(endpoints, separate=True).items():
            where = {**source, "layer": cell.layer, "follows": cell.follows, "normalise": mode, "metric": name}
            yield record({**where, "texts": len(cell.texts)}, measured[0].eps2[name], judgement)


def add_cell(table: TableWriter, model: Source, cell: Cell, mode: str, parameters: Mapping[str, float]) -> None:
    """Add rows of a model at its own length, and on as many directions as each narrower model is wide, at that model's length.

    Directions that other documents do not have are left out.
    """
    stored, width, starts = model.rows(cell.layer), model.width(cell.layer), model.texts.offset[:-1][cell.texts, None]
    rows = normalise(stored[starts + np.arange(int(FOLLOWS[cell.follows] * width))], mode, dtype=model.dtype)
    spectra = [(TRAINED, row_spectrum(rows, centred=is_centred(mode)))]
    fold = document_folds(cell.documents)
    for k, tokens in cell.narrower(width):
        rows = stored[starts + np.arange(tokens)]
        directions = leading_directions(rows, mode, fold, model.dtype)
        if directions.rank.min() >= k:
            spectra.append((PROJECTED, projected(rows, mode, fold, [k], directions, model.dtype)[k].spectrum))
    where: dict[str, Any] = {"text": cell.texts, "document": cell.documents, **model.state(cell.layer)._asdict()}
    for variant, found in spectra:
        table.add_metrics(found, measure(found, list(MARGINS), **parameters), variant=variant, **where)


def endpoint(cell: Cell, metric: str, mode: str, measured: Sequence[Measurements], size: Sequence[int], drawn: Array) -> Endpoint:
    """Differences from every donor, widest first; seeds of a donor are averaged geometrically."""
    places = [cell.where(metric, mode, width) for width in cell.widths]
    missing = np.full((1, len(measured[0].documents)), np.nan)
    own = np.array(
        [one.variants[TRAINED].get(where, missing)[0, cell.texts] for one, where in zip(measured, places, strict=True)]
    )
    donors = {}
    for width in sorted(set(cell.widths), reverse=True):
        nulls = [one.variants.get(PROJECTED, {}) for one, of in zip(measured, cell.widths, strict=True) if of == width]
        on = [replace(where, directions=k) for where, k in zip(places, cell.widths, strict=True)]
        levels = [[np.log(null.get(where, missing)[0, cell.texts]) for where in on] for null in nulls]
        difference = difference_of(size, own, np.exp(np.mean(levels, axis=0)), drawn)
        if difference is not None:
            donors[f"width {width}"] = difference
    return Endpoint(donors, MARGINS[metric], primary=False, absent="no model of the family is wide enough to be a donor")


def record(where: Mapping[str, Any], eps2: float | None, judgement: Judgement) -> FollowedVerdict:
    columns = {name: judgement.columns.get(name) for name in COLUMNS}
    numbers: dict[str, Any] = {name: None if value == "" else value for name, value in columns.items()}
    verdict = judgement.verdict
    return FollowedVerdict(**where, published=False, eps2=eps2, verdict=verdict.kind, reason=verdict.reason, **numbers)
