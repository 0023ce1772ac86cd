"""Train one model on a budget of unique tokens, and save only its losses and primary metrics."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.config import resolve_layers
from geomkit.core.state import State
from geomkit.ladder.training import Recipe, evaluate, stream, train, windows
from geomkit.measures.entropy import measure
from geomkit.measures.spectra import is_centred, normalise, row_spectrum
from geomkit.models.capture import Recorder, capture
from geomkit.models.load import find_device, load_tokenizer, sizes
from geomkit.sources.corpora import stored_documents
from geomkit.states.texts import Sample, Texts
from geomkit.tables.rows import write_csv
from geomkit.tables.trainings import TEST_WINDOWS, Cell


def train_cell(
    corpus: Path,
    tokenizer: Path,
    output: Path,
    checkpoint: str,
    width: int,
    seed: int,
    unique: str,
    recipe: Mapping[str, Any],
    primary: Mapping[str, Any],
    parameters: Mapping[str, float],
    device: str,
) -> None:
    """Train one model on a budget of tokens, or continue its training, and write its losses and metrics as CSV.

    tokenizer: a file of the tokenizer. checkpoint: name of a file in the folder `checkpoints` beside that of tables.
    """
    words, own, saved = load_tokenizer(tokenizer.parent), Recipe(**recipe), output.parents[1] / "checkpoints" / checkpoint
    budget = None if unique == "all" else int(unique)
    training = stream(stored_documents(corpus, "train"), words, budget, seed)
    validation, test = (stream(stored_documents(corpus, split), words) for split in ("validation", "test"))
    run = train(width, seed, own, training, validation, saved, find_device(device))
    tested = replace(own, validation_windows=TEST_WINDOWS)
    metrics = geometry(run.model, windows(test, tested), primary, parameters)
    cell = Cell(
        layer=primary["layer"],
        length=primary["length"],
        normalise=primary["normalise"],
        eps2=parameters.get("eps2"),
        width=width,
        params_nonembedding=sizes(run.model).params_nonembedding,
        seed=seed,
        unique_tokens=len(training),
        tokens=run.curve[-1][0],
        peak_rate=own.peak_rate,
        batch=own.batch,
        loss_validation=round(run.curve[-1][1], 6),
        loss_test=round(evaluate(run.model, test, tested), 6),
        metrics={name: float(f"{value:.6g}") for name, value in metrics.items()},
    )
    write_csv(output, Cell, [cell])
    saved.unlink(missing_ok=True)


def geometry(model, texts: np.ndarray, primary: Mapping[str, Any], parameters: Mapping[str, float]) -> dict[str, float]:
    """Means of the primary metrics over the beginnings of windows (texts, context + 1)."""
    n, mode = min(primary["length"], texts.shape[1] - 1), primary["normalise"]
    layer = resolve_layers(primary["layer"], model.config.num_hidden_layers)[0]
    sample = Sample(list(texts[:, :n]), [], Texts([""] * len(texts), [n] * len(texts), [0] * len(texts)))
    parts = [part.states[State(layer)] for part in capture(Recorder(model, [layer], False), sample, 8192)]
    rows = normalise(np.concatenate(parts).reshape(len(texts), n, -1), mode)
    measured = measure(row_spectrum(rows, centred=is_centred(mode)), primary["metrics"], **parameters)
    return {name: float(np.mean(result.value)) for name, result in measured.items()}
