"""Test the theory on planted facts: the tests that docs/protocol_facts.md numbers."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.laws.statistics import Estimate, slope
from geomkit.tables.findings import estimate
from geomkit.theory.gaps import THRESHOLDS, capacity, threshold
from geomkit.theory.rows import Conclusion, FactModel, Status, Test
from geomkit.theory.skills import SkillGraph, data_exponent
from geomkit.theory.tests.table import counted, on_sizes, row

UNKNOWN = math.log(64)
"""Nats that a fact costs which is not held."""
CLOSE = (0.8, 1.25)
"""A ratio whose 90 % interval is within is what the theory says."""
FEWEST = 3
"""Widths, or amounts of data, without which an exponent has no verdict."""
ALL_UNSEEN = 0.01
"""Of a gap from facts in the texts, below which the gap is that of unseen facts alone."""
LEAST_OVERLAP = 0.9
SHARP, GRADUAL = 1.0, 2.0
"""Octaves up to which an edge is sharp, and above which it is gradual."""

READINGS: dict[str, Callable[[FactModel], bool]] = {
    "relative to the gap before the last doubling": lambda each: each.kept,
    "relative to the gap after it": lambda each: each.kept_of_last,
}


def of_facts(rows: Sequence[FactModel]) -> Iterator[Conclusion]:
    of_size, of_data = ([each for each in rows if (each.samples is None) is on_law] for on_law in (True, False))
    exponents = sorted({each.exponent for each in rows})
    for exponent, size in product(exponents, ("params_total", "params_nonembedding")):
        yield settled([each for each in of_size if each.exponent == exponent], partial(held_by_size, exponent, size))
    for exponent in exponents:
        yield whatever_training([each for each in of_size if each.exponent == exponent], exponent)
    yield settled(of_size, one_capacity)
    kept = [each for each in of_size if each.kept]
    for exponent in exponents:
        yield gap_by_size(exponent, [each for each in kept if each.exponent == exponent])
    yield from edges(kept, [each for each in of_size if not each.kept])
    for exponent, gap in product(exponents, ("gap", "charged")):
        yield settled([each for each in of_data if each.exponent == exponent], partial(gap_by_data, exponent, gap))
    yield unseen([each for each in of_data if each.kept])


def settled(rows: Sequence[FactModel], judge: Callable[[Sequence[FactModel], str], Conclusion]) -> Conclusion:
    """The verdict on the cells that count; undecided where the other reading of `kept` gives another one."""
    verdicts = []
    for name, keeps in READINGS.items():
        out = [each.cell for each in rows if not keeps(each)]
        left = f"excluded for a gap that still falls: {', '.join(out)}" if out else "none excluded"
        verdicts.append((name, judge([each for each in rows if keeps(each)], left)))
    (_, first), (name, other) = verdicts
    if first.status == other.status:
        return first
    number = "" if other.effect is None else f", with {estimate(other.effect, other.low, other.high, sign='')}"
    note = f"{first.note}; {first.status}, but {other.status} where change is {name}{number}"
    return replace(first, status=Status.UNDECIDED, note=note)


def verdict(wide: Estimate, narrow: Estimate, expected: float = 1.0) -> Status:
    """Contradicted where the 95 % interval excludes what is expected; supported where the 90 % interval is close to it."""
    if not wide.low <= expected <= wide.high:
        return Status.CONTRADICTED
    ends = sorted(end / expected for end in (narrow.low, narrow.high))
    return Status.SUPPORTED if ends[0] >= CLOSE[0] and ends[1] <= CLOSE[1] else Status.UNDECIDED


def graph_of(rows: Sequence[FactModel]) -> SkillGraph:
    """The graph of facts of one exponent."""
    return SkillGraph.power_law(rows[0].facts, rows[0].exponent, UNKNOWN)


# axis of size


def held_by_size(exponent: float, size: str, rows: Sequence[FactModel], left: str) -> Conclusion:
    """Test 1: the slope of ln n on ln N."""
    primary = size == "params_total"
    case = f"a{exponent:g}" + ("" if primary else "-nonembedding")
    measure = "all parameters" if primary else "parameters without embeddings"
    scope = f"planted facts, a = {exponent:g}, {measure}"
    question = f"Do models hold facts in proportion to their size, a = {exponent:g}, {measure}?"
    sizes = [getattr(each, size) for each in rows]
    about: dict[str, Any] = {"case": case, "predicted": 1.0, "primary": primary}
    if len(set(sizes)) < FEWEST:
        return row(Test.FACTS_SIZE, scope, question, Status.UNTESTED, **about, note=f"{len(set(sizes))} widths; {left}")
    wide, narrow = (on_sizes(sizes, [each.n for each in rows], level) for level in (0.95, 0.9))
    return row(
        Test.FACTS_SIZE,
        scope,
        question,
        verdict(wide, narrow),
        wide,
        **about,
        unit="slope of ln n on ln N",
        note=f"{len(rows)} models of {len(set(sizes))} widths; 90 % interval {narrow.low:.3f} to {narrow.high:.3f}; {left}",
    )


def whatever_training(rows: Sequence[FactModel], exponent: float) -> Conclusion:
    """Test 1 on all cells, also those whose gap still falls: exploratory, without a verdict."""
    conclusion = held_by_size(exponent, "params_total", rows, "exploratory, cells whose gap still falls are in it")
    status = conclusion.status if conclusion.status is Status.UNTESTED else Status.EXPLORATORY
    return replace(
        conclusion, name=f"{conclusion.name}-all", scope=f"{conclusion.scope}, all cells", status=status, primary=False
    )


def one_capacity(rows: Sequence[FactModel], left: str) -> Conclusion:
    """Test 2: the ratio of c = n / N at the largest exponent to that at the smallest, paired by width and seed."""
    scope, question = "planted facts, all parameters", "Have both exponents one c, the number of facts that a parameter holds?"
    about: dict[str, Any] = {"predicted": 1.0, "primary": True}
    exponents = sorted({each.exponent for each in rows})
    by = {(each.exponent, each.width, each.seed): math.log(each.n / each.params_total) for each in rows}
    pairs: dict[int, list[float]] = {}
    for exponent, width, seed in by:
        other = (exponents[0], width, seed)
        if exponent == exponents[-1] != exponents[0] and other in by:
            pairs.setdefault(width, []).append(by[exponent, width, seed] - by[other])
    if len(pairs) < FEWEST:
        note = f"{len(pairs)} widths with both; {left}"
        return row(Test.FACTS_CAPACITY, scope, question, Status.UNTESTED, **about, note=note)
    means = [float(np.mean(values)) for values in pairs.values()]
    wide, narrow = (ratio_of(means, level) for level in (0.95, 0.9))
    return row(
        Test.FACTS_CAPACITY,
        scope,
        question,
        verdict(wide, narrow),
        wide,
        **about,
        unit=f"c at a = {exponents[-1]:g} over c at a = {exponents[0]:g}",
        note=f"{sum(map(len, pairs.values()))} pairs of {len(pairs)} widths; {left}",
    )


def ratio_of(logs: Sequence[float], level: float) -> Estimate:
    """exp of the mean of logarithms, with the t interval."""
    values = np.asarray(logs)
    half = float(stats.t.ppf((1 + level) / 2, values.size - 1)) * float(values.std(ddof=1)) / math.sqrt(values.size)
    mean = float(values.mean())
    return Estimate(math.exp(mean), math.exp(mean - half), math.exp(mean + half), values.size - 1)


def gap_by_size(exponent: float, rows: Sequence[FactModel]) -> Conclusion:
    """Test 3: the slope of ln gap on ln N beside that of the theory's curve; both laws' errors are in the note."""
    case, scope = f"a{exponent:g}", f"planted facts, a = {exponent:g}, all parameters"
    question = f"Does the gap fall with size as the theory's exact curve does, a = {exponent:g}?"
    if len({each.params_total for each in rows}) < FEWEST:
        note = f"{len({each.width for each in rows})} widths"
        return row(Test.FACTS_GAP, scope, question, Status.UNTESTED, case=case, note=note)
    sizes, gaps, scatter = means_of(rows)
    fitted = slope(np.log(sizes), gaps)
    c, curve = capacity(graph_of(rows), sizes, np.exp(gaps))
    line = gaps.mean() + fitted.value * (np.log(sizes) - np.log(sizes).mean())
    exact = slope(np.log(sizes), curve).value
    return row(
        Test.FACTS_GAP,
        scope,
        question,
        Status.COVERS_SLOPE if fitted.low <= exact <= fitted.high else Status.OTHER_SLOPE,
        fitted,
        case=case,
        predicted=exact,
        unit="slope of ln gap on ln N",
        note=f"c = {c:.3g}; largest residual of ln gap {np.abs(gaps - curve).max():.3f} about the curve, "
        f"{np.abs(gaps - line).max():.3f} about a power law with an exponent of its own, scatter of seeds {scatter}; "
        f"for endlessly many facts the slope would be {-exponent:g}",
    )


def means_of(rows: Sequence[FactModel]) -> tuple[Array, Array, str]:
    """Sizes (n,), seeds' means of ln gap (n,), and the pooled standard deviation of seeds in words."""
    sizes = sorted({each.params_total for each in rows})
    parts = [np.log([each.gap for each in rows if each.params_total == size]) for size in sizes]
    freedom = sum(part.size - 1 for part in parts)
    spread = f"{math.sqrt(sum(((part - part.mean()) ** 2).sum() for part in parts) / freedom):.3f}" if freedom else "unknown"
    return np.array(sizes, dtype=float), np.array([part.mean() for part in parts]), spread


# edge in rank


def edges(rows: Sequence[FactModel], excluded: Sequence[FactModel]) -> Iterator[Conclusion]:
    """Tests 4 to 7, on the cells that count on the axis of size."""
    others = [each.overlap < LEAST_OVERLAP for each in excluded if each.overlap is not None]
    overlap = [each.overlap for each in rows if each.overlap is not None]
    chance = [each.held / each.facts for each in rows if each.overlap is not None]
    below = sum(value < LEAST_OVERLAP for value in overlap)
    yield spread(
        Test.FACTS_MOST_FREQUENT,
        f"{len(rows)} models on endless texts",
        "Are the facts that a model holds the most frequent ones?",
        Status.CONTRADICTED if below else Status.AS_PREDICTED,
        overlap,
        predicted=1.0,
        unit="median overlap",
        note=f"below {LEAST_OVERLAP:g} in {below} of {len(overlap)} models, and in {sum(others)} of "
        f"{len(others)} that are excluded; an even choice would have up to {max(chance, default=0):.3f}",
    )
    octaves = [each.edge for each in rows if each.edge is not None]
    kinds = [Status.SHARP if edge <= SHARP else Status.GRADUAL if edge > GRADUAL else Status.UNDECIDED for edge in octaves]
    yield spread(
        Test.FACTS_EDGE,
        f"{len(rows)} models on endless texts",
        "How sharp is the edge between facts that are held and facts that are not?",
        kinds[0] if len(set(kinds)) == 1 else Status.MIXED,
        octaves,
        predicted=0.0,
        unit="median octaves of rank",
        note="; ".join(filter(None, (counted(kinds), f"{len(rows) - len(octaves)} models do not cross both 1/4 and 3/4"))),
    )
    parts = [each.inside for each in rows]
    above = sum(part > 0.5 for part in parts)
    yield spread(
        Test.FACTS_INSIDE,
        f"{len(rows)} models on endless texts",
        "How much of the gap is at ranks that the theory says are held?",
        Status.CONTRADICTED if above else Status.MOSTLY_BEYOND,
        parts,
        predicted=0.0,
        unit="median share of the gap",
        note=f"above one half in {above} of {len(parts)} models",
    )
    beyond = [each.beyond for each in rows if each.beyond is not None]
    yield spread(
        Test.FACTS_BEYOND,
        f"{len(rows)} models on endless texts",
        "What does a fact cost whose rank is above four times the number that the gap implies?",
        on_one_side(beyond),
        beyond,
        predicted=1.0,
        unit="median loss over ln 64",
        note=f"{sum(value < 1 for value in beyond)} of {len(beyond)} models below ln 64",
    )


def on_one_side(ratios: Sequence[float]) -> Status:
    """The status of losses over ln 64 that are all below 1, or all above it."""
    sides = {ratio > 1 for ratio in ratios}
    return Status.MIXED if len(sides) > 1 else Status.CONFIDENT_ERRORS if sides == {True} else Status.PARTIAL_KNOWLEDGE


def spread(test: Test, scope: str, question: str, status: Status, values: Sequence[float], **more: Any) -> Conclusion:
    """A median with the least and the most; `untested` without a value."""
    if not values:
        return row(test, scope, question, Status.UNTESTED, **more)
    ends: dict[str, Any] = {"low": min(values), "high": max(values), "spread": True}
    return row(test, scope, question, status, float(np.median(values)), **ends, **more)


# axis of data


def gap_by_data(exponent: float, of: str, rows: Sequence[FactModel], left: str) -> Conclusion:
    """Test 8: the slope of ln gap on ln D beside that of the exact sum; by rule 10 without data that leave the law's own gap."""
    primary = of == "gap"
    about: dict[str, Any] = {"case": f"a{exponent:g}" + ("" if primary else "-charged"), "primary": primary}
    charged = "" if primary else ", unseen facts charged ln 64"
    scope = f"planted facts, a = {exponent:g}, {len(rows)} amounts of texts{charged}"
    question = f"Does the gap fall with data as the theory's exact sum does, a = {exponent:g}{charged}?"
    used = sorted((each for each in rows if not each.limited), key=lambda each: each.samples or 0)
    left += f"; limited by size: {', '.join(each.cell for each in rows if each.limited) or 'none'}"
    texts = [float(each.samples or 0) for each in used]
    if len(set(texts)) < FEWEST:
        note = f"{len(set(texts))} amounts of data; {left}"
        return row(Test.FACTS_DATA, scope, question, Status.UNTESTED, **about, note=note)
    gaps = [getattr(each, of) for each in used]
    wide, narrow = (slope(np.log(texts), np.log(gaps), level) for level in (0.95, 0.9))
    times, exact = threshold(graph_of(used), texts, gaps)
    expected = slope(np.log(texts), exact).value
    end = ", the end of its range" if times == THRESHOLDS[-1] else ""
    seen = max(each.gap_seen / getattr(each, of) for each in used)
    if not primary and seen < ALL_UNSEEN:
        left = f"the gap is the mass of unseen facts, so tau = 1 holds nearly by arithmetic; {left}"
    return row(
        Test.FACTS_DATA,
        scope,
        question,
        verdict(wide, narrow, expected),
        wide,
        **about,
        predicted=expected,
        unit="slope of ln gap on ln D",
        note=f"tau = {times}{end}, at most {seen:.1%} of a gap from facts in the texts, largest residual of ln gap "
        f"{np.abs(np.log(gaps) - exact).max():.3f}; {len(texts)} amounts of data; "
        f"for endlessly many facts the slope would be {-float(data_exponent(exponent)):.3f}; {left}",
    )


def unseen(rows: Sequence[FactModel]) -> Conclusion:
    """Test 9: the loss on facts that are absent from training."""
    ratios = [each.unseen_ratio for each in rows if each.unseen_ratio is not None]
    return spread(
        Test.FACTS_UNSEEN,
        f"{len(rows)} models on finite texts",
        "What do facts cost that training never showed?",
        on_one_side(ratios),
        ratios,
        predicted=1.0,
        unit="median of their gap over ln 64 times their mass",
    )
