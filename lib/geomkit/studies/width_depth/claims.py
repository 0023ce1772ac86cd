"""Claims about width, depth, seeds and training: exponents and correlations over models of many shapes."""

from collections.abc import Sequence
from functools import partial

from geomkit.laws.verdicts import Kind
from geomkit.studies.width_depth.rows import Effect, SeedCorrelation, TiedShare
from geomkit.tables.findings import (
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    WIDTH,
    ClaimVerdict,
    Finding,
    Inputs,
    agreed,
    claims,
    estimate,
    same,
    scope,
    sign_of,
)


def decided(inputs: Inputs, of: str, small: ClaimVerdict, null: str | None, effect: str) -> list[Finding]:
    """The primary tests of one question as findings: different and not small supports, small and not different is `small`."""
    rows = inputs.rows("axes/width_depth.csv", Effect)
    meaning = {Kind.BEYOND: SUPPORTED, Kind.NESTED: small}
    findings = []
    for row in rows:
        if not row.primary or row.of != of:
            continue
        verdict, but = agreed(row, rows, lambda one: meaning.get(one.verdict, UNDECIDED))
        findings.append(
            Finding.of(
                row,
                effect,
                verdict,
                f"{row.verdict}: {row.reason}{but}",
                scope=scope(row, row.metric, models=f"{row.number} cells"),
                null=null,
                sizes=row.number,
                primary=True,
                details=details(row, rows),
            )
        )
    return findings


def details(row: Effect, rows: Sequence[Effect]) -> str:
    """Remarks: the effect that the test could have detected, lack of fit, and the same coefficient in other designs and cells."""
    notes = [f"p = {row.p_adjusted:.2g}, adjusted over {row.tests} tests"] if row.p_adjusted is not None else []
    if row.detectable is not None:
        notes.append(f"smallest effect detectable with 80 % power: {row.detectable:.3f}")
    notes.append(f"lack of fit: {row.fit}")
    for one in rows:
        alike = same(one, row, "corpus", "of", "metric", "layer", "column")
        if alike and not same(one, row, "design", "cells") and one.value is not None:
            notes.append(f"on {one.design}, {one.cells} cells: {estimate(one.value, one.low, one.high)}")
    return "; ".join([*notes, row.flags] if row.flags else notes)


@claims.register(
    "size at fixed width",
    statement="At one width, models of more parameters have another effective rank or normalised entropy.",
    source="ours",
)
def size_at_fixed_width(inputs: Inputs) -> list[Finding]:
    return decided(inputs, "metric", WIDTH, None, "exponent with N, width held fixed")


@claims.register(
    "width at fixed size",
    statement="At one number of parameters, wider models differ from what the widest one's leading directions show.",
    source="ours",
)
def width_at_fixed_size(inputs: Inputs) -> list[Finding]:
    effect = "exponent with width minus that of the null, N held fixed"
    return decided(inputs, "difference", REFUTED, "projected", effect)


@claims.register(
    "the loss follows parameters without embeddings",
    statement="With one matrix for both embeddings the loss is that of the parameters without embeddings, not of all parameters.",
    source="Kaplan et al. 2020",
)
def tied(inputs: Inputs) -> list[Finding]:
    follows = {"N or width": SUPPORTED, "all parameters": REFUTED, "neither": REFUTED}
    return [
        Finding.of(
            row,
            "share of the loss of the embeddings that are not there (1: the loss follows all parameters)",
            follows.get(row.follows, UNDECIDED),
            f"{row.follows}; parameters without embeddings and width cannot be separated here",
            scope=f"tied ladder models on {row.corpus}",
        )
        for row in inputs.rows("axes/tied.csv", TiedShare)
        if row.width is None
    ]


@claims.register(
    "metrics follow the loss over seeds",
    statement="Among trainings of one width, effective rank and normalised entropy go with the loss.",
    source="ours",
)
def seeds(inputs: Inputs) -> list[Finding]:
    rows = inputs.rows("axes/seeds.csv", SeedCorrelation)
    findings = []
    for row in rows:
        if not row.primary or row.value is None:
            continue
        verdict, but = agreed(row, rows, partial(with_sign, 1 if row.value > 0 else -1))
        recipe = next((one for one in rows if not one.primary and same(one, row, "metric", "layer", "corpus")), None)
        beside = ""
        if recipe is not None and recipe.value is not None:
            carried = ": the recipe alone may carry it" if not sign_of(recipe.low, recipe.high) else ""
            beside = f"; with rate and decay held fixed {recipe.value:+.2f}{carried}"
        findings.append(
            Finding.of(
                row,
                "correlation of ln metric with ln loss, width held fixed",
                verdict,
                f"{row.models} trainings, p = {row.p_adjusted or 1.0:.2g} over {row.tests} tests{but}{beside}",
                scope=scope(row, row.metric, models="trainings of one width"),
                primary=True,
                details=""
                if row.detectable is None
                else f"smallest correlation detectable with 80 % power: {row.detectable:.2f}",
            )
        )
    return findings


def with_sign(sign: int, row: SeedCorrelation) -> ClaimVerdict:
    """Whether a correlation has this sign: a primary one by its adjusted test, any other by its interval."""
    if row.primary:
        return SUPPORTED if row.p_adjusted is not None and row.p_adjusted < 0.05 else UNDECIDED
    return SUPPORTED if sign_of(row.low, row.high) == sign else UNDECIDED
