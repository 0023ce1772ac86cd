"""Claims about laws with model size."""

from geomkit.laws.pairs import CONFIRMATION
from geomkit.studies.size_laws.rows import LawVerdict, Models, PairVerdict, Standing, Trend, WidthResidual
from geomkit.tables.findings import (
    REFUTED,
    SUPPORTED,
    Finding,
    Inputs,
    claims,
    conjunction,
    estimate,
    from_interval,
    from_law,
    same,
    scope,
    sign_of,
)

LEAST = 1e-9
"""Exponents closer than this are of one number: no text is shorter than a model is wide."""
RATIO, ERANK, PAPER = "rate_distortion_ratio", "erank_covariance", "rate_distortion_paper"
PLACE = ("family", "published", "corpus", "layer", "length", "normalise")
LAST, UNIT = "last", "unit"


def beyond(inputs: Inputs, metric: str, claimed: int) -> list[Finding]:
    """The slopes of the pair model at the primary endpoint: of the confirmatory test, and of what explores on one corpus."""
    every = [row for row in inputs.rows("scaling/pairs.csv", PairVerdict) if (row.metric, row.layer) == (metric, LAST)]
    rows, centred = ([row for row in every if row.normalise == mode] for mode in (UNIT, "centre-unit"))
    widths = inputs.rows("scaling/residuals.csv", WidthResidual)
    tests = [row for row in rows if row.standing is Standing.CONFIRMATORY]
    others = [row for row in rows if row.standing is Standing.EXPLORATORY and " + " not in row.corpus]
    return [
        Finding.of(
            row,
            "exponent with N minus that of the projected null (slope), unit rows",
            from_law(row.verdict, row.slope, claimed),
            ". ".join(filter(None, ["; ".join([words(row), *beside_test(row, rows, centred)]), predicted(row, widths)])),
            scope=scope(row, None if row.models is Models.ALL else f"{row.models} models, {row.standing}"),
            value=row.slope,
            low=row.slope_low,
            high=row.slope_high,
            margin=row.slope_margin,
            null="projected",
            primary=row.standing is Standing.CONFIRMATORY,
            details="; ".join([*details(row), *secondary(row, centred)]),
        )
        for row in (*tests, *others)
    ]


def words(row: PairVerdict) -> str:
    """The verdict, what width accounts for, and what would decide."""
    if row.slope is None:
        return row.cause
    parts = [str(row.verdict)]
    if row.share is not None and row.share_low is not None and row.share_high is not None:
        parts.append(
            f"width accounts for {row.share:.0%} [{row.share_low:.0%}, {row.share_high:.0%}] of the exponent {row.exponent:+.3f}"
        )
    if sign_of(row.slope_low, row.slope_high) and abs(row.slope) <= row.slope_margin:
        parts.append(f"the interval excludes 0, but the estimate lies within the margin, {row.slope_margin:g}")
    elif row.needed:
        parts.append(f"{row.needed} ({row.sizes} now)")
    parts += [] if row.version_1 is None else [f"version 1: {row.version_1}"]
    return "; ".join(parts)


def secondary(row: PairVerdict, centred: list[PairVerdict]) -> list[str]:
    """The secondary endpoint beside a row: the slope of centred rows, and what the same rule says of it."""
    return [
        f"centred rows (secondary) {estimate(one.slope, one.slope_low, one.slope_high)}, {one.verdict or 'no verdict'}"
        for one in centred
        if (one.models, one.corpus) == (row.models, row.corpus)
    ]


def beside_test(row: PairVerdict, rows: list[PairVerdict], centred: list[PairVerdict]) -> list[str]:
    """What stands beside a confirmatory row: its secondary endpoint, its corpora, and the estimate of all models."""
    if row.standing is not Standing.CONFIRMATORY:
        return []
    others = [
        one
        for one in rows
        if (one.standing is Standing.PART and one.corpus in CONFIRMATION.corpora)
        or (one.standing is Standing.POOLED and one.corpus == row.corpus)
    ]
    words = [f"{one.models} models on {one.corpus} {estimate(one.slope, one.slope_low, one.slope_high)}" for one in others]
    return [*secondary(row, centred), *words]


def predicted(row: PairVerdict, widths: list[WidthResidual]) -> str:
    """The protocol's one prediction: new seeds of the widest old width lie below the line of the others, on Wikipedia."""
    widest = max(CONFIRMATION.seeds)
    seeds = [
        one
        for one in widths
        if same(one, row, "family", "corpus", "metric", "layer", "normalise", "length")
        and (one.models, one.width, row.models, row.corpus) == (Models.OLD, widest, Models.OLD, CONFIRMATION.corpora[0])
        and one.seed in CONFIRMATION.seeds[widest]
    ]
    if not seeds or row.metric != ERANK:
        return ""
    numbers = ", ".join(f"{one.from_line:+.3f} of seed {one.seed}" for one in seeds)
    met = "met" if all(one.from_line < 0 for one in seeds) else "not met"
    return f"The prediction that width {widest} lies below the line of the others is {met}: {numbers}"


def details(row: PairVerdict) -> list[str]:
    """Remarks: sag and level, what could be detected, why versions differ, and what is printed beside."""
    if row.slope is None:
        return []
    notes = [
        row.cause,
        f"sag {estimate(row.sag, row.sag_low, row.sag_high)}",
        f"level {estimate(row.level, row.level_low, row.level_high)}",
    ]
    if row.p is not None:
        notes.append(f"p = {row.p:.2g} of a slope of 0, {row.p_slope:.2g} of one beyond the margin, adjusted over two metrics")
    if row.version_1 is not None:
        notes.append(f"version 1 gave {row.version_1}: {row.why_versions_differ}")
    notes.append(f"the widest donor alone {estimate(row.widest_donor)}, through the origin {estimate(row.through_origin)}")
    notes.append(f"rescaled spectra {estimate(row.random_directions)} (random directions), {estimate(row.stretched)} (stretched)")
    return notes


@claims.register(
    "effective rank grows beyond width",
    statement="The effective rank of hidden states grows with model size beyond what width alone gives.",
    source="after Wei et al. 2024",
    headline=1,
)
def effective_rank_grows(inputs: Inputs) -> list[Finding]:
    return beyond(inputs, ERANK, 1)


@claims.register(
    "normalised entropy falls beyond width",
    statement="Rate-distortion entropy over its bound falls with model size beyond what width alone gives.",
    source="after Tan, Li, Huang 2024",
    headline=2,
)
def normalised_entropy_falls(inputs: Inputs) -> list[Finding]:
    return beyond(inputs, RATIO, -1)


def laws(inputs: Inputs, metric: str) -> list[LawVerdict]:
    """Laws at the last block on unit rows, by length."""
    rows = inputs.rows("scaling/verdicts.csv", LawVerdict)
    rows = [row for row in rows if (row.metric, row.layer, row.normalise) == (metric, LAST, UNIT) and row.exponent is not None]
    return sorted(rows, key=lambda row: row.length or 0)


@claims.register(
    "the sign follows tokens per dimension",
    statement="Normalised entropy rises with model size in short texts and falls in long ones.",
    source="ours",
    headline=3,
)
def sign_follows_length(inputs: Inputs) -> list[Finding]:
    """Supported where the exponent is positive at the shortest length and negative at the longest."""
    findings = []
    for row in inputs.rows("scaling/trends.csv", Trend):
        if (row.control, row.metric, row.layer, row.normalise) != ("length", RATIO, LAST, UNIT):
            continue
        mine = [one for one in laws(inputs, RATIO) if same(one, row, "family", "corpus")]
        if len(mine) < 2:
            continue
        short, long = mine[0], mine[-1]
        verdicts = (
            from_interval(short.exponent_low, short.exponent_high, 1),
            from_interval(long.exponent_low, long.exponent_high, -1),
        )
        findings.append(
            Finding.of(
                row,
                "exponent with N at the shortest length minus that at the longest, unit rows",
                conjunction(verdicts),
                ", ".join(f"{one.exponent:+.3f} at {one.length} tokens{projected(one)}" for one in (short, long)),
                value=row.trend,
                low=row.trend_low,
                high=row.trend_high,
            )
        )
    return findings


def projected(row: LawVerdict) -> str:
    """The exponent of the projected null, in words."""
    return "" if row.difference is None or row.exponent is None else f" (projected {row.exponent - row.difference:+.3f})"


@claims.register(
    "the normaliser makes the law",
    statement="Where texts are shorter than models are wide, the paper's normaliser itself makes the entropy fall with size.",
    source="ours",
    headline=4,
    exact=True,
)
def normaliser(inputs: Inputs) -> list[Finding]:
    """At the shortest length; the two numbers differ by a factor that is known, so there is no interval."""
    findings = []
    for row in laws(inputs, RATIO):
        papers = [one for one in laws(inputs, PAPER) if same(one, row, *PLACE)]
        shorter = [
            one for one in laws(inputs, RATIO) if same(one, row, "family", "corpus") and (one.length or 0) < (row.length or 0)
        ]
        if not papers or shorter or row.exponent is None or papers[0].exponent is None:
            continue
        part = papers[0].exponent - row.exponent
        if abs(part) >= LEAST:
            findings.append(
                Finding(
                    scope=scope(row),
                    effect=f"exponent with N as the paper normalises minus that over the bound, {row.length} tokens",
                    value=part,
                    null="the bound of n rows in d dimensions",
                    verdict=SUPPORTED if part < 0 else REFUTED,
                    reason=f"{papers[0].exponent:+.3f} by the paper's norm, {row.exponent:+.3f} over the bound",
                )
            )
    return findings
