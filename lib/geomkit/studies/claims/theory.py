"""Claims about the theory of skills: conditional entropy behind the laws of size and data, and small steps."""

from collections.abc import Mapping
from dataclasses import replace

from geomkit.store.findings import Finding, Inputs, claims, from_interval
from geomkit.store.records.claims import ClaimVerdict
from geomkit.store.records.theory import Conclusion

SUPPORTED, REFUTED, UNDECIDED, UNTESTED = (
    ClaimVerdict.SUPPORTED,
    ClaimVerdict.REFUTED,
    ClaimVerdict.UNDECIDED,
    ClaimVerdict.UNTESTED,
)
Meaning = Mapping[str, ClaimVerdict]
"""What the status of a conclusion means for a claim; `undecided` and `untested` mean themselves."""
OF_THEORY: Meaning = {"theory": SUPPORTED, "rival": REFUTED, "neither": REFUTED}
OF_RIVAL: Meaning = {"theory": REFUTED, "rival": SUPPORTED, "neither": REFUTED}
OF_TEST: Meaning = {"supported": SUPPORTED, "contradicted": REFUTED}
OF_BUDGET: Meaning = {"right": SUPPORTED, "right, better": SUPPORTED, "wrong": REFUTED, "wrong, better": REFUTED}
ITSELF: Meaning = {"undecided": UNDECIDED, "untested": UNTESTED}


def conclusions(inputs: Inputs, *names: str) -> list[Conclusion]:
    """Rows whose names begin with one of these, in the order of the file."""
    return [row for row in inputs.rows("theory_conclusions.csv", Conclusion) if row.name.startswith(names)]


def findings(
    inputs: Inputs,
    names: str | tuple[str, ...],
    meaning: Meaning,
    null: str | None,
    beside: str = "",
    against: float | None = None,
) -> list[Finding]:
    """Each conclusion as a finding; what the conclusion called `beside` says goes into the first one's details."""
    rows = conclusions(inputs, *([names] if isinstance(names, str) else names))
    details = [f"{row.scope}: {row.note}" for row in conclusions(inputs, beside)] if beside else []
    main = [row for row in rows if row.name != beside]
    return [finding(row, meaning, null, "; ".join(details) if place == 0 else "", against) for place, row in enumerate(main)]


def finding(row: Conclusion, meaning: Meaning, null: str | None, details: str = "", against: float | None = None) -> Finding:
    """The verdict is that of the status; a status that the claim does not know decides nothing. The least and the most beside a
    median are no interval: they are told in words."""
    verdict = {**meaning, **ITSELF}.get(row.status, UNDECIDED)
    parts = [row.status] if row.status != verdict or not row.note else []
    parts += [f"from {row.low:.3f} to {row.high:.3f}"] if row.spread else []
    parts += [row.note] if row.note else []
    return Finding(
        scope=row.scope,
        effect=row.unit or "no number",
        verdict=verdict,
        reason=": ".join([parts[0], "; ".join(parts[1:])]) if parts[1:] else parts[0],
        value=row.effect,
        low=None if row.spread else row.low,
        high=None if row.spread else row.high,
        null=null if row.effect is not None else None,
        against=round(next((value for value in (against, row.predicted, row.rival) if value is not None), 0.0), 3),
        primary=row.primary,
        details=details,
    )


def by_interval(inputs: Inputs, name: str) -> list[Finding]:
    """Growth beside a null: the sign of an interval."""
    found = []
    for row in conclusions(inputs, name):
        verdict = UNTESTED if row.status == "untested" else from_interval(row.low, row.high, 1)
        found.append(finding(row, {row.status: verdict}, "projected"))
    return found


# arithmetic and the grid


@claims.register(
    "the closed forms are right",
    statement="Sampled graphs of texts and skills agree with the closed forms of the theory.",
    source="ours",
)
def closed_forms(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "skill-graph-arithmetic", {"agrees": SUPPORTED, "differs": REFUTED}, "level of the intervals")


@claims.register(
    "the size exponent sets the data exponent",
    statement="The exponents of size and data obey beta = alpha / (1 + alpha).",
    source="ours, implied by Tan, Li, Huang 2024",
)
def exponent_relation(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "exponent-relation", OF_THEORY, "the theory", beside="exponent-relation-sensitivity")


@claims.register(
    "size and data have one exponent",
    statement="The exponents of size and data are one: beta = alpha.",
    source="ours, the theory's rival",
)
def exponent_rival(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "exponent-rival", OF_RIVAL, "one exponent", against=0.0)


@claims.register(
    "the exact curve predicts losses",
    statement="The theory's exact curve of trigrams predicts the loss of sizes left out as well as power laws do.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def exact_curve(inputs: Inputs) -> list[Finding]:
    meaning = {"describes": SUPPORTED, "does not describe": REFUTED}
    return findings(inputs, "exact-curve", meaning, "the better power law", beside="exact-curve-sensitivity")


@claims.register(
    "a sum of power laws finds the theory's exponents",
    statement="Chinchilla's sum, fitted to the theory's own curve, finds beta = alpha / (1 + alpha).",
    source="ours",
)
def sum_on_exact_curve(inputs: Inputs) -> list[Finding]:
    """Computed without sampling: what is printed as another number is another number."""
    return [
        finding(row, {row.status: SUPPORTED if round(row.effect or 0.0, 3) == 0 else REFUTED}, "the theory")
        for row in conclusions(inputs, "sum-on-exact-curve")
        if row.effect is not None
    ]


@claims.register(
    "frequencies have an asymptotic law",
    statement="Frequencies of trigrams fall faster than 1 / rank, so that the theory has a law for endlessly many.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def table_exponent(inputs: Inputs) -> list[Finding]:
    meaning = {"law": SUPPORTED, "no asymptotic law": REFUTED}
    return findings(inputs, "table-exponent", meaning, "Zipf's law", beside="table-exponent-sensitivity")


@claims.register(
    "frequencies set the exponents of loss",
    statement="The exponents of the loss are those that the frequencies of trigrams give.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def table_predicts(inputs: Inputs) -> list[Finding]:
    return findings(inputs, ("table-alpha", "table-beta"), OF_THEORY, "the frequencies")


# n-grams


@claims.register(
    "one entropy serves all skills",
    statement="The gap of a trigram model is one entropy times the frequency of the trigrams that it lacks.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def one_entropy(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "budget-constant", OF_BUDGET, "prediction")


@claims.register(
    "entropies of rank classes add up",
    statement="The gap of a trigram model sums, over rank classes, an entropy times the frequency of the trigrams that it lacks.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def entropies_add(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "budget-by-class", OF_BUDGET, "prediction")


@claims.register(
    "larger models learn rarer bigrams",
    statement="The rank up to which bigrams are learnt grows in proportion to the number of parameters.",
    source="Michaud et al. 2023",
)
def quanta(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "quanta", OF_THEORY, "in proportion to N")


# representations


@claims.register(
    "identities of conditional entropy",
    statement="The chain rule of gains and the law of total covariance hold to rounding.",
    source="ours",
)
def identities(inputs: Inputs) -> list[Finding]:
    """Numbers near 10^-15 are told in words: a table of three decimals has none of them."""
    return [
        replace(found, value=None, null=None, reason=f"{found.reason}, {found.effect} {found.value:.1e}")
        for found in findings(inputs, "identity", {"holds": SUPPORTED, "broken": REFUTED}, None)
    ]


@claims.register(
    "conditional entropy of tokens grows",
    statement="What a token adds to those before it grows with model size beyond what width gives.",
    source="ours, after Tan, Li, Huang 2024",
)
def conditional_entropy(inputs: Inputs) -> list[Finding]:
    return by_interval(inputs, "conditional-entropy")


@claims.register(
    "documents take a growing share of variance",
    statement="The share of variance that lies between documents grows with model size beyond what width gives.",
    source="ours",
)
def between_documents(inputs: Inputs) -> list[Finding]:
    return by_interval(inputs, "between-documents")


# planted facts


@claims.register(
    "models hold facts in proportion to their size",
    statement="Trained on planted facts, a model of N parameters has the gap of one that holds cN facts.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_by_size(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "facts-size", OF_TEST, "in proportion to N")


@claims.register(
    "one capacity serves all frequencies",
    statement="The number of planted facts that a parameter holds does not depend on the exponent of their frequencies.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_one_capacity(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "facts-one-c", OF_TEST, "one c")


@claims.register(
    "the gap of planted facts falls as the exact curve",
    statement="The gap falls with size with the exponent of the theory's exact curve.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_by_curve(inputs: Inputs) -> list[Finding]:
    """Covering a slope does not show it: only another slope decides."""
    return findings(inputs, "facts-gap", {"covers the curve's slope": UNDECIDED, "has another slope": REFUTED}, "exact curve")


@claims.register(
    "models hold the most frequent facts",
    statement="The planted facts that a model holds are the most frequent ones.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_most_frequent(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "facts-most-frequent", {"as predicted": SUPPORTED, "contradicted": REFUTED}, "the theory")


@claims.register(
    "knowledge has a sharp edge",
    statement="Between planted facts that are held and those that are not there is a sharp edge in rank.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_edge(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "facts-edge", {"sharp": SUPPORTED, "gradual": REFUTED}, "the theory")


@claims.register(
    "the gap is of facts that are not held",
    statement="The gap of planted facts lies at ranks beyond those that the theory says are held.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_inside(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "facts-inside", {"mostly beyond": SUPPORTED, "contradicted": REFUTED}, "the theory")


@claims.register(
    "a fact that is not held costs its whole entropy",
    statement="Planted facts far beyond the edge, and those that training never showed, cost ln 64.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_beyond(inputs: Inputs) -> list[Finding]:
    """Models on one side of what the theory says contradict it; models on both sides decide nothing."""
    meaning = {"partial knowledge": REFUTED, "confident errors": REFUTED, "mixed": UNDECIDED}
    return findings(inputs, ("facts-beyond", "facts-unseen"), meaning, "ln 64")


@claims.register(
    "facts are learnt once seen often enough",
    statement="The gap of planted facts falls with the number of texts as if a fact were learnt once it was seen tau times.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_by_data(inputs: Inputs) -> list[Finding]:
    return findings(inputs, "facts-data", OF_TEST, "the exact sum")


# small steps


@claims.register(
    "steps of training are small",
    statement="Every step of real training is so small that Fisher's quadratic form gives its KL to 10 %.",
    source="Tan, Li, Huang 2024",
)
def steps_of_training(inputs: Inputs) -> list[Finding]:
    meaning = {"within": SUPPORTED, "partly": REFUTED, "outside": REFUTED}
    return findings(inputs, "small-steps-training", meaning, "the quadratic form")


@claims.register(
    "the quadratic form has a radius",
    statement="Along a direction from trained weights Fisher's quadratic form gives the KL to 10 % up to some length only.",
    source="ours",
)
def radii(inputs: Inputs) -> list[Finding]:
    meaning = {"radius": SUPPORTED, "holds throughout": REFUTED}
    return findings(inputs, ("small-steps-chance", "small-steps-gradient"), meaning, None)
