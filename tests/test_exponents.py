"""Exponents beside their nulls: closed forms, the verdict's rule, and what is refused."""

import numpy as np
import pytest

from geomkit.errors import DataError
from geomkit.laws.exponents import Exponent, exponents, leave_one_size_out
from geomkit.laws.statistics import Resamples, draw_resamples
from geomkit.store.provenance import rng

SIZES = np.array([1e4, 3e4, 1e5, 3e5, 1e6])
DOCUMENTS = [f"d{text // 2}" for text in range(40)]


def law(b: float, scatter: float = 0.0, seeds: int = 2, label: str = "law") -> list[np.ndarray]:
    """For each size (seeds, texts) values around x^b; texts differ by a factor that all sizes share."""
    draw = rng(0, label)
    text = np.exp(0.3 * draw.standard_normal(40))
    return [x**b * text * np.exp(scatter * draw.standard_normal((seeds, 40)) + scatter * draw.standard_normal()) for x in SIZES]


def exponent(sizes, values, nulls, documents, resamples, draws) -> Exponent:
    drawn = draw_resamples(documents, [len(value) for value in values], resamples, draws)
    return exponents({"x": sizes}, values, nulls, drawn)["x"]


def test_an_exact_law_is_recovered_and_its_difference_from_a_null_is_the_difference_of_exponents():
    result = exponent(SIZES, law(-0.2), {"fixed-spectrum": law(-0.3), "stretched": law(0.1)}, DOCUMENTS, 200, rng(0, "draws"))
    assert result.status == "converged"
    np.testing.assert_allclose([result.estimate.value, result.estimate.low, result.estimate.high], -0.2, atol=1e-9)
    np.testing.assert_allclose(result.measurement, -0.2, atol=1e-9)
    assert result.nulls["stretched"].exponent == pytest.approx(0.1)
    np.testing.assert_allclose(result.nulls["fixed-spectrum"].difference[:3], 0.1, atol=1e-9)
    np.testing.assert_allclose(result.nulls["stretched"].measurement, -0.3, atol=1e-9)


@pytest.mark.parametrize(
    ("fixed", "stretched", "verdict"),
    [
        (-0.2, 0.1, "width alone: not told from fixed-spectrum"),
        (-0.3, -0.2, "width alone: not told from stretched"),
        (-0.2, -0.2, "width alone: not told from fixed-spectrum and stretched"),
        (-0.4, 0.1, "beyond width: between the nulls"),
        (0.0, 0.1, "beyond width: outside the nulls"),
    ],
)
def test_a_law_goes_beyond_width_only_if_both_nulls_are_excluded(fixed, stretched, verdict):
    nulls = {"fixed-spectrum": law(fixed, 0.02, label="f"), "stretched": law(stretched, 0.02, label="s")}
    assert exponent(SIZES, law(-0.2, 0.02), nulls, DOCUMENTS, 100, rng(0, "draws")).verdict == verdict


def test_without_both_nulls_nothing_is_said_about_width():
    result = exponent(SIZES, law(-0.2), {"stretched": law(0.1)}, DOCUMENTS, 100, rng(0, "draws"))
    assert result.verdict == "no null for width"


def test_texts_that_are_not_defined_everywhere_are_left_out_everywhere():
    values, null = law(-0.2, 0.1), law(-0.1, 0.1, label="null")
    spoiled = [array.copy() for array in values]
    spoiled[2][1, 5] = np.nan
    kept = np.delete(np.arange(40), 5)
    drawn = draw_resamples(DOCUMENTS, [2] * 5, 100, rng(0, "d"))
    whole = exponents(
        {"x": SIZES}, [a[:, kept] for a in values], {"n": [a[:, kept] for a in null]}, Resamples(drawn.texts[kept], drawn.seeds)
    )
    assert exponents({"x": SIZES}, spoiled, {"n": null}, drawn) == whole


def test_seeds_are_averaged_and_every_size_counts_once():
    values = law(-0.2, 0.1, seeds=3)
    means = [np.exp(np.log(value.mean(axis=1)).mean()) for value in values]
    expected = np.polyfit(np.log(SIZES), np.log(means), 1)[0]
    assert exponent(SIZES, values, {}, DOCUMENTS, 100, rng(0, "d")).estimate.value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sizes", "change", "status"),
    [
        (SIZES[:2], lambda value: value, "failed: 2 sizes"),
        (SIZES, lambda value: -value, "failed: a mean is not positive"),
        (SIZES, lambda value: value * np.nan, "failed: no text on which everything is defined"),
    ],
)
def test_numbers_that_determine_no_exponent_give_a_status(sizes, change, status):
    result = exponent(sizes, [change(value) for value in law(-0.2)[: len(sizes)]], {}, DOCUMENTS, 100, rng(0, "d"))
    assert (result.status, result.verdict, result.estimate) == (status, status, None)


def test_a_published_table_has_exponents_without_a_measurement_part():
    table = {"": SIZES**-0.05, "fixed-spectrum": SIZES**-0.05, "stretched": SIZES**0.1}
    arrays = {name: [np.array([[value]]) for value in values] for name, values in table.items()}
    result = exponents({"N": SIZES, "d": SIZES**0.5}, arrays.pop(""), arrays, None)
    assert result["N"].measurement is None
    assert result["N"].nulls["stretched"].measurement is None
    assert result["N"].estimate.value == pytest.approx(-0.05)
    assert result["d"].estimate.value == pytest.approx(-0.1)
    assert result["N"].verdict == "width alone: not told from fixed-spectrum"


def test_nulls_that_are_one_cannot_test_width_and_sizes_that_do_not_vary_have_no_exponent():
    null = law(0.05, 0.02, label="null")
    drawn = draw_resamples(DOCUMENTS, [2] * 5, 100, rng(0, "d"))
    result = exponents({"x": SIZES, "d": np.ones(5)}, law(-0.2), {"fixed-spectrum": null, "stretched": null}, drawn)
    assert result["x"].verdict.startswith("width not seen")
    assert result["d"].status == "failed: d does not vary"


def test_leaving_a_size_out_by_hand_and_in_the_limit_of_an_exact_law():
    sizes = np.repeat([1.0, 2.0, 3.0, 4.0], 2)
    assert leave_one_size_out(sizes, 3 - 2 * sizes, sizes) == pytest.approx(0, abs=1e-12)
    y = rng(0, "y").standard_normal(8)
    errors = []
    for size in (1.0, 2.0, 3.0, 4.0):
        out = sizes == size
        slope, intercept = np.polyfit(sizes[~out], y[~out], 1)
        errors.append(np.mean((slope * size + intercept - y[out]) ** 2))
    assert leave_one_size_out(sizes, y, sizes) == pytest.approx(np.sqrt(np.mean(errors)))
    with pytest.raises(DataError, match="too few"):
        leave_one_size_out(sizes[:4], y[:4], sizes[:4])
