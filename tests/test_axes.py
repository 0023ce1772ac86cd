"""Laws of the loss on several measures of size: which are rejected, what foretells best, and when an offset has an interval."""

import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.laws.lack_of_fit import Fitness, lack_of_fit
from geomkit.laws.prediction import leave_one_out
from geomkit.laws.size_measures import FORMS, best, fitted_to_seeds, law_on_axis, laws_on_axes

SIZES = np.geomspace(1e4, 1e7, 7)
TOTAL = SIZES + 4e5
SEEDS = (3, 3, 3, 3, 3, 2, 1)


def losses(law, noise: float = 0.002, seeds=SEEDS) -> list[np.ndarray]:
    draw = rng(0, "axes")
    return [law(size) * np.exp(noise * draw.standard_normal(number)) for size, number in zip(SIZES, seeds, strict=True)]


def offset(size):
    return 2 + 20 * size**-0.2


def by_name(laws):
    return {(law.axis, law.fit.form): law for law in laws}


def test_a_power_law_of_one_axis_is_rejected_on_the_other_and_foretells_best_on_its_own():
    laws = laws_on_axes({"size": SIZES, "total": TOTAL}, losses(lambda size: 9 * size**-0.08))
    found = by_name(laws)
    assert len(laws) == 2 * len(FORMS)
    assert found["size", "power"].lack.kind is Fitness.NOT_REJECTED
    assert found["total", "power"].lack.kind is Fitness.REJECTED
    assert best(laws).axis == "size"
    assert found["size", "power"].error < 0.005 < found["total", "power"].error


def test_an_offset_has_an_interval_only_where_its_form_is_not_rejected():
    found = by_name(laws_on_axes({"size": SIZES, "total": TOTAL}, losses(offset)))
    low, high = found["size", "offset_power"].offset
    assert low < 2 < high
    rejected = found["total", "offset_power"]
    assert rejected.lack.kind is Fitness.REJECTED
    assert rejected.offset is None
    assert rejected.fit.interval == {}
    assert found["size", "power"].offset is None
    assert (found["size", "offset_power"].columns["interval"]["E"], rejected.columns["interval"]) == ((low, high), {})
    assert rejected.columns["lack"] is Fitness.REJECTED


def test_lack_of_fit_of_the_power_form_is_that_of_the_line():
    values = losses(offset)
    logs = [np.log(seeds) for seeds in values]
    found, line = law_on_axis("size", "power", SIZES, values).lack, lack_of_fit(SIZES, logs)
    assert (found.statistic, found.misfit, found.freedom) == (pytest.approx(line.statistic), pytest.approx(line.misfit), (5, 11))


@pytest.mark.parametrize("form", FORMS)
def test_the_law_for_lack_of_fit_is_the_least_squares_one_of_all_seeds(form):
    """No small move along a smooth direction of the form, here a factor or a power of x, comes nearer."""
    logs = [np.log(seeds) for seeds in losses(offset, 0.02)]
    fitted = fitted_to_seeds(form, SIZES, logs)

    def squares(law):
        return sum(((seeds - value) ** 2).sum() for seeds, value in zip(logs, law, strict=True))

    x = np.log(SIZES)
    moves = {"power": [0 * x + 1, x], "log_linear": [np.exp(-fitted), x * np.exp(-fitted)], "offset_power": [0 * x + 1]}[form]
    assert all(squares(fitted + step * move) > squares(fitted) for move in moves for step in (1e-4, -1e-4))


def test_offset_form_is_rejected_as_often_as_the_test_says():
    draw = rng(0, "rate")
    rejected = 0
    for _ in range(80):
        logs = [np.log(offset(size)) + 0.003 * draw.standard_normal(n) for size, n in zip(SIZES, SEEDS, strict=True)]
        rejected += lack_of_fit(SIZES, logs, fitted_to_seeds("offset_power", SIZES, logs), 3).kind is Fitness.REJECTED
    assert 1 <= rejected <= 10


def test_the_error_on_sizes_left_out_is_that_of_the_line_through_the_others():
    values = losses(lambda size: 9 * size**-0.08, 0.01)
    x, z = np.log(SIZES), np.array([np.log(seeds).mean() for seeds in values])
    errors = []
    for k in range(7):
        rest = np.arange(7) != k
        errors.append(np.polyval(np.polyfit(x[rest], z[rest], 1), x[k]) - z[k])
    law = law_on_axis("size", "power", SIZES, values)
    assert law.error == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-6)
    assert law.fit.heldout_error == pytest.approx(errors[-1], rel=1e-6)
    assert leave_one_out(np.empty((0, 7)), np.exp(z), np.arange(7), law.without) == pytest.approx(
        np.sqrt(np.mean((np.exp(z + errors) - np.exp(z)) ** 2))
    )


def test_sizes_that_share_a_width_are_not_taken_for_seeds():
    width = np.array([64, 96, 128, 192, 256, 384, 384])
    law = law_on_axis("width", "power", width, losses(offset, 1e-4))
    assert law.lack.freedom == (5, 11)
    assert law.lack.kind is Fitness.REJECTED
    assert law.fit.n == 6


def test_without_replicates_fit_is_untested_and_with_few_sizes_it_failed():
    laws = laws_on_axes({"size": SIZES}, losses(offset, seeds=(1,) * 7))
    assert {law.lack.kind for law in laws} == {Fitness.UNTESTED}
    assert {law.lack.reason for law in laws} == {"no replicated seeds"}
    few = laws_on_axes({"size": SIZES[:2]}, losses(offset)[:2])
    assert {law.fit.status.split(":")[0] for law in few} == {"failed"}
    assert few[0].columns["error_left_out"] is None
    assert few[0].columns["lack_reason"] == "2 sizes, and power needs at least 3"
    with pytest.raises(DataError, match="no law of the loss"):
        best(few)


def test_losses_and_axes_that_do_not_match_are_refused():
    with pytest.raises(DataError, match="width has shape"):
        laws_on_axes({"width": SIZES[:3]}, losses(offset))
    with pytest.raises(DataError, match="finite and positive"):
        laws_on_axes({"size": SIZES}, [np.array([0.0])] * 7)
