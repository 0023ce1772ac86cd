"""Claims about the theory of skills against conclusions made by hand: verdicts follow from statuses, and each is a claim."""

from dataclasses import dataclass
from typing import Any

import pytest

from geomkit.tables.findings import ClaimVerdict, Finding, claims
from geomkit.theory import claims as theory
from geomkit.theory.rows import Conclusion, Status

NAMES = [name for name in claims if claims[name].__module__ == theory.__name__]
ROW = Conclusion(
    name="exponent-relation", scope="here", question="Is it?", primary=True, status=Status.THEORY, unit="x", effect=0.1, low=-0.1,
    high=0.3, spread=False, predicted=0.0, rival=None, note="why",
)  # fmt: skip


@dataclass
class Given:
    """Inputs that hold these conclusions."""

    given: list[Conclusion]

    def rows(self, name: str, record: type) -> list[Any]:
        return self.given if (name, record) == ("theory/conclusions.csv", Conclusion) else []


def judged(name: str, *rows: Conclusion) -> list[Finding]:
    return claims[name](Given(list(rows)))


def conclusion(name: str, status: str, **columns: Any) -> Conclusion:
    return Conclusion(**vars(ROW) | {"name": name, "status": Status(status)} | columns)


@pytest.mark.parametrize(
    ("claim", "name", "verdicts"),
    [
        (
            "the size exponent sets the data exponent",
            "exponent-relation",
            {"theory": "supported", "rival": "refuted", "neither": "refuted", "undecided": "undecided", "failed": "undecided"},
        ),
        ("size and data have one exponent", "exponent-rival", {"theory": "refuted", "rival": "supported", "neither": "refuted"}),
        (
            "models hold facts in proportion to their size",
            "facts-size-a0.5",
            {"supported": "supported", "contradicted": "refuted", "untested": "untested", "undecided": "undecided"},
        ),
        ("steps of training are small", "small-steps-training-s+1", {"within": "supported", "partly": "refuted"}),
        ("one entropy serves all skills", "budget-constant-training", {"right, better": "supported", "wrong": "refuted"}),
        ("the closed forms are right", "skill-graph-arithmetic", {"agrees": "supported", "differs": "refuted"}),
        ("knowledge has a sharp edge", "facts-edge", {"sharp": "supported", "gradual": "refuted", "mixed": "undecided"}),
    ],
)
def test_a_status_has_its_verdict(claim, name, verdicts):
    for status, verdict in verdicts.items():
        (found,) = judged(claim, conclusion(name, status))
        assert found.verdict == ClaimVerdict(verdict)
        assert found.reason == ("why" if status == verdict else f"{status}: why")
        assert (found.value, found.low, found.high, found.primary, found.scope) == (0.1, -0.1, 0.3, True, "here")


def test_growth_beside_a_null_is_the_sign_of_its_interval():
    ends = {(-0.1, 0.3): "undecided", (0.1, 0.3): "supported", (-0.3, -0.1): "refuted"}
    for (low, high), verdict in ends.items():
        (found,) = judged(
            "conditional entropy of tokens grows", conclusion("conditional-entropy-last", "beyond width", low=low, high=high)
        )
        assert found.verdict == ClaimVerdict(verdict)
    (found,) = judged("conditional entropy of tokens grows", conclusion("conditional-entropy-last", "untested", effect=None))
    assert found.verdict is ClaimVerdict.UNTESTED


def test_a_bias_is_one_at_the_digits_that_are_printed():
    for effect, verdict in {0.0004: "supported", -0.0006: "refuted", 0.2: "refuted"}.items():
        (found,) = judged(
            "a sum of power laws finds the theory's exponents", conclusion("sum-on-exact-curve", "converged", effect=effect)
        )
        assert found.verdict == ClaimVerdict(verdict)


def test_the_least_and_the_most_are_no_interval():
    row = conclusion("facts-most-frequent", "contradicted", effect=0.6, low=0.55, high=0.7, spread=True)
    (found,) = judged("models hold the most frequent facts", row)
    assert (found.value, found.low, found.high) == (0.6, None, None)
    assert found.reason == "contradicted: from 0.550 to 0.700; why"


def test_numbers_of_rounding_are_told_in_words():
    (found,) = judged("identities of conditional entropy", conclusion("identity-chain-rule", "holds", effect=2.2e-15, note=""))
    assert found.value is None
    assert found.reason == "holds, x 2.2e-15"


def test_what_other_combinations_say_stands_beside_the_primary_one():
    rows = conclusion("exponent-relation", "theory"), conclusion("exponent-relation-sensitivity", "counted", scope="24 others")
    (found,) = judged("the size exponent sets the data exponent", *rows)
    assert found.details == "24 others: why"


@pytest.mark.parametrize("name", NAMES)
def test_without_conclusions_nothing_is_found(name):
    assert judged(name) == []
    assert claims.facts[name]["statement"].endswith(".")


def test_a_curve_is_held_against_the_laws_beside_it():
    row = conclusion("exact-curve", "does not describe", effect=0.8, low=None, high=None, predicted=None, rival=0.017)
    (found,) = judged("the exact curve predicts losses", row)
    assert (found.against, found.verdict) == (0.017, ClaimVerdict.REFUTED)
