"""Which trainings of the ladder are asked for, and their names."""

from geomkit.core.trainings import CELL, cell_recipe, grid_cells, model_names, trainings

RUNS = [{"widths": [16, 24], "seeds": 2}, {"widths": [32], "seeds": 1}]


def test_runs_are_widths_and_seeds():
    assert trainings(RUNS) == [(16, 0), (16, 1), (24, 0), (24, 1), (32, 0)]
    assert model_names(RUNS) == ["ladder-16-s0", "ladder-16-s1", "ladder-24-s0", "ladder-24-s1", "ladder-32-s0"]
    assert trainings([]) == []


def test_a_grid_has_the_epochs_that_the_ladders_tokens_allow():
    grid = {"runs": [{"widths": [16], "seeds": 1}], "unique_tokens": [100, 300], "epochs": [1, 4]}
    found = grid_cells(grid, {"tokens": 400, "peak_rate": 0.04, "batch": 8})
    budgets = [(100, 100), (100, 400), (300, 300)]
    assert found == [f"width-16_seed-0_unique-{unique}_tokens-{tokens}_rate-0.04_batch-8" for unique, tokens in budgets]


def test_a_cells_recipe_is_what_its_name_says():
    recipe = {"tokens": 400, "peak_rate": 0.04, "batch": 8, "context": 256}
    assert cell_recipe(recipe, "100", "0.02", "16") == {"tokens": 100, "peak_rate": 0.02, "batch": 16, "context": 256}
    assert "{rate}" in CELL
