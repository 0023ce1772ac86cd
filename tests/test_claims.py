"""Claims against records made by hand: the verdict must follow from the numbers."""

from dataclasses import replace
from pathlib import Path

import pytest

from geomkit.laws.verdicts import Kind
from geomkit.ledger.table import ORDER, write_ledger
from geomkit.studies.size_laws.claims import replicated
from geomkit.studies.size_laws.rows import LawVerdict
from geomkit.studies.tokens.claims import shipped
from geomkit.studies.tokens.rows import TokenScore
from geomkit.tables.findings import Claim, ClaimVerdict, claims, from_interval, from_kind
from geomkit.tables.rows import read_csv, write_csv

JUDGED = {"verdict": Kind.BEYOND, "reason": "why", "difference": 0.05, "low": 0.02, "high": 0.08, "margin": 0.02, "sizes": 6}
ROW = LawVerdict(
    **dict.fromkeys(LawVerdict.JUDGED) | JUDGED,
    family="f", published=False, corpus="sotu", layer="last", length=256, normalise="unit", eps2=None, metric="erank_covariance",
    primary=True, straddles=False, exponent=0.3, exponent_low=0.2, exponent_high=0.4, difference_with_donor=0.04,
    common_dimension=0.01, common_dimension_low=-0.01, common_dimension_high=0.03,
)  # fmt: skip


def ledger(folder: Path, *rows: LawVerdict, scores: list[TokenScore] | None = None) -> dict[str, list[Claim]]:
    (folder / "claims.csv").unlink(missing_ok=True)
    (folder / "scaling").mkdir(exist_ok=True)
    write_csv(folder / "scaling/verdicts.csv", LawVerdict, rows)
    if scores is not None:
        write_csv(folder / "tokens_summary.csv", TokenScore, scores)
    write_ledger(list(folder.rglob("*.csv")), folder / "claims.csv")
    found: dict[str, list[Claim]] = {}
    for row in read_csv(folder / "claims.csv", Claim):
        found.setdefault(row.claim, []).append(row)
    return found


@pytest.mark.parametrize(
    ("kind", "difference", "expected"),
    [
        (Kind.BEYOND, 0.05, ClaimVerdict.SUPPORTED),
        (Kind.BEYOND, -0.05, ClaimVerdict.REFUTED),
        (Kind.NESTED, 0.001, ClaimVerdict.WIDTH),
        (Kind.UNDECIDED, 0.05, ClaimVerdict.UNDECIDED),
        (Kind.DONOR_DEPENDENT, 0.05, ClaimVerdict.UNDECIDED),
        (Kind.RESCALED, 0.05, ClaimVerdict.UNDECIDED),
        (Kind.NEGLIGIBLE, 0.005, ClaimVerdict.UNDECIDED),
        (Kind.UNTESTED, None, ClaimVerdict.UNTESTED),
    ],
)
def test_only_what_is_beyond_width_supports_or_refutes(kind, difference, expected):
    assert from_kind(kind, difference, 1) is expected
    if kind is Kind.BEYOND:
        assert from_kind(kind, -difference, -1) is expected


def test_an_interval_that_covers_the_other_number_decides_nothing():
    assert from_interval(0.4, 0.6, 1, 0.5) is ClaimVerdict.UNDECIDED
    assert from_interval(0.51, 0.6, 1, 0.5) is ClaimVerdict.SUPPORTED
    assert from_interval(0.1, 0.2, 1, 0.5) is ClaimVerdict.REFUTED
    assert from_interval(None, 0.2, 1) is ClaimVerdict.UNDECIDED


def test_every_claim_is_in_the_ledger_though_nothing_was_measured(tmp_path):
    write_ledger([], tmp_path / "claims.csv")
    rows = read_csv(tmp_path / "claims.csv", Claim)
    assert sorted(row.claim for row in rows) == sorted(claims)
    assert {claims[name].__module__.removesuffix(".claims").rpartition(".")[2] for name in claims} == set(ORDER)
    assert list(dict.fromkeys(row.chapter for row in rows)) == [
        "Laws with model size",
        "Models of one width",
        "Width, depth, seeds and training",
        "The loss",
        "Diff-eRank and published tables",
        "The theory of skills",
        "Tokens",
        "Where the information sits",
    ]
    assert {row.verdict for row in rows} == {ClaimVerdict.UNTESTED}
    assert all(row.statement.endswith(".") and row.source for row in rows)


def test_a_law_beyond_width_supports_its_claim_with_its_numbers(tmp_path):
    (found,) = ledger(tmp_path, ROW)["effective rank grows"]
    assert found.verdict is ClaimVerdict.SUPPORTED
    assert (found.value, found.low, found.high, found.margin, found.sizes) == (0.05, 0.02, 0.08, 0.02, 6)
    assert found.primary
    assert found.scope == "f on sotu, last, 256 tokens, unit"


def test_exploratory_rows_do_not_decide(tmp_path):
    found = ledger(tmp_path, replace(ROW, primary=False, length=64))
    assert found["effective rank grows"][0].verdict is ClaimVerdict.UNTESTED


def test_one_sign_that_differs_between_lengths_refutes_that_all_are_alike(tmp_path):
    ratio = replace(ROW, metric="rate_distortion_ratio", exponent=-0.1, exponent_low=-0.2, exponent_high=-0.05)
    short = replace(ratio, length=16, primary=False, exponent=0.1, exponent_low=0.05, exponent_high=0.2)
    (found,) = ledger(tmp_path, ratio, short)["the sign does not depend on length"]
    assert found.verdict is ClaimVerdict.REFUTED
    assert found.reason == "+0.100 at 16 tokens, -0.100 at 256 tokens"
    (found,) = ledger(tmp_path, ratio)["the sign does not depend on length"]
    assert found.verdict is ClaimVerdict.SUPPORTED


@pytest.mark.parametrize(
    ("first", "again", "sign", "outcome"),
    [
        (Kind.BEYOND, Kind.BEYOND, 1, "confirmed"),
        (Kind.BEYOND, Kind.BEYOND, -1, "contradicted"),
        (Kind.BEYOND, Kind.NESTED, 1, "contradicted"),
        (Kind.NESTED, Kind.NESTED, -1, "confirmed"),
        (Kind.UNDECIDED, Kind.UNDECIDED, 1, "not decidable"),
        (Kind.BEYOND, Kind.UNDECIDED, 1, "not decidable"),
    ],
)
def test_replication_is_what_the_protocol_says(first, again, sign, outcome, tmp_path):
    other = replace(ROW, verdict=again, difference=0.05 * sign, corpus="wikipedia")
    assert replicated(replace(ROW, verdict=first), other) == outcome
    (found,) = ledger(tmp_path, replace(ROW, verdict=first), other)["laws replicate on other texts"]
    assert found.reason.startswith(outcome)


def score(metric: str, **columns: object) -> TokenScore:
    where = {"model": "m", "family": "f", "seed": 0, "corpus": "c", "params_nonembedding": 1, "params_total": 2, "depth": 3}
    where |= {"eps2": 0.5, "variant": "trained", "layer": 3, "sublayer": "block", "name": "last", "d": 8, "documents": 40}
    return TokenScore(**where | {"metric": metric} | columns)


def test_a_correlation_that_shuffled_text_shows_too_supports_nothing(tmp_path):
    own = score("gain_surprisal", method="partial", value=0.2, low=0.1, high=0.3)
    shuffled = replace(own, variant="shuffled", value=0.15, low=0.05, high=0.25)
    (found,) = ledger(tmp_path, scores=[own, shuffled])["information gain is surprisal"]
    assert found.verdict is ClaimVerdict.UNDECIDED
    assert "overlaps" in found.reason
    (found,) = ledger(tmp_path, scores=[own, replace(shuffled, low=-0.1, high=0.05)])["information gain is surprisal"]
    assert found.verdict is ClaimVerdict.SUPPORTED


def test_lasso_is_compared_with_and_without_the_first_token(tmp_path):
    win = score("divergence_win", method="attention_mean", k=8, first=0, n=160, value=0.04, low=0.01, high=0.07)
    found = ledger(tmp_path, scores=[win, replace(win, first=1, value=0.6, low=0.55, high=0.65)])
    rows = found["Lasso outperforms attention for the model"]
    assert [row.verdict for row in rows] == [ClaimVerdict.REFUTED, ClaimVerdict.SUPPORTED]
    assert [row.effect.endswith("without the first token") for row in rows] == [False, True]


def test_the_scores_that_ship_give_the_claims_that_all_scores_give(tmp_path):
    gain = score("gain_surprisal", method="partial", value=0.2, low=0.1, high=0.3)
    win = score("reconstruction_unseen_win", method="attention_mean", k=8, first=0, n=160, value=0.6, low=0.55, high=0.65)
    kept = [gain, replace(gain, metric="gain_next_surprisal", value=-0.2, low=-0.3, high=-0.1), win]
    others = [replace(win, method="norm"), replace(win, metric="jaccard"), replace(gain, metric="gain_at_position", x=3.0)]
    assert shipped([*kept, *others]) == kept
    whole, shipping = (ledger(tmp_path, scores=rows) for rows in ([*kept, *others], kept))
    assert whole == shipping


def test_a_run_is_judged_by_the_budget_nearest_to_eight_tokens(tmp_path):
    win = score("divergence_win", method="attention_mean", k=4, first=0, n=160, value=0.04, low=0.01, high=0.07)
    (found,) = ledger(tmp_path, scores=[win, replace(win, k=2, value=0.9, low=0.8)])["Lasso outperforms attention for the model"]
    assert found.value == 0.04
    assert "Lasso's four tokens" in found.effect
