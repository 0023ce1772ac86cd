"""The law over size and data and what metrics tell beside it, on a grid whose truth is known."""

import csv
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from drawings import check_column

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.laws.forms import Chinchilla, Status, forms
from geomkit.studies.loss.data import fit_data_laws
from geomkit.studies.loss.figure.data import data_figure, estimated
from geomkit.studies.loss.rows import Correlation, DataLaws
from geomkit.tables.endpoints import Endpoint
from geomkit.tables.rows import read_csv, read_json
from geomkit.tables.trainings import Training

pytestmark = pytest.mark.slow  # hundreds of fits
LAWS = Path(__file__).parents[1] / "workflow/resources/published/laws.csv"
LAW = {"E": 1.5, "A": 30.0, "alpha": 0.3478, "B": 40.0, "beta": 0.5}
SIZES = [int(size) for size in np.geomspace(1e4, 1e6, 6)]
BUDGETS = [int(data) for data in np.geomspace(1e4, 1e6, 6)]
SHIFT, LAST = {4: 0.3, 8: 0.0, 16: 0.2}, {4: 0.3, 8: 0.2, 16: 0.0}
"""What the loss has on top after so many passes, and at the largest budget."""
SECOND = dict(zip(BUDGETS, (0.5, 0.1, 0.05, 0.02, 0.01, 0.01), strict=True))
N, D = "params_nonembedding", "unique_tokens"
ASKED = Endpoint(layer="last", length=64, normalise="unit", eps2=0.5)
METRICS = ["same", "opposite", "of_size", "additive", "chance", "negative", "not in the grid"]


def rows() -> list[dict[str, float | str]]:
    """Two seeds of each size, the losses of the second higher by SECOND; three numbers of passes, of which eight are best but at
    the largest budget, where it is sixteen.

    Metrics: the loss; its opposite over passes alone; functions of size, and of size plus one of data; chance; one that has no
    logarithm.
    """
    noise, chance, apart = (rng(0, label) for label in ("noise", "chance", "seeds"))
    found: list[dict[str, float | str]] = []
    for size, data, seed in product(SIZES, BUDGETS, (0, 1)):
        base = float(Chinchilla.formula(LAW, np.array([[size], [data]]))[0]) * np.exp(0.001 * noise.standard_normal())
        base += SECOND[data] * seed
        of_size, of_data = 2 + np.sin(size), 3 + np.cos(data)
        for passes, extra in (LAST if data == BUDGETS[-1] else SHIFT).items():
            found.append(
                {
                    **{"width": 1 + SIZES.index(size), N: size, "seed": seed, D: data, "peak_rate": 0.01, "batch": 8},
                    **{"tokens": passes * data, "loss_test": base + extra, "loss_validation": base + extra},
                    **{"same": np.exp(base + extra), "opposite": np.exp(base - extra), "of_size": of_size},
                    **{"additive": of_size * of_data * np.exp(0.2 * (-1) ** seed), "chance": np.exp(chance.standard_normal())},
                    **{"negative": apart.standard_normal(), "layer": "last", "length": 64, "normalise": "unit", "eps2": 0.5},
                    "chosen": int(extra == 0),
                }
            )
    return found


def write(path: Path, table: list[dict]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    return path


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return write(tmp_path_factory.mktemp("grid") / "grid.csv", rows())


@pytest.fixture(scope="module")
def both(grid):
    fit_data_laws(grid, LAWS, grid.parent / "laws.json", METRICS, 1, 60, 0)
    return read_json(grid.parent / "laws.json", DataLaws)


@pytest.fixture(scope="module")
def found(both):
    """What the first seed's trainings show."""
    return both.draws[0]


def cells() -> dict[str, np.ndarray]:
    """Columns (36,) of the first seed's chosen trainings."""
    best = [row for row in rows() if row["chosen"] and row["seed"] == 0]
    return {name: np.array([row[name] for row in best], dtype=float) for name in (N, D, "loss_test", "chance")}


def left_out(predictors: np.ndarray, y: np.ndarray, groups: np.ndarray) -> float:
    """By hand: each group by an ordinary regression on the others."""
    squares = []
    for group in set(groups):
        rest, table = groups != group, np.column_stack([np.ones(len(y)), *predictors])
        solved = np.linalg.lstsq(table[rest], y[rest], rcond=None)[0]
        squares.append(np.mean((table[~rest] @ solved - y[~rest]) ** 2))
    return float(np.sqrt(np.mean(squares)))


def test_the_law_of_size_and_data_is_found_with_an_interval_of_its_refits(found):
    law, other = found.laws
    assert (found.seed, found.trainings, found.cells, law.n) == (0, 108, 36, 36)
    assert (law.form, other.form) == ("chinchilla", "kaplan")
    assert law.aicc < other.aicc - 20
    for name in ("alpha", "beta"):
        low, high = law.bootstrap[name]
        assert low < law.params[name] < high
        assert low < LAW[name] < high
        assert high - low < 0.1
    assert [(peer.law, peer.value) for peer in other.peers] == [("kaplan-joint", 0.076), ("kaplan-joint", 0.103)]


def test_cells_whose_best_training_is_the_longest_are_counted_and_a_law_is_fitted_without_them(found):
    assert (found.one_length, found.longest_chosen, found.shortest_chosen) == (0, len(SIZES), 0)
    assert found.laws_without_longest[0].n == 30
    assert found.laws_without_longest[0].params["beta"] == pytest.approx(0.5, rel=0.1)


def test_where_metrics_were_measured_is_what_the_grid_says(both):
    assert (both.layer, both.length, both.normalise, both.eps2) == ("last", 64, "unit", 0.5)


def test_draws_of_the_data_have_laws_of_their_own_and_their_losses_are_compared(both):
    assert [draw.seed for draw in both.draws] == [0, 1]
    first, second = (draw.laws[0].params["beta"] for draw in both.draws)
    assert second > first + 0.1
    between = both.between_draws
    assert list(between.loss_range) == [f"{data:.0f}" for data in BUDGETS]
    assert list(between.loss_range.values()) == pytest.approx(list(SECOND.values()), abs=0.01)
    assert between.correlations["same"] == pytest.approx(1, abs=1e-4)
    assert between.correlations["of_size"] is None


def test_errors_on_sizes_and_budgets_left_out_are_those_by_hand(found):
    size, data, loss, chance = cells().values()
    for by, groups in ((N, size), (D, data)):
        assert found.errors[by]["ln N"] == pytest.approx(left_out(np.log([size]), loss, groups))
        assert found.errors[by]["ln N and ln D"] == pytest.approx(left_out(np.log([size, data]), loss, groups))
        with_metric = left_out(np.log([size, data, chance]), loss, groups)
        assert found.metrics["chance"].errors[by]["ln N and ln D"] == pytest.approx(with_metric)
        assert found.errors[by]["chinchilla"] < 0.02 < min(found.errors[by][name] for name in ("ln N and ln D", "kaplan"))


def test_a_metric_that_is_the_loss_predicts_it_whatever_is_held_fixed(found):
    same = found.metrics["same"]
    assert {round(estimate.value, 4) for estimate in same.correlations.values()} == {1}
    for by in (N, D):
        assert max(same.errors[by][name] for name in ("ln N", "ln N and ln D")) < 1e-4 < same.null_errors[by]["ln N"]


def test_a_metric_may_go_with_the_loss_over_data_and_against_it_over_passes(found):
    opposite = found.metrics["opposite"].correlations
    assert opposite["data"].value > 0.9
    assert opposite["passes"] == Correlation(value=pytest.approx(-1, abs=0.05), low=None, high=None, freedom=0)


def test_a_function_of_size_plus_one_of_data_is_its_own_null_and_tells_nothing_beside_both(found):
    additive = found.metrics["additive"]
    assert additive.correlations["size and data"] is None
    for by, errors in additive.errors.items():
        assert errors == pytest.approx(additive.null_errors[by])
    held = found.metrics["of_size"].correlations
    assert (held["data"], held["size and data"], held["passes"]) == (None, None, None)
    assert held["size"] is not None


def test_intervals_count_sizes_and_budgets_and_chance_is_within_them(found):
    estimates = found.metrics["chance"].correlations
    freedom = {what: estimate.freedom for what, estimate in estimates.items()}
    assert freedom == {"size": 3, "data": 3, "size and data": 36 - 3 - 10, "passes": 0}
    assert all(estimates[what].low < 0 < estimates[what].high for what in ("size", "data", "size and data"))


def test_correlations_over_data_are_given_for_each_size_and_without_the_smallest_amount(found):
    columns = cells()
    here = columns[N] == SIZES[2]
    by_size = found.metrics["chance"].over_data_by_size
    assert list(by_size) == [f"{size:.0f}" for size in SIZES]
    assert by_size[f"{SIZES[2]:.0f}"] == pytest.approx(
        np.corrcoef(np.log(columns["chance"][here]), columns["loss_test"][here])[0, 1]
    )
    assert found.metrics["chance"].correlations_without_least_data["size and data"].freedom == 30 - 3 - 9


def test_a_metric_without_a_logarithm_and_one_that_the_grid_does_not_hold_are_left_out(found):
    assert set(found.metrics) == set(METRICS[:-1])
    negative = found.metrics["negative"]
    assert set(negative.correlations.values()) == {None}
    assert set(negative.errors[N].values()) == {None}
    assert negative.null_errors is None


def test_two_sizes_have_a_status_and_no_errors(tmp_path):
    grid = write(tmp_path / "grid.csv", [row for row in rows() if row[N] < 3e4])
    fit_data_laws(grid, LAWS, tmp_path / "laws.json", METRICS, 1, 60, 0)
    written = read_json(tmp_path / "laws.json", DataLaws)
    few = written.draws[0]
    assert few.laws[0].status == Status.FAILED
    assert few.laws[0].reason.startswith("chinchilla needs at least 3 values")
    assert few.errors[N] == dict.fromkeys(("ln N", "ln N and ln D", "chinchilla", "kaplan"))
    assert few.metrics["same"].correlations["size"] is None
    assert "no law" in data_figure(read_csv(grid, Training), written, ASKED).axes[0].get_title(loc="left")


def test_the_figure_draws_the_law_of_each_size_and_metrics_that_differ(grid, both, found):
    figure = data_figure(read_csv(grid, Training), both, ASKED)
    assert len(figure.axes) == 1 + 6
    check_column(figure)
    curves = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 50]
    assert len(curves) == 2 * len(SIZES)
    corner = np.array([[SIZES[0]], [BUDGETS[0]]])
    for curve, law in zip(curves[:2], found.laws, strict=True):
        np.testing.assert_allclose(curve.get_ydata()[0], forms[law.form].formula(law.params, corner))
    assert estimated(Correlation(value=-0.5, low=-0.75, high=0.25, freedom=3)) == "−0.50\n  [−0.75, 0.25]"
    assert estimated(Correlation(value=0.5, low=None, high=None, freedom=0)) == "+0.50"


def test_each_panel_shows_its_own_metric(grid, both):
    figure = data_figure(read_csv(grid, Training), both, ASKED)
    shown = [name for name in METRICS if name != "not in the grid"]
    assert [axis.get_xlabel() for axis in figure.axes] == ["unique training tokens", *shown]
    for axis, name in zip(figure.axes, [D, *shown], strict=True):
        drawn = {x for line in axis.lines if len(line.get_xdata()) != 50 for x in line.get_xdata()}
        chosen = {row[name] for row in rows() if row["chosen"] or row["seed"] == 0}
        assert drawn == chosen
    for axis, name in zip(figure.axes[1:], shown, strict=True):
        assert estimated(both.draws[0].metrics[name].correlations["data"]) in axis.texts[0].get_text()


def test_the_figure_says_where_the_grid_was_measured_and_that_the_configuration_asks_for_another(grid, both):
    own = "layer last, first 64 tokens, unit, ε² = 0.5"
    assert data_figure(read_csv(grid, Training), both, ASKED).get_suptitle() == f"Metrics of the grid: {own}."
    for change, other in (({"eps2": 1.0}, own.replace("0.5", "1")), ({"length": 16}, own.replace("64", "16"))):
        figure = data_figure(read_csv(grid, Training), both, replace(ASKED, **change))
        said = f"Metrics of the grid: {own}.\nThe configuration asks for {other}:\nat that endpoint the grid was not measured."
        assert figure.get_suptitle() == said
        check_column(figure)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: {name: value for name, value in row.items() if name != "chosen"}, "grid.csv: no column 'chosen'"),
        (lambda row: row | {"loss_test": ""}, "grid.csv: line 2, column 'loss_test': '' is not a finite number"),
    ],
)
def test_a_grid_without_a_column_or_a_cell_is_refused(tmp_path, change, message):
    grid = write(tmp_path / "grid.csv", [change(row) for row in rows()])
    with pytest.raises(DataError, match=message):
        fit_data_laws(grid, LAWS, tmp_path / "laws.json", METRICS, 1, 60, 0)
    assert not (tmp_path / "laws.json").exists()
