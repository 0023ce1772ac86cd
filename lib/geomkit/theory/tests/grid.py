"""Test exponents of size and data on the grid of trainings, the exact curves, and exponents of frequency tables."""

from collections.abc import Iterator, Sequence

import numpy as np

from geomkit.tables.findings import estimate
from geomkit.theory.exponents import covers
from geomkit.theory.rows import Conclusion, ExponentRelation, GridPart, SkillCurve, Status, TableExponent, Test
from geomkit.theory.skills import data_exponent
from geomkit.theory.tests.table import counted, one, row, status_of


def of_relations(rows: Sequence[ExponentRelation]) -> Iterator[Conclusion]:
    main = one(rows)
    status, why = status_of(main.status)
    exponents = [f"{name} {estimate(*measured_exponent(main, name), sign='')}" for name in ("alpha", "beta")]
    yield row(
        Test.RELATION,
        part_of(main),
        "Is beta = alpha / (1 + alpha)?",
        status,
        main.theory,
        low=main.theory_low,
        high=main.theory_high,
        predicted=0.0,
        primary=True,
        unit="beta - alpha / (1 + alpha)",
        note=", ".join([*exponents, *([why] if why else [])]),
    )
    yield row(
        Test.RIVAL,
        part_of(main),
        "Is beta = alpha?",
        status,
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
        Test.OTHER_RELATIONS,
        f"{len(rows)} combinations of laws, sizes, cells and draws",
        "What do other laws, measures of size, cells and draws say?",
        Status.COUNTED,
        share,
        unit="share that only the theory's 0 fits",
        note=of_form,
    )


def part_of(main: GridPart) -> str:
    """The cells of the grid that decide."""
    size = {"nonembedding": "parameters without embeddings", "total": "all parameters", "width": "width"}[main.size]
    return f"{main.cells} trainings of draw {main.draw}, {size}"


def measured_exponent(main: ExponentRelation, name: str) -> tuple[float | None, float | None, float | None]:
    """alpha or beta with its interval."""
    return getattr(main, name), getattr(main, f"{name}_low"), getattr(main, f"{name}_high")


def of_curves(rows: Sequence[SkillCurve]) -> Iterator[Conclusion]:
    main = one(rows)
    errors = [estimate(spread, sign="") for spread in (main.residual_sd, main.chinchilla_sd, main.kaplan_sd)]
    laws = [error for error in (main.chinchilla_left_out, main.kaplan_left_out) if error is not None]
    described = {None: Status.UNTESTED, True: Status.DESCRIBES, False: Status.DESCRIBES_NOT}
    yield row(
        Test.CURVE,
        f"{main.table}, {part_of(main)}",
        "Does the exact curve of trigrams predict sizes left out as well as power laws do?",
        described[main.describes],
        main.left_out,
        rival=min(laws) if laws else None,
        primary=True,
        unit="root-mean-square error of ln L",
        note=f"{main.status}; on the fitted sizes {errors[0]} beside Chinchilla's {errors[1]} and Kaplan's {errors[2]}",
    )
    yield row(
        Test.SUM,
        f"{main.table}, {part_of(main)}",
        "What does Chinchilla's sum find where the theory's curve is the truth?",
        Status(main.sum_status or Status.UNTESTED),
        main.sum_departure,
        predicted=0.0,
        unit="beta - alpha / (1 + alpha)",
        note="other than 0: the sum is biased on the theory's own curve",
    )
    judged = [each for each in rows if each.describes is not None]
    verdicts = ["describes" if each.describes else "does not" for each in judged]
    yield row(
        Test.OTHER_CURVES,
        f"{len(rows)} combinations of tables, sizes, cells and draws",
        "And other tables, measures of size, cells and draws?",
        Status.COUNTED,
        sum(bool(each.describes) for each in judged) / len(judged) if judged else None,
        unit="share that describes",
        note=f"of {len(judged)} with enough sizes {counted(verdicts)}",
    )


def of_exponents(
    rows: Sequence[TableExponent], main: ExponentRelation, published: dict[tuple[str, str], float | None]
) -> Iterator[Conclusion]:
    table = one(rows)
    status, why = status_of(table.status)
    yield row(
        Test.EXPONENT,
        f"{table.table} of the ladder's training text",
        "Have trigrams an exponent a > 0, without which the infinite table has no law?",
        status,
        table.a,
        low=table.a_low,
        high=table.a_high,
        primary=True,
        unit="a",
        note=f"above {table.xmin} counts, {table.types:,} types" + (f"; {why}" if why else ""),
    )
    for test, name, value in (
        (Test.ALPHA, "alpha", table.a),
        (Test.BETA, "beta", None if table.a is None else float(data_exponent(table.a))),
    ):
        rival = published[("chinchilla", name)]
        measured = measured_exponent(main, name)
        status = Status.UNTESTED
        if None not in (measured[0], value, rival):
            ends = (-np.inf if measured[1] is None else measured[1], np.inf if measured[2] is None else measured[2])
            status = Status(covers(ends, value, rival))  # type: ignore[arg-type]
        yield row(
            test,
            f"{table.table}, {part_of(main)}",
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
        Test.OTHER_EXPONENTS,
        f"{len(rows)} combinations of tables and least counts",
        "And other tables and least counts?",
        Status.COUNTED,
        sum(each.status == "law" for each in rows) / len(rows),
        unit="share with a > 0",
        note="; ".join(of_table),
    )


def tables_of(rows: Sequence[TableExponent]) -> list[str]:
    return list(dict.fromkeys(each.table for each in rows))
