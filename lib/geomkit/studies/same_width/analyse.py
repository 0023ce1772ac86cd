"""Compare models of one width (fixed_width.csv): trained with untrained twins, centred or not, text with shuffled text, the final
state with and without the final norm's weights, short texts with long ones, and seeds with one another; and Diff-eRank with
published values. trends.csv has the level and the trend of each comparison over widths.

No difference is one of widths, so no null for width has a part in it. All are exploratory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import hypot, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from geomkit.core.errors import DataError
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import PLAIN
from geomkit.core.variants import TRAINED
from geomkit.laws.contrasts import Contrast, Terms, contrast, within
from geomkit.laws.power import sizes_to_detect
from geomkit.laws.resampling import Documents
from geomkit.laws.statistics import slope
from geomkit.studies.published.rows import PublishedValue
from geomkit.studies.size_laws.rows import DiffErank, FixedWidth, Trend
from geomkit.tables.measurements import (
    FINAL,
    PROJECTED,
    PROJECTED_SHUFFLED,
    SHARED,
    MeasuredModel,
    Measurements,
    Where,
    families,
    read_measurements,
)
from geomkit.tables.rows import read_csv, write_csv

CENTRED = ("unit", "centre-unit")
Row = Mapping[str, Any]
EMPTY: dict[str, Any] = dict.fromkeys(("value", "low", "high", "sign", "seeds", "twins", "documents", "detectable"))


def compare_at_fixed_width(
    final_states: Sequence[str | Path],
    word_order: Sequence[str | Path],
    table: Path,
    diff_erank: Path,
    published: Path,
    output: Path,
    trends: Path,
    resamples: int,
    seed: int,
) -> None:
    """Write fixed_width.csv and trends.csv.

    final_states: each model's table of the final state, in its folder, named by its corpus; word_order: likewise those of the
    widest models' text and shuffled text on fewer directions.
    """
    rows: list[FixedWidth] = []
    over_widths: list[Trend] = []
    for family, corpus in families(table):
        found = [read_measurements(path, family, corpus) for path in map(Path, final_states) if path.stem == corpus]
        states = [state for state in found if state.models]
        draws = Drawn(resamples, rng(seed, "fixed width", family, corpus))
        measured = read_measurements(table, family, corpus, SHARED)
        loss = measured.known_losses().get(TRAINED)
        compared = [*beside_twins(states, draws), *beside_shuffled(measured, draws), *beside_plain(states, draws)]
        compared += beside_longest(measured, draws)
        donors = [read_measurements(path, family, corpus) for path in map(Path, word_order) if path.stem == corpus]
        compared += of_donors([donor for donor in donors if donor.models], measured, draws)
        rows += compared
        over_widths += trends_of(compared, measured.models)
        if loss is not None:
            rows += beside_loss(measured, states, loss.corpus)
        widths = {model.name: model.width for model in measured.models}
        own = [one for one in read_csv(diff_erank, DiffErank) if (one.family, one.corpus) == (family, corpus)]
        rows += of_diff_erank([one for one in own if one.variant == "measured"], widths, measured.source)
    write_csv(output, FixedWidth, [*rows, *of_published(read_csv(published, PublishedValue))])
    write_csv(trends, Trend, over_widths)


def trends_of(rows: Sequence[FixedWidth], models: Sequence[MeasuredModel]) -> Iterator[Trend]:
    """The level and the trend of each control, metric and place over widths of one family on one corpus."""
    size = {model.width: model.params_nonembedding for model in models}
    groups: dict[tuple[Any, ...], list[FixedWidth]] = {}
    for row in rows:
        if row.value is not None and row.width in size:
            groups.setdefault((row.control, row.metric, row.layer, row.normalise, row.length), []).append(row)
    for mine in groups.values():
        x, values = np.log([size[row.width or 0] for row in mine]), np.array([row.value for row in mine])
        if len(mine) < 3 or np.ptp(x) == 0:
            continue
        trend, first = slope(x, values), mine[0]
        level, reach = float(values.mean()), half_of_mean(float(values.std(ddof=1)), len(values))
        decided = sign_of(trend.low, trend.high) != 0
        twins = [row.twins for row in mine if row.twins is not None]
        yield Trend(
            family=first.family, published=False, corpus=first.corpus, layer=first.layer, length=first.length,
            normalise=first.normalise, eps2=first.eps2, control=first.control, metric=first.metric, sizes=len(mine),
            level=level, level_low=level - reach, level_high=level + reach,
            trend=trend.value, trend_low=trend.low, trend_high=trend.high, twins=min(twins, default=None),
            documents=first.documents,
            needed=None if decided else detected(trend.value, x, values),
        )  # fmt: skip


def detected(trend: float, x: np.ndarray, values: np.ndarray) -> str:
    """Say how many sizes would detect a trend as large as the estimate with 80 % power."""
    residuals = values - values.mean() - trend * (x - x.mean())
    scatter = float(np.sqrt(residuals @ residuals / (len(x) - 2)))
    sizes = sizes_to_detect(trend, scatter, float(np.ptp(x)))
    return "no number of sizes within a thousand" if sizes is None else f"{sizes} sizes"


@dataclass
class Drawn:
    """Resample of documents, drawn once for each list of documents, so that comparisons are paired."""

    resamples: int
    draws: np.random.Generator

    def __post_init__(self) -> None:
        self.found: dict[tuple[str, ...], np.ndarray] = {}

    def of(self, documents: Sequence[str]) -> np.ndarray:
        """(texts, resamples): how often each text, of the document that is named, is in each."""
        names = tuple(documents)
        if names not in self.found:
            self.found[names] = Documents.draw(np.array(names), self.resamples, self.draws).draws
        return self.found[names]


def by_width(states: Sequence[Measurements]) -> list[list[Measurements]]:
    """Group the seeds of each width, each seed the measurements of one model.

    Raises DataError for seeds that were measured on different texts.
    """

    def size(state: Measurements) -> tuple[int, int]:
        return state.models[0].width, state.models[0].params_nonembedding

    groups = [list(group) for _, group in groupby(sorted(states, key=lambda one: (*size(one), one.models[0].name)), key=size)]
    for first, *others in groups:
        for state in others:
            if state.documents != first.documents:
                raise DataError(f"{first.models[0].name} and {state.models[0].name} are of one width, but read different texts")
    return groups


def stacked(group: Sequence[Measurements], where: Where) -> np.ndarray | None:
    """Values of all trained seeds, (seeds, texts); None if one has none."""
    measured = [state.variants[TRAINED].get(where) for state in group]
    return (
        np.vstack([values for values in measured if values is not None])
        if all(values is not None for values in measured)
        else None
    )


def twin_values(group: Sequence[Measurements], where: Where) -> np.ndarray | None:
    """Values of the twins, (twins, texts): twin k of every seed is drawn from one number, so that they are averaged."""
    measured = [twins_of(state, where) for state in group]
    if not all(measured):
        return None
    number = min(len(values) for values in measured)
    means: np.ndarray = np.mean([np.vstack(values[:number]) for values in measured], axis=0)
    return means


def twins_of(state: Measurements, where: Where) -> list[np.ndarray]:
    """Values (1, texts) of each twin of a model, NaN where it has none; nothing where no twin has any."""
    twins = sorted(state.variants.keys() - {TRAINED}, key=lambda name: int(name.rpartition("-")[2]))
    measured = [state.variants[twin].get(where) for twin in twins]
    missing = np.full((1, len(state.documents)), np.nan)
    return (
        [missing if values is None else values for values in measured] if any(values is not None for values in measured) else []
    )


def beside_twins(states: Sequence[Measurements], draws: Drawn) -> Iterator[FixedWidth]:
    """Trained minus untrained, and the part of it that centring removes."""
    for group in progress(by_width(states), "untrained"):
        for where in places(group[0]):
            terms = pair(group, where)
            if terms is None:
                continue
            row = of_group(group, where)
            yield contrasted(row | {"control": "untrained"}, *terms, draws, group[0].documents)
            if where.normalise != CENTRED[0] or (other := pair(group, replace(where, normalise=CENTRED[1]))) is None:
                continue
            both = [[*mine, *negative(its)] for mine, its in zip(terms, other, strict=True)]
            row |= {"normalise": None, "control": "mean-direction"}
            yield contrasted(row, both[0], both[1], draws, group[0].documents)


def of_group(group: Sequence[Measurements], where: Where) -> dict[str, Any]:
    """The columns that name a group and a place."""
    return {**group[0].source, **where.columns, "width": group[0].models[0].width}


def pair(group: Sequence[Measurements], where: Where) -> tuple[Terms, Terms] | None:
    """The terms of a contrast: the trained seeds and the twins."""
    trained, twins = stacked(group, where), twin_values(group, where)
    return None if trained is None or twins is None else ([(1, trained)], [(1, twins)])


def negative(terms: Terms) -> Terms:
    return [(-sign, values) for sign, values in terms]


def beside_plain(states: Sequence[Measurements], draws: Drawn) -> Iterator[FixedWidth]:
    """The final state minus the same without the final norm's gain and bias; the layer is that of the former."""
    for group in by_width(states):
        for where in places(group[0]):
            if where.layer != FINAL:
                continue
            final, plain = stacked(group, where), stacked(group, replace(where, layer=PLAIN))
            if final is not None and plain is not None:
                row = of_group(group, where) | {"control": "norm"}
                yield contrasted(row, [(1, final), (-1, plain)], None, draws, group[0].documents)


def beside_shuffled(measured: Measurements, draws: Drawn) -> Iterator[FixedWidth]:
    """Text minus its tokens in random order, at every length and for the corpus, which has one value."""
    shuffled = measured.variants.get("shuffled", {})
    width = np.array([model.width for model in measured.models])
    for where in progress(places(measured), "shuffled"):
        if where not in shuffled:
            continue
        trained = measured.variants[TRAINED][where]
        for one in np.unique(width).tolist():
            row = measured.source | where.columns | {"width": one, "control": "shuffled"}
            terms = [(1, trained[width == one]), (-1, shuffled[where][width == one])]
            yield contrasted(row, terms, None, draws, measured.documents if where.length else None)


def of_donors(donors: Sequence[Measurements], measured: Measurements, draws: Drawn) -> Iterator[FixedWidth]:
    """Text minus shuffled text of the widest models on as many directions as each narrower width has."""
    if not donors:
        return
    text, chance = (donors[0].variants.get(name, {}) for name in (PROJECTED, PROJECTED_SHUFFLED))
    for where in sorted(text, key=lambda where: (*where.order, where.directions or 0)):
        if where not in chance:
            continue
        seeds = [
            (sign, np.vstack([donor.variants[name][where] for donor in donors]))
            for sign, name in ((1, PROJECTED), (-1, PROJECTED_SHUFFLED))
        ]
        row = measured.source | where.columns | {"width": where.directions, "control": "shuffled-projected"}
        yield contrasted(row, seeds, None, draws, measured.documents)


def beside_longest(measured: Measurements, draws: Drawn) -> Iterator[FixedWidth]:
    """The shortest length minus the longest, on texts that have both."""
    trained = measured.variants.get(TRAINED, {})
    lengths = sorted({where.length for where in trained if where.length is not None})
    width = np.array([model.width for model in measured.models])
    for where in places(measured):
        longest = replace(where, length=lengths[-1]) if len(lengths) > 1 and where.length == lengths[0] else None
        if longest not in trained:
            continue
        for one in np.unique(width).tolist():
            row = measured.source | where.columns | {"width": one, "control": "length"}
            terms = [(1, trained[where][width == one]), (-1, trained[longest][width == one])]
            yield contrasted(row, terms, None, draws, measured.documents)


def contrasted(where: Row, seeds: Terms, twins: Terms | None, draws: Drawn, documents: Sequence[str] | None) -> FixedWidth:
    """A contrast as a record, or why there is none."""
    try:
        result = contrast(seeds, twins, draws.of(documents) if documents else None)
    except DataError as reason:
        return FixedWidth(**where, **EMPTY, reason=str(reason))
    return FixedWidth(**where, **columns_of(result, documents), detectable=None, reason="")


def columns_of(result: Contrast, documents: Sequence[str] | None) -> dict[str, Any]:
    number = len({name for name in documents if name}) if documents else None
    own = {name: getattr(result, name) for name in ("value", "low", "high", "sign", "seeds", "twins")}
    return own | {"documents": number}


def places(measured: Measurements) -> list[Where]:
    """The places at which trained models were measured, in order."""
    return sorted(measured.variants.get(TRAINED, {}), key=lambda where: where.order)


def beside_loss(measured: Measurements, states: Sequence[Measurements], loss: np.ndarray) -> Iterator[FixedWidth]:
    """Correlation over seeds of every metric with the loss (models,), with widths fixed."""
    names, size = [model.name for model in measured.models], np.array([model.params_nonembedding for model in measured.models])
    values = dict(measured.variants.get(TRAINED, {}))
    of_model = {state.models[0].name: state for state in states}
    if of_model.keys() >= set(names):
        for where in places(of_model[names[0]]):
            if where.layer == PLAIN and (plain := stacked([of_model[name] for name in names], where)) is not None:
                values[where] = plain
    for where in sorted(values, key=lambda where: where.order):
        row = measured.source | where.columns | {"width": None, "control": "loss"}
        whole = np.isfinite(values[where]).all(axis=0)
        try:
            told = logs_within(values[where][:, whole], loss, size)
        except DataError as reason:
            yield FixedWidth(**row, **EMPTY, reason=str(reason))
        else:
            yield FixedWidth(**row, **(EMPTY | told), reason="")


def logs_within(values: np.ndarray, loss: np.ndarray, size: np.ndarray) -> dict[str, Any]:
    """The columns of the correlation of ln mean values (models, texts) with the loss."""
    if not values.shape[1]:
        raise DataError("no text has all values")
    means = values.mean(axis=1)
    if not (means > 0).all():
        raise DataError("a mean is not positive: it has no logarithm")
    result = within(np.log(means), loss, size)
    ends = {"value": result.value, "low": result.low, "high": result.high, "detectable": result.detectable}
    return ends | {"sign": sign_of(result.low, result.high), "seeds": len(loss)}


def sign_of(low: float, high: float) -> int:
    return int(low > 0) - int(high < 0)


def of_diff_erank(rows: Sequence[DiffErank], widths: Mapping[str, int], source: Row) -> Iterator[FixedWidth]:
    """Diff-eRank of each width, seeds averaged. Documents, seeds and twins add in quadrature, each with its own quantile; seeds
    of a width share documents and twins, whose parts do not shrink with their number."""
    cells: dict[tuple[int, int], list[DiffErank]] = {}
    for row in rows:
        cells.setdefault((row.length or 0, widths[row.model]), []).append(row)
    for (length, width), models in sorted(cells.items(), key=lambda item: item[0]):
        first, values = models[0], np.array([row.value for row in models])
        spread = [row.sd for row in models if row.sd is not None]
        parts = [mean_half(models), half_of_mean(float(values.std(ddof=1)), len(values)) if len(values) > 1 else None]
        parts.append(half_of_mean(float(np.mean(spread)), first.twins) if spread else None)
        known = [part for part in parts if part is not None]
        value, reach = float(values.mean()), hypot(*known)
        low, high = (value - reach, value + reach) if known else (None, None)
        yield FixedWidth(
            **source, layer=first.layer, length=length or None, normalise=first.normalise, eps2=None, control="diff_erank",
            metric="diff_erank", width=width, value=value, low=low, high=high,
            sign=None if low is None or high is None else sign_of(low, high), seeds=len(values), twins=first.twins,
            documents=None, detectable=None, reason="",
        )  # fmt: skip


def mean_half(models: Sequence[DiffErank]) -> float | None:
    """Half the interval over documents, averaged over seeds."""
    halves = [(row.high - row.low) / 2 for row in models if row.low is not None and row.high is not None]
    return float(np.mean(halves)) if halves else None


def half_of_mean(sd: float, number: int) -> float:
    """Half the t interval of a mean."""
    return float(stats.t.ppf(0.975, number - 1)) * sd / sqrt(number)


def of_published(rows: Sequence[PublishedValue]) -> Iterator[FixedWidth]:
    """Published values of Diff-eRank, each with its sign."""
    for row in rows:
        where: dict[str, Any] = {"family": row.family, "published": True, "corpus": row.dataset}
        where |= dict.fromkeys(("layer", "length", "normalise", "eps2"))
        columns = EMPTY | {"value": row.value, "sign": int(np.sign(row.value))}
        yield FixedWidth(**where, control="diff_erank", metric=row.quantity, width=row.width, **columns, reason="")
