"""Claims about laws with model size."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.verdicts import Kind
from geomkit.store.dumps import PLAIN
from geomkit.store.findings import (
    Finding,
    Inputs,
    claims,
    from_interval,
    from_kind,
    unless_plain_agrees,
)
from geomkit.store.records.claims import ClaimVerdict
from geomkit.store.records.scaling import FollowedVerdict, LawVerdict, OwnDirections, SizeDifference

SAME = 1e-9
"""Exponents closer than this are of one number: no text is shorter than a model is wide."""
PLACE = ("family", "published", "corpus", "layer", "length", "normalise", "metric")
RATIO, ERANK, PAPER = "rate_distortion_ratio", "erank_covariance", "rate_distortion_paper"


def verdicts(inputs: Inputs) -> list[LawVerdict]:
    return inputs.rows("verdicts.csv", LawVerdict)


def scope(row: LawVerdict) -> str:
    return f"{row.family} on {row.corpus}, {row.layer}, {row.length} tokens, {row.normalise}"


def beyond(inputs: Inputs, metric: str, claimed: int) -> list[Finding]:
    """The primary tests of a metric, as findings about the sign of its difference from the projected null."""
    found = []
    for row in verdicts(inputs):
        if not row.primary or row.metric != metric:
            continue
        verdict, but = with_plain(inputs, row, lambda one: from_kind(one.verdict, one.difference, claimed))
        found.append(
            Finding(
                scope=scope(row),
                effect="exponent with N minus that of the projected null",
                value=row.difference,
                low=row.low,
                high=row.high,
                margin=row.margin,
                null="projected",
                sizes=row.sizes,
                primary=True,
                verdict=verdict,
                reason=f"{row.verdict}: {row.reason}{flags(row)}{but}",
                details=details(row, inputs.rows("differences.csv", SizeDifference)) + without_weights(inputs, row),
            )
        )
    return found


def with_plain(inputs: Inputs, row: LawVerdict, told: Callable[[LawVerdict], ClaimVerdict]) -> tuple[ClaimVerdict, str]:
    """What a row tells; of the final state only if it tells the same without the final norm's gain and bias, else why not."""
    if row.layer != "final":
        return told(row), ""
    plain = plain_of(inputs, row)
    return unless_plain_agrees(told(row), None if plain is None else told(plain))


def plain_of(inputs: Inputs, row: LawVerdict) -> LawVerdict | None:
    """The same row without the final norm's gain and bias."""
    place = replace(row, layer=PLAIN)
    return next((one for one in verdicts(inputs) if all(getattr(one, name) == getattr(place, name) for name in PLACE)), None)


def without_weights(inputs: Inputs, row: LawVerdict) -> str:
    """The difference of the final state without the final norm's gain and bias, in words."""
    plain = plain_of(inputs, row) if row.layer == "final" else None
    if plain is None or plain.difference is None:
        return ""
    ends = f" [{number(plain.low)}, {number(plain.high)}], {plain.verdict}"
    return f"; without the final norm's gain and bias {number(plain.difference)}{ends}"


def details(row: LawVerdict, by_size: Sequence[SizeDifference]) -> str:
    """What the test could have found, what the null keeps, and the slopes that were left out of the verdict."""
    found = [f"exponent itself {number(row.exponent)}"]
    if row.p_adjusted is not None and row.tests is not None:
        found.append(f"p = {row.p_adjusted:.2g}, adjusted over {row.tests} tests")
    if row.low_90 is not None and row.high_90 is not None:
        found.append(f"90 % interval {row.low_90:+.3f} to {row.high_90:+.3f}")
    if row.detectable is not None:
        found.append(f"smallest difference detectable with 80 % power: {row.detectable:.3f}")
    if row.small_attainable is not None:
        found.append(f"`small` could {'' if row.small_attainable else 'not '}have been reached at this error")
    if row.difference_with_donor is not None:
        found.append(f"difference with the donor's own size: {row.difference_with_donor:+.3f}")
    if row.donors:
        found.append(f"difference by donor: {row.donors}")
    kept = [one.norm_kept for one in by_size if same_place(one, row) and one.norm_kept is not None]
    if kept:
        found.append(f"share of the squared norm that the donors' directions keep: {min(kept):.0%} to {max(kept):.0%}")
    if row.fit is not None:
        misfit = "" if row.misfit is None else f" (largest misfit {row.misfit:+.3f})"
        found.append(f"lack of fit of a power law to the difference: {row.fit}{misfit}")
    if row.fit is Fitness.REJECTED:
        found.append(f"so size by size, from the primary donor: {size_by_size(row, by_size)}")
    return "; ".join(found)


def same_place(one: SizeDifference, row: LawVerdict) -> bool:
    return all(getattr(one, name) == getattr(row, name) for name in PLACE)


def size_by_size(row: LawVerdict, by_size: Sequence[SizeDifference]) -> str:
    """ln(measured / projected) of the widest donor at each width."""
    mine = [one for one in by_size if same_place(one, row) and one.null == "projected"]
    return ", ".join(f"{one.difference:+.3f} at width {one.width}" for one in mine if one.donor == mine[0].donor)


def number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.3f}"


def flags(row: LawVerdict) -> str:
    return f" ({row.flags})" if row.flags else ""


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
    found = []
    rows = {(row.family, row.corpus, row.layer, row.length, row.normalise, row.metric): row for row in verdicts(inputs)}
    for (family, corpus, layer, length, normalise, metric), row in rows.items():
        paper = rows.get((family, corpus, layer, length, normalise, PAPER))
        if metric != RATIO or normalise != "unit" or paper is None or row.exponent is None or paper.exponent is None:
            continue
        part = paper.exponent - row.exponent
        if abs(part) < SAME:
            continue
        found.append(
            Finding(
                scope=scope(row),
                effect="exponent as the paper normalises minus that over the bound",
                value=part,
                null="the bound of n rows in d dimensions",
                verdict=ClaimVerdict.SUPPORTED if part < 0 else ClaimVerdict.REFUTED,
                reason=f"{paper.exponent:+.3f} as the paper normalises, {row.exponent:+.3f} over the bound, exactly",
            )
        )
    return found


@claims.register(
    "the sign does not depend on length",
    statement="Normalised entropy falls with model size whatever the length of the texts.",
    source="Tan, Li, Huang 2024",
    headline=3,
)
def sign_of_every_length(inputs: Inputs) -> list[Finding]:
    rows = [row for row in verdicts(inputs) if row.metric == RATIO and row.normalise == "unit" and row.exponent is not None]
    found = []
    for (family, corpus, layer), group in groupby(rows, key=lambda row: (row.family, row.corpus, row.layer)):
        mine = sorted(group, key=lambda row: row.length or 0)
        told = [from_interval(row.exponent_low, row.exponent_high, -1) for row in mine]
        verdict = ClaimVerdict.UNDECIDED
        if ClaimVerdict.REFUTED in told:
            verdict = ClaimVerdict.REFUTED
        elif set(told) == {ClaimVerdict.SUPPORTED}:
            verdict = ClaimVerdict.SUPPORTED
        exponents = ", ".join(f"{row.exponent:+.3f} at {row.length} tokens{straddling(row)}" for row in mine)
        found.append(
            Finding(
                scope=f"{family} on {corpus}, {layer}, unit",
                effect="exponents with N",
                verdict=verdict,
                reason=exponents,
                sizes=mine[-1].sizes,
            )
        )
    return found


def straddling(row: LawVerdict) -> str:
    """A mark of laws whose models are partly wider than the texts are long."""
    return " (straddling)" if row.straddles else ""


@claims.register(
    "laws hold where length follows width",
    statement="Normalised entropy falls with model size beyond width where texts are longer, or shorter, in proportion to it.",
    source="ours",
)
def following(inputs: Inputs) -> list[Finding]:
    """At as many tokens for each direction in all models, only a difference from the projected null is an exponent with size."""
    rows = [row for row in inputs.rows("following.csv", FollowedVerdict) if row.metric == RATIO]
    told = {(row.family, row.corpus, row.layer, row.follows): from_kind(row.verdict, row.difference, -1) for row in rows}
    found = []
    for row in rows:
        verdict, but = told[row.family, row.corpus, row.layer, row.follows], ""
        if row.layer == "final":
            verdict, but = unless_plain_agrees(verdict, told.get((row.family, row.corpus, PLAIN, row.follows)))
        found.append(
            Finding(
                scope=f"{row.family} on {row.corpus}, {row.layer}, {row.follows} tokens, {row.normalise}",
                effect="exponent with N minus that of the projected null, at lengths in proportion to width",
                value=row.difference,
                low=row.low,
                high=row.high,
                margin=row.margin,
                null="projected",
                sizes=row.sizes,
                verdict=verdict,
                reason=f"{row.verdict}: {row.reason}{f' ({row.flags})' if row.flags else ''}{but}",
                details=f"{row.texts} texts are long enough" + (f"; difference by donor: {row.donors}" if row.donors else ""),
            )
        )
    return found


@claims.register(
    "width suffices at one dimension",
    statement="At one number of dimensions, larger models have no other effective rank than smaller ones.",
    source="ours",
)
def common_dimension(inputs: Inputs) -> list[Finding]:
    found = []
    for row in verdicts(inputs):
        if not row.primary or row.metric != ERANK or row.common_dimension is None:
            continue
        verdict, but = with_plain(inputs, row, of_common_dimension)
        found.append(
            Finding(
                scope=scope(row),
                effect="exponent of the effective rank of each model's rows on its own leading directions",
                value=row.common_dimension,
                low=row.common_dimension_low,
                high=row.common_dimension_high,
                null="as many directions as the narrowest model is wide",
                sizes=row.sizes,
                verdict=verdict,
                reason=f"the interval over sizes {'excludes' if excludes_zero(row) else 'covers'} 0{but}",
            )
        )
    return found


def excludes_zero(row: LawVerdict) -> bool:
    low, high = row.common_dimension_low, row.common_dimension_high
    return low is not None and high is not None and not low <= 0 <= high


def of_common_dimension(row: LawVerdict) -> ClaimVerdict:
    """An interval that covers 0 shows nothing by itself."""
    return ClaimVerdict.REFUTED if excludes_zero(row) else ClaimVerdict.UNDECIDED


@claims.register(
    "laws replicate on other texts",
    statement="The verdicts on the ladder's home corpus hold on Wikipedia.",
    source="ours",
)
def replication(inputs: Inputs) -> list[Finding]:
    """As the protocol fixes it: confirmed, contradicted or not decidable."""
    primary = {(row.family, row.metric, row.layer, row.corpus): row for row in verdicts(inputs) if row.primary}
    found = []
    for (family, metric, layer, corpus), first in primary.items():
        again = primary.get((family, metric, layer, "wikipedia"))
        if corpus != "sotu" or again is None:
            continue
        outcome = replicated(first, again)
        found.append(
            Finding(
                scope=f"{family}, {metric}, {layer}",
                effect="difference from the projected null on Wikipedia",
                value=again.difference,
                low=again.low,
                high=again.high,
                margin=again.margin,
                null="projected",
                sizes=again.sizes,
                primary=True,
                verdict={"confirmed": ClaimVerdict.SUPPORTED, "contradicted": ClaimVerdict.REFUTED}.get(
                    outcome, ClaimVerdict.UNDECIDED
                ),
                reason=f"{outcome}: {first.verdict} on {corpus}, {again.verdict} on {again.corpus}",
            )
        )
    return found


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
    """What the projected null rests on, in a family of one size: the interval is over documents, of one training."""
    rows = inputs.rows("own_directions.csv", OwnDirections)
    found = []
    for row in rows:
        if row.metric != ERANK or row.directions is not None or row.layer != "last":
            continue
        names = ("family", "corpus", "layer", "length", "normalise")
        alike = [one for one in rows if all(getattr(one, name) == getattr(row, name) for name in names)]
        curve = [one for one in alike if one.metric == ERANK and one.directions is not None]
        ratio = [one for one in alike if one.metric == RATIO and one.directions is None]
        found.append(
            Finding(
                scope=f"{row.family} on {row.corpus}, {row.layer}, {row.length} tokens, {row.normalise}",
                effect="exponent of the effective rank with the number of its directions",
                value=row.value,
                low=row.low,
                high=row.high,
                null="no change",
                documents=row.documents,
                verdict=from_interval(row.low, row.high, 1),
                reason=", ".join(f"{one.value:.3g} on {one.directions} directions" for one in curve),
                details="; ".join(
                    f"exponent of the rate-distortion entropy over its bound {one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"
                    for one in ratio
                ),
            )
        )
    return found
