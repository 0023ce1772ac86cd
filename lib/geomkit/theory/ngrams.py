"""Measure frequency tables of the ladder's training text: their exponents, and the loss that budgets of trigrams leave, by the
rules of docs/protocol_1.md."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.errors import DataError
from geomkit.measures.ngrams import NgramBudget, budget_curve, ngram_codes
from geomkit.tables.rows import write_csv
from geomkit.theory.frequencies import frequency_exponent
from geomkit.theory.rows import NgramGap, TableExponent
from geomkit.theory.splits import TABLES, Ints, frequency_table, read_split

RULES = (None, 1, 2, 5, 10, 20, 50)
"""Least counts; None is the one with the least Kolmogorov-Smirnov distance."""
PRIMARY = "trigrams"


def measure_ngrams(documents: Path, exponents: Path, budgets: Path) -> None:
    """Write exponents of frequency tables, and gaps of budgets of trigrams."""
    tables = {name: frequency_table(documents, name) for name in TABLES}
    write_csv(
        exponents, TableExponent, [exponent_of(name, counts, rule) for (name, counts), rule in product(tables.items(), RULES)]
    )
    train, vocabulary = read_split(documents, "train", "token")
    others = [ngram_codes(read_split(documents, split, "token")[0], 3, vocabulary) for split in ("validation", "test")]
    write_csv(budgets, NgramGap, gaps(NgramBudget.train(train, vocabulary), *others))


def exponent_of(table: str, counts: Ints, rule: int | None) -> TableExponent:
    """The exponent of one table. A least count that leaves too few types is a failed row. Raises DataError for a small table."""
    common: dict[str, Any] = {"table": table, "rule": rule, "primary": table == PRIMARY and rule is None}
    try:
        exponent = frequency_exponent(counts, rule)
    except DataError as error:
        if rule is None:
            raise DataError(f"{table}: {error}") from None
        empty: dict[str, Any] = dict.fromkeys(("g", "g_low", "g_high", "a", "a_low", "a_high", "xmin", "distance"))
        return TableExponent(**common, **empty, status=f"failed: {error}", types=int((counts >= rule).sum()))
    ends = [value if np.isfinite(value) else None for value in (*exponent.g_interval, *exponent.a_interval)]
    return TableExponent(
        **common, status=exponent.status, g=exponent.g, g_low=ends[0], g_high=ends[1], a=exponent.a, a_low=ends[2],
        a_high=ends[3], xmin=exponent.xmin, types=exponent.types, distance=exponent.distance,
    )  # fmt: skip


def gaps(model: NgramBudget, validation: Ints, test: Ints) -> list[NgramGap]:
    """Gaps with no trigram, with powers of four, and with all of them; by frequencies of training, then of validation text."""
    sizes = budgets_up_to(model.types)
    rows = []
    for name in ("training", "validation"):
        curve = budget_curve(model, validation, test, sizes, own_frequency=name == "validation")
        columns = zip(sizes, curve.measured, curve.constant, curve.by_class, strict=True)
        for budget, measured, constant, by_class in columns:
            rows.append(
                NgramGap(
                    frequencies=name,
                    primary=name == "training",
                    budget=budget,
                    measured=float(measured),
                    constant=float(constant),
                    by_class=float(by_class),
                    floor=curve.floor,
                    unseen=curve.unseen,
                )
            )
    return rows


def budgets_up_to(types: int) -> Sequence[int]:
    """0, the powers of four below the number of types, and that number."""
    powers = 4 ** np.arange(1 + int(np.log2(types) // 2))
    return [0, *(int(power) for power in powers if power < types), types]
