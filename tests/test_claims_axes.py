"""Claims about width, depth, seeds and training: verdicts follow from records."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.verdicts import Kind
from geomkit.studies.training import claims as training
from geomkit.studies.width_depth import claims as width_depth
from geomkit.studies.width_depth.rows import Effect, SeedCorrelation, StepLaw, StepTurn, TiedShare
from geomkit.tables.findings import ClaimVerdict


class Given:
    """Records by the name of their file."""

    def __init__(self, **files: list[Any]):
        self.files = files

    def rows(self, name: str, record: type) -> list[Any]:
        return self.files.get(Path(name).stem, [])


PLACE: dict[str, Any] = {"layer": "last", "length": 256, "normalise": "unit", "eps2": None, "corpus": "sotu"}
EFFECT = Effect(
    **PLACE, of="metric", metric="erank_covariance", design="width and N", cells="all", column="N", primary=True, value=0.1,
    low=0.05, high=0.15, low_90=0.06, high_90=0.14, error_scatter=0.02, error_pure=0.01, error_documents=0.01, p=0.001,
    p_adjusted=0.004, tests=4, margin=0.02, verdict=Kind.BEYOND, detectable=0.07, number=14, condition=5.3,
    fit=Fitness.NOT_REJECTED, fit_p=0.4, flags="", reason="difference +0.1",
)  # fmt: skip
SEEDS = SeedCorrelation(
    **PLACE, metric="erank_covariance", fixed="width", primary=True, value=-0.7, low=-0.85, high=-0.5, p=1e-5, p_adjusted=4e-5,
    tests=4, models=32, freedom=28, detectable=0.485, reason="",
)  # fmt: skip
LAW = StepLaw(
    **PLACE, family="steps", metric="erank_covariance", predictor="metric", training=None, value=-0.4, low=-0.6, high=-0.1,
    p_adjusted=0.04, tests=4, trainings=4, freedom=2, detectable=0.5, error_step=None, error_step_and_metric=None, primary=True,
    reason="",
)  # fmt: skip
LEG = StepTurn(
    **PLACE, family="steps", params_nonembedding=6592, width=16, metric="erank_singular", number=0, start=16, stop=35,
    turn_low=16, turn_high=77, change=-0.6, low=-0.7, high=-0.5, counts=True, seeds=2, phases="follows",
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "size", "width"),
    [
        (Kind.BEYOND, ClaimVerdict.SUPPORTED, ClaimVerdict.SUPPORTED),
        (Kind.NESTED, ClaimVerdict.WIDTH, ClaimVerdict.REFUTED),
        (Kind.NEGLIGIBLE, ClaimVerdict.UNDECIDED, ClaimVerdict.UNDECIDED),
        (Kind.UNDECIDED, ClaimVerdict.UNDECIDED, ClaimVerdict.UNDECIDED),
    ],
)
def test_a_coefficient_decides_by_its_own_verdict(kind, size, width):
    other = replace(EFFECT, of="difference", column="width")
    given = Given(width_depth=[replace(row, verdict=kind) for row in (EFFECT, other)])
    assert [one.verdict for one in width_depth.size_at_fixed_width(given)] == [size]
    assert [one.verdict for one in width_depth.width_at_fixed_size(given)] == [width]


def test_of_the_final_state_nothing_is_claimed_unless_the_plain_state_agrees():
    final, plain = replace(EFFECT, layer="final"), replace(EFFECT, layer="plain", primary=False)
    (agreed,) = width_depth.size_at_fixed_width(Given(width_depth=[final, plain]))
    assert agreed.verdict is ClaimVerdict.SUPPORTED
    (apart,) = width_depth.size_at_fixed_width(Given(width_depth=[final, replace(plain, verdict=Kind.UNDECIDED)]))
    assert apart.verdict is ClaimVerdict.UNDECIDED
    assert "; but undecided without the final norm's gain and bias" in apart.reason


def test_other_designs_are_printed_beside_the_one_that_decides():
    (found,) = width_depth.size_at_fixed_width(
        Given(width_depth=[EFFECT, replace(EFFECT, cells="widths to 64", primary=False, value=0.2)])
    )
    assert "on width and N, widths to 64 cells: +0.200 [+0.050, +0.150]" in found.details
    assert "p = 0.004, adjusted over 4 tests" in found.details


@pytest.mark.parametrize(
    ("follows", "verdict"),
    [
        ("N or width", ClaimVerdict.SUPPORTED),
        ("all parameters", ClaimVerdict.REFUTED),
        ("neither", ClaimVerdict.REFUTED),
        ("undecided", ClaimVerdict.UNDECIDED),
    ],
)
def test_the_share_of_tied_models_decides_which_size_the_loss_follows(follows, verdict):
    none: dict[str, Any] = dict.fromkeys(("width", "params_total", "expected"))
    (found,) = width_depth.tied(Given(tied=[TiedShare(**none, corpus="sotu", value=0.1, low=-0.1, high=0.3, follows=follows)]))
    assert found.verdict is verdict


def test_seeds_decide_by_the_adjusted_test_and_say_where_the_recipe_may_carry_it():
    recipe = replace(SEEDS, fixed="width, rate and decay", primary=False, value=-0.2, low=-0.5, high=0.2)
    (found,) = width_depth.seeds(Given(seeds=[SEEDS, recipe]))
    assert found.verdict is ClaimVerdict.SUPPORTED
    assert "with rate and decay held fixed -0.20: the recipe alone may carry it" in found.reason
    (weak,) = width_depth.seeds(Given(seeds=[replace(SEEDS, p_adjusted=0.06)]))
    assert weak.verdict is ClaimVerdict.UNDECIDED
    (final,) = width_depth.seeds(
        Given(seeds=[replace(SEEDS, layer="final"), replace(SEEDS, layer="plain", primary=False, value=0.7, low=0.5, high=0.85)])
    )
    assert final.verdict is ClaimVerdict.UNDECIDED


def test_training_decides_by_the_mean_over_trainings():
    own = [replace(LAW, training=f"a-s{k}", error_step=0.02, error_step_and_metric=error) for k, error in enumerate((0.01, 0.03))]
    (found,) = training.training(Given(laws=[*own, LAW]))
    assert (found.verdict, found.value) == (ClaimVerdict.SUPPORTED, -0.4)
    assert "it lowers the error on steps left out in 1 of 2" in found.reason
    (weak,) = training.training(Given(laws=[replace(LAW, p_adjusted=0.2)]))
    assert weak.verdict is ClaimVerdict.UNDECIDED
    assert training.training(Given(laws=[replace(LAW, value=None)])) == []


@pytest.mark.parametrize(
    ("phases", "verdict"),
    [("follows", ClaimVerdict.SUPPORTED), ("in part", ClaimVerdict.UNDECIDED), ("differs", ClaimVerdict.REFUTED)],
)
def test_phases_of_training_decide_as_they_are_beside_the_published_ones(phases, verdict):
    legs = [replace(LEG, phases=phases), replace(LEG, number=1, start=35, stop=370, change=1.0, counts=False, phases=phases)]
    (found,) = training.phases(Given(turns=legs))
    assert found.verdict is verdict
    assert found.reason == f"{phases}: falls by 0.60 to step 35 (seeds: 2)"
    (alone,) = training.phases(Given(turns=[replace(leg, seeds=1) for leg in legs]))
    assert alone.verdict is ClaimVerdict.UNDECIDED


def test_claims_without_records_are_untested():
    for claim in (
        width_depth.size_at_fixed_width,
        width_depth.width_at_fixed_size,
        width_depth.tied,
        width_depth.seeds,
        training.training,
        training.phases,
    ):
        assert claim(Given()) == []
