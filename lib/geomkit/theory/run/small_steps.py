"""Measure small steps of real training, random directions and the gradient: the radius in which Fisher's form gives the KL."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.ladder.training import Recipe, build, stream
from geomkit.laws.resampling import Documents
from geomkit.models.load import find_device, load_tokenizer
from geomkit.sources.corpora import Document, stored_documents
from geomkit.tables.rows import write_csv
from geomkit.theory.rows import StepRadius, StepRow
from geomkit.theory.run.fisher import (
    Row,
    exact,
    gradient_direction,
    measure,
    radius,
    random_direction,
    read_trajectory,
    report,
    training_rows,
    trajectory,
)

RELATIVE = np.geomspace(1e-6, 1.0, 25)
"""|delta| / |theta| along directions of chance and along the gradient."""
DIRECTIONS = 2
"""Of chance."""


def measure_small_steps(
    corpus: Path,
    tokenizer: Path,
    weights: Path,
    output: Path,
    radii: Path,
    width: int,
    recipe: Mapping[str, Any],
    contexts: int,
    length: int,
    resamples: int,
    seed: int,
    device: str,
) -> None:
    """Train a model of the ladder from float32 weights, saved in `weights`, and measure its steps on `contexts` test texts.

    Directions of chance and the gradient start from the trained model. Contexts are the first tokens of one text a document.
    """
    words, own = load_tokenizer(tokenizer), Recipe(**recipe)
    trajectory(width, seed, own, stream(stored_documents(corpus, "train"), words), weights)
    states = read_trajectory(weights)
    ids = first_tokens(stored_documents(corpus, "test"), words, contexts, length)
    documents = Documents.draw(np.arange(len(ids)), resamples, rng(seed, "steps", "documents"))
    model = build(width, own, seed).to(find_device(device))
    rows = training_rows(model, states, ids, documents)
    point = exact(model)
    point.load_state_dict(states[max(states)], strict=False)
    directions = {f"chance {number}": random_direction(point, rng(seed, "steps", number)) for number in range(DIRECTIONS)}
    directions["gradient"] = gradient_direction(point, ids)
    for name, direction in directions.items():
        rows += report(name, measure(point, ids, direction, RELATIVE.tolist()), documents)
    write_csv(output, StepRow, [step_row(row, f"width {width}, seed {seed}, {own.steps} steps") for row in rows])
    write_csv(radii, StepRadius, radii_of(rows, list(directions)))


def radii_of(rows: list[Row], directions: list[str]) -> list[StepRadius]:
    """The radius of every direction and sign."""
    pairs = [(name, sign) for name in directions for sign in ("forward", "backward", "mean")]
    of_pair = {pair: [row for row in rows if (row.direction, row.sign) == pair] for pair in pairs}
    return [StepRadius(**asdict(radius(mine))) for mine in of_pair.values()]


def first_tokens(documents: Iterable[Document], words: Any, contexts: int, length: int) -> np.ndarray:
    """The first `length` tokens of as many documents (contexts, length). Raises DataError if fewer are as long."""
    texts = []
    for document in documents:
        ids = words(document.text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if len(ids) >= length:
            texts.append(ids[:length])
        if len(texts) == contexts:
            return np.array(texts, dtype=np.int64)
    raise DataError(f"small steps: {len(texts)} test documents have {length} tokens, and {contexts} are asked for")


def step_row(row: Row, model: str) -> StepRow:
    return StepRow(**asdict(row), model=model)
