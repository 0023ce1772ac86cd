"""Test budgets of trigrams, and the ranks up to which bigrams are learnt."""

from collections.abc import Iterator, Sequence

import numpy as np

from geomkit.theory.exponents import covers
from geomkit.theory.rows import Conclusion, LearntRank, NgramGap, Status, Test
from geomkit.theory.tests.table import counted, on_sizes, row

TOLERANCE = 0.1
"""Of the gap at no trigram that a prediction may miss."""


def of_budgets(rows: Sequence[NgramGap]) -> Iterator[Conclusion]:
    for frequencies in ("training", "validation"):
        mine = [each for each in rows if each.frequencies == frequencies]
        whole = mine[0].measured
        errors = {name: np.array([getattr(each, name) - each.measured for each in mine]) for name in ("constant", "by_class")}
        better = min(errors, key=lambda name: float(np.sqrt(np.mean(errors[name] ** 2))))
        for test, name, what in (
            (Test.CONSTANT_BUDGET, "constant", "one h"),
            (Test.CLASS_BUDGET, "by_class", "h of rank classes"),
        ):
            largest = float(np.abs(errors[name]).max()) / whole
            status = Status(("right" if largest <= TOLERANCE else "wrong") + (", better" if name == better else ""))
            yield row(
                test,
                f"trigrams of test text, frequencies of {frequencies}",
                f"Does {what} predict the gap of trigram budgets?",
                status,
                largest,
                case=frequencies,
                predicted=0.0,
                primary=frequencies == "training",
                unit="largest error over the gap at n = 0",
                note=f"gap {whole:.3f} nats; {100 * mine[0].unseen:.0f} % of test in E",
            )


def of_quanta(rows: Sequence[LearntRank]) -> Iterator[Conclusion]:
    for share in dict.fromkeys(each.share for each in rows):
        mine = [each for each in rows if each.share == share and each.rank is not None]
        case = "improvement" if share is None else f"rank-{share:g}"
        scope = "shipped ladder, bigrams of test text" + ("" if share is None else f", {share:g} learnt")
        question = (
            "Does the rank where loss falls move with N?" if share is None else f"Does the rank of {share:g} learnt move with N?"
        )
        if len({each.params_nonembedding for each in mine}) < 3:
            reasons = counted(each.reason for each in rows if each.share == share and each.reason)
            note = f"such a rank at {len(mine)} widths; {reasons}"
            yield row(Test.QUANTA, scope, question, Status.UNTESTED, case=case, predicted=1.0, rival=0.0, note=note)
            continue
        fitted = on_sizes([each.params_nonembedding for each in mine], [each.rank for each in mine])
        ranks = ", ".join(f"{each.rank:,.0f} ({each.width})" for each in mine)
        yield row(
            Test.QUANTA,
            scope,
            question,
            Status(covers((fitted.low, fitted.high), 1.0, 0.0)),
            fitted,
            case=case,
            predicted=1.0,
            rival=0.0,
            unit="slope of ln rank on ln N",
            note=f"exploratory; rank (width): {ranks}",
        )
