"""Which trainings of the ladder are asked for, and their names."""

from geomkit.core.trainings import CELL, cell_recipe, grid_cells, ladder_models, trainings

RUNS = [{"widths": [16, 24], "seeds": 2}, {"widths": [32], "seeds": 1}]


def test_runs_are_widths_and_seeds():
    assert trainings(RUNS) == [(16, 0), (16, 1), (24, 0), (24, 1), (32, 0)]
    assert trainings([{"widths": [16, 24], "seeds": [2, 5]}]) == [(16, 2), (16, 5), (24, 2), (24, 5)]
    assert trainings([]) == []


def test_models_of_the_ladder_are_in_order_of_size_whatever_folder_they_ship_in():
    runs = [*RUNS, {"widths": [20, 32], "seeds": [1], "more": True}]
    assert ladder_models(runs) == {
        "width": [16, 16, 20, 24, 24, 32, 32],
        "seed": [0, 1, 1, 0, 1, 0, 1],
        "more": ["", "", "more/", "", "", "", "more/"],
    }


def test_a_grid_has_the_epochs_that_the_ladders_tokens_allow():
    grid = {"runs": [{"widths": [16], "seeds": 1}], "unique_tokens": [100, 300], "epochs": [1, 4]}
    found = grid_cells(grid, {"tokens": 400, "peak_rate": 0.04, "batch": 8})
    budgets = [(100, 100), (100, 400), (300, 300)]
    assert found == [f"width-16_seed-0_unique-{unique}_tokens-{tokens}_rate-0.04_batch-8" for unique, tokens in budgets]


def test_a_cells_recipe_is_what_its_name_says():
    recipe = {"tokens": 400, "peak_rate": 0.04, "batch": 8, "context": 256}
    assert cell_recipe(recipe, "100", "0.02", "16") == {"tokens": 100, "peak_rate": 0.02, "batch": 16, "context": 256}
    assert "{rate}" in CELL
