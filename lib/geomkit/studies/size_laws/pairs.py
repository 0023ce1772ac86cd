"""Fit the pair model of docs/protocol.md (pairs.csv, residuals.csv): every wider model is a donor of every narrower one."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.laws.differences import LEVEL, pure_error
from geomkit.laws.lack_of_fit import lack_of_fit
from geomkit.laws.pairs import CONFIRMATION, FACTOR, MARGINS, Margins, PairDesign, PairModel, PValues, Verdict, adjusted
from geomkit.laws.power import Precision, design
from geomkit.laws.statistics import slope_weights
from geomkit.laws.verdicts import Kind
from geomkit.studies.size_laws.rows import LawVerdict, Models, PairVerdict, Standing, WidthResidual
from geomkit.tables.measurements import RANDOM, MeasuredModel, Where

STRETCHED = "stretched"
TERMS = ("slope", "sag", "level")


@dataclass(frozen=True)
class Pairs:
    """ln of the means over texts that a pair model is fitted to: column 0 is the estimate, the rest resamples of documents.

    width, size: of each size (sizes,), ascending in N. measured: by size (seeds, 1 + resamples). projected: by donor and target,
    numbers of sizes, (seeds of the donor, 1 + resamples). bracket: by null, ln of its value at each size (sizes,), NaN where it
    has none.
    """

    width: Array
    size: Array
    seeds: Sequence[Sequence[int | None]]
    measured: Sequence[Array]
    projected: Mapping[tuple[int, int], Array]
    bracket: Mapping[str, Array]

    @classmethod
    def of(
        cls,
        models: Sequence[MeasuredModel],
        chosen: Sequence[int],
        measured: Array,
        donors: Mapping[int, Array],
        bracket: Mapping[str, Array],
        texts: Array,
    ) -> "Pairs":
        """Take the logarithms of some models.

        chosen: their numbers. measured (models, texts), and each of donors, by its number, and of bracket, likewise: NaN where
        there is no value. texts (texts, resamples): how often each is drawn. Texts without a value anywhere are left out.
        """
        sizes = np.unique([models[row].params_nonembedding for row in chosen])
        groups = [[row for row in chosen if models[row].params_nonembedding == size] for size in sizes]
        width = np.array([models[group[0]].width for group in groups], dtype=float)
        cells = {
            (of, at): [
                donors[row][groups[at][0]]
                for row in groups[of]
                if row in donors and np.isfinite(donors[row][groups[at][0]]).any()
            ]
            for of in range(len(groups))
            for at in range(len(groups))
            if width[of] > width[at]
        }
        cells = {pair: rows for pair, rows in cells.items() if rows}
        everything = np.vstack([measured[chosen], *[np.vstack(rows) for rows in cells.values()]])
        whole = np.isfinite(everything).all(axis=0)
        if not whole.any():
            raise DataError("no text has all values")
        counts = np.column_stack([np.ones(int(whole.sum())), texts[whole]])
        counts = counts[:, counts.any(axis=0)] / counts.sum(axis=0)[counts.any(axis=0)]

        def logs(rows: Array) -> Array:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(np.log(rows[:, whole] @ counts))

        def nulls(values: Array) -> Array:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.array([np.log(values[group][:, whole].mean(axis=1)).mean() for group in groups])

        return cls(
            width=width,
            size=sizes.astype(float),
            seeds=[[models[row].seed for row in group] for group in groups],
            measured=[logs(measured[group]) for group in groups],
            projected={pair: logs(np.vstack(rows)) for pair, rows in cells.items()},
            bracket={name: nulls(values) for name, values in bracket.items()},
        )

    def averaged(self, other: "Pairs") -> "Pairs":
        """Average the logarithms of two corpora, whose documents were drawn on their own; the models must be the same."""
        if self.seeds != other.seeds or not np.array_equal(self.size, other.size):
            raise DataError("the corpora were measured with different models")
        return replace(
            self,
            measured=[(one + two) / 2 for one, two in zip(self.measured, other.measured, strict=True)],
            projected={
                pair: (rows + other.projected[pair]) / 2 for pair, rows in self.projected.items() if pair in other.projected
            },
            bracket={name: (values + other.bracket[name]) / 2 for name, values in self.bracket.items() if name in other.bracket},
        )

    @property
    def levels(self) -> Array:
        """ln measured, seeds averaged: (sizes, 1 + resamples)."""
        return np.array([rows.mean(axis=0) for rows in self.measured])

    @property
    def differences(self) -> Array:
        """ln(measured / projected) of every pair: (pairs, 1 + resamples)."""
        levels = self.levels
        return np.array([levels[at] - rows.mean(axis=0) for (_, at), rows in self.projected.items()])

    @property
    def design(self) -> PairDesign:
        pairs = np.array(list(self.projected), dtype=np.intp).reshape(-1, 2)
        return PairDesign(np.log(self.size), pairs[:, 0], pairs[:, 1])

    @property
    def fitted(self) -> PairModel:
        """Fit the pair model. Raises DataError where it cannot be."""
        if not self.projected:
            raise DataError("no model is wider than another" if len(self.size) > 1 else "a family of one size")
        levels, differences = self.levels, self.differences
        if not (np.isfinite(levels).all() and np.isfinite(differences).all()):
            raise DataError("at some size there is no value, or none that is positive")
        return self.design.fit(differences[:, 0], levels[:, 0], differences[:, 1:], levels[:, 1:])

    def of_donor(self, donor: int) -> tuple[list[int], Array]:
        """Targets of one donor, and its differences (targets,)."""
        own = [at for of, at in self.projected if of == donor]
        levels = self.levels[:, 0]
        return own, np.array([levels[at] - self.projected[donor, at][:, 0].mean() for at in own])

    def slope_of_donor(self, donor: int) -> float | None:
        """Slope of one donor's differences on ln N; None below three targets."""
        own, values = self.of_donor(donor)
        return float(slope_weights(np.log(self.size[own])) @ values) if len(own) > 2 else None

    def beside(self) -> dict[str, float | None]:
        """The columns that are printed beside, and decide nothing."""
        design, differences, x = self.design, self.differences[:, 0], np.log(self.size)
        steps = x[design.target] - x[design.donor]
        widest = int(np.argmax(self.width))
        slopes = {donor: value for donor in range(x.size) if (value := self.slope_of_donor(donor)) is not None}
        own, _ = self.of_donor(widest)
        scatter, of_projected = (
            pure_error([rows[:, 0] for rows in self.measured]),
            pure_error([rows[:, 0] for rows in self.projected.values()]),
        )
        null = {at: self.projected[widest, at][:, 0].mean() for at in own}
        test = lack_of_fit(self.size[own], [self.measured[at][:, 0] - null[at] for at in own]) if len(own) > 2 else None
        return {
            "widest_donor": slopes.get(widest),
            "through_origin": float(steps @ differences / (steps @ steps)),
            "lack_of_fit_p": None if test is None else test.p,
            "donors": float(slope_weights(x[list(slopes)]) @ list(slopes.values())) if len(slopes) > 2 else None,
            "random_directions": self.bracketed(RANDOM, own),
            "stretched": self.bracketed(STRETCHED, own),
            "scatter_measured": None if scatter is None else math.sqrt(scatter.variance),
            "scatter_projected": None if of_projected is None else math.sqrt(of_projected.variance),
        }

    def bracketed(self, null: str, own: Sequence[int]) -> float | None:
        """Slope of ln(measured / null) at some sizes; None where the null has no value at one of them."""
        values = (self.levels[:, 0] - self.bracket.get(null, np.full(self.size.size, np.nan)))[list(own)]
        return float(slope_weights(np.log(self.size[list(own)])) @ values) if len(own) > 2 and np.isfinite(values).all() else None

    def precision(self, model: PairModel) -> Precision:
        """Variance components of the slope."""
        x = np.log(self.size)
        documents = self.design.weights[0, 0] @ np.vstack([self.differences, np.zeros_like(self.levels)])[:, 1:]
        of_documents = float(documents.std(ddof=1)) if documents.size > 1 else 0.0
        over_sizes = max((model.slope.error / FACTOR) ** 2 - of_documents**2, 0.0)
        total = over_sizes / design(x.size, float(np.ptp(x)), 3).jackknife
        scatter, numbers = pure_error([rows[:, 0] for rows in self.measured]), np.array([len(rows) for rows in self.measured])
        seed = 0.0 if scatter is None else scatter.variance
        of_seeds = min(seed * float((1 / numbers).mean()), total)
        return Precision(
            sizes=self.size.size, seeds=1 / float((1 / numbers).mean()), size=math.sqrt(total - of_seeds),
            seed=math.sqrt(of_seeds / float((1 / numbers).mean())), documents=of_documents, span=float(np.ptp(x)),
        )  # fmt: skip


@dataclass(frozen=True)
class Endpoints:
    """The pairs of one family on one corpus, by which models they are of and by place."""

    family: str
    corpus: str
    pairs: Mapping[tuple[Models, Where], Pairs | DataError]

    @property
    def source(self) -> dict[str, Any]:
        return {"family": self.family, "published": False, "corpus": self.corpus}


def groups_of(family: str, models: Sequence[MeasuredModel]) -> dict[Models, list[int]]:
    """Numbers of the models of each fit: all; and where every width of the confirmatory tests was measured also old and new ones.

    A run with only some of the new widths confirms nothing: its models are one group, and what it shows is exploratory.
    """
    everything = list(range(len(models)))
    new = [row for row in everything if family == CONFIRMATION.family and models[row].width in CONFIRMATION.widths]
    if {models[row].width for row in new} != set(CONFIRMATION.widths):
        return {Models.ALL: everything}
    old = [row for row in everything if CONFIRMATION.is_old(models[row].width, models[row].seed)]
    return {Models.OLD: old, Models.NEW: new, Models.ALL: everything}


def pair_verdicts(
    endpoints: Sequence[Endpoints], primary: Mapping[str, Any], before: Sequence[LawVerdict]
) -> Iterator[PairVerdict]:
    """Judge one family on its corpora, and on the average of the confirmatory ones.

    before: verdicts of version 1, to stand beside those of the same models.
    """
    places = list(dict.fromkeys(key for one in endpoints for key in one.pairs))
    for one in [*endpoints, *averaged(endpoints)]:
        for models in dict.fromkeys(models for models, _ in places):
            cells = {
                where: one.pairs[models, where] for whose, where in places if whose is models and (models, where) in one.pairs
            }
            yield from judged(one, models, cells, primary, before)


def averaged(endpoints: Sequence[Endpoints]) -> list[Endpoints]:
    """Average over the corpora of the confirmatory tests, where all were measured."""
    chosen = [one for name in CONFIRMATION.corpora for one in endpoints if one.corpus == name]
    if len(chosen) < len(CONFIRMATION.corpora):
        return []
    pairs: dict[tuple[Models, Where], Pairs | DataError] = {}
    for key in chosen[0].pairs:
        own = [one.pairs.get(key) for one in chosen]
        known = [one for one in own if isinstance(one, Pairs)]
        if len(known) == len(own):
            pairs[key] = reduce(Pairs.averaged, known)
    return [Endpoints(chosen[0].family, " + ".join(one.corpus for one in chosen), pairs)]


def standing_of(one: Endpoints, models: Models, where: Where, primary: Mapping[str, Any]) -> Standing:
    """What a row may decide, by docs/protocol.md."""
    if models is Models.ALL and one.family == CONFIRMATION.family and any(whose is Models.NEW for whose, _ in one.pairs):
        return Standing.POOLED
    if models is not Models.NEW or one.corpus not in (*CONFIRMATION.corpora, " + ".join(CONFIRMATION.corpora)):
        return Standing.EXPLORATORY
    if one.corpus in CONFIRMATION.corpora:
        return Standing.PART
    tested = (where.layer, where.normalise, where.length) == (primary["layer"], primary["normalise"], primary["length"])
    return Standing.CONFIRMATORY if tested and where.metric in MARGINS else Standing.EXPLORATORY


def judged(
    one: Endpoints,
    models: Models,
    cells: Mapping[Where, Pairs | DataError],
    primary: Mapping[str, Any],
    before: Sequence[LawVerdict],
) -> Iterator[PairVerdict]:
    """Judge every place of one corpus; confirmatory p values are adjusted for one another."""
    fitted: dict[Where, PairModel] = {}
    refused: dict[Where, str] = {}
    for where, pairs in cells.items():
        try:
            if isinstance(pairs, DataError):
                raise pairs
            fitted[where] = pairs.fitted
        except DataError as reason:
            refused[where] = str(reason)
    standing = {where: standing_of(one, models, where, primary) for where in cells}
    tests = [where for where in fitted if standing[where] is Standing.CONFIRMATORY]
    p = (
        dict(zip(tests, adjusted([fitted[where].p_values(MARGINS[where.metric]) for where in tests]), strict=True))
        if tests
        else {}
    )
    for where, pairs in cells.items():
        of_version_1 = [
            row for row in before if row.corpus == one.corpus and Where(row.layer, row.normalise, row.length, row.metric) == where
        ]
        columns = {
            **one.source, **where.columns, "models": models, "standing": standing[where],
            **{f"{term}_margin": getattr(MARGINS[where.metric], term) for term in TERMS},
        }  # fmt: skip
        empty: dict[str, Any] = dict.fromkeys(field.name for field in fields(PairVerdict) if field.name not in columns)
        if where in refused or isinstance(pairs, DataError):
            sizes = 0 if isinstance(pairs, DataError) else pairs.size.size
            yield PairVerdict(**empty | columns | {"cause": refused[where], "sizes": sizes, "pairs": 0})
            continue
        earlier = (
            of_version_1[0] if of_version_1 and models is not Models.NEW and standing[where] is Standing.EXPLORATORY else None
        )
        yield PairVerdict(
            **empty | columns | estimates(pairs, fitted[where], standing[where], MARGINS[where.metric], p.get(where), earlier)
        )


def estimates(
    pairs: Pairs, model: PairModel, standing: Standing, margins: Margins, p: PValues | None, before: LawVerdict | None
) -> dict[str, Any]:
    """The columns of a fit."""
    columns: dict[str, Any] = {"sizes": pairs.size.size, "pairs": len(pairs.projected), "fit": model.fit}
    for term in (*TERMS, "exponent"):
        coefficient = getattr(model, term)
        columns |= {term: coefficient.value} | dict(zip((f"{term}_low", f"{term}_high"), coefficient.interval(), strict=True))
        if term in TERMS:
            columns |= dict(zip((f"{term}_low_90", f"{term}_high_90"), coefficient.interval(1 - 2 * LEVEL), strict=True))
    if share := model.share:
        columns |= {"share": share.value, "share_low": share.low, "share_high": share.high}
    if p is not None:
        columns |= {"p": p.different, "p_slope": p.slope, "p_sag": p.sag, "p_level": p.level}
    needed = pairs.precision(model).advice(margins.slope)
    verdict = model.verdict(margins, p) if standing in (Standing.CONFIRMATORY, Standing.EXPLORATORY) else None
    columns |= {"verdict": verdict, "cause": cause(verdict, model, margins, p, needed), "detectable": model.slope.detectable}
    columns |= {"needed": needed if verdict is Verdict.OPEN else None}
    if before is not None and before.verdict is not Kind.UNTESTED and verdict is not None:
        columns |= {"version_1": before.verdict, "version_1_difference": before.difference}
        columns |= {"version_1_low": before.low, "version_1_high": before.high}
        columns |= {"why_versions_differ": why_different(before, verdict, model)}
    return columns | pairs.beside()


def cause(verdict: Verdict | None, model: PairModel, margins: Margins, p: PValues | None, needed: str) -> str:
    """Say in words what a verdict rests on."""
    p = model.p_values(margins) if p is None else p
    sign = "more" if model.slope.value > 0 else "less"
    match verdict:
        case None:
            return "an estimate without a verdict"
        case Verdict.BEYOND:
            return f"the exponent is {sign} than projected"
        case Verdict.SUFFICES:
            return "slope, sag and level lie within their margins"
        case Verdict.ON_AVERAGE:
            wide = " and ".join(name for name, value in (("sag", p.sag), ("level", p.level)) if value >= LEVEL)
            return f"the slope lies within its margin; the 90 % interval of the {wide} does not"
    different = (
        f"the exponent is {sign} than projected, by less than the margin or not shown to be by more"
        if p.different < LEVEL
        else ""
    )
    precision = f"the smallest difference that could be detected is {model.slope.detectable:.3f}; {needed}"
    return "; ".join(filter(None, [different, precision]))


ALIKE = {
    Kind.BEYOND: {Verdict.BEYOND},
    Kind.NESTED: {Verdict.SUFFICES, Verdict.ON_AVERAGE},
    Kind.NEGLIGIBLE: {Verdict.SUFFICES, Verdict.ON_AVERAGE},
    Kind.UNDECIDED: {Verdict.OPEN},
}
"""Verdicts of version 2 that say the same as one of version 1."""


def why_different(before: LawVerdict, verdict: Verdict, model: PairModel) -> str:
    """Say why the versions' verdicts differ, in words and numbers."""
    if verdict in ALIKE.get(before.verdict, ()):
        return "they agree"
    if before.verdict is Kind.RESCALED:
        return "version 1 let the bracket of rescaled spectra decide, which version 2 only prints"
    if before.verdict is Kind.DONOR_DEPENDENT:
        return "version 1 let single donors decide; version 2 takes all pairs at once"
    if before.low is None or before.high is None or before.difference is None:
        return "version 1 had no estimate"
    of_donors = (
        ""
        if not before.error or not before.error_donors
        else f", {(before.error_donors / before.error) ** 2:.0%} of its variance from donors"
    )
    return (
        f"version 1 takes the widest donor alone, {before.difference:+.3f} ± {(before.high - before.low) / 2:.3f}{of_donors}; "
        f"all pairs give {model.slope.value:+.3f} ± {model.slope.half_width():.3f}"
    )


def residuals(
    source: Mapping[str, Any],
    where: Where,
    models: Sequence[MeasuredModel],
    groups: Mapping[Models, Sequence[int]],
    pairs_of: Callable[[Sequence[int]], Pairs],
) -> Iterator[WidthResidual]:
    """The residual of every width in each fit; and of each seed of a width that has new ones, in its width's place among the old
    models. Widths that cannot be fitted have none."""
    columns = {**source, **where.columns}
    fits: list[tuple[Models, Sequence[int], int | None, int | None]] = [
        (whose, chosen, None, None) for whose, chosen in groups.items()
    ]
    for width in CONFIRMATION.seeds if Models.OLD in groups else ():
        others = [row for row in groups[Models.OLD] if models[row].width != width]
        seeds = [row for row in groups[Models.ALL] if models[row].width == width]
        fits += [(Models.OLD, [*others, row], width, models[row].seed) for row in seeds]
    for whose, chosen, only, seed in fits:
        try:
            pairs = pairs_of(chosen)
            y, x = pairs.fitted.residual, np.log(pairs.size)
        except DataError:
            continue
        for k, own in enumerate(pairs.width.astype(int).tolist()):
            rest = np.arange(x.size) != k
            line = y[rest].mean() + slope_weights(x[rest]) @ y[rest] * (x[k] - x[rest].mean())
            if only in (None, own):
                yield WidthResidual(
                    **columns, models=whose, width=own, params_nonembedding=int(pairs.size[k]), seed=seed,
                    residual=float(y[k]), from_line=float(y[k] - line),
                )  # fmt: skip
