"""Claims on the final state, on controls at fixed width, on the loss and on published tables, against records made by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_claims import ROW

from geomkit.laws.exponents import Verdict
from geomkit.laws.forms import Status
from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.verdicts import Kind
from geomkit.ledger.table import write_ledger
from geomkit.studies.loss.rows import BetweenDraws, Correlation, DataLaw, DataLaws, GridDraw, MetricBesideLoss
from geomkit.studies.size_laws.rows import FixedWidth, Growth, LawVerdict, OwnDirections
from geomkit.tables.findings import PLAIN, Claim, ClaimVerdict
from geomkit.tables.fits import EntropyLoss, Fitted, LossAxes, LossPlace, PeerValue, SizeLaw
from geomkit.tables.rows import read_csv, write_csv, write_json

NOWHERE = {"layer": "last", "length": 256, "normalise": "unit", "eps2": None}
WIDTH = FixedWidth(
    **NOWHERE, family="f", published=False, corpus="c", control="untrained", metric="erank_covariance", width=16, value=-0.2,
    low=-0.3, high=-0.1, sign=-1, seeds=3, twins=20, documents=40, detectable=None, reason="",
)  # fmt: skip
SUPPORTED, REFUTED, UNDECIDED = ClaimVerdict.SUPPORTED, ClaimVerdict.REFUTED, ClaimVerdict.UNDECIDED


def ledger(folder: Path, **files: tuple[Any, Any]) -> dict[str, list[Claim]]:
    """Of records (their type, and they themselves) by the name of a file in `scaling`."""
    paths = []
    (folder / "scaling").mkdir(exist_ok=True)
    for stem, (record, rows) in files.items():
        paths.append(folder / "scaling" / (f"{stem}.json" if record in (LossAxes, EntropyLoss, DataLaws) else f"{stem}.csv"))
        if record is DataLaws:
            write_json(paths[-1], record, rows)
        elif paths[-1].suffix == ".json":
            write_json(paths[-1], list[record], rows)
        else:
            write_csv(paths[-1], record, rows)
    write_ledger(paths, folder / "claims.csv")
    found: dict[str, list[Claim]] = {}
    for row in read_csv(folder / "claims.csv", Claim):
        found.setdefault(row.claim, []).append(row)
    return found


@pytest.mark.parametrize(
    ("plain", "difference", "expected"),
    [
        (Kind.BEYOND, 0.05, SUPPORTED),
        (Kind.BEYOND, -0.05, UNDECIDED),
        (Kind.NESTED, 0.05, UNDECIDED),
        (None, None, UNDECIDED),
    ],
)
def test_nothing_is_claimed_of_the_final_state_that_does_not_hold_without_gain_and_bias(plain, difference, expected, tmp_path):
    rows = [replace(ROW, layer="final")]
    if plain:
        rows.append(replace(ROW, layer=PLAIN, primary=False, verdict=plain, difference=difference))
    (found,) = ledger(tmp_path, verdicts=(LawVerdict, rows))["effective rank grows"]
    assert found.verdict is expected
    assert ("; but" in found.reason) == (expected is UNDECIDED)


def test_a_common_dimension_of_the_final_state_needs_the_same_without_gain_and_bias(tmp_path):
    final = replace(ROW, layer="final", common_dimension=-0.05, common_dimension_low=-0.07, common_dimension_high=-0.03)
    plain = replace(final, layer=PLAIN, primary=False)
    covers = replace(plain, common_dimension_high=0.01)
    for other, expected in ((plain, REFUTED), (covers, UNDECIDED)):
        (found,) = ledger(tmp_path, verdicts=(LawVerdict, [final, other]))["width suffices at one dimension"]
        assert found.verdict is expected


@pytest.mark.parametrize(
    ("signs", "expected"), [((-1, -1), SUPPORTED), ((-1, 0), UNDECIDED), ((-1, 1), REFUTED), ((-1, None), UNDECIDED)]
)
def test_what_is_said_of_every_width_must_hold_at_each(signs, expected, tmp_path):
    rows = [replace(WIDTH, width=16 * (k + 1), sign=sign) for k, sign in enumerate(signs)]
    (found,) = ledger(tmp_path, fixed_width=(FixedWidth, rows))["training lowers the effective rank"]
    assert found.verdict is expected
    assert found.reason.startswith("-0.20 [-0.30, -0.10] at width 16, ")
    assert found.details == "20 untrained twins"


def test_centring_is_another_claim_and_shorter_texts_are_not_the_first_one(tmp_path):
    rows = [
        WIDTH,
        replace(WIDTH, length=16, sign=1),
        replace(WIDTH, normalise="centre-unit", value=0.1, low=0.05, high=0.2, sign=1),
    ]
    found = ledger(tmp_path, fixed_width=(FixedWidth, rows))
    assert [row.verdict for row in found["training lowers the effective rank"]] == [SUPPORTED]
    assert [row.verdict for row in found["training lowers the centred effective rank"]] == [REFUTED]


def test_a_weight_that_changes_one_width_matters(tmp_path):
    same = replace(WIDTH, layer="final", control="norm", value=0.01, low=-0.01, high=0.03, sign=0)
    (found,) = ledger(tmp_path, fixed_width=(FixedWidth, [same]))["the final norm's weights do not matter"]
    assert found.verdict is UNDECIDED
    rows = [same, replace(same, width=24, low=0.005, sign=1)]
    (found,) = ledger(tmp_path, fixed_width=(FixedWidth, rows))["the final norm's weights do not matter"]
    assert found.verdict is REFUTED


def test_diff_erank_is_positive_where_it_is_at_every_width(tmp_path):
    rows = [replace(WIDTH, control="diff_erank", metric="diff_erank", width=width, value=3.0, sign=1) for width in (16, 24)]
    published = replace(rows[0], published=True, family="opt", length=None)
    found = ledger(tmp_path, fixed_width=(FixedWidth, [*rows, published]))["Diff-eRank is positive"]
    assert [(row.scope, row.verdict) for row in found] == [("f on c, 256 tokens", SUPPORTED), ("opt on c, published", UNDECIDED)]


def law(form: str = "offset_power", against: str = "width", lack: Fitness = Fitness.NOT_REJECTED, **offset: Any) -> SizeLaw:
    return SizeLaw(
        form=form, status=Status.CONVERGED, reason="", n=7, params={"E": offset["E"][0]} if offset else {},
        interval={name: ends[1:] for name, ends in offset.items()}, residual_sd=None, aicc=None, heldout_error=None,
        objective=None, delta=None, against=against, lack=lack, lack_reason="F = 1", lack_p=0.5, misfit=0.01, misfit_at=16.0,
        error_left_out=0.01,
    )  # fmt: skip


def axes(*laws: SizeLaw) -> LossAxes:
    return LossAxes(
        family="f", published=False, corpus="c", place=LossPlace.CARD, pieces=512, tokens=1000, models=(), laws=laws,
        best_against=None, best_form=None, reason="",
    )  # fmt: skip


def test_a_law_that_seeds_reject_is_refuted_and_one_that_they_do_not_is_not_supported(tmp_path):
    entry = axes(law(lack=Fitness.REJECTED), law(against="params_total", E=(3.0, 2.9, 3.1)), law("power", lack=Fitness.UNTESTED))
    found = ledger(tmp_path, loss_axes=(LossAxes, [entry]))
    assert [(row.verdict, row.value) for row in found["the loss has a floor"]] == [(REFUTED, None), (UNDECIDED, 3.0)]
    assert [row.verdict for row in found["the loss is a power of size"]] == [ClaimVerdict.UNTESTED]


@pytest.mark.parametrize(("low", "expected"), [(3.2, REFUTED), (3.05, UNDECIDED)])
def test_irreducible_losses_whose_intervals_part_are_not_one(low, expected, tmp_path):
    entry = axes(law(E=(3.0, 2.9, 3.1)), law(against="params_total", E=(3.3, low, 3.4)))
    (found,) = ledger(tmp_path, loss_axes=(LossAxes, [entry]))["the irreducible loss is determined"]
    assert found.verdict is expected
    assert "3.00 [2.90, 3.10] with width" in found.reason


@pytest.mark.parametrize(("joint", "expected"), [(0.0031, REFUTED), (0.0029, UNDECIDED)])
def test_an_error_that_is_not_lower_refutes_and_a_lower_one_supports_nothing(joint, expected, tmp_path):
    row = EntropyLoss(
        **NOWHERE, family="f", published=False, corpus="c", metric="m", variant="trained", status=Status.CONVERGED, reason="",
        sizes=7, law_against="width", law_form="power", error_law=0.003, error_law_and_metric=0.0032, error_joint=joint,
    )  # fmt: skip
    (found,) = ledger(tmp_path, entropy_loss=(EntropyLoss, [row, replace(row, layer="final")]))["entropy foretells the loss"]
    assert found.verdict is expected
    assert found.value == pytest.approx(joint - 0.003)


def grid(seed: int = 0, kaplan: float = 0.07, low: float = -0.8, without: float = -0.6) -> GridDraw:
    fitted: dict[str, Any] = {"form": "kaplan", "status": Status.CONVERGED, "reason": "", "n": 30, "params": {"alpha": 0.06}}
    fitted |= dict.fromkeys(("residual_sd", "aicc", "heldout_error", "objective", "delta"))
    errors = {"params_nonembedding": {"kaplan": kaplan, "chinchilla": 0.1}}
    peer = PeerValue(law="kaplan-joint", parameter="alpha", value=0.076, inside=False)
    told = [Correlation(value=-0.5, low=low, high=-0.1, freedom=20), Correlation(value=-0.2, low=-0.6, high=without, freedom=15)]
    metric = MetricBesideLoss(
        correlations={"size and data": told[0]}, correlations_without_least_data={"size and data": told[1]},
        over_data_by_size={"100": 0.9}, errors={}, null_errors=None,
    )  # fmt: skip
    return GridDraw(
        seed=seed, trainings=90, cells=30, one_length=0, longest_chosen=0, shortest_chosen=0,
        laws=(DataLaw(**fitted, interval={}, bootstrap={"alpha": (0.05, 0.07)}, peers=(peer,)),),
        laws_without_longest=(Fitted(**fitted, interval={"alpha": ((0.05, 0.07), (0.05, 0.08), (0.08, 0.09))[seed]}),),
        errors=errors, metrics={"rate_distortion_ratio": metric},
    )  # fmt: skip


def of_grid(folder: Path, *draws: GridDraw) -> dict[str, list[Claim]]:
    between = BetweenDraws(loss_range={}, correlations={})
    return ledger(folder, data_laws=(DataLaws, DataLaws(**NOWHERE, draws=draws, between_draws=between)))


def test_a_published_exponent_must_be_excluded_on_one_side_with_and_without_the_longest_trainings(tmp_path):
    found = of_grid(tmp_path, grid(), grid(seed=1), grid(seed=2))["exponents of size and data are the published ones"]
    assert [row.verdict for row in found] == [REFUTED, UNDECIDED, UNDECIDED], "the last lies on the other side without them"
    assert [(row.value, row.against) for row in found] == [(0.06, 0.076)] * 3


@pytest.mark.parametrize(("second", "expected"), [(0.08, SUPPORTED), (0.2, UNDECIDED)])
def test_one_form_is_better_only_where_all_draws_say_so(second, expected, tmp_path):
    (found,) = of_grid(tmp_path, grid(), grid(1, kaplan=second))["Kaplan's form is the better one"]
    assert found.verdict is expected


def test_a_correlation_that_rests_on_the_least_data_decides_nothing(tmp_path):
    name = "entropy goes with the loss at fixed size and data"
    assert of_grid(tmp_path, grid(without=-0.1))[name][0].verdict is REFUTED
    assert of_grid(tmp_path, grid(without=0.2))[name][0].verdict is UNDECIDED


def growth(measure: str, **columns: Any) -> Growth:
    places: dict[str, Any] = {"layer": None, "length": None, "normalise": None, "eps2": None, "measure": measure}
    numbers: dict[str, Any] = {
        "slope": -0.05,
        "low": -0.06,
        "high": -0.04,
        "fixed_spectrum_slope": -0.03,
        "stretched_slope": -0.02,
    }
    numbers |= {"measurement_low": None, "measurement_high": None, "growth": "falls", "combinations": 1, "of": "logarithm"}
    source = {"family": "f", "published": True, "corpus": "c", "primary": False, "reason": "r", "verdict": Verdict.OUTSIDE}
    return Growth(**source | places | numbers | columns)


def test_published_entropies_are_judged_by_both_nulls_of_a_table(tmp_path):
    name = "published entropies fall beyond their normaliser"
    table = growth("matrix_entropy_over_ln_width")
    cases = {SUPPORTED: table, REFUTED: replace(table, slope=-0.01), UNDECIDED: replace(table, verdict=Verdict.UNDECIDED)}
    for expected, row in cases.items():
        (found,) = ledger(tmp_path, growth=(Growth, [row]))[name]
        assert found.verdict is expected


def test_diff_erank_that_falls_refutes_that_it_grows(tmp_path):
    rows = [
        growth("diff_erank", published=False),
        growth("diff_erank", published=False, length=16, low=0.1, high=0.2, slope=0.15),
    ]
    found = ledger(tmp_path, growth=(Growth, rows))["Diff-eRank grows"]
    assert [(row.scope, row.verdict) for row in found] == [("f on c, whole corpus", REFUTED), ("f on c, 16 tokens", SUPPORTED)]


def test_a_model_on_its_own_directions_is_said_with_its_curve(tmp_path):
    place = {**NOWHERE, "family": "f", "published": False, "corpus": "c", "documents": 40}
    slope = OwnDirections(
        **place, metric="erank_covariance", directions=None, value=0.4, low=0.3, high=0.5, norm_kept=None
    )  # fmt: skip
    rows = [replace(slope, directions=16, value=9.0, low=8.0, high=10.0, norm_kept=0.5), slope]
    (found,) = ledger(tmp_path, own_directions=(OwnDirections, rows))["fewer directions of one model show the same laws"]
    assert (found.verdict, found.reason) == (SUPPORTED, "9 on 16 directions")
