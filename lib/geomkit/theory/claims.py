"""Claims about the theory of skills: conditional entropy behind the laws of size and data, and small steps."""

from collections.abc import Callable
from dataclasses import replace

from geomkit.tables.findings import REFUTED, SUPPORTED, UNTESTED, ClaimVerdict, Finding, Inputs, claims, from_interval
from geomkit.theory.rows import Conclusion, Status, Test

Meaning = Callable[[Conclusion], ClaimVerdict]


def findings(
    inputs: Inputs,
    *tests: Test,
    null: str | None,
    beside: Test | None = None,
    against: float | None = None,
    meaning: Meaning = lambda row: row.status.verdict,
) -> list[Finding]:
    """Make findings from all cases of these tests; the first has the test `beside` them in its details."""
    rows = inputs.rows("theory/conclusions.csv", Conclusion)
    results = [finding(row, meaning(row), null, against) for row in rows if row.test in tests]
    others = "; ".join(f"{row.scope}: {row.note}" for row in rows if row.test is beside)
    return [replace(results[0], details=others), *results[1:]] if results else []


def finding(row: Conclusion, verdict: ClaimVerdict, null: str | None, against: float | None) -> Finding:
    """A test as a finding. The least and the most beside a median are no interval: they are given in words. Without `against` the
    value is compared with what the theory predicts, or what a rival does."""
    parts = [str(row.status)] if row.status != verdict or not row.note else []
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
    )


def by_interval(row: Conclusion) -> ClaimVerdict:
    """A verdict on growth beside a null, from the sign of an interval."""
    return UNTESTED if row.status is Status.UNTESTED else from_interval(row.low, row.high, 1)


def of_rival(row: Conclusion) -> ClaimVerdict:
    """A test of the theory as a verdict on its rival."""
    return {Status.THEORY: REFUTED, Status.RIVAL: SUPPORTED}.get(row.status, row.status.verdict)


def of_bias(row: Conclusion) -> ClaimVerdict:
    """A number computed without sampling: where it is printed as another number, it is another number."""
    return SUPPORTED if round(row.effect or 0.0, 3) == 0 else REFUTED


# arithmetic and the grid


@claims.register(
    "the closed forms are right",
    statement="Sampled graphs of texts and skills agree with the closed forms of the theory.",
    source="ours",
)
def closed_forms(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.ARITHMETIC, null="level of the intervals")


@claims.register(
    "the size exponent sets the data exponent",
    statement="The exponents of size and data obey beta = alpha / (1 + alpha).",
    source="ours, implied by Tan, Li, Huang 2024",
)
def exponent_relation(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.RELATION, null="the theory", beside=Test.OTHER_RELATIONS)


@claims.register(
    "size and data have one exponent",
    statement="The exponents of size and data are one: beta = alpha.",
    source="ours, the theory's rival",
)
def exponent_rival(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.RIVAL, null="one exponent", against=0.0, meaning=of_rival)


@claims.register(
    "the exact curve predicts losses",
    statement="The theory's exact curve of trigrams predicts the loss of sizes left out as well as power laws do.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def exact_curve(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.CURVE, null="the better power law", beside=Test.OTHER_CURVES)


@claims.register(
    "a sum of power laws finds the theory's exponents",
    statement="Chinchilla's sum, fitted to the theory's own curve, finds beta = alpha / (1 + alpha).",
    source="ours",
)
def sum_on_exact_curve(inputs: Inputs) -> list[Finding]:
    results = findings(inputs, Test.SUM, null="the theory", meaning=of_bias)
    return [one for one in results if one.value is not None]


@claims.register(
    "frequencies have an asymptotic law",
    statement="Frequencies of trigrams fall faster than 1 / rank, so that the theory has a law for endlessly many.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def table_exponent(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.EXPONENT, null="Zipf's law", beside=Test.OTHER_EXPONENTS)


@claims.register(
    "frequencies set the exponents of loss",
    statement="The exponents of the loss are those that the frequencies of trigrams give.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def table_predicts(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.ALPHA, Test.BETA, null="the frequencies")


# n-grams


@claims.register(
    "one entropy serves all skills",
    statement="The gap of a trigram model is one entropy times the frequency of the trigrams that it lacks.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def one_entropy(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.CONSTANT_BUDGET, null="prediction")


@claims.register(
    "entropies of rank classes add up",
    statement="The gap of a trigram model sums, over rank classes, an entropy times the frequency of the trigrams that it lacks.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def entropies_add(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.CLASS_BUDGET, null="prediction")


@claims.register(
    "larger models learn rarer bigrams",
    statement="The rank up to which bigrams are learnt grows in proportion to the number of parameters.",
    source="Michaud et al. 2023",
)
def quanta(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.QUANTA, null="in proportion to N")


# representations


@claims.register(
    "identities of conditional entropy",
    statement="The chain rule of gains and the law of total covariance hold to rounding.",
    source="ours",
)
def identities(inputs: Inputs) -> list[Finding]:
    """Numbers near 10^-15 are given in words: a table of three decimals would show zeros."""
    results = findings(inputs, Test.IDENTITY, null=None)
    return [replace(one, value=None, reason=f"{one.reason}, {one.effect} {one.value:.1e}") for one in results]


@claims.register(
    "conditional entropy of tokens grows",
    statement="What a token adds to those before it grows with model size beyond what width gives.",
    source="ours, after Tan, Li, Huang 2024",
)
def conditional_entropy(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.CONDITIONAL, null="projected", meaning=by_interval)


@claims.register(
    "documents take a growing share of variance",
    statement="The share of variance that lies between documents grows with model size beyond what width gives.",
    source="ours",
)
def between_documents(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.DOCUMENTS, null="projected", meaning=by_interval)


# planted facts


@claims.register(
    "models hold facts in proportion to their size",
    statement="Trained on planted facts, a model of N parameters has the gap of one that holds cN facts.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_by_size(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.FACTS_SIZE, null="in proportion to N")


@claims.register(
    "one capacity serves all frequencies",
    statement="The number of planted facts that a parameter holds does not depend on the exponent of their frequencies.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_one_capacity(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.FACTS_CAPACITY, null="one c")


@claims.register(
    "the gap of planted facts falls as the exact curve",
    statement="The gap falls with size with the exponent of the theory's exact curve.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_by_curve(inputs: Inputs) -> list[Finding]:
    """Covering a slope does not show it: only another slope decides."""
    return findings(inputs, Test.FACTS_GAP, null="exact curve")


@claims.register(
    "models hold the most frequent facts",
    statement="The planted facts that a model holds are the most frequent ones.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_most_frequent(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.FACTS_MOST_FREQUENT, null="the theory")


@claims.register(
    "knowledge has a sharp edge",
    statement="Between planted facts that are held and those that are not there is a sharp edge in rank.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_edge(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.FACTS_EDGE, null="the theory")


@claims.register(
    "the gap is of facts that are not held",
    statement="The gap of planted facts lies at ranks beyond those that the theory says are held.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_inside(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.FACTS_INSIDE, null="the theory")


@claims.register(
    "a fact that is not held costs its whole entropy",
    statement="Planted facts far beyond the edge, and those that training never showed, cost ln 64.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_beyond(inputs: Inputs) -> list[Finding]:
    """Models on one side of what the theory says contradict it; models on both sides decide nothing."""
    return findings(inputs, Test.FACTS_BEYOND, Test.FACTS_UNSEEN, null="ln 64")


@claims.register(
    "facts are learnt once seen often enough",
    statement="The gap of planted facts falls with the number of texts as if a fact were learnt once it was seen tau times.",
    source="ours, implied by Tan, Li, Huang 2024",
)
def facts_by_data(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.FACTS_DATA, null="the exact sum")


# small steps


@claims.register(
    "steps of training are small",
    statement="Every step of real training is so small that Fisher's quadratic form gives its KL to 10 %.",
    source="Tan, Li, Huang 2024",
)
def steps_of_training(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.STEPS_OF_TRAINING, null="the quadratic form")


@claims.register(
    "the quadratic form has a radius",
    statement="Along a direction from trained weights Fisher's quadratic form gives the KL to 10 % up to some length only.",
    source="ours",
)
def radii(inputs: Inputs) -> list[Finding]:
    return findings(inputs, Test.STEPS_BY_CHANCE, Test.STEPS_ALONG_GRADIENT, null=None)
