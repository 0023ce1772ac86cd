"""Fit the pair model of docs/protocol.md (pairs.csv, residuals.csv): every wider model is a donor of every narrower one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np

from geomkit.core.errors import DataError
from geomkit.laws.differences import LEVEL
from geomkit.laws.pairs import CONFIRMATION, MARGINS, Margins, PairModel, PValues, Verdict, adjusted
from geomkit.laws.statistics import slope_weights
from geomkit.laws.verdicts import Kind
from geomkit.studies.size_laws.rows import LawVerdict, Models, PairVerdict, Standing, WidthResidual
from geomkit.tables.measurements import MeasuredModel, Where
from geomkit.tables.pairs import Pairs

TERMS = ("slope", "sag", "level")


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
