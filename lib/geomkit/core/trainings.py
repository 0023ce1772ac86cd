"""List the trainings of the ladder and on planted facts that a configuration asks for, and their file names."""

from collections.abc import Iterable, Mapping
from typing import Any

CELL = "width-{width}_seed-{seed}_unique-{unique}_tokens-{tokens}_rate-{rate}_batch-{batch}"
"""Name of a short training on a budget of unique tokens."""


def trainings(runs: Iterable[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """List (width, seed) of all models in a list of runs, whose `seeds` are a number of seeds, or the seeds themselves."""
    return [
        (width, seed)
        for run in runs
        for width in run["widths"]
        for seed in (range(run["seeds"]) if isinstance(run["seeds"], int) else run["seeds"])
    ]


def ladder_models(runs: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return `width` and `seed` of the ladder's models, smallest first, and `more`: the folder that they ship in.

    `more` is `more/` for those of the entry `ladder-more`, and empty for the others.
    """
    models = sorted((width, seed, "more/" if run.get("more") else "") for run in runs for width, seed in trainings([run]))
    return {name: [model[place] for model in models] for place, name in enumerate(("width", "seed", "more"))}


def cell_recipe(recipe: Mapping[str, Any], tokens: str, rate: str, batch: str) -> dict[str, Any]:
    """Return the ladder's recipe with a cell's own budget, rate and batch, as its name states them."""
    return {**recipe, "tokens": int(tokens), "peak_rate": float(rate), "batch": int(batch)}


def grid_cells(grid: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    """List every width, seed and budget of unique tokens, for each number of epochs that the ladder's own tokens allow."""
    budgets = [
        (unique, epochs * unique)
        for unique in grid["unique_tokens"]
        for epochs in grid["epochs"]
        if epochs * unique <= recipe["tokens"]
    ]
    return [
        CELL.format(width=width, seed=seed, unique=unique, tokens=tokens, rate=recipe["peak_rate"], batch=recipe["batch"])
        for width, seed in trainings(grid["runs"])
        for unique, tokens in budgets
    ]


def fact_cells(facts: Mapping[str, Any]) -> list[str]:
    """List the models of planted facts.

    They are every width, exponent and seed on the law itself, and the axis of data at the widest model and the first seed.
    """
    of_size = [
        f"w{width}-a{exponent:g}-s{seed}-law"
        for seed in range(facts["seeds"])
        for exponent in facts["exponents"]
        for width in facts["widths"]
    ]
    widest = max(facts["widths"])
    return of_size + [f"w{widest}-a{exponent:g}-s0-d{texts}" for exponent in facts["exponents"] for texts in facts["samples"]]
