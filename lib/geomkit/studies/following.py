"""Laws with model size at lengths that follow the width (following.csv): twice and half as many tokens as a model is wide, so
that no ratio of tokens to directions changes with size. Only differences from the projected null are exponents there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.arrays import Array
from geomkit.laws.differences import difference_of
from geomkit.laws.resampling import Documents
from geomkit.laws.verdicts import MARGINS, Endpoint, Judgement, judge
from geomkit.logs import progress
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import eps2_of, measure
from geomkit.measures.projection import leading_directions, projected
from geomkit.measures.spectra import Spectrum, is_centred, normalise, spectrum
from geomkit.store.donors import Source, incomparable, opened_sources
from geomkit.store.dumps import PLAIN
from geomkit.store.provenance import rng
from geomkit.store.records.files import write_csv
from geomkit.store.records.scaling import FollowedVerdict

FOLLOWS = {"2d": 2.0, "d/2": 0.5}
LAYERS = ("last", "final", PLAIN)
COLUMNS = ("difference", "low", "high", "low_90", "high_90", "p", "margin", "donors", "fit", "flags", "sizes")
Values = dict[str, Array]
"""By metric, (texts,)."""


def judge_following(
    dumps: Iterable[str | Path],
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    output: Path,
    mode: str,
    parameters: Mapping[str, float],
    resamples: int,
    seed: int,
) -> None:
    """Every metric that has a margin, of every family, corpus, layer and rule of length, from models' dumps, each in a folder of
    its corpus in one of its name."""
    rows: list[FollowedVerdict] = []
    of_corpus: dict[str, list[Path]] = {}
    for path in map(Path, dumps):
        of_corpus.setdefault(path.parent.name, []).append(path)
    for corpus, paths in of_corpus.items():
        with opened_sources(paths, families, seeds) as groups:
            for family, members in groups.items():
                if incomparable(members) is None:
                    draw = rng(seed, "following", family, corpus)
                    rows += of_family(members, mode, parameters, resamples, draw, {"family": family, "corpus": corpus})
    write_csv(output, FollowedVerdict, rows)


def of_family(
    members: Sequence[Source],
    mode: str,
    parameters: Mapping[str, float],
    resamples: int,
    draw: np.random.Generator,
    source: Mapping[str, str],
) -> Iterator[FollowedVerdict]:
    layers = [layer for layer in LAYERS if not any(model.missing(layer) for model in members)]
    size = [model.facts["params_nonembedding"] for model in members]
    for layer, (follows, times) in progress(list(product(layers, FOLLOWS.items())), f"{source['family']} {source['corpus']}"):
        widths = [model.width(layer) for model in members]
        lengths = [int(times * width) for width in widths]
        texts = [text for text, tokens in enumerate(members[0].texts.tokens) if tokens >= max(lengths)]
        documents = [members[0].texts.document[text] for text in texts]
        if min(lengths) < 2 or len(set(documents)) < 2:
            continue
        clouds = Clouds(members, layer, texts, documents, mode, parameters)
        values = [clouds.itself(row, n) for row, n in enumerate(lengths)]
        nulls = [clouds.donor(row, widths, lengths) for row in range(len(members))]
        drawn = Documents.draw(documents, resamples, draw).draws
        names = [name for name in MARGINS if name in values[0]]
        endpoints = {name: endpoint(name, values, nulls, widths, size, drawn) for name in names}
        for name, judgement in judge(endpoints, separate=True).items():
            where = {**source, "layer": layer, "follows": follows, "normalise": mode, "metric": name, "texts": len(texts)}
            yield record(where, clouds.eps2.get(name), judgement)


class Clouds:
    """A family's rows at one layer, of the texts that are long enough, as every metric with a margin measures them."""

    def __init__(
        self,
        members: Sequence[Source],
        layer: str,
        texts: Sequence[int],
        documents: Sequence[str],
        mode: str,
        parameters: Mapping[str, float],
    ):
        self.members, self.layer, self.texts, self.mode, self.parameters = members, layer, texts, mode, parameters
        self.fold = document_folds(documents)
        self.eps2: Mapping[str, float | None] = {}
        self.stored: dict[int, Array] = {}

    def rows(self, member: int, n: int) -> Array:
        """The first n tokens of each text: (texts, n, d)."""
        source = self.members[member]
        if member not in self.stored:
            self.stored[member] = source.rows(self.layer)
        return np.asarray(self.stored[member][source.texts.offset[:-1][self.texts, None] + np.arange(n)])

    def measured(self, found: Spectrum) -> Values:
        results = measure(found, list(MARGINS), **self.parameters)
        self.eps2 = eps2_of(results, self.parameters)
        return {name: np.broadcast_to(np.asarray(one.value, dtype=float), (len(self.texts),)) for name, one in results.items()}

    def itself(self, member: int, n: int) -> Values:
        """A model at its own length."""
        rows = normalise(self.rows(member, n), self.mode)
        return self.measured(spectrum(rows, centred=is_centred(self.mode)))

    def donor(self, member: int, widths: Sequence[int], lengths: Sequence[int]) -> dict[int, Values]:
        """A donor on as many directions as each narrower model is wide, at that model's length: by width."""
        found = {}
        for width, n in sorted(set(zip(widths, lengths, strict=True))):
            if width < widths[member]:
                rows = self.rows(member, n)
                directions = leading_directions(rows, self.mode, self.fold)
                if directions.rank.min() >= width:
                    found[width] = self.measured(projected(rows, self.mode, self.fold, [width], directions)[width].spectrum)
        return found


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
        found = difference_of(size, own, np.exp(np.mean(levels, axis=0)), drawn)
        if found is not None:
            donors[f"width {width}"] = found
    return Endpoint(donors, MARGINS[metric], primary=False, absent="no model of the family is wide enough to be a donor")


def record(where: Mapping[str, Any], eps2: float | None, judgement: Judgement) -> FollowedVerdict:
    columns = {name: judgement.columns.get(name) for name in COLUMNS}
    numbers: dict[str, Any] = {name: None if value == "" else value for name, value in columns.items()}
    verdict = judgement.verdict
    return FollowedVerdict(**where, published=False, eps2=eps2, verdict=verdict.kind, reason=verdict.reason, **numbers)
