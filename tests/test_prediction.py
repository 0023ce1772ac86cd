"""What a measurement tells about the loss beside size: closed forms, and a null that tells as much."""

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.laws.prediction import laws_without, leave_one_out, prediction
from geomkit.laws.resampling import over_seeds, seed_counts
from geomkit.laws.statistics import partial_correlation_interval

LOG_N = np.log(np.geomspace(1e4, 1e6, 6))


def predicted(value, loss, resamples=200):
    """Of models (sizes, seeds), the seeds resampled."""
    counts = [seed_counts(value.shape[1], resamples, np.random.default_rng(k)).T for k in range(len(value))]
    drawn = [over_seeds([np.tile(seeds[:, None], resamples) for seeds in array], counts) for array in (value, loss)]
    return prediction(LOG_N[: len(value)], list(value), list(loss), *drawn)


def models(seeds=3, noise=0.1, label=0):
    return LOG_N[:, None] + noise * np.random.default_rng(label).standard_normal((6, seeds))


def test_a_loss_that_is_made_of_size_and_the_measurement_is_predicted_from_both():
    value = models(seeds=1)
    found = predicted(value, 3 - 0.1 * LOG_N[:, None] - 0.5 * value)
    assert found.partial.value == pytest.approx(-1)
    assert found.measurement == pytest.approx((-1, -1))
    assert found.error_both == pytest.approx(0, abs=1e-12)
    assert found.error_size > 0.01
    assert found.between_seeds is None


def test_over_sizes_it_is_the_partial_correlation_of_their_means():
    value, loss = models(), models(label=1)
    found = predicted(value, loss)
    assert found.partial == partial_correlation_interval(value.mean(axis=1), loss.mean(axis=1), LOG_N)
    assert found.measurement[0] < found.partial.value < found.measurement[1]


def test_between_seeds_size_and_all_that_follows_from_it_is_gone():
    value = models()
    of_size = np.random.default_rng(2).standard_normal((6, 1))
    found = predicted(value, 10 * of_size - 0.5 * (value - value.mean(axis=1, keepdims=True)))
    assert found.between_seeds.value == pytest.approx(-1)
    noise = models(label=3)
    centred = [array - array.mean(axis=1, keepdims=True) for array in (value, noise)]
    assert predicted(value, noise + of_size).between_seeds.value == pytest.approx(np.corrcoef(*map(np.ravel, centred))[0, 1])
    assert found.between_seeds.freedom == 18 - 3 - 5


@pytest.mark.parametrize("sizes", [4, 6])
def test_too_few_sizes_or_a_measurement_that_size_gives_are_an_error(sizes):
    value = models()[:sizes] if sizes == 4 else np.repeat(LOG_N[:, None], 2, axis=1)
    with pytest.raises(DataError, match="too few" if sizes == 4 else "no correlation"):
        predicted(value, models(seeds=value.shape[1])[:sizes])


def test_leaving_a_size_out_by_hand_and_in_the_limit_of_an_exact_law():
    sizes = np.repeat([1.0, 2.0, 3.0, 4.0], 2)
    assert leave_one_out(sizes, 3 - 2 * sizes, sizes) == pytest.approx(0, abs=1e-12)
    y = np.random.default_rng(0).standard_normal(8)
    errors = []
    for size in (1.0, 2.0, 3.0, 4.0):
        out = sizes == size
        slope, intercept = np.polyfit(sizes[~out], y[~out], 1)
        errors.append(np.mean((slope * size + intercept - y[out]) ** 2))
    assert leave_one_out(sizes, y, sizes) == pytest.approx(np.sqrt(np.mean(errors)))
    with pytest.raises(DataError, match="too few"):
        leave_one_out(sizes[:4], y[:4], sizes[:4])


def test_a_null_that_is_alike_for_all_seeds_has_no_correlation_between_them_and_keeps_the_rest():
    draw = np.random.default_rng(4)
    log_n = np.arange(6.0)
    value = [np.full(2, x + np.sin(x)) for x in log_n]
    loss = [9 - x + 0.1 * draw.random(2) for x in log_n]
    drawn = draw.random((6, 20))
    found = prediction(log_n, value, loss, drawn, drawn**2)
    assert found.between_seeds is None
    assert found.partial.low < found.partial.value < found.partial.high


def test_a_law_left_out_by_hand_and_in_the_limit_of_an_exact_one():
    x = np.geomspace(1e4, 1e6, 6)
    exact = 7 * x**-0.1
    assert leave_one_out([], exact, x, laws_without("power", x, exact, x)) == pytest.approx(0, abs=1e-9)
    y = exact * np.exp(0.05 * np.random.default_rng(1).standard_normal(6))
    laws = np.array([np.exp(np.polyval(np.polyfit(np.log(x[x != out]), np.log(y[x != out]), 1), np.log(x))) for out in x])
    assert laws_without("power", x, y, x) == pytest.approx(laws, rel=1e-6)
    assert leave_one_out([], y, x, laws) == pytest.approx(np.sqrt(np.mean((np.diag(laws) - y) ** 2)))
    with pytest.raises(DataError, match="needs at least"):
        laws_without("power", x[:3], y[:3], x[:3])


def test_beside_a_law_a_predictor_of_what_it_leaves_over_predicts_it():
    x = np.geomspace(1e4, 1e6, 6)
    left = np.random.default_rng(2).standard_normal(6)
    law = np.tile(7 * x**-0.1, (6, 1))
    assert leave_one_out([left], law[0] + 0.3 - 0.1 * left, x, law) == pytest.approx(0, abs=1e-12)
    with pytest.raises(DataError, match="not finite"):
        leave_one_out([np.full(6, np.nan)], law[0], x)
