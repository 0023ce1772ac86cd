"""Train the models beside the ladder, which separate width, size, data and training steps: each is defined by its name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from geomkit.ladder.names import parse
from geomkit.ladder.training import Recipe, Run, evaluate, export, shape, stream, train
from geomkit.models.load import find_device, load_tokenizer, sizes
from geomkit.sources.corpora import stored_documents
from geomkit.tables.rows import write_csv
from geomkit.tables.trainings import TEST_WINDOWS, ControlTraining


def train_control(
    name: str,
    corpus: Path,
    tokenizer: Path,
    table: Path,
    checkpoint: str,
    recipe: Mapping[str, Any],
    device: str,
    keep: Sequence[int] = (),
) -> None:
    """Train the model that a name of `geomkit.ladder.names` defines, or continue its training.

    Writes the trained model into the folder <name> beside that of tables, or with steps to keep one into <name>-step<n> for each
    of them, and `table`: a row with the validation and test loss (nats a token) of each of these models. tokenizer: a file of the
    tokenizer. checkpoint: name of a file in the folder `checkpoints` beside all of them.
    """
    training, words, saved = parse(name), load_tokenizer(tokenizer.parent), table.parents[2] / "checkpoints" / checkpoint
    own = replace(Recipe(**recipe), **training.recipe)
    learned, validation, test = (stream(stored_documents(corpus, split), words) for split in ("train", "validation", "test"))
    run = train(training.width, training.seed, own, learned, validation, saved, find_device(device), training.form, keep)
    layers, heads = shape(training.width, training.form)
    size = sizes(run.model)
    common: dict[str, Any] = {
        "width": training.width,
        "layers": layers,
        "heads": heads,
        "mlp": training.form.mlp * training.width,
        "tied": training.form.tied,
        "params_nonembedding": size.params_nonembedding,
        "params_total": size.params_total,
        "seed": training.seed,
        "peak_rate": own.peak_rate,
        "weight_decay": own.weight_decay,
    }
    rows: list[ControlTraining] = []
    stages = {f"-step{step}": step for step in keep} or {"": own.steps}
    for end, step in stages.items():
        stage = Run(run.at(step) if keep else run.model)
        rows.append(
            ControlTraining(
                **common,
                model=name + end,
                step=step,
                tokens=step * own.batch * own.context,
                loss_validation=round(evaluate(stage.model, validation, own), 6),
                loss_test=round(evaluate(stage.model, test, replace(own, validation_windows=TEST_WINDOWS)), 6),
            )
        )
        export(stage, table.parents[1] / (name + end))
    write_csv(table, ControlTraining, rows)
    saved.unlink(missing_ok=True)
