"""Models of one width beside their controls: planted differences come out, nothing gives nothing."""

import math

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.laws.contrasts import contrast, within
from geomkit.laws.resampling import Documents

RNG = np.random.default_rng(0)
TEXTS, NAMES = 40, np.repeat(np.arange(20), 2)
TRAINED = np.exp(RNG.normal(1.0, 0.3, (3, TEXTS)))
TWINS = np.exp(RNG.normal(1.5, 0.3, (20, TEXTS)))
DRAWS = Documents.draw(NAMES, 400, np.random.default_rng(1)).draws


def log_means(values):
    return np.log(values.mean(axis=1))


def test_the_difference_of_mean_logarithms():
    found = contrast([(1, TRAINED)], [(1, TWINS)], DRAWS)
    assert found.value == pytest.approx(log_means(TRAINED).mean() - log_means(TWINS).mean(), rel=1e-12)
    assert (found.seeds, found.twins, found.texts) == (3, 20, 40)
    assert found.low < found.value < found.high
    assert found.sign == -1


def test_the_parts_of_the_interval_by_hand():
    found = contrast([(1, TRAINED)], [(1, TWINS)], DRAWS)
    weights = DRAWS / DRAWS.sum(axis=0)
    drawn = np.log(TRAINED @ weights).mean(axis=0) - np.log(TWINS @ weights).mean(axis=0)
    parts = [
        1.959964 * drawn.std(ddof=1),
        4.302653 * log_means(TRAINED).std(ddof=1) / math.sqrt(3),
        2.093024 * log_means(TWINS).std(ddof=1) / math.sqrt(20),
    ]
    assert found.high - found.value == pytest.approx(math.hypot(*parts), rel=1e-5)


def test_equal_arrays_differ_by_nothing():
    assert contrast([(1, TRAINED), (-1, TRAINED)], None, DRAWS).value == 0
    found = contrast([(1, TRAINED)], [(1, TRAINED)], DRAWS)
    assert (found.value, found.sign) == (0, 0)


def test_a_factor_is_found_whatever_is_drawn():
    """Model by model: the scatter that both sides share is no part of the interval."""
    found = contrast([(1, 1.2 * TRAINED), (-1, TRAINED)], None, DRAWS)
    assert found.value == pytest.approx(math.log(1.2), rel=1e-12)
    assert found.high - found.low < 1e-12
    assert found.sign == 1
    assert found.twins is None


def test_what_disappears_when_centred_is_the_difference_of_differences():
    """Trained rows share a direction that raw twins do not have; centred, trained and twins are alike."""
    centred = np.exp(RNG.normal(2.0, 0.2, (20, TEXTS)))
    seeds = centred[:3]
    found = contrast([(1, 0.8 * seeds), (-1, seeds)], [(1, centred), (-1, centred)], DRAWS)
    assert found.value == pytest.approx(math.log(0.8), rel=1e-12)
    assert found.sign == -1


def test_texts_without_a_value_are_left_out_of_all():
    holed = TRAINED.copy()
    holed[0, :4] = np.nan
    found = contrast([(1, holed)], [(1, TWINS)], DRAWS)
    whole = contrast([(1, TRAINED[:, 4:])], [(1, TWINS[:, 4:])], DRAWS[4:])
    assert (found.value, found.low, found.texts) == (whole.value, whole.low, 36)
    with pytest.raises(DataError, match="no text has all values"):
        contrast([(1, np.full((2, 3), np.nan))])
    with pytest.raises(DataError, match="a mean is not positive"):
        contrast([(1, -TRAINED)])


def test_without_anything_drawn_there_is_no_interval():
    found = contrast([(1, np.array([[2.0]])), (-1, np.array([[1.0]]))])
    assert (found.value, found.low, found.high, found.sign) == (math.log(2), None, None, None)
    seeds = contrast([(1, np.array([[2.0], [3.0]]))])
    assert seeds.high - seeds.value == pytest.approx(12.7062047 * abs(math.log(3) - math.log(2)) / 2, rel=1e-6)


def test_intervals_of_nothing_cover_nothing():
    """Trained and twins of one distribution: 95 % intervals exclude 0 in about 5 % of runs, and not in more than 10 %."""
    draws, outside = np.random.default_rng(5), 0
    for _ in range(200):
        text = draws.normal(0, 0.3, 20).repeat(2)
        trained, twins = (np.exp(text + draws.normal(0, 0.1, (k, 1)) + draws.normal(0, 0.1, (k, 40))) for k in (3, 20))
        outside += contrast([(1, trained)], [(1, twins)], Documents.draw(NAMES, 100, draws).draws).sign != 0
    assert outside <= 20


def test_a_correlation_within_sizes_leaves_sizes_out():
    size = np.repeat([1, 2, 3, 4], 4)
    shared = RNG.normal(size=16)
    x, y = 10.0 * size + shared, -5.0 * size + shared + 1e-3 * RNG.normal(size=16)
    found = within(x, y, size)
    assert found.value > 0.99
    assert np.corrcoef(x, y)[0, 1] < -0.9
    centred = [values - np.repeat(values.reshape(4, 4).mean(axis=1), 4) for values in (x, y)]
    assert found.value == pytest.approx(np.corrcoef(centred)[0, 1], rel=1e-9)
    assert found.freedom == 16 - 3 - 3


def test_sizes_with_one_seed_tell_nothing_about_seeds():
    size, x, y = np.repeat([1, 2, 3], 3), RNG.normal(size=9), RNG.normal(size=9)
    found = within(x, y, size)
    assert within(np.append(x, 99.0), np.append(y, -99.0), np.append(size, 4)) == found
    assert found.detectable == pytest.approx(math.tanh(2.8015852 / math.sqrt(found.freedom)), rel=1e-6)
    with pytest.raises(DataError, match="4 seeds of 2 sizes are too few"):
        within(x[:4], y[:4], [1, 1, 2, 2])


def test_the_smallest_detectable_correlation_is_detected_in_80_percent():
    draws, size, found = np.random.default_rng(3), np.repeat(np.arange(6), 5), 0
    rho = within(draws.normal(size=30), draws.normal(size=30), size).detectable
    for _ in range(400):
        x = draws.normal(size=30)
        y = rho * x + math.sqrt(1 - rho**2) * draws.normal(size=30)
        found += within(x, y, size).low > 0
    assert 0.74 < found / 400 < 0.86
