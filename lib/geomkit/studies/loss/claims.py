"""Claims about the loss: laws with model size and data, and what a metric adds to them."""

from collections.abc import Iterator, Mapping

from geomkit.laws.forms import Status
from geomkit.laws.lack_of_fit import Fitness
from geomkit.studies.loss.rows import DataLaw, DataLaws, GridDraw
from geomkit.tables.endpoints import Interval
from geomkit.tables.findings import (
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    UNTESTED,
    Finding,
    Inputs,
    claims,
    estimate,
    from_interval,
    scope,
    sign_of,
)
from geomkit.tables.fits import EntropyLoss, Fitted, LossAxes, PeerValue, SizeLaw

OFFSET = "offset_power"
AXES = {"params_nonembedding": "parameters without embeddings", "params_total": "all parameters", "width": "width"}
WORDS = {Fitness.REJECTED: "rejected", Fitness.NOT_REJECTED: "not rejected", Fitness.UNTESTED: "untested"}
RATIO, SIZE = "rate_distortion_ratio", "params_nonembedding"


def places(inputs: Inputs) -> list[LossAxes]:
    return inputs.rows("scaling/loss_axes.json", LossAxes)


def where(entry: LossAxes) -> str:
    return f"{entry.family} on {entry.corpus}, {entry.pieces} {entry.place}"


def of_form(inputs: Inputs, form: str) -> list[Finding]:
    """Judge a form of law on every measure of size: refuted where seeds reject it. One that they do not supports nothing."""
    return [law_finding(entry, law) for entry in places(inputs) for law in entry.laws if law.form == form]


def law_finding(entry: LossAxes, law: SizeLaw) -> Finding:
    verdict = {Fitness.REJECTED: REFUTED, Fitness.UNTESTED: UNTESTED}.get(law.lack, UNDECIDED)
    error = "" if law.error_left_out is None else f"; error on sizes left out {law.error_left_out:.2%}"
    low, high = law.interval.get("E", (None, None))
    return Finding(
        scope=f"{where(entry)}, {AXES[law.against]}",
        effect="irreducible loss in nats a token" if law.form == OFFSET else "fit",
        value=law.params["E"] if "E" in law.interval else None,
        low=low,
        high=high,
        sizes=law.n,
        verdict=verdict,
        reason=f"{WORDS[law.lack] if law.status is not Status.FAILED else 'no fit'}: {law.lack_reason}{error}",
    )


@claims.register(
    "the loss has a floor",
    statement="The loss is a power of model size above an irreducible loss.",
    source="Hoffmann et al. 2022",
)
def offset_power(inputs: Inputs) -> list[Finding]:
    return of_form(inputs, OFFSET)


@claims.register(
    "the loss is a power of size",
    statement="The loss is a power of model size, without an irreducible loss.",
    source="Kaplan et al. 2020",
    headline=4,
)
def power(inputs: Inputs) -> list[Finding]:
    return of_form(inputs, "power")


@claims.register(
    "the loss falls with the logarithm of size",
    statement="The loss falls by as much with each doubling of model size.",
    source="ours",
)
def log_linear(inputs: Inputs) -> list[Finding]:
    return of_form(inputs, "log_linear")


@claims.register(
    "the irreducible loss is determined",
    statement="The irreducible loss is the same whatever measures the size of models.",
    source="ours",
)
def one_offset(inputs: Inputs) -> list[Finding]:
    findings = []
    for entry in places(inputs):
        known = {law.against: law for law in entry.laws if law.form == OFFSET and "E" in law.interval}
        intervals = [law.interval["E"] for law in known.values()]
        verdict = UNDECIDED if len(known) > 1 else UNTESTED
        if any(apart(one, other) for one in intervals for other in intervals):
            verdict = REFUTED
        numbers = [f"{estimate(law.params['E'], *law.interval['E'], 2, '')} with {AXES[name]}" for name, law in known.items()]
        few = "fewer than two measures of size have a law that seeds do not reject"
        reason = ", ".join(numbers) if len(known) > 1 else "; ".join([few, *numbers])
        effect = "irreducible losses in nats a token"
        findings.append(Finding(scope=where(entry), effect=effect, sizes=entry.laws[0].n, verdict=verdict, reason=reason))
    return findings


def apart(one: Interval, other: Interval) -> bool:
    """Whether the first interval lies entirely below the second."""
    return one[1] is not None and other[0] is not None and one[1] < other[0]


@claims.register(
    "entropy foretells the loss",
    statement="A metric of hidden states lowers the error with which the best law of size foretells the loss of other sizes.",
    source="ours",
)
def entropy_foretells(inputs: Inputs) -> list[Finding]:
    """At the last block alone: at the final state nothing is known without the norm's gain and bias. Errors have no interval, so
    that one which is lower supports nothing; one which is not lower refutes."""
    rows = [row for row in inputs.rows("scaling/entropy_loss.json", EntropyLoss) if row.layer == "last"]
    nulls = {(row.family, row.corpus, row.metric): row for row in rows if row.variant == "projected"}
    findings = []
    for row in rows:
        errors = [error for error in (row.error_law_and_metric, row.error_joint) if error is not None]
        if row.variant != "trained" or row.error_law is None or not errors:
            continue
        gain = min(errors) - row.error_law
        findings.append(
            Finding.of(
                row,
                "error on sizes left out with the metric minus without, nats a token",
                REFUTED if gain >= 0 else UNDECIDED,
                f"{row.error_law:.4f} by {row.law_form} of {AXES[str(row.law_against)]}, at best {min(errors):.4f} with it"
                f"{beside_null(nulls.get((row.family, row.corpus, row.metric)))}",
                scope=scope(row, row.metric),
                value=gain,
                null="the best law of size",
            )
        )
    return findings


def beside_null(null: EntropyLoss | None) -> str:
    """Errors with the metric and with its projected null, at the null's sizes."""
    if null is None:
        return ""
    own = [error for error in (null.error_law_and_metric, null.error_joint) if error is not None]
    trained = [error for error in (null.error_law_and_trained, null.error_joint_trained) if error is not None]
    if not own or not trained:
        return ""
    return f"; at the {null.sizes} sizes of the projected null {min(trained):.4f}, with the null {min(own):.4f}"


def grids(inputs: Inputs) -> Iterator[tuple[str, GridDraw]]:
    """The draws of the grid over size and data, each with its name."""
    laws = inputs.single("scaling/data_laws.json", DataLaws)
    for draw in laws.draws if laws else ():
        yield f"grid of {draw.cells} cells, draw {draw.seed} of documents", draw


@claims.register(
    "exponents of size and data are the published ones",
    statement="The loss falls with model size and data by the published exponents.",
    source="Kaplan et al. 2020; Hoffmann et al. 2022",
)
def published_exponents(inputs: Inputs) -> list[Finding]:
    """Refuted only where the interval excludes the published value, on the same side, with and without cells whose longest
    training is best."""
    findings = []
    for name, draw in grids(inputs):
        inner = {law.form: law for law in draw.laws_without_longest}
        for law in draw.laws:
            findings += [exponent(name, law, inner.get(law.form), peer) for peer in law.peers if peer.parameter in law.params]
    return findings


def exponent(grid: str, law: DataLaw, inner: Fitted | None, peer: PeerValue) -> Finding:
    name = peer.parameter
    low, high = law.bootstrap.get(name, (None, None))
    without = inner.interval.get(name) if inner is not None else None
    sides = {sign_of(*interval, peer.value) for interval in ((low, high), without or (None, None))}
    words = "" if inner is None or without is None else estimate(inner.params[name], *without, sign="")
    return Finding(
        scope=f"{grid}, {law.form}, {name}",
        effect=f"{name} of the form {law.form}, interval over cells",
        value=law.params[name],
        low=low,
        high=high,
        null=f"published by {peer.law}",
        against=peer.value,
        verdict=REFUTED if sides in ({-1}, {1}) else UNDECIDED,
        reason=f"without cells whose longest training is best: {words or 'no interval'}",
    )


@claims.register(
    "Kaplan's form is the better one",
    statement="Kaplan's form of size and data foretells the loss of sizes left out better than Chinchilla's sum.",
    source="ours",
)
def better_form(inputs: Inputs) -> list[Finding]:
    """Supported or refuted where all draws of documents agree; errors have no interval."""
    errors = {name: draw.errors[SIZE] for name, draw in grids(inputs)}
    pairs = {name: (of["kaplan"], of["chinchilla"]) for name, of in errors.items()}
    known = {name: (own, other) for name, (own, other) in pairs.items() if own is not None and other is not None}
    if not known:
        return []
    better = {own < other for own, other in known.values()}
    verdict = UNDECIDED if len(known) < 2 or len(better) > 1 else SUPPORTED
    return [
        Finding(
            scope="the ladder's grid",
            effect="error on sizes left out, nats a token",
            verdict=REFUTED if verdict is SUPPORTED and better == {False} else verdict,
            reason="; ".join(
                f"{name}: {own:.3f} by Kaplan's, {other:.3f} by Chinchilla's" for name, (own, other) in known.items()
            ),
            details="Kaplan's form was tried after Chinchilla's sum had been seen to miss",
        )
    ]


@claims.register(
    "entropy goes with the loss at fixed size and data",
    statement="Of trainings of one model size on as much data, those of lower normalised entropy have the lower loss.",
    source="ours",
)
def entropy_at_fixed_size_and_data(inputs: Inputs) -> list[Finding]:
    """Decided only where the interval says the same without the smallest amount of data, which is one to four documents."""
    findings = []
    for name, draw in grids(inputs):
        if (metric := draw.metrics.get(RATIO)) is None:
            continue
        own, more = (of.get("size and data") for of in (metric.correlations, metric.correlations_without_least_data))
        if own is None:
            continue
        told = [from_interval(one.low, one.high, 1) if one is not None else UNDECIDED for one in (own, more)]
        without = "unknown" if more is None else estimate(more.value, more.low, more.high, 2)
        findings.append(
            Finding.of(
                own,
                "correlation of ln of the ratio and the loss, size and data held fixed",
                told[0] if told[0] is told[1] else UNDECIDED,
                f"without the smallest amount of data {without}",
                scope=f"{name}, {RATIO}",
                details=over_data(metric.over_data_by_size),
            )
        )
    return findings


def over_data(by_size: Mapping[str, float | None]) -> str:
    known = [(size, value) for size, value in by_size.items() if value is not None]
    return "over data alone: " + ", ".join(f"{value:+.2f} at N = {size}" for size, value in known) if known else ""
