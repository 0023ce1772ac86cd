"""Claims about experiments, on records whose verdicts are known."""

from dataclasses import replace
from pathlib import Path

import pytest

from geomkit.ledger.pages import write_findings
from geomkit.ledger.table import chapter_of, rows_of
from geomkit.studies.components.claims import CONTRAST, mlps_cost_more, mlps_raise_rank
from geomkit.studies.components.claims import shipped as shipped_components
from geomkit.studies.needle.claims import finds_a_fact
from geomkit.studies.removal.claims import attention_finds, half_is_needed, lasso_finds, spread_over_tokens
from geomkit.studies.removal.claims import shipped as shipped_removals
from geomkit.studies.semantics.claims import judge_likeness
from geomkit.studies.semantics.claims import shipped as shipped_likeness
from geomkit.studies.sinks.claims import sinks_make_profile
from geomkit.tables.experiments import Likeness, NeedleText, Removal, SinkEffect, SublayerEffect
from geomkit.tables.findings import Claim, ClaimVerdict, claims
from geomkit.tables.rows import write_csv

CHAPTER = [name for name in claims if chapter_of(name) == "Where the information sits"]
SUPPORTED, REFUTED, UNDECIDED = ClaimVerdict.SUPPORTED, ClaimVerdict.REFUTED, ClaimVerdict.UNDECIDED
OWN = {
    "model": "m", "family": "f", "seed": 0, "corpus": "c", "params_nonembedding": 1, "params_total": 2, "depth": 3,
    "d": 8, "documents": 9, "n": 9,
}  # fmt: skip


class Records:
    """What a ledger reads, from memory."""

    def __init__(self, **files):
        self.files = files

    def rows(self, name, record):
        found = self.files.get(Path(name).stem, [])
        assert all(isinstance(row, record) for row in found)
        return found


def removal(metric, null, value, low, high, method=None, direction=None, sinks="removable"):
    return Removal(
        **OWN, layer=3, metric=metric, value=value, low=low, high=high, eps2=0.5, name="last", sinks=sinks, null=null,
        method=method, direction=direction, fraction=None,
    )  # fmt: skip


def effect(sublayer, kind, metric, value, low, high):
    return SublayerEffect(**OWN, layer=-1, metric=metric, value=value, low=low, high=high, sublayer=sublayer, kind=kind, at=None)


def sink(layer, kind, value, threshold=10.0, metric="erank_covariance", mode="unit", gap=0.1):
    return SinkEffect(
        **OWN, layer=layer, metric=metric, value=value, low=value - gap, high=value + gap, normalise=mode,
        threshold=threshold, kind=kind,
    )  # fmt: skip


def likeness(kind, value, low=None, high=None):
    return Likeness(
        **OWN,
        layer=-1,
        sublayer="block",
        metric="pearson",
        value=value,
        low=low,
        high=high,
        distance="chosen",
        agreement="pearson",
        kind=kind,
    )


@pytest.mark.parametrize(("low", "high", "verdict"), [(-0.2, -0.1, SUPPORTED), (0.1, 0.2, REFUTED), (-0.1, 0.1, UNDECIDED)])
def test_information_is_spread_where_its_gini_is_below_that_of_noise(low, high, verdict):
    rows = [
        removal("residual_gini", null, value, a, b, sinks=sinks)
        for sinks in ("removable", "kept")
        for null, value, a, b in (("minus noise", 0.0, low, high), ("own", 0.7, 0.6, 0.8), ("minus stranger", 0.05, -1, 1))
    ]
    found = spread_over_tokens(Records(ablation_summary=rows))
    assert [(one.verdict, one.scope) for one in found] == [
        (verdict, "m on c, last, sinks may be removed"),
        (verdict, "m on c, last, sinks stay"),
    ]
    assert "itself +0.700 [+0.600, +0.800]" in found[0].reason


def test_a_curve_over_fractions_is_no_summary():
    row = replace(removal("residual_gini", "minus noise", 1, 1, 1), fraction=0.5)
    assert spread_over_tokens(Records(ablation_summary=[row])) == []


@pytest.mark.parametrize(("low", "high", "verdict"), [(0.55, 0.7, SUPPORTED), (0.1, 0.2, REFUTED), (0.4, 0.6, UNDECIDED)])
def test_half_of_the_context_is_held_against_one_half(low, high, verdict):
    row = removal("divergence_half_kept", "own", 0.5, low, high, "attention_mean")
    (found,) = half_is_needed(Records(ablation_summary=[row]))
    assert (found.verdict, found.against) == (verdict, 0.5)


def test_a_selection_finds_its_target_where_another_documents_target_does_worse():
    rows = [
        removal("residual_area", "minus stranger", 0.2, 0.1, 0.3, "lasso", "highest"),
        removal("divergence_area", "minus stranger", 0.2, -0.1, 0.3, "lasso", "highest"),
        removal("divergence_area", "minus stranger", -0.2, -0.3, -0.1, "attention_mean", "highest"),
        removal("divergence_area", "minus stranger", -0.2, -0.3, -0.1, "lasso", "lowest"),
    ]
    records = Records(ablation_summary=rows)
    assert [found.verdict for found in lasso_finds(records)] == [SUPPORTED, UNDECIDED]
    assert [found.verdict for found in attention_finds(records)] == [REFUTED]


def test_sublayers_are_compared_by_their_mean_in_place_and_zero_is_printed_beside_it():
    rows = [
        effect("mlp minus attention", "mean", "loss", 0.1, 0.05, 0.2),
        effect("mlp minus attention", "zero", "loss", -0.3, -0.4, -0.2),
        effect("mlp minus attention", "after", "erank_covariance", -1, -2, -0.5),
        effect("mlp", "mean", "loss", 5, 4, 6),
    ]
    records = Records(components_summary=rows)
    (cost,) = mlps_cost_more(records)
    assert (cost.verdict, cost.value) == (SUPPORTED, 0.1)
    assert "zero in its place -0.300" in cost.reason
    assert [found.verdict for found in mlps_raise_rank(records)] == [REFUTED]


def profile(number):
    """With sinks 2, 1, 2; without 2, 2, 2. The embedding and the final state, 50, are no blocks."""
    values = {0: (50, 50), 1: (2, 2), 2: (1, 2), 3: (2, 2), 4: (50, 50)}
    rows = [sink(0, "sinks", number, metric="sinks", mode=None), sink(0, "sinks", 0.0, 100.0, "sinks", None)]
    for layer, (whole, without) in values.items():
        rows += [sink(layer, "all", whole, None), sink(layer, "without", without), sink(layer, "difference", without - whole)]
        rows += [sink(layer, "difference", 0.0, 100.0)]
    return rows


def test_sinks_are_judged_at_the_middle_block_and_by_the_range_of_the_profile():
    (found,) = sinks_make_profile(Records(sinks_summary=profile(1.0)))
    assert (found.verdict, found.value) == (SUPPORTED, 1)
    assert found.reason.endswith("0.69 with sinks, 0.00 without")
    assert found.details == "sinks a text: above 10 medians 1.00; above 100 medians 0.00; the difference at 100 medians +0.00"
    (none,) = sinks_make_profile(Records(sinks_summary=profile(0.0)))
    assert none.verdict == REFUTED


def test_hidden_states_are_held_against_tfidf_on_the_same_halves():
    rows = [likeness("difference", -0.2, -0.3, -0.1), likeness("chosen", 0.3), likeness("baseline", 0.5), likeness("least", 0.2)]
    (found,) = judge_likeness(Records(semantics_summary=rows))
    assert (found.verdict, found.primary) == (REFUTED, True)
    assert found.reason == "+0.30 against +0.50 of TF-IDF"
    assert found.details.endswith("0.20")


def needles(call="redundant", none=10.0):
    def row(kind, call, whole, random=None):
        return NeedleText(
            model="m", kind=kind, filler=1, whole=whole, none=none, without_one=none, one_kept=whole, random=random, call=call
        )

    return [row("needle", "concentrated", 0.1, 0.1), row("repeated", call, 0.1), row("plain", "absent", 10.0)]


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [(needles(), SUPPORTED), (needles("concentrated"), UNDECIDED), (needles(none=2.0), ClaimVerdict.UNTESTED)],
    ids=["told apart", "mistaken", "no instrument"],
)
def test_a_fact_is_found_only_by_the_margin_that_was_fixed(rows, verdict):
    (found,) = finds_a_fact(Records(needle=rows))
    assert found.verdict == verdict
    assert found.documents == 1


def test_what_had_been_seen_when_a_claim_was_fixed_explores():
    unseen = effect("mlp minus attention", "after", "erank_covariance", -1, -2, -0.5)
    rows = [unseen, replace(unseen, family="ladder"), replace(unseen, family="ladder", corpus="sotu")]
    assert [found.primary for found in mlps_raise_rank(Records(components_summary=rows))] == [True, True, False]
    assert not any(found.primary for found in sinks_make_profile(Records(sinks_summary=profile(1.0))))


def test_the_chapter_is_a_page_of_findings(tmp_path):
    records = Records(needle=needles(), sinks_summary=profile(1.0))
    write_csv(tmp_path / "claims.csv", Claim, [row for name in CHAPTER for row in rows_of(name, records)])
    readme = tmp_path / "README.md"
    readme.write_text("# A\n\n<!-- findings -->\n<!-- /findings -->\n")
    write_findings(tmp_path / "claims.csv", readme, tmp_path / "findings.md", tmp_path / "out.md")
    page = (tmp_path / "findings.md").read_text()
    assert "\n## Where the information sits\n" in page
    assert "### Removing tokens finds a fact\n" in page
    assert "| m on c | +1.000 [+0.900, +1.100] | all tokens (0) | 9 documents | exploratory | supported |" in page
    assert page.count("\nUntested: nothing has been measured about it here.\n") == len(CHAPTER) - 2


def test_without_records_nothing_is_found():
    assert not any(claims[name](Records()) for name in CHAPTER)


def test_sublayers_and_distances_that_no_claim_reads_do_not_ship():
    read = effect(CONTRAST, "mean", "loss", 0.1, 0.05, 0.2)
    assert shipped_components([read, effect("mlp", "mean", "loss", 0.3, 0.2, 0.4)]) == [read]
    chosen = likeness("difference", 0.1, 0.0, 0.2)
    assert shipped_likeness([chosen, replace(chosen, distance="cosine")]) == [chosen]


def test_rows_that_no_claim_reads_do_not_ship():
    area = removal("residual_area", "minus stranger", 0.1, 0.05, 0.2, "lasso", "highest")
    read = [area, replace(area, null="own"), removal("divergence_gini", "noise", 0.6, 0.5, 0.7)]
    others = [replace(area, fraction=0.1), replace(area, method="norm"), replace(area, direction="lowest")]
    assert shipped_removals([*read, *others]) == read
    whole, shipped = (Records(ablation_summary=rows) for rows in ([*read, *others], read))
    removed = (spread_over_tokens, half_is_needed, lasso_finds, attention_finds)
    assert [claim(whole) for claim in removed] == [claim(shipped) for claim in removed]
