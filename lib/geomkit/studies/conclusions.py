"""results/theory/conclusions.csv: what each test of the theory found, beside what the theory predicts and what a rival does."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy import stats

from geomkit.errors import DataError
from geomkit.laws.statistics import Estimate, slope
from geomkit.laws.theory import data_exponent
from geomkit.laws.theory_exponents import covers
from geomkit.store.records.files import read_csv, write_csv
from geomkit.store.records.published import PublishedLaw
from geomkit.store.records.theory import (
    Conclusion,
    ConditionalGain,
    DocumentVariance,
    ExponentRelation,
    FactModel,
    LearntRank,
    NgramGap,
    SimulatedGraph,
    SkillCurve,
    StepRadius,
    StepRow,
    TableExponent,
)

R = TypeVar("R")
ROUNDING = 1e-12
"""Relative errors of identities below which they hold to rounding."""
TOLERANCE = 0.1
"""Of a ratio of KL to its quadratic form, and of a gap that a prediction may miss."""


def conclude(
    simulation: Path,
    relations: Path,
    curves: Path,
    exponents: Path,
    budgets: Path,
    gains: Path,
    documents: Path,
    quanta: Path,
    facts: Path,
    steps: Path,
    radii: Path,
    laws: Path,
    output: Path,
) -> None:
    related, tables = read_csv(relations, ExponentRelation), read_csv(exponents, TableExponent)
    rows = [
        *of_simulation(read_csv(simulation, SimulatedGraph)),
        *of_relations(related),
        *of_curves(read_csv(curves, SkillCurve)),
        *of_exponents(tables, one(related), {(row.law, row.parameter): row.value for row in read_csv(laws, PublishedLaw)}),
        *of_budgets(read_csv(budgets, NgramGap)),
        *of_representations(read_csv(gains, ConditionalGain), read_csv(documents, DocumentVariance)),
        *of_quanta(read_csv(quanta, LearntRank)),
        *of_facts(read_csv(facts, FactModel)),
        *of_steps(read_csv(steps, StepRow), read_csv(radii, StepRadius)),
    ]
    write_csv(output, Conclusion, rows)


def row(name: str, question: str, status: str, effect: float | None = None, **more: Any) -> Conclusion:
    """What is not said is nothing."""
    empty: dict[str, Any] = dict.fromkeys(("low", "high", "predicted", "rival")) | {"primary": False, "unit": "", "note": ""}
    return Conclusion(name=name, question=question, status=status, effect=effect, **empty | more)


def one(rows: Iterable[R]) -> R:
    """The primary row. Raises DataError unless there is one."""
    found = [each for each in rows if each.primary]  # type: ignore[attr-defined]
    if len(found) != 1:
        raise DataError(f"theory: {len(found)} primary rows, and there is to be one")
    return found[0]


def counted(statuses: Iterable[str]) -> str:
    """How often each status is there, most frequent first."""
    return ", ".join(f"{number} {status}" for status, number in Counter(statuses).most_common())


def of_simulation(rows: Sequence[SimulatedGraph]) -> Iterator[Conclusion]:
    hits = sum(each.inside for each in rows)
    found = stats.binomtest(hits, len(rows), 0.95)
    low, high = found.proportion_ci(0.95)
    yield row(
        "skill-graph-arithmetic",
        "Do sampled graphs of texts and skills agree with the closed forms?",
        "agrees" if found.pvalue >= 0.05 else "differs",
        hits / len(rows),
        low=float(low),
        high=float(high),
        predicted=0.95,
        unit="share of 95 % intervals",
        note=f"{len(rows)} sums; arithmetic alone, not the theory",
    )


def of_relations(rows: Sequence[ExponentRelation]) -> Iterator[Conclusion]:
    main = one(rows)
    yield row(
        "exponent-relation",
        "Is beta = alpha / (1 + alpha)?",
        main.status,
        main.theory,
        low=main.theory_low,
        high=main.theory_high,
        predicted=0.0,
        primary=True,
        unit="beta - alpha / (1 + alpha)",
        note=", ".join(f"{name} {shown(*measured_exponent(main, name))}" for name in ("alpha", "beta")),
    )
    yield row(
        "exponent-rival",
        "Is beta = alpha?",
        main.status,
        main.rival,
        low=main.rival_low,
        high=main.rival_high,
        rival=0.0,
        primary=True,
        unit="beta - alpha",
    )
    of_form = "; ".join(
        f"{form}: {counted(each.status for each in rows if each.form == form)}" for form in ("chinchilla", "kaplan")
    )
    share = sum(each.status == "theory" for each in rows) / len(rows)
    yield row(
        "exponent-relation-sensitivity",
        "What do other laws, measures of size, cells and draws say?",
        "counted",
        share,
        unit="share that only the theory's 0 fits",
        note=f"{len(rows)} combinations. {of_form}",
    )


def measured_exponent(main: ExponentRelation, name: str) -> tuple[float | None, float | None, float | None]:
    """alpha or beta with its interval."""
    return getattr(main, name), getattr(main, f"{name}_low"), getattr(main, f"{name}_high")


def of_curves(rows: Sequence[SkillCurve]) -> Iterator[Conclusion]:
    main = one(rows)
    laws = [error for error in (main.chinchilla_left_out, main.kaplan_left_out) if error is not None]
    status = "untested" if main.describes is None else "describes" if main.describes else "does not describe"
    yield row(
        "exact-curve",
        "Does the exact curve of trigrams predict sizes left out as well as power laws do?",
        status,
        main.left_out,
        predicted=min(laws) if laws else None,
        primary=True,
        unit="root-mean-square error of ln L",
        note=f"{main.status}; on the fitted sizes {shown(main.residual_sd)} beside Chinchilla's {shown(main.chinchilla_sd)} and "
        f"Kaplan's {shown(main.kaplan_sd)}",
    )
    yield row(
        "sum-on-exact-curve",
        "What does Chinchilla's sum find where the theory's curve is the truth?",
        main.sum_status or "untested",
        main.sum_departure,
        predicted=0.0,
        unit="beta - alpha / (1 + alpha)",
        note="other than 0: the sum is biased on the theory's own curve",
    )
    judged = [each for each in rows if each.describes is not None]
    verdicts = ["describes" if each.describes else "does not" for each in judged]
    yield row(
        "exact-curve-sensitivity",
        "And other tables, measures of size, cells and draws?",
        "counted",
        sum(bool(each.describes) for each in judged) / len(judged) if judged else None,
        unit="share that describes",
        note=f"{len(rows)} combinations; of {len(judged)} with enough sizes {counted(verdicts)}",
    )


def of_exponents(
    rows: Sequence[TableExponent], main: ExponentRelation, published: dict[tuple[str, str], float | None]
) -> Iterator[Conclusion]:
    table = one(rows)
    yield row(
        "table-exponent",
        "Have trigrams an exponent a > 0, without which the infinite table has no law?",
        table.status,
        table.a,
        low=table.a_low,
        high=table.a_high,
        primary=True,
        unit="a",
        note=f"above {table.xmin} counts, {table.types:,} types",
    )
    for name, value in (("alpha", table.a), ("beta", None if table.a is None else float(data_exponent(table.a)))):
        rival = published[("chinchilla", name)]
        measured = measured_exponent(main, name)
        status = "untested"
        if None not in (measured[0], value, rival):
            ends = (-np.inf if measured[1] is None else measured[1], np.inf if measured[2] is None else measured[2])
            status = covers(ends, value, rival)  # type: ignore[arg-type]
        yield row(
            f"table-{name}",
            f"Is {name} what the trigrams' exponent says?",
            status,
            measured[0],
            low=measured[1],
            high=measured[2],
            predicted=value,
            rival=rival,
            primary=True,
            unit=name,
            note="the rival is Chinchilla's published value",
        )
    of_table = [
        f"{name}: {counted(each.status.split(':')[0] for each in rows if each.table == name)}" for name in tables_of(rows)
    ]
    yield row(
        "table-exponent-sensitivity",
        "And other tables and least counts?",
        "counted",
        sum(each.status == "law" for each in rows) / len(rows),
        unit="share with a > 0",
        note=f"{len(rows)} combinations. {'; '.join(of_table)}",
    )


def tables_of(rows: Sequence[TableExponent]) -> list[str]:
    return list(dict.fromkeys(each.table for each in rows))


def of_budgets(rows: Sequence[NgramGap]) -> Iterator[Conclusion]:
    for frequencies in ("training", "validation"):
        mine = [each for each in rows if each.frequencies == frequencies]
        whole = mine[0].measured
        errors = {name: np.array([getattr(each, name) - each.measured for each in mine]) for name in ("constant", "by_class")}
        better = min(errors, key=lambda name: float(np.sqrt(np.mean(errors[name] ** 2))))
        for name, what in (("constant", "one h"), ("by_class", "h of rank classes")):
            largest = float(np.abs(errors[name]).max()) / whole
            status = ("right" if largest <= TOLERANCE else "wrong") + (", better" if name == better else "")
            yield row(
                f"budget-{name.replace('_', '-')}-{frequencies}",
                f"Does {what} predict the gap of trigram budgets?",
                status,
                largest,
                predicted=0.0,
                primary=frequencies == "training",
                unit="largest error over the gap at n = 0",
                note=f"{frequencies} frequencies; gap {whole:.3f} nats; {100 * mine[0].unseen:.0f} % of test in E",
            )


def of_representations(gains: Sequence[ConditionalGain], documents: Sequence[DocumentVariance]) -> Iterator[Conclusion]:
    for name, what in (("chain_residual", "the chain rule of gains"), ("residual", "the law of total covariance")):
        worst = max(getattr(each, name) for each in documents)
        yield row(
            "identity-" + ("chain-rule" if name == "chain_residual" else "total-covariance"),
            f"Does {what} hold to rounding?",
            "holds" if worst < ROUNDING else "broken",
            worst,
            predicted=0.0,
            unit="largest relative error",
            note=f"{len(documents)} models, layers and nulls",
        )
    for layer in dict.fromkeys(each.layer for each in documents):
        whole: dict[tuple[str, int], list[tuple[float, int]]] = {}
        for gain in gains:
            if gain.layer == layer:
                whole.setdefault((gain.variant, gain.params_nonembedding), []).append((gain.value, gain.tokens))
        values = {key: sum(value * n for value, n in parts) / sum(n for _, n in parts) for key, parts in whole.items()}
        yield from beside_null(
            "conditional-entropy", f"Does the mean gain at `{layer}` grow beyond what width gives?", layer, values
        )
        share = {(each.variant, each.params_nonembedding): each.between for each in documents if each.layer == layer}
        yield from beside_null(
            "between-documents", f"Does documents' share of variance at `{layer}` change beyond width?", layer, share
        )


def beside_null(name: str, question: str, layer: str, values: dict[tuple[str, int], float]) -> Iterator[Conclusion]:
    """The slope of ln(value / projected null) on ln N, over sizes below the donor's."""
    sizes = sorted(size for variant, size in values if variant == "projected")
    if len(sizes) < 3:
        yield row(f"{name}-{layer}", question, "untested", note=f"{len(sizes)} sizes with a null")
        return
    ratio = np.log([values["trained", size] / values["projected", size] for size in sizes])
    found, own = slope(np.log(sizes), ratio), slope(np.log(sizes), np.log([values["trained", size] for size in sizes]))
    status = "undecided" if found.low <= 0 <= found.high else "beyond width"
    yield row(
        f"{name}-{layer}",
        question,
        status,
        found.value,
        low=found.low,
        high=found.high,
        predicted=0.0,
        unit="exponent of value / projected null",
        note=f"exploratory; {len(sizes)} sizes; own exponent {own.value:+.3f}",
    )


def of_quanta(rows: Sequence[LearntRank]) -> Iterator[Conclusion]:
    for share in dict.fromkeys(each.share for each in rows):
        mine = [each for each in rows if each.share == share and each.rank is not None]
        name = "quanta-improvement" if share is None else f"quanta-rank-{share:g}"
        question = (
            "Does the rank where loss falls move with N?" if share is None else f"Does the rank of {share:g} learnt move with N?"
        )
        if len({each.params_nonembedding for each in mine}) < 3:
            reasons = counted(each.reason for each in rows if each.share == share and each.reason)
            yield row(name, question, "untested", predicted=1.0, rival=0.0, note=f"{len(mine)} widths; {reasons}")
            continue
        found = on_sizes([each.params_nonembedding for each in mine], [each.rank for each in mine])
        ranks = ", ".join(f"{each.rank:,.0f} ({each.width})" for each in mine)
        yield row(
            name,
            question,
            covers((found.low, found.high), 1.0, 0.0),
            found.value,
            low=found.low,
            high=found.high,
            predicted=1.0,
            rival=0.0,
            unit="slope of ln rank on ln N",
            note=f"exploratory; rank (width): {ranks}",
        )


def on_sizes(sizes: Sequence[float], values: Sequence[Any], level: float = 0.95) -> Estimate:
    """Slope of ln value on ln size, values of one size averaged in logarithm."""
    x, index = np.unique(np.asarray(sizes, dtype=float), return_inverse=True)
    y = np.bincount(index, np.log(np.asarray(values, dtype=float))) / np.bincount(index)
    return slope(np.log(x), y, level)


def of_facts(rows: Sequence[FactModel]) -> Iterator[Conclusion]:
    on_law = [each for each in rows if each.samples is None]
    kept = [each for each in on_law if each.kept]
    for exponent in sorted({each.exponent for each in rows}):
        mine = [each for each in kept if each.exponent == exponent]
        yield slope_of_facts(exponent, mine, [each.cell for each in on_law if each.exponent == exponent and not each.kept])
    if not kept:
        return
    overlap = [each.overlap for each in kept if each.overlap is not None]
    yield row(
        "facts-most-frequent",
        "Are the facts that a model holds the most frequent ones?",
        "contradicted" if min(overlap) < 0.9 else "as predicted",
        float(np.median(overlap)),
        low=min(overlap),
        high=max(overlap),
        predicted=1.0,
        unit="median overlap; ends: least and most",
        note=f"{len(overlap)} models; contradicted below 0.9 in any",
    )
    edges = [each.edge for each in kept if each.edge is not None]
    if edges:
        middle = float(np.median(edges))
        status = "sharp" if middle <= 1 else "gradual" if middle > 2 else "undecided"
        yield row(
            "facts-edge",
            "How sharp is the edge between facts that are held and facts that are not?",
            status,
            middle,
            low=min(edges),
            high=max(edges),
            predicted=0.0,
            unit="median octaves of rank; ends: least and most",
            note=f"{len(edges)} of {len(kept)} models have an edge",
        )
    parts = [each.inside for each in kept]
    yield row(
        "facts-inside",
        "How much of the gap is at ranks that the theory says are held?",
        "contradicted" if np.median(parts) > 0.5 else "mostly beyond",
        float(np.median(parts)),
        low=min(parts),
        high=max(parts),
        predicted=0.0,
        unit="median share of the gap; ends: least and most",
    )


def slope_of_facts(exponent: float, rows: Sequence[FactModel], excluded: Sequence[str]) -> Conclusion:
    """The slope of ln n on ln N: 1 under the theory; supported where its 90 % interval is within 0.8 .. 1.25."""
    name, question = f"facts-size-a{exponent:g}", f"Do models hold facts in proportion to their size, a = {exponent:g}?"
    left = f"excluded for a gap that still falls: {', '.join(excluded)}" if excluded else "none excluded"
    sizes = [each.params_total for each in rows]
    if len(set(sizes)) < 3:
        return row(name, question, "untested", predicted=1.0, primary=True, note=f"{len(set(sizes))} widths; {left}")
    wide, narrow = (on_sizes(sizes, [each.n for each in rows], level) for level in (0.95, 0.9))
    status = "contradicted" if not wide.low <= 1 <= wide.high else "undecided"
    if wide.low <= 1 <= wide.high and narrow.low >= 0.8 and narrow.high <= 1.25:
        status = "supported"
    return row(
        name,
        question,
        status,
        wide.value,
        low=wide.low,
        high=wide.high,
        predicted=1.0,
        primary=True,
        unit="slope of ln n on ln N",
        note=f"{len(rows)} models of {len(set(sizes))} widths; {left}",
    )


def of_steps(rows: Sequence[StepRow], radii: Sequence[StepRadius]) -> Iterator[Conclusion]:
    for each in radii:
        yield row(
            f"small-steps-{each.direction.replace(' ', '-')}-{each.sign}",
            f"Up to which step does the quadratic form hold, {each.direction}, {each.sign}?",
            "radius" if each.reached else "holds throughout",
            each.relative,
            unit="|delta| / |theta|",
            note=f"within 10 %; KL there {each.kl:.3g} nats a position",
        )
    training = [each for each in rows if each.direction == "training" and each.sign == "forward"]
    for lag, mine in by_lag(training).items():
        ratios, sizes = [each.ratio for each in mine], [each.kl for each in mine]
        within = sum(abs(ratio - 1) <= TOLERANCE for ratio in ratios)
        status = "within" if within == len(mine) else "outside" if not within else "partly"
        yield row(
            f"small-steps-training-{lag}",
            f"Are steps of real training small, from s to {lag}?",
            status,
            float(np.median(ratios)),
            low=min(ratios),
            high=max(ratios),
            predicted=1.0,
            primary=True,
            unit="median KL / quadratic; ends: least and most",
            note=f"{within} of {len(mine)} within 10 %; KL {min(sizes):.2g} to {max(sizes):.2g}",
        )


def by_lag(rows: Sequence[StepRow]) -> dict[str, list[StepRow]]:
    """Pairs of steps by how far they are apart; one that is of several kinds is of the first."""
    last = max((each.end or 0 for each in rows), default=0)
    found: dict[str, list[StepRow]] = {}
    for each in rows:
        start, end = each.start or 0, each.end or 0
        kinds = {last: "end", 2 * start: "2s", start + 10: "s+10", start + 1: "s+1"}
        found.setdefault(kinds.get(end, "other"), []).append(each)
    return found


def shown(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A number with its interval, where it has one; an open end is an ellipsis."""
    if value is None:
        return "none"
    if low is None and high is None:
        return f"{value:.3f}"
    return f"{value:.3f} [{', '.join('…' if each is None else f'{each:.3f}' for each in (low, high))}]"
