"""Claims about laws with model size."""

from collections.abc import Sequence
from itertools import groupby

from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.verdicts import Kind
from geomkit.studies.size_laws.rows import FollowedVerdict, LawVerdict, OwnDirections, SizeDifference
from geomkit.tables.findings import (
    FINAL,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    ClaimVerdict,
    Finding,
    Inputs,
    agreed,
    claims,
    conjunction,
    estimate,
    from_interval,
    from_kind,
    plain_row,
    same,
    scope,
    sign_of,
)

LEAST = 1e-9
"""Exponents closer than this are of one number: no text is shorter than a model is wide."""
RATIO, ERANK, PAPER = "rate_distortion_ratio", "erank_covariance", "rate_distortion_paper"
PLACE = ("family", "published", "corpus", "layer", "length", "normalise")


def verdicts(inputs: Inputs) -> list[LawVerdict]:
    return inputs.rows("scaling/verdicts.csv", LawVerdict)


def beside_null(row: LawVerdict | FollowedVerdict, rows: Sequence, claimed: int, effect: str, **columns: object) -> Finding:
    """The difference of a law from the projected null, and what its test implies for the claimed sign."""
    verdict, but = agreed(row, rows, lambda one: from_kind(one.verdict, one.difference, claimed))
    reason = f"{row.verdict}: {row.reason}{f' ({row.flags})' if row.flags else ''}{but}"
    return Finding.of(row, effect, verdict, reason, value=row.difference, null="projected", **columns)


def beyond(inputs: Inputs, metric: str, claimed: int) -> list[Finding]:
    """The primary tests of a metric, as findings about the sign of its difference from the projected null."""
    rows, by_size = verdicts(inputs), inputs.rows("scaling/differences.csv", SizeDifference)
    effect = "exponent with N minus that of the projected null"
    return [
        beside_null(row, rows, claimed, effect, primary=True, details=details(row, by_size) + without_weights(row, rows))
        for row in rows
        if row.primary and row.metric == metric
    ]


def without_weights(row: LawVerdict, rows: Sequence[LawVerdict]) -> str:
    """The difference of the final state without the final norm's gain and bias, in words."""
    plain = plain_row(row, rows) if row.layer == FINAL else None
    if plain is None or plain.difference is None:
        return ""
    number = estimate(plain.difference, plain.low, plain.high)
    return f"; without the final norm's gain and bias {number}, {plain.verdict}"


def details(row: LawVerdict, by_size: Sequence[SizeDifference]) -> str:
    """Remarks: the effect that the test could have detected, what the null retains, and slopes left out of the verdict."""
    notes = [f"exponent itself {estimate(row.exponent)}"]
    if row.p_adjusted is not None and row.tests is not None:
        notes.append(f"p = {row.p_adjusted:.2g}, adjusted over {row.tests} tests")
    if row.low_90 is not None and row.high_90 is not None:
        notes.append(f"90 % interval {row.low_90:+.3f} to {row.high_90:+.3f}")
    if row.detectable is not None:
        notes.append(f"smallest difference detectable with 80 % power: {row.detectable:.3f}")
    if row.small_attainable is not None:
        notes.append(f"`small` could {'' if row.small_attainable else 'not '}have been reached at this error")
    if row.difference_with_donor is not None:
        notes.append(f"difference with the donor's own size: {row.difference_with_donor:+.3f}")
    if row.donors:
        notes.append(f"difference by donor: {row.donors}")
    mine = [one for one in by_size if same(one, row, *PLACE, "metric")]
    kept = [one.norm_kept for one in mine if one.norm_kept is not None]
    if kept:
        notes.append(f"share of the squared norm that the donors' directions keep: {min(kept):.0%} to {max(kept):.0%}")
    if row.fit is not None:
        misfit = "" if row.misfit is None else f" (largest misfit {row.misfit:+.3f})"
        notes.append(f"lack of fit of a power law to the difference: {row.fit}{misfit}")
    if row.fit is Fitness.REJECTED:
        notes.append(f"so size by size, from the primary donor: {size_by_size(mine)}")
    return "; ".join(notes)


def size_by_size(rows: Sequence[SizeDifference]) -> str:
    """ln(measured / projected) of the widest donor at each width."""
    mine = [one for one in rows if one.null == "projected"]
    return ", ".join(f"{one.difference:+.3f} at width {one.width}" for one in mine if one.donor == mine[0].donor)


@claims.register(
    "normalised entropy falls",
    statement="Rate-distortion entropy over its bound falls with model size, beyond what width alone gives.",
    source="Tan, Li, Huang 2024",
    headline=1,
)
def normalised_entropy_falls(inputs: Inputs) -> list[Finding]:
    return beyond(inputs, RATIO, -1)


@claims.register(
    "effective rank grows",
    statement="The effective rank of hidden states grows with model size, beyond what width alone gives.",
    source="Wei et al. 2024",
)
def effective_rank_grows(inputs: Inputs) -> list[Finding]:
    return beyond(inputs, ERANK, 1)


@claims.register(
    "the normaliser makes the law",
    statement="Where texts are shorter than models are wide, the paper's normaliser itself makes the entropy fall with size.",
    source="ours",
    headline=2,
)
def normaliser(inputs: Inputs) -> list[Finding]:
    findings = []
    for row in verdicts(inputs):
        if row.metric != RATIO or row.normalise != "unit" or row.exponent is None:
            continue
        paper = next((one for one in verdicts(inputs) if one.metric == PAPER and same(one, row, *PLACE)), None)
        if paper is None or paper.exponent is None or abs(part := paper.exponent - row.exponent) < LEAST:
            continue
        reason = f"{paper.exponent:+.3f} as the paper normalises, {row.exponent:+.3f} over the bound, exactly"
        findings.append(
            Finding(
                scope=scope(row),
                effect="exponent as the paper normalises minus that over the bound",
                value=part,
                null="the bound of n rows in d dimensions",
                verdict=SUPPORTED if part < 0 else REFUTED,
                reason=reason,
            )
        )
    return findings


@claims.register(
    "the sign does not depend on length",
    statement="Normalised entropy falls with model size whatever the length of the texts.",
    source="Tan, Li, Huang 2024",
    headline=3,
)
def sign_of_every_length(inputs: Inputs) -> list[Finding]:
    rows = [row for row in verdicts(inputs) if row.metric == RATIO and row.normalise == "unit" and row.exponent is not None]
    findings = []
    for (family, corpus, layer), group in groupby(rows, key=lambda row: (row.family, row.corpus, row.layer)):
        mine = sorted(group, key=lambda row: row.length or 0)
        findings.append(
            Finding(
                scope=f"{family} on {corpus}, {layer}, unit",
                effect="exponents with N",
                verdict=conjunction([from_interval(row.exponent_low, row.exponent_high, -1) for row in mine]),
                reason=", ".join(f"{row.exponent:+.3f} at {row.length} tokens{straddling(row)}" for row in mine),
                sizes=mine[-1].sizes,
            )
        )
    return findings


def straddling(row: LawVerdict) -> str:
    """A mark for laws whose texts are shorter than some models are wide, and longer than others."""
    return " (straddling)" if row.straddles else ""


@claims.register(
    "laws hold where length follows width",
    statement="Normalised entropy falls with model size beyond width where texts are longer, or shorter, in proportion to it.",
    source="ours",
)
def following(inputs: Inputs) -> list[Finding]:
    """At as many tokens per direction in all models, only a difference from the projected null is an exponent with size."""
    rows = [row for row in inputs.rows("scaling/following.csv", FollowedVerdict) if row.metric == RATIO]
    effect = "exponent with N minus that of the projected null, at lengths in proportion to width"
    return [
        beside_null(
            row,
            rows,
            -1,
            effect,
            details=f"{row.texts} texts are long enough" + (f"; difference by donor: {row.donors}" if row.donors else ""),
        )
        for row in rows
    ]


@claims.register(
    "width suffices at one dimension",
    statement="At one number of dimensions, larger models have no other effective rank than smaller ones.",
    source="ours",
)
def common_dimension(inputs: Inputs) -> list[Finding]:
    """An interval that covers 0 shows nothing by itself."""
    findings = []
    for row in verdicts(inputs):
        if not row.primary or row.metric != ERANK or row.common_dimension is None:
            continue
        verdict, but = agreed(row, verdicts(inputs), lambda one: REFUTED if differs(one) else UNDECIDED)
        findings.append(
            Finding(
                scope=scope(row),
                effect="exponent of the effective rank of each model's rows on its own leading directions",
                value=row.common_dimension,
                low=row.common_dimension_low,
                high=row.common_dimension_high,
                null="as many directions as the narrowest model is wide",
                sizes=row.sizes,
                verdict=verdict,
                reason=f"the interval over sizes {'excludes' if differs(row) else 'covers'} 0{but}",
            )
        )
    return findings


def differs(row: LawVerdict) -> bool:
    """Whether models on equally many of their own directions have an exponent other than 0."""
    return sign_of(row.common_dimension_low, row.common_dimension_high) != 0


@claims.register(
    "laws replicate on other texts",
    statement="The verdicts on the ladder's home corpus hold on Wikipedia.",
    source="ours",
)
def replication(inputs: Inputs) -> list[Finding]:
    """As the protocol fixes it: confirmed, contradicted or not decidable."""
    primary = {(row.family, row.metric, row.layer, row.corpus): row for row in verdicts(inputs) if row.primary}
    findings = []
    for (family, metric, layer, corpus), first in primary.items():
        again = primary.get((family, metric, layer, "wikipedia"))
        if corpus != "sotu" or again is None:
            continue
        outcome = replicated(first, again)
        findings.append(
            Finding.of(
                again,
                "difference from the projected null on Wikipedia",
                MEANING.get(outcome, UNDECIDED),
                f"{outcome}: {first.verdict} on {corpus}, {again.verdict} on {again.corpus}",
                scope=f"{family}, {metric}, {layer}",
                value=again.difference,
                null="projected",
                primary=True,
            )
        )
    return findings


MEANING: dict[str, ClaimVerdict] = {"confirmed": SUPPORTED, "contradicted": REFUTED}


def replicated(first: LawVerdict, again: LawVerdict) -> str:
    """confirmed: the same kind, and where it is beyond width the same sign; contradicted: beyond width against nested, or beyond
    width with both signs; else not decidable."""
    kinds = {first.verdict, again.verdict}
    same_sign = (first.difference or 0) * (again.difference or 0) > 0
    if kinds == {Kind.BEYOND}:
        return "confirmed" if same_sign else "contradicted"
    if kinds == {Kind.BEYOND, Kind.NESTED}:
        return "contradicted"
    if len(kinds) == 1 and not kinds & {Kind.UNTESTED, Kind.FAILED, Kind.UNDECIDED}:
        return "confirmed"
    return "not decidable"


@claims.register(
    "fewer directions of one model show the same laws",
    statement="A real model that keeps fewer of its own leading directions has a lower effective rank.",
    source="ours",
)
def own_directions(inputs: Inputs) -> list[Finding]:
    """The assumption of the projected null, in a family of one size: the interval is over documents, of one training."""
    rows = inputs.rows("scaling/own_directions.csv", OwnDirections)
    findings = []
    for row in rows:
        if row.metric != ERANK or row.directions is not None or row.layer != "last":
            continue
        alike = [one for one in rows if same(one, row, *PLACE)]
        curve = [one for one in alike if one.metric == ERANK and one.directions is not None]
        ratio = [one for one in alike if one.metric == RATIO and one.directions is None]
        exponents = [estimate(one.value, one.low, one.high) for one in ratio]
        findings.append(
            Finding.of(
                row,
                "exponent of the effective rank with the number of its directions",
                from_interval(row.low, row.high, 1),
                ", ".join(f"{one.value:.3g} on {one.directions} directions" for one in curve),
                null="no change",
                details="; ".join(f"exponent of the rate-distortion entropy over its bound {one}" for one in exponents),
            )
        )
    return findings
