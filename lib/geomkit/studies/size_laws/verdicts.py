"""Judge laws with model size (verdicts.csv): each metric's difference from the widest model on as many leading directions as each
width has, donor by donor; and the differences size by size (differences.csv)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.state import PLAIN
from geomkit.laws.differences import Difference, difference_of
from geomkit.laws.pairs import MARGINS as PAIR_MARGINS
from geomkit.laws.resampling import Documents
from geomkit.laws.statistics import slope
from geomkit.laws.verdicts import MARGINS, Endpoint, Judgement, judge
from geomkit.studies.size_laws.pairs import Endpoints, groups_of, pair_verdicts
from geomkit.studies.size_laws.pairs import residuals as width_residuals
from geomkit.studies.size_laws.rows import LawVerdict, Models, PairVerdict, SizeDifference, WidthResidual
from geomkit.tables.measurements import (
    PROJECTED,
    RANDOM,
    SHARED,
    MeasuredModel,
    Measurements,
    Where,
    beside,
    families,
    read_measurements,
)
from geomkit.tables.pairs import STRETCHED, Pairs
from geomkit.tables.rows import write_csv

PRIMARY = ("last", "final")
LAYERS = (*PRIMARY, PLAIN)
"""Those that are judged: `plain`, the final state without gain and bias, is in the table of projections alone."""
COMMON = "common-dimension"
KEPT = "norm_kept"


def judge_laws(
    table: Path,
    projections: Sequence[Path],
    pairs: Path,
    residuals: Path,
    verdicts: Path,
    differences: Path,
    primary: Mapping[str, Any],
    resamples: int,
    seed: int,
) -> None:
    """Judge laws by the pair model, at the primary length; and by version 1, at every length.

    Both after the last block, after the final norm, and without the norm's gain and bias. Version 1 judges old models alone,
    where there are others.
    """
    tables = {Path(path).stem: Path(path) for path in projections}
    judged: list[LawVerdict] = []
    by_size: list[SizeDifference] = []
    by_pairs: list[PairVerdict] = []
    by_width: list[WidthResidual] = []
    for family, corpora in groupby(families(table), key=itemgetter(0)):
        endpoints = []
        for _, corpus in corpora:
            measured = read_measurements(table, family, corpus, SHARED)
            every = Levels.of(measured, tables[corpus], resamples, rng(seed, "verdicts", family, corpus))
            groups = groups_of(family, every.models)
            # places are of single texts: rows of whole texts, which have no length, are not among the tests of the protocol
            at_length = [where for where in every.places if where.metric in PAIR_MARGINS and where.length == primary["length"]]
            endpoints.append(
                Endpoints(
                    family, corpus, {(m, where): every.pairs(where, rows) for m, rows in groups.items() for where in at_length}
                )
            )
            for where in at_length:
                by_width += width_residuals(every.values.source, where, every.models, groups, partial(every.pairs, where))
            ladder = every.restricted(groups.get(Models.OLD, groups[Models.ALL]))
            places = [where for where in ladder.places if where.metric in MARGINS]
            results = judge({str(where): ladder.endpoint(where, is_primary(where, primary)) for where in places}, separate=True)
            for where in places:
                judged.append(ladder.verdict(where, results[str(where)]))
                by_size += ladder.differences(where)
        by_pairs += pair_verdicts(endpoints, primary, [row for row in judged if row.family == family])
    write_csv(pairs, PairVerdict, by_pairs)
    write_csv(residuals, WidthResidual, by_width)
    write_csv(verdicts, LawVerdict, judged)
    write_csv(differences, SizeDifference, by_size)


def is_primary(where: Where, primary: Mapping[str, Any]) -> bool:
    """Whether a test was fixed beforehand: both layers at the primary length and normalisation."""
    at_place = where.layer in PRIMARY and (where.normalise, where.length) == (primary["normalise"], primary["length"])
    return at_place and where.metric in primary["metrics"]


@dataclass(frozen=True)
class Levels:
    """ln of the measurements of one family and corpus, and of their nulls, by model; and in every draw of documents.

    texts: (texts, resamples), how often each text was drawn.
    """

    models: Sequence[MeasuredModel]
    values: Measurements
    projections: Measurements
    texts: Array

    @classmethod
    def of(cls, measured: Measurements, projections: Path, resamples: int, draw: np.random.Generator) -> "Levels":
        projected = read_measurements(projections, measured.family, measured.corpus, metrics=[*MARGINS, KEPT], like=measured)
        trained = {**measured.variants["trained"], **projected.variants.get("trained", {})}
        measured = replace(measured, variants=measured.variants | {"trained": trained})
        return cls(measured.models, measured, projected, Documents.draw(measured.documents, resamples, draw).draws)

    def restricted(self, rows: Sequence[int]) -> "Levels":
        """Keep some models, by their numbers."""
        chosen = list(rows)
        if len(chosen) == len(self.models):
            return self
        models = [self.models[row] for row in chosen]
        return replace(
            self, models=models, values=self.values.restricted(chosen), projections=self.projections.restricted(chosen)
        )

    def pairs(self, where: Where, rows: Sequence[int]) -> Pairs:
        """Logarithms of some models, by their numbers, for the pair model."""
        width = [model.width for model in self.models]
        bracket = {STRETCHED: beside(self.values.variants, where).get(STRETCHED)}
        widest = max(width[row] for row in rows)
        random = [v for row, v in self.projections.projections(RANDOM, where, width).items() if width[row] == widest]
        bracket |= {RANDOM: np.exp(np.mean(np.log(random), axis=0)) if random else None}
        return Pairs.of(
            self.models, rows, self.values.variants["trained"][where], self.projections.projections(PROJECTED, where, width),
            {name: values for name, values in bracket.items() if values is not None}, self.texts,
        )  # fmt: skip

    @property
    def places(self) -> list[Where]:
        """All places of single texts at the layers that are judged, in order."""
        places = [where for where in self.values.variants["trained"] if where.layer in LAYERS and where.length is not None]
        return sorted(places, key=lambda where: where.order)

    @property
    def sizes(self) -> Array:
        """Distinct sizes, ascending."""
        return np.unique([float(model.params_nonembedding) for model in self.models])

    def of_size(self, size: float) -> list[int]:
        """Indices of the models of a size: its seeds."""
        return [row for row, model in enumerate(self.models) if model.params_nonembedding == size]

    def difference(self, where: Where, null: Array) -> Difference | None:
        """ln(measured / null) from values (models, texts), at the sizes at which the null is known; None at fewer than one."""
        size = [model.params_nonembedding for model in self.models]
        return difference_of(size, self.values.variants["trained"][where], null, self.texts)

    def donors(self, where: Where, variant: str, own: bool = False) -> dict[str, Difference]:
        """Differences from each donor's projections, by donor width, widest first; seeds of a donor are averaged geometrically.

        At the donor's own size the null is the measurement itself, and that size is left out unless `own`.
        """
        groups: dict[int, list[Array]] = {}
        width = np.array([model.width for model in self.models])
        for row, null in self.projections.projections(variant, where, width.tolist()).items():
            groups.setdefault(int(self.projections.widths[where.layer][row]), []).append(null)
        differences = {}
        for of_donor, arrays in sorted(groups.items(), reverse=True):
            null = np.exp(np.mean(np.log(arrays), axis=0))
            null = np.where((width <= of_donor if own else width < of_donor)[:, None], null, np.nan)
            if (difference := self.difference(where, null)) is not None:
                differences[f"width {of_donor}"] = difference
        return differences

    def endpoint(self, where: Where, primary: bool) -> Endpoint:
        """The endpoint to judge: the differences from every donor, and the bracket of the nulls that rescale a spectrum."""
        bracket = dict(zip([RANDOM], self.donors(where, RANDOM).values(), strict=False))
        if (rescaled := beside(self.values.variants, where).get(STRETCHED)) is not None:
            difference = self.difference(where, rescaled)
            bracket |= {} if difference is None else {STRETCHED: difference}
        why = "no model of the family is wide enough to be a donor" if len(self.sizes) > 1 else "a family of one size"
        return Endpoint(self.donors(where, PROJECTED), MARGINS[where.metric], bracket, primary, why)

    def exponent(self, values: Array) -> tuple[float | None, float | None, float | None]:
        """Slope of ln of values (models, texts) on ln N with its t interval, seeds averaged; None where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.log(np.nanmean(values, axis=1))
        means = [level[self.of_size(size)].mean() for size in self.sizes]
        try:
            fitted = slope(np.log(self.sizes), means)
        except DataError:
            return None, None, None
        return fitted.value, fitted.low, fitted.high

    def verdict(self, where: Where, judgement: Judgement) -> LawVerdict:
        widths = [model.width for model in self.models]
        own, low, high = self.exponent(self.values.variants["trained"][where])
        common = self.projections.variants.get(COMMON, {}).get(where)
        of_common = self.exponent(common) if common is not None else (None, None, None)
        with_own = next(iter(self.donors(where, PROJECTED, own=True).values()), None)
        judged = judgement.columns
        columns: dict[str, Any] = {name: None if judged.get(name) == "" else judged.get(name) for name in LawVerdict.JUDGED}
        return LawVerdict(
            **self.values.source,
            **where.columns,
            **columns,
            primary=judgement.primary,
            straddles=min(widths) < int(where.length or 0) < max(widths),
            exponent=own,
            exponent_low=low,
            exponent_high=high,
            difference_with_donor=None if with_own is None or with_own.problem else with_own.slope,
            common_dimension=of_common[0],
            common_dimension_low=of_common[1],
            common_dimension_high=of_common[2],
        )

    def differences(self, where: Where) -> Iterator[SizeDifference]:
        """Differences at each size, for every donor and for the bracket."""
        nulls = {(PROJECTED, name): one for name, one in self.donors(where, PROJECTED).items()}
        nulls |= {(name, ""): one for name, one in self.endpoint(where, False).bracket.items()}
        norms = self.norms_kept(where)
        for (null, donor), difference in nulls.items():
            for size, mean, seeds in zip(difference.size, difference.means, difference.seeds, strict=True):
                model = self.models[self.of_size(float(size))[0]]
                yield SizeDifference(
                    **self.values.source, **where.columns, null=null, donor=donor, params_nonembedding=int(size),
                    width=model.width, seeds=len(seeds), difference=float(mean),
                    norm_kept=norms.get((donor, model.width)) if null == PROJECTED else None,
                )  # fmt: skip

    def norms_kept(self, where: Where) -> dict[tuple[str, int], float]:
        """Share of the donor's squared norm that the leading directions of a width contain, by donor and width."""
        by_donor: dict[tuple[str, int], list[float]] = {}
        widths = [model.width for model in self.models]
        for row, shares in self.projections.projections(PROJECTED, replace(where, metric=KEPT), widths).items():
            donor = f"width {self.projections.widths[where.layer][row]}"
            for width, share in zip(widths, shares, strict=True):
                if np.isfinite(share).any():
                    by_donor.setdefault((donor, width), []).append(float(np.nanmean(share)))
        return {place: float(np.mean(values)) for place, values in by_donor.items()}
