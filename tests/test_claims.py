"""Claims against records made by hand: the status must follow from the numbers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geomkit.laws.forms import Status as FitStatus
from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.pairs import Verdict
from geomkit.laws.verdicts import Kind
from geomkit.ledger.paper import OF_PAPER
from geomkit.ledger.table import ORDER, write_ledger
from geomkit.studies.removal.claims import shipped as shipped_removals
from geomkit.studies.size_laws.rows import LawVerdict, Models, PairVerdict, Standing, Trend, WidthResidual
from geomkit.studies.tokens.claims import shipped as shipped_scores
from geomkit.studies.tokens.rows import TokenScore
from geomkit.tables.experiments import Likeness, Removal, SinkEffect
from geomkit.tables.findings import OPEN, REFUTED, SUPPORTED, UNTESTED, Claim, claims, from_interval, from_law, status
from geomkit.tables.fits import LossAxes, LossPlace, SizeLaw
from geomkit.tables.rows import read_csv, required, write_csv, write_json
from geomkit.theory.rows import Conclusion, Status
from geomkit.theory.rows import Test as Question

PLACE: dict[str, Any] = {"family": "f", "published": False, "corpus": "c", "layer": "last", "length": 256, "normalise": "unit"}


def blank(record: type, **columns: Any) -> Any:
    """Build a record of columns that are None, but for its place and those that are named."""
    empty = {name: PLACE.get(name) for name in required(record)}
    return record(**empty | columns)


PAIR = blank(
    PairVerdict, metric="erank_covariance", models=Models.ALL, standing=Standing.EXPLORATORY, verdict=Verdict.BEYOND,
    cause="more",
    sizes=7, pairs=21, slope=0.05, slope_low=0.02, slope_high=0.08, slope_margin=0.02, sag_margin=0.05, level_margin=0.05,
    exponent=0.3, share=0.8, share_low=0.7, share_high=0.9,
)  # fmt: skip
LAW = blank(
    LawVerdict, metric="rate_distortion_ratio", primary=True, straddles=False, verdict=Kind.UNDECIDED, reason="why",
    difference=0.0, exponent=-0.1, exponent_low=-0.2, exponent_high=-0.05,
)  # fmt: skip
TREND = blank(
    Trend, control="untrained", metric="erank_covariance", sizes=7, level=0.2, level_low=0.1, level_high=0.3, trend=0.13,
    trend_low=0.12, trend_high=0.15,
)  # fmt: skip


def ledger(folder: Path, *tables: tuple[str, type, list[Any]]) -> dict[str, list[Claim]]:
    paths = []
    for name, record, rows in tables:
        (folder / name).parent.mkdir(exist_ok=True)
        if name.endswith(".json"):
            write_json(folder / name, list[record], rows)
        else:
            write_csv(folder / name, record, rows)
        paths.append(folder / name)
    write_ledger(paths, folder / "claims.csv")
    found: dict[str, list[Claim]] = {}
    for row in read_csv(folder / "claims.csv", Claim):
        found.setdefault(row.claim, []).append(row)
    return found


def test_every_claim_is_in_the_ledger_though_nothing_was_measured(tmp_path):
    found = ledger(tmp_path)
    assert sorted(found) == sorted(claims)
    assert {claims[name].__module__.removesuffix(".claims").rpartition(".")[2] for name in claims} == set(ORDER)
    assert {status(rows) for rows in found.values()} == {UNTESTED}
    assert all(rows[0].statement.endswith(".") and rows[0].source for rows in found.values())
    assert {name for one in OF_PAPER for name in one.claims} <= found.keys()


@pytest.mark.parametrize(
    ("verdict", "slope", "expected"),
    [
        (Verdict.BEYOND, 0.05, SUPPORTED),
        (Verdict.BEYOND, -0.05, REFUTED),
        (Verdict.SUFFICES, 0.01, REFUTED),
        (Verdict.ON_AVERAGE, 0.01, OPEN),
        (Verdict.OPEN, 0.05, OPEN),
        (None, 0.05, UNTESTED),
        (None, None, UNTESTED),
    ],
)
def test_a_law_is_judged_by_the_words_of_the_protocol(verdict, slope, expected):
    assert from_law(verdict, slope, 1) is expected


def test_an_interval_that_covers_the_other_number_decides_nothing():
    assert from_interval(0.4, 0.6, 1, 0.5) is OPEN
    assert from_interval(0.51, 0.6, 1, 0.5) is SUPPORTED
    assert from_interval(0.1, 0.2, 1, 0.5) is REFUTED
    assert from_interval(None, 0.2, 1) is OPEN


def test_a_law_beyond_width_supports_its_claim_with_its_numbers(tmp_path):
    found = ledger(tmp_path, ("scaling/pairs.csv", PairVerdict, [PAIR, replace(PAIR, layer="final", verdict=Verdict.OPEN)]))
    (row,) = found["effective rank grows beyond width"]
    assert (row.verdict, row.value, row.low, row.high, row.margin, row.sizes) == (SUPPORTED, 0.05, 0.02, 0.08, 0.02, 7)
    assert "80% [70%, 90%] of the exponent +0.300" in row.reason
    assert found["normalised entropy falls beyond width"][0].verdict is UNTESTED


def test_the_confirmatory_row_decides_and_names_its_parts_and_the_pooled_estimate(tmp_path):
    test = replace(
        PAIR, corpus="wikipedia + chitchat", models=Models.NEW, standing=Standing.CONFIRMATORY, slope=-0.05, p=0.01, p_slope=0.9
    )
    part = replace(test, corpus="wikipedia", standing=Standing.PART, verdict=None, p=None, slope=0.125)
    pooled = replace(test, models=Models.ALL, standing=Standing.POOLED, verdict=None, p=None, slope=0.25)
    rows = [replace(PAIR, models=Models.OLD), test, part, pooled, replace(test, corpus="sotu", standing=Standing.EXPLORATORY)]
    mine = ledger(tmp_path, ("scaling/pairs.csv", PairVerdict, rows))["effective rank grows beyond width"]
    assert [(row.verdict, row.primary) for row in mine] == [(REFUTED, True), (SUPPORTED, False), (REFUTED, False)]
    assert mine[2].scope == "f on sotu, new models, exploratory"
    assert status(mine) is REFUTED
    assert "new models on wikipedia +0.125" in mine[0].reason
    assert "all models on wikipedia + chitchat +0.250" in mine[0].reason


def test_an_open_law_says_what_would_decide_it_or_that_its_margin_keeps_it_open(tmp_path):
    def reason(**columns: Any) -> str:
        row = replace(PAIR, verdict=Verdict.OPEN, needed="11 sizes would decide with 80 % power", **columns)
        return ledger(tmp_path, ("scaling/pairs.csv", PairVerdict, [row]))["effective rank grows beyond width"][0].reason

    assert "11 sizes would decide with 80 % power (7 now)" in reason(slope_low=-0.02)
    within = reason(slope=0.019)
    assert "within the margin, 0.02" in within
    assert "11 sizes" not in within


@pytest.mark.parametrize(("second", "outcome"), [(-0.03, "is met"), (0.01, "is not met")])
def test_the_one_prediction_is_met_if_both_new_seeds_lie_below_the_line(second, outcome, tmp_path):
    old = replace(PAIR, corpus="wikipedia", models=Models.OLD)
    one = blank(
        WidthResidual, corpus="wikipedia", metric="erank_covariance", models=Models.OLD, width=128, params_nonembedding=1, seed=1
    )
    one = replace(one, residual=0.0, from_line=-0.05)
    widths = [
        one,
        replace(one, seed=2, from_line=second),
        replace(one, seed=None, from_line=1.0),
        replace(one, width=96, from_line=1.0),
    ]
    tables = [("scaling/pairs.csv", PairVerdict, [old]), ("scaling/residuals.csv", WidthResidual, widths)]
    (row,) = ledger(tmp_path, *tables)["effective rank grows beyond width"]
    assert f"{outcome}: -0.050 of seed 1, {second:+.3f} of seed 2" in row.reason


def test_the_sign_has_to_turn_between_the_shortest_and_the_longest_texts(tmp_path):
    trend = replace(TREND, control="length", metric="rate_distortion_ratio", length=16)
    short = replace(LAW, length=16, exponent=0.1, exponent_low=0.05, exponent_high=0.2)

    def judged(*laws: LawVerdict) -> Claim:
        tables = [("scaling/trends.csv", Trend, [trend]), ("scaling/verdicts.csv", LawVerdict, list(laws))]
        return ledger(tmp_path, *tables)["the sign follows tokens per dimension"][0]

    assert judged(short, LAW).verdict is SUPPORTED
    assert "+0.100 at 16 tokens (projected +0.100), -0.100 at 256 tokens" in judged(short, LAW).reason
    assert judged(replace(short, exponent_low=-0.05), LAW).verdict is OPEN
    assert judged(replace(short, exponent=-0.1, exponent_low=-0.2, exponent_high=-0.05), LAW).verdict is REFUTED
    assert judged(LAW).verdict is UNTESTED


def test_the_normaliser_is_judged_at_the_shortest_length_alone(tmp_path):
    short = replace(LAW, length=16, exponent=0.05)
    paper = [replace(row, metric="rate_distortion_paper", exponent=row.exponent - 0.2) for row in (LAW, short)]
    (row,) = ledger(tmp_path, ("scaling/verdicts.csv", LawVerdict, [LAW, short, *paper]))["the normaliser makes the law"]
    assert (row.verdict, round(row.value, 6)) == (SUPPORTED, -0.2)
    assert row.effect.endswith("16 tokens")


@pytest.mark.parametrize(
    ("claim", "columns", "expected"),
    [
        ("trained over untrained effective rank grows with size", {}, (0.13, SUPPORTED)),
        ("trained over untrained effective rank grows with size", {"trend_low": -0.1}, (0.13, OPEN)),
        ("training raises the centred effective rank", {"normalise": "centre-unit"}, (0.2, SUPPORTED)),
        ("word order lowers the centred effective rank", {"normalise": "centre-unit", "control": "shuffled"}, (0.2, REFUTED)),
        ("the final norm's weights raise the effective rank", {"layer": "final", "control": "norm"}, (0.2, SUPPORTED)),
    ],
)
def test_level_or_trend_of_the_longest_texts_decides(claim, columns, expected, tmp_path):
    row = replace(TREND, **columns)
    (found,) = ledger(tmp_path, ("scaling/trends.csv", Trend, [row, replace(row, length=16)]))[claim]
    assert (found.value, found.verdict) == expected


def test_what_training_does_says_on_how_many_twins_it_rests_and_whether_it_is_a_rise(tmp_path):
    def reason(**columns: Any) -> str:
        found = ledger(tmp_path, ("scaling/trends.csv", Trend, [replace(TREND, **columns)]))
        return found["trained over untrained effective rank grows with size"][0].reason

    assert reason(twins=3) == "mean over 7 widths +0.200 [+0.100, +0.300]; 3 twins"
    assert "(open)" in reason(level_low=-0.1)


def score(metric: str, **columns: object) -> TokenScore:
    where = {"model": "m", "family": "f", "seed": 0, "corpus": "c", "params_nonembedding": 1, "params_total": 2, "depth": 3}
    where |= {"eps2": 0.5, "variant": "trained", "layer": 3, "sublayer": "block", "name": "last", "d": 8, "documents": 40}
    return TokenScore(**where | {"metric": metric} | columns)


def of_scores(folder: Path, *scores: TokenScore) -> dict[str, list[Claim]]:
    return ledger(folder, ("tokens_summary.csv", TokenScore, list(scores)))


def test_a_correlation_that_shuffled_text_shows_too_supports_nothing(tmp_path):
    own = score("gain_next_surprisal", method="partial", value=-0.2, low=-0.3, high=-0.1)
    shuffled = replace(own, variant="shuffled", value=-0.15, low=-0.25, high=-0.05)
    (found,) = of_scores(tmp_path, own, shuffled, replace(own, name="middle"))["gain foretells the next token"]
    assert found.verdict is OPEN
    (found,) = of_scores(tmp_path, own, replace(shuffled, low=0.1, high=0.2))["gain foretells the next token"]
    assert found.verdict is SUPPORTED


def test_sometimes_is_supported_by_one_case_and_always_is_not(tmp_path):
    win = score("reconstruction_unseen_win", method="attention_mean", k=8, first=0, n=160, value=0.3, low=0.2, high=0.4)
    better = replace(win, corpus="d", value=0.7, low=0.6, high=0.8)
    mine = of_scores(tmp_path, win, better, replace(win, first=1))["Lasso sometimes outperforms attention in reconstruction"]
    assert [row.verdict for row in mine] == [REFUTED, SUPPORTED]
    assert status(mine) is SUPPORTED
    assert "without the first token 0.30" in mine[0].details
    both = [replace(row, metric="divergence_win") for row in (win, better)]
    assert status(of_scores(tmp_path, *both)["Lasso outperforms attention for the prediction"]) is OPEN


def test_a_run_is_judged_by_the_budget_nearest_to_eight_tokens(tmp_path):
    win = score("divergence_win", method="attention_mean", k=4, first=0, n=160, value=0.04, low=0.01, high=0.07)
    (found,) = of_scores(tmp_path, win, replace(win, k=2, value=0.9, low=0.8))["Lasso outperforms attention for the prediction"]
    assert found.value == 0.04
    assert "four tokens of Lasso" in found.effect


def test_the_scores_that_ship_give_the_claims_that_all_scores_give(tmp_path):
    gain = score("gain_next_surprisal", method="partial", value=-0.2, low=-0.3, high=-0.1)
    win = score("reconstruction_unseen_win", method="attention_mean", k=8, first=0, n=160, value=0.6, low=0.55, high=0.65)
    others = [replace(win, method="norm"), replace(win, metric="jaccard"), replace(gain, metric="gain_at_position", x=3.0)]
    assert shipped_scores([gain, win, *others]) == [gain, win]
    assert of_scores(tmp_path, gain, win, *others) == of_scores(tmp_path, gain, win)


MEASURED: dict[str, Any] = {"model": "m", "family": "f", "corpus": "c", "depth": 3, "documents": 12, "n": 12, "d": 8}
MEASURED |= {"params_nonembedding": 1, "params_total": 2}


def test_spread_is_held_against_another_documents_target_and_gaussian_rows_are_printed(tmp_path):
    own = blank(
        Removal,
        **MEASURED,
        layer=3,
        eps2=0.5,
        name="last",
        metric="residual_gini",
        value=0.1,
        low=0.05,
        high=0.15,
        sinks="kept",
        null="minus stranger",
    )
    noise = replace(own, null="minus noise", value=-0.3, low=-0.4, high=-0.2)
    curve = replace(own, metric="residual_area")
    assert shipped_removals([own, noise, curve, replace(own, sinks="removable")]) == [own, noise]
    (row,) = ledger(tmp_path, ("ablation_summary.csv", Removal, [own, noise, curve]))["information is spread over tokens"]
    assert row.verdict is REFUTED
    assert "-0.300" in row.reason


def test_sinks_of_a_model_that_has_none_are_untested(tmp_path):
    base = blank(
        SinkEffect,
        **MEASURED,
        layer=2,
        metric="erank_covariance",
        normalise="centre-unit",
        threshold=10.0,
        kind="difference",
        length=64,
    )
    base = replace(base, value=35.0, low=34.0, high=36.0)
    levels = [replace(base, kind=kind, value=value) for kind, value in (("all", 1.7), ("without", 37.0))]
    number = replace(base, kind="sinks", metric="sinks", layer=0, value=1.1)

    def judged(sinks: float) -> Claim:
        rows = [base, *levels, replace(number, value=sinks)]
        return ledger(tmp_path, ("sinks_summary.csv", SinkEffect, rows))["sinks make the centred depth profile"][0]

    assert judged(1.1).verdict is SUPPORTED
    assert "1.7 directions with them, 37.0 without; 12 texts of 64 tokens with 1.1 sinks each" in judged(1.1).reason
    assert (judged(0.0).verdict, judged(0.0).value) == (UNTESTED, None)


def test_hidden_states_are_held_against_tfidf_on_the_same_halves(tmp_path):
    base = blank(
        Likeness,
        **MEASURED,
        layer=2,
        metric="pearson",
        sublayer="block",
        distance="chosen",
        agreement="pearson",
        kind="difference",
        value=0.1,
    )
    base = replace(base, low=0.05, high=0.2)
    values = {"chosen": 0.6, "baseline": 0.5, "least": 0.2}
    rows = [base, *(replace(base, kind=kind, value=value) for kind, value in values.items()), replace(base, agreement="spearman")]
    (row,) = ledger(tmp_path, ("semantics_summary.csv", Likeness, rows))["hidden states judge likeness better than words"]
    assert row.verdict is SUPPORTED
    assert "+0.60 against +0.50 of TF-IDF" in row.reason


def floor(against: str, value: float, low: float | None, high: float | None) -> SizeLaw:
    interval = {} if low is None else {"E": (low, high)}
    return blank(
        SizeLaw, form="offset_power", against=against, status=FitStatus.CONVERGED, params={"E": value}, interval=interval, n=7,
        lack=Fitness.NOT_REJECTED if interval else Fitness.REJECTED, lack_reason="F", reason="",
    )  # fmt: skip


@pytest.mark.parametrize(("low", "expected"), [(3.1, SUPPORTED), (2.9, OPEN)])
def test_floors_whose_intervals_part_depend_on_the_measure_of_size(low, expected, tmp_path):
    laws = [floor("params_total", 3.2, low, 3.3), floor("width", 2.9, 2.8, 3.0), floor("params_nonembedding", 2.0, None, None)]
    entry = blank(LossAxes, pieces=1, tokens=1, place=LossPlace.TEXTS, models=(), laws=tuple(laws), reason="")
    (row,) = ledger(tmp_path, ("scaling/loss_axes.json", LossAxes, [entry]))[
        "the floor of the loss depends on the measure of size"
    ]
    assert (row.verdict, row.value, row.against) == (expected, 3.2, 2.9)
    assert "no law by parameters without embeddings" in row.reason
    assert "the lowest is 2.900 [2.800, 3.000], by width" in row.reason


def conclusion(test: Question, **columns: Any) -> Conclusion:
    own = {"name": f"{test}-x", "scope": "7 models on c, layer last", "question": "Does the chain rule hold?", "unit": "a number"}
    own |= {
        "primary": False,
        "status": Status.EXPLORATORY,
        "effect": 0.2,
        "low": 0.1,
        "high": 0.3,
        "spread": False,
        "note": "why",
    }
    return blank(Conclusion, **own | columns)


def test_claims_of_the_theory_follow_their_conclusions(tmp_path):
    rows = [
        conclusion(Question.DOCUMENTS),
        conclusion(Question.DOCUMENTS, name=f"{Question.DOCUMENTS}-y", scope="7 models on c, layer final", low=-0.1),
        conclusion(Question.IDENTITY, status=Status.HOLDS, effect=1e-15, low=None, high=None, note=""),
        conclusion(Question.FACTS_MOST_FREQUENT, status=Status.CONTRADICTED, effect=0.65, low=0.6, high=0.69, spread=True),
    ]
    found = ledger(tmp_path, ("theory/conclusions.csv", Conclusion, rows))
    assert [row.verdict for row in found["documents take a growing share of variance"]] == [SUPPORTED]
    (facts,) = found["models hold the most frequent facts"]
    assert (facts.verdict, facts.against, facts.low) == (REFUTED, 1.0, None)
    assert facts.reason.startswith("from 0.60 to 0.69")
    (identity,) = found["gain is a ridge regression"]
    assert (identity.verdict, identity.value) == (SUPPORTED, None)
    assert "1e-15" in identity.reason
