"""Trainings beside the ladder, in which width, size, data and training steps part: each from its name alone."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from geomkit.lm.ladder import TEST_WINDOWS, Recipe, Run, evaluate, export, shape, stream, train
from geomkit.lm.models import find_device, load_tokenizer, sizes
from geomkit.lm.names import parse
from geomkit.sources.corpora import stored_documents
from geomkit.store.provenance import replacing


def train_control(
    name: str,
    corpus: Path,
    tokenizer: Path,
    folder: Path,
    table: Path,
    checkpoint: Path,
    recipe: Recipe,
    device: str,
    keep: Sequence[int] = (),
) -> None:
    """Train the model of a name of `geomkit.lm.names`, or go on with it.

    Writes `folder`, the trained model, or with steps to keep `folder`-step<n> for each of them, and `table`: a row with the
    validation and test loss (nats a token) of each of these models.
    """
    training, words = parse(name), load_tokenizer(tokenizer)
    recipe = replace(recipe, **training.recipe)
    learned, validation, test = (stream(stored_documents(corpus, split), words) for split in ("train", "validation", "test"))
    run = train(training.width, training.seed, recipe, learned, validation, checkpoint, find_device(device), training.form, keep)
    layers, heads = shape(training.width, training.form)
    size = sizes(run.model)
    common = {
        "width": training.width,
        "layers": layers,
        "heads": heads,
        "mlp": training.form.mlp * training.width,
        "tied": int(training.form.tied),
        "params_nonembedding": size.params_nonembedding,
        "params_total": size.params_total,
        "seed": training.seed,
        "peak_rate": recipe.peak_rate,
        "weight_decay": recipe.weight_decay,
    }
    rows: list[dict[str, Any]] = []
    stages = {f"-step{step}": step for step in keep} or {"": recipe.steps}
    for end, step in stages.items():
        stage = Run(run.at(step) if keep else run.model)
        losses = {
            "loss_validation": evaluate(stage.model, validation, recipe),
            "loss_test": evaluate(stage.model, test, replace(recipe, validation_windows=TEST_WINDOWS)),
        }
        seen = step * recipe.batch * recipe.context
        rows.append(
            {"model": name + end, **common, "step": step, "tokens": seen} | {key: f"{loss:.6f}" for key, loss in losses.items()}
        )
        export(stage, folder.with_name(folder.name + end))
    write_rows(rows, table)
    checkpoint.unlink(missing_ok=True)


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Rows of the same columns, as CSV."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
