"""Verdicts of a family against planted nulls: what is known about the truth decides what must be said."""

from dataclasses import replace

import numpy as np
import pytest

from geomkit.laws.resampling import Documents
from geomkit.laws.verdicts import Kind, judge
from geomkit.studies.size_laws.verdicts import COMMON, KEPT, Levels, is_primary
from geomkit.tables.measurements import PROJECTED, RANDOM, MeasuredModel, Measurements, Where
from geomkit.tables.pairs import STRETCHED
from geomkit.tables.tidy import DONOR_COLUMNS, TableWriter

WIDTHS = (16, 24, 32, 48, 64, 96, 128)
MODELS = [MeasuredModel(f"m-{width}-s{seed}", seed, width**3, 2 * width**3, 2, width) for width in WIDTHS for seed in (0, 1)]
SIZES = np.array([float(model.params_nonembedding) for model in MODELS])
TEXTS = [f"d{k}" for k in range(40)]
WHERE = Where("last", "unit", 256, "erank_covariance")


def values(exponent: float, scatter: float = 0.002, seed: int = 0) -> np.ndarray:
    """(models, texts): a power law, texts that all models share, and seeds that differ a little."""
    draw = np.random.default_rng(seed)
    texts = np.exp(0.1 * np.random.default_rng(9).standard_normal(len(TEXTS)))
    return SIZES[:, None] ** exponent * texts * np.exp(scatter * draw.standard_normal((len(MODELS), 1)))


def levels(measured: np.ndarray, null: np.ndarray, narrower: np.ndarray | None = None, random: float = 0.1) -> Levels:
    """A family with two donors: the widest models, whose null is `null`, and the second widest."""
    projected, drawn, chance = {}, {}, values(random, 0.0)
    for row, model in enumerate(MODELS):
        place = replace(WHERE, directions=model.width)
        for of, donor in enumerate(MODELS):
            if donor.width < max(96, model.width):
                continue
            own = null if donor.width == 128 or narrower is None else narrower
            for where, value in ((place, own[row]), (replace(place, metric=KEPT), np.full_like(own[row], 0.5))):
                projected.setdefault(where, np.full_like(null, np.nan))[of] = value
            if donor.width == 128:
                drawn.setdefault(place, np.full_like(chance, np.nan))[of] = chance[row]
    found = known({"trained": {WHERE: measured}, STRETCHED: {WHERE: values(0.11, 0.0)}})
    draws = Documents.draw(TEXTS, 100, np.random.default_rng(1)).draws
    return Levels(MODELS, found, known({PROJECTED: projected, RANDOM: drawn, COMMON: {WHERE: values(0.0)}}), draws)


def known(variants) -> Measurements:
    return Measurements("f", "c", MODELS, TEXTS, variants, {"last": np.array([model.width for model in MODELS])})


def judged(ladder: Levels):
    return judge({"one": ladder.endpoint(WHERE, primary=True)}, separate=True)["one"]


def test_a_difference_is_taken_below_the_donors_own_size():
    ladder = levels(values(0.3), values(0.2, 0.0))
    donors = ladder.donors(WHERE, PROJECTED)
    assert list(donors) == ["width 128", "width 96"]
    assert [one.size.size for one in donors.values()] == [6, 5]
    assert donors["width 128"].slope == pytest.approx(0.1, abs=2e-3)
    assert ladder.donors(WHERE, PROJECTED, own=True)["width 128"].size.size == 7


def test_a_large_difference_is_beyond_width_and_a_small_one_nested():
    assert judged(levels(values(0.3), values(0.2, 0.0))).verdict.kind is Kind.BEYOND
    assert judged(levels(values(0.2), values(0.2, 0.0))).verdict.kind is Kind.NESTED


def test_donors_that_contradict_each_other_are_said_to():
    ladder = levels(values(0.3), values(0.25, 0.0), narrower=values(0.35, 0.0))
    assert judged(ladder).verdict.kind in (Kind.DONOR_DEPENDENT, Kind.UNDECIDED)
    assert judged(ladder).verdict.kind is not Kind.BEYOND


def test_between_the_nulls_that_rescale_it_is_not_beyond_rescaling():
    assert judged(levels(values(0.3), values(0.2, 0.0), random=0.5)).verdict.kind is Kind.RESCALED


def test_texts_without_a_value_are_left_out_of_both():
    measured, null = values(0.3), values(0.2, 0.0)
    measured[:, 0] = np.nan
    null[:, 1] = np.nan
    whole = levels(values(0.3)[:, 2:], values(0.2, 0.0)[:, 2:]).values.variants["trained"][WHERE]
    ladder = levels(measured, null)
    difference = ladder.donors(WHERE, PROJECTED)["width 128"]
    expected = np.log(whole[:2].mean(axis=1)) - np.log(values(0.2, 0.0)[:2, 2:].mean(axis=1))
    np.testing.assert_allclose(difference.seeds[0], expected)


def test_the_record_holds_the_numbers_behind_the_verdict():
    ladder = levels(values(0.3), values(0.2, 0.0))
    row = ladder.verdict(WHERE, judged(ladder))
    assert row.exponent == pytest.approx(0.3, abs=2e-3)
    assert row.difference == pytest.approx(0.1, abs=2e-3)
    assert row.common_dimension == pytest.approx(0, abs=2e-3)
    assert not row.straddles
    assert row.sizes == 6
    rows = list(ladder.differences(WHERE))
    of_donor = [one for one in rows if (one.null, one.donor) == (PROJECTED, "width 128")]
    assert [one.width for one in of_donor] == list(WIDTHS[:-1])
    assert {one.norm_kept for one in of_donor} == {0.5}


def test_a_length_between_the_widths_straddles():
    where = replace(WHERE, length=64)
    ladder = levels(values(0.3), values(0.2, 0.0))
    ladder.values.variants["trained"][where] = values(0.3)
    row = ladder.verdict(where, judge({"one": ladder.endpoint(where, False)})["one"])
    assert row.straddles
    assert row.verdict is Kind.UNTESTED


def test_the_primary_tests_are_both_layers_at_the_length_that_was_fixed():
    primary = {"metrics": ["erank_covariance"], "layer": "last", "length": 256, "normalise": "unit"}
    assert is_primary(WHERE, primary)
    assert is_primary(replace(WHERE, layer="final"), primary)
    assert not is_primary(replace(WHERE, layer="plain"), primary)
    assert not is_primary(replace(WHERE, length=64), primary)
    assert not is_primary(replace(WHERE, metric="erank_singular"), primary)


def test_one_size_is_untested_with_its_reason():
    ladder = levels(values(0.3), values(0.2, 0.0))
    one = Levels(MODELS[:2], ladder.values, known({}), ladder.texts)
    assert "one size" in judge({"one": one.endpoint(WHERE, True)})["one"].verdict.reason


def test_the_final_state_without_gain_and_bias_is_judged_from_the_table_of_projections_alone(tmp_path):
    table = TableWriter(DONOR_COLUMNS, corpus="c", family="f", layer=3, depth=2, sublayer="plain", normalise="unit", n=256)
    where = {"metric": WHERE.metric, "text": np.arange(len(TEXTS)), "document": TEXTS}
    for row, (model, own) in enumerate(zip(MODELS, values(0.3), strict=True)):
        table.add(**where, variant="trained", model=model.name, donor=model.name, d=model.width, value=own)
        for donor in MODELS[-2:]:
            null = own if model.width == donor.width else values(0.2, 0.0)[row]
            if model.seed == 0:
                table.add(**where, variant="projected", donor=donor.name, d=model.width, value=null)
    table.write(tmp_path / "c.parquet", {})
    last = levels(values(0.25), values(0.2, 0.0)).values
    ladder = Levels.of(last, tmp_path / "c.parquet", 100, np.random.default_rng(0))
    plain = replace(WHERE, layer="plain")
    assert ladder.places == [WHERE, plain]
    assert last.variants["trained"].keys() == {WHERE}
    difference = ladder.donors(plain, PROJECTED)["width 128"]
    assert difference.size.size == 6
    assert difference.slope == pytest.approx(0.1, abs=2e-3)
    assert judge({"one": ladder.endpoint(plain, False)}, separate=True)["one"].verdict.kind is Kind.BEYOND
