"""The pair model against its own truth, brute force, and the simulation behind the protocol."""

import csv
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from geomkit.core.errors import DataError
from geomkit.ladder.training import SHAPES
from geomkit.laws.pairs import FACTOR, MARGINS, Coefficient, Margins, PairDesign, PairModel, Verdict

ROOT = Path(__file__).parents[1]
# by its path: in the folder of benchmarks, coverage.py is not the package of that name, which numba imports
SPEC = spec_from_file_location("pairs_benchmark", ROOT / "tests/benchmarks/pairs.py")
pairs = sys.modules[SPEC.name] = module_from_spec(SPEC)
SPEC.loader.exec_module(pairs)

LOG_SIZE = np.log([6592, 21720, 50880, 113184, 250048, 671232, 1586432])


@pytest.fixture
def design() -> PairDesign:
    return PairDesign.complete(LOG_SIZE)


def differences(design: PairDesign, y: np.ndarray, level: float = 0.0) -> np.ndarray:
    return level + y[design.target] - y[design.donor]


def test_noise_free_data_give_slope_sag_and_level_back_and_no_error(design):
    y = design.basis @ [0.3, 0.03, -0.15]
    found = design.fit(differences(design, y, 0.1))
    assert [found.slope.value, found.sag.value, found.level.value] == pytest.approx([0.03, -0.15, 0.1], abs=1e-12)
    assert [found.slope.error, found.sag.error, found.level.error, found.fit] == pytest.approx([0, 0, 0, 0], abs=1e-12)
    assert found.residual == pytest.approx(y - y.mean(), abs=1e-12)


def test_basis_is_orthogonal_and_its_quadratic_has_range_one(design):
    product = design.basis.T @ design.basis
    assert product - np.diag(np.diag(product)) == pytest.approx(np.zeros((3, 3)), abs=1e-12)
    assert np.ptp(design.basis[:, 2]) == pytest.approx(1)


def test_a_donors_own_residual_biases_its_own_differences_and_not_the_pair_model(design):
    y = np.zeros(7)
    y[-1] = -0.1
    values = differences(design, y)
    widest = np.polyfit(LOG_SIZE[:6], values[design.donor == 6], 0)[0]
    assert widest == pytest.approx(0.1)
    assert design.fit(values).level.value == pytest.approx(0, abs=1e-12)


def test_jackknife_is_that_of_fits_without_each_width_in_both_roles(design):
    draw = np.random.default_rng(1)
    values, measured = draw.normal(size=21), draw.normal(size=7)
    estimates = []
    for left_out in range(7):
        kept = [k for k in range(7) if k != left_out]
        rows, right = [], []
        for donor, target, value in zip(design.donor, design.target, values, strict=True):
            if left_out not in (donor, target):
                row = np.zeros(8)
                row[0], row[1 + target], row[1 + donor] = 1, 1, -1
                rows.append(row)
                right.append(value)
        rows.append(np.array([0, *np.ones(7)]))
        right.append(0.0)
        solved = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
        y = np.linalg.lstsq(design.basis[kept], solved[1:][kept], rcond=None)[0]
        exponent = np.linalg.lstsq(design.basis[kept], measured[kept], rcond=None)[0][1]
        estimates.append([y[1], y[2], solved[0], exponent])
    spread = np.array(estimates) - np.mean(estimates, axis=0)
    found = design.fit(values, measured)
    assert found.covariance == pytest.approx(FACTOR**2 * 6 / 7 * spread.T @ spread, rel=1e-9)


def test_documents_that_shift_all_widths_together_enter_the_error_of_the_slope(design):
    shift = np.random.default_rng(2).normal(0, 0.01, 4000)
    drawn = np.outer(LOG_SIZE[design.target] - LOG_SIZE[design.donor], shift)
    found = design.fit(np.zeros(21), drawn=drawn)
    assert found.slope.error == pytest.approx(FACTOR * shift.std(ddof=1), rel=1e-9)
    assert design.fit(np.zeros(21)).slope.error == 0


def test_margins_and_p_values_are_those_of_t():
    found = Coefficient(0.01, 0.004, 9)
    assert found.p == pytest.approx(2 * stats.t.sf(2.5, 9))
    assert found.p_within(0.02) == pytest.approx(stats.t.sf(2.5, 9))
    low, high = found.interval(0.9)
    assert found.p_within(high) == pytest.approx(0.05)
    assert low == pytest.approx(0.02 - high)
    assert Coefficient(0.0, 0.0, 9).p == 1
    assert Coefficient(0.01, 0.0, 9).p == 0


def model(slope: float, sag: float = 0.0, level: float = 0.0, errors: tuple[float, ...] = (0.003, 0.01, 0.01)) -> PairModel:
    return PairModel(np.log(np.arange(1.0, 13)), np.zeros(12), np.array([slope, sag, level]), np.diag(np.square(errors)), 0.0)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (model(0.0), Verdict.SUFFICES),
        (model(0.0, sag=0.1), Verdict.ON_AVERAGE),
        (model(0.0, level=-0.1), Verdict.ON_AVERAGE),
        (model(0.03), Verdict.BEYOND),
        (model(-0.03), Verdict.BEYOND),
        (model(0.015, errors=(0.005, 0.01, 0.01)), Verdict.OPEN),
        (model(0.019, errors=(0.003, 0.01, 0.01)), Verdict.OPEN),
        (model(0.0, errors=(0.02, 0.01, 0.01)), Verdict.OPEN),
    ],
)
def test_verdicts(found, verdict):
    assert found.verdict(Margins(0.02, 0.05)) is verdict


def test_the_projected_exponent_is_that_of_the_measurement_minus_the_slope(design):
    draw = np.random.default_rng(1)
    y, levels = draw.normal(0, 0.01, 7), 0.3 * design.log_size + draw.normal(0, 0.01, 7)
    found = design.fit(differences(design, y), levels)
    mixed = design.fit(differences(design, y - y), levels - y)  # what is left once every width's residual is taken out
    assert found.projected.value == pytest.approx(mixed.exponent.value)
    assert found.projected.error == pytest.approx(mixed.exponent.error)
    assert mixed.projected == mixed.exponent
    assert design.fit(differences(design, y)).projected is None


def test_share_is_fiellers_and_absent_for_a_weak_exponent(design):
    draw = np.random.default_rng(3)
    y = design.basis @ [0, 0.05, 0] + draw.normal(0, 0.01, 7)
    found = design.fit(differences(design, y), 0.25 * LOG_SIZE + y)
    assert found.exponent is not None
    share = found.share
    assert share is not None
    assert share.value == pytest.approx(1 - found.slope.value / found.exponent.value)
    t = stats.t.ppf(0.975, 4)
    for edge in (share.low, share.high):  # where slope - (1 - share) exponent is just significant
        ratio = 1 - edge
        variance = np.array([1, -ratio]) @ found.covariance[np.ix_([0, 3], [0, 3])] @ np.array([1, -ratio])
        assert abs(found.slope.value - ratio * found.exponent.value) == pytest.approx(t * np.sqrt(variance), rel=1e-9)
    assert design.fit(differences(design, y), draw.normal(size=7)).share is None
    assert design.fit(differences(design, y)).share is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: (PairDesign.complete(LOG_SIZE[:4]), one[:6]), "needs 5"),
        (lambda one: (PairDesign.complete(np.array([1.0, 2, 3, 4, 4])), one[:10]), "4 different sizes of 5"),
        (lambda one: (PairDesign(LOG_SIZE, np.array([1, 2, 3, 4, 5]), np.array([0, 1, 2, 3, 4])), one[:5]), "size number 6"),
        (lambda one: (PairDesign.complete(LOG_SIZE), np.where(one > 0, one, np.nan)), "finite differences"),
    ],
)
def test_bad_pairs_are_refused(change, message):
    refused, values = change(np.random.default_rng(0).normal(size=21))
    with pytest.raises(DataError, match=message):
        refused.fit(values)


def test_simulation_estimates_what_the_library_does(design):
    draw = np.random.default_rng(4)
    truth = pairs.Truth("", slope=0.01)
    without = pairs.expected(design, truth)
    values = without + draw.normal(0, 0.02, (3, 21))
    found = pairs.estimated(design, without, values, truth)
    for run in range(3):
        one = design.fit(values[run])
        assert found.estimate[run] == pytest.approx(one.values, abs=1e-12)
        assert FACTOR * found.error[run] == pytest.approx(np.sqrt(np.diag(one.covariance)), rel=1e-9)
        apart, within = pairs.p_values(found, MARGINS["erank_covariance"], 7)
        assert (apart[run], within[run, 0]) == pytest.approx((one.slope.p, one.slope.p_within(0.02)))


def rows(name: str) -> list[dict[str, str]]:
    with (ROOT / "tests" / "benchmarks" / name).open() as stream:
        return list(csv.DictReader(stream))


def test_the_protocols_factor_is_the_least_of_two_decimals_that_covers():
    table = rows("pairs.csv")
    assert min(float(row["runs"]) for row in table) >= 10_000
    least = max(float(row["factor"]) for row in table)
    assert FACTOR - 0.01 < least <= FACTOR
    assert min(float(row[f"{term}: protocol"]) for row in table for term in pairs.TERMS) >= 0.94


def test_protocol_page_has_the_shapes_and_the_power_table():
    page = (ROOT / "docs" / "protocol.md").read_text()
    cells = {name: re.search(rf"^\| {name} \|(.*)\|$", page, re.MULTILINE)[1].split("|") for name in ("width", "layers", "heads")}
    shapes = {int(w): (int(n), int(h)) for w, n, h in zip(*cells.values(), strict=True)}
    assert shapes == {width: SHAPES[width] for width in pairs.NEW}
    assert {width: layers for width, (layers, _) in shapes.items()} == pairs.NEW
    assert pairs.power_table(rows("pairs_power.csv")) in page
    assert len(page.split()) <= 2500


def test_heads_have_the_even_size_that_is_nearest_to_sixteen():
    for width, (_, heads) in SHAPES.items():
        sizes = [size for size in range(2, width + 1, 2) if width % size == 0]
        assert width // heads == min(sizes, key=lambda size: abs(np.log(size / 16)))
