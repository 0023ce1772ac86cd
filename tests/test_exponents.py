"""Exponents beside their nulls: closed forms, the verdict's rule, and what has no exponent."""

import numpy as np
import pytest

from geomkit.core.provenance import rng
from geomkit.laws.exponents import Exponent, Levels, Verdict, exponents, model_levels, text_levels
from geomkit.laws.resampling import Resamples, draw_resamples

SIZES = np.array([1e4, 3e4, 1e5, 3e5, 1e6])
DOCUMENTS = [f"d{text // 2}" for text in range(40)]


def law(b: float, scatter: float = 0.0, seeds: int = 2, label: str = "law") -> list[np.ndarray]:
    """For each size (seeds, texts) values around x^b; texts differ by a factor that all sizes share."""
    draw = rng(0, label)
    text = np.exp(0.3 * draw.standard_normal(40))
    return [x**b * text * np.exp(scatter * draw.standard_normal((seeds, 40)) + scatter * draw.standard_normal()) for x in SIZES]


def exponent(values, nulls, documents=DOCUMENTS, resamples=100) -> Exponent:
    drawn = draw_resamples(documents, [len(value) for value in values], resamples, rng(0, "draws"))
    levels = text_levels({"": values, **nulls}, drawn)
    return exponents({"x": SIZES[: len(values)]}, levels.pop(""), levels)["x"]


def test_an_exact_law_is_recovered_and_its_difference_from_a_null_is_the_difference_of_exponents():
    result = exponent(law(-0.2), {"fixed-spectrum": law(-0.3), "stretched": law(0.1)})
    assert (result.failure, result.reason) == ("", "between fixed-spectrum and stretched")
    np.testing.assert_allclose([result.estimate.value, result.estimate.low, result.estimate.high], -0.2, atol=1e-9)
    np.testing.assert_allclose(result.measurement, -0.2, atol=1e-9)
    assert result.nulls["stretched"].exponent == pytest.approx(0.1)
    np.testing.assert_allclose(result.nulls["fixed-spectrum"].difference[:3], 0.1, atol=1e-9)
    np.testing.assert_allclose(result.nulls["stretched"].measurement, -0.3, atol=1e-9)


@pytest.mark.parametrize(
    ("fixed", "stretched", "verdict", "reason"),
    [
        (-0.2, 0.1, Verdict.UNDECIDED, "indistinguishable from fixed-spectrum"),
        (-0.3, -0.2, Verdict.UNDECIDED, "indistinguishable from stretched"),
        (-0.2, -0.2, Verdict.UNDECIDED, "indistinguishable from fixed-spectrum and stretched"),
        (-0.4, 0.1, Verdict.UNDECIDED, "between fixed-spectrum and stretched"),
        (0.0, 0.1, Verdict.OUTSIDE, ""),
    ],
)
def test_a_tables_law_is_outside_only_if_it_is_on_one_side_of_both_nulls(fixed, stretched, verdict, reason):
    nulls = {"fixed-spectrum": law(fixed, 0.02, label="f"), "stretched": law(stretched, 0.02, label="s")}
    result = exponent(law(-0.2, 0.02), nulls)
    assert (result.verdict, result.reason) == (verdict, reason)
    assert result.unjudged("elsewhere") == (Verdict.NOT_JUDGED, "elsewhere")


def test_without_both_nulls_nothing_is_said_about_width():
    assert exponent(law(-0.2), {"stretched": law(0.1)}).verdict == Verdict.NO_NULL


def test_texts_that_are_not_defined_everywhere_are_left_out_everywhere():
    values, null = law(-0.2, 0.1), law(-0.1, 0.1, label="null")
    spoiled = [array.copy() for array in values]
    spoiled[2][1, 5] = np.nan
    kept = np.delete(np.arange(40), 5)
    drawn = draw_resamples(DOCUMENTS, [2] * 5, 100, rng(0, "d"))
    others = Resamples(drawn.texts[kept], drawn.seeds)
    whole = text_levels({"": [a[:, kept] for a in values], "null": [a[:, kept] for a in null]}, others)
    for name, level in text_levels({"": spoiled, "null": null}, drawn).items():
        np.testing.assert_array_equal(level.value, whole[name].value)
        np.testing.assert_array_equal(level.drawn, whole[name].drawn)


def test_seeds_are_averaged_and_every_size_counts_once():
    values = law(-0.2, 0.1, seeds=3)
    means = [np.exp(np.log(value.mean(axis=1)).mean()) for value in values]
    expected = np.polyfit(np.log(SIZES), np.log(means), 1)[0]
    assert exponent(values, {}).estimate.value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("number", "change", "reason"),
    [
        (2, lambda value: value, "2 sizes"),
        (5, lambda value: -value, "at some size there is no value, or none that is positive"),
        (5, lambda value: value * np.nan, "at some size there is no value, or none that is positive"),
    ],
)
def test_numbers_that_determine_no_exponent_give_a_reason(number, change, reason):
    result = exponent([change(value) for value in law(-0.2)[:number]], {})
    assert (result.verdict, result.reason, result.estimate) == (Verdict.FAILED, reason, None)
    assert result.unjudged("elsewhere") == (Verdict.FAILED, reason)


def test_a_null_without_a_value_is_left_out():
    values = {"": law(-0.2), "gaussian": [-value for value in law(0.1)], "stretched": law(0.1)}
    drawn = draw_resamples(DOCUMENTS, [2] * 5, 100, rng(0, "d"))
    levels = text_levels(values, drawn)
    assert set(exponents({"x": SIZES}, levels.pop(""), levels)["x"].nulls) == {"stretched"}


def test_a_published_table_has_exponents_without_a_measurement_part():
    nulls = {"fixed-spectrum": Levels(np.log(SIZES**-0.05)), "stretched": Levels(np.log(SIZES**0.1))}
    result = exponents({"N": SIZES, "d": SIZES**0.5}, Levels(np.log(SIZES**-0.05)), nulls)
    assert result["N"].measurement is None
    assert result["N"].nulls["stretched"].measurement is None
    assert result["N"].estimate.value == pytest.approx(-0.05)
    assert result["d"].estimate.value == pytest.approx(-0.1)
    assert (result["N"].verdict, result["N"].reason) == (Verdict.UNDECIDED, "indistinguishable from fixed-spectrum")


def test_one_value_of_a_model_has_the_draws_of_its_documents_and_seeds():
    """One document: what is left of the resampling is that of seeds, which is that of texts."""
    values = law(-0.2, 0.1, seeds=3)
    drawn = draw_resamples(np.zeros(40), [3] * 5, 60, rng(0, "d"))
    means = [value.mean(axis=1) for value in values]
    level = model_levels(means, [np.tile(mean[:, None], 50) for mean in means], drawn.seeds)
    expected = text_levels({"": values}, drawn)[""]
    np.testing.assert_allclose(level.value, expected.value, rtol=1e-12)
    np.testing.assert_allclose(level.drawn, expected.drawn[:, :50], rtol=1e-12)
    assert model_levels(means, None, drawn.seeds).drawn is None


def test_nulls_that_are_one_cannot_test_width_and_sizes_that_do_not_vary_have_no_exponent():
    values = {"": law(-0.2), "fixed-spectrum": law(0.05, 0.02, label="null"), "stretched": law(0.05, 0.02, label="null")}
    levels = text_levels(values, draw_resamples(DOCUMENTS, [2] * 5, 100, rng(0, "d")))
    level = levels.pop("")
    result = exponents({"x": SIZES, "d": np.ones(5)}, level, levels)
    assert result["x"].verdict == Verdict.NOT_SEEN
    rounded = levels | {"stretched": Levels(levels["stretched"].value + 2e-8 * np.log(SIZES))}
    assert exponents({"x": SIZES}, level, rounded)["x"].verdict == Verdict.NOT_SEEN
    apart = levels | {"stretched": Levels(levels["stretched"].value + 2e-7 * np.log(SIZES))}
    assert exponents({"x": SIZES}, level, apart)["x"].verdict != Verdict.NOT_SEEN
    assert (result["d"].verdict, result["d"].reason) == (Verdict.FAILED, "d does not vary")


def test_a_resample_without_a_positive_mean_leaves_no_measurement_part():
    x = np.array([10.0, 20, 40, 80])
    drawn = np.log(x)[:, None] + np.zeros((4, 50))
    null = np.full((4, 50), 0.5)
    null[2, 7] = -np.inf
    found = exponents(
        {"N": x}, Levels(np.log(x), drawn), {"known": Levels(np.zeros(4), 0 * drawn), "zero": Levels(np.zeros(4), null)}
    )["N"]
    assert found.measurement == pytest.approx((1, 1))
    assert found.nulls["known"].measurement == pytest.approx((1, 1))
    assert found.nulls["zero"].measurement is None
