"""Measure the loss of the ladder's models on held-out tokens of each class of bigrams, from frequent to rare."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from geomkit.core.config import ModelSpec
from geomkit.core.logs import progress
from geomkit.ladder.training import Recipe, stream, windows
from geomkit.measures.bigrams import BigramClasses
from geomkit.models.load import load_model, load_tokenizer, sizes
from geomkit.sources.corpora import stored_documents
from geomkit.tables.rows import folders_of, write_csv
from geomkit.theory.rows import BigramLoss
from geomkit.theory.splits import read_split


def measure_bigrams(
    models: Sequence[Path],
    seeds: Sequence[int | None],
    corpus: Path,
    documents: Path,
    tokenizer: Path,
    output: Path,
    number: int,
    device: str,
) -> None:
    """Measure all models on `number` windows of test text, by the classes of the training documents."""
    classes = BigramClasses.train(*read_split(documents, "train", "token"))
    test = stream(stored_documents(corpus, "test"), load_tokenizer(tokenizer))
    rows = windows(test, replace(Recipe(), validation_windows=number))
    before, token = rows[:, :-1].ravel(), rows[:, 1:].ravel()
    group = classes.classes(before, token)
    known = {"unigram": -np.log(classes.unigram[token]), "bigram": -np.log(classes.bigram[before, token])}
    present = [one for one in range(len(classes.edges)) if (group == one).any()]
    records = []
    for folder, seed in progress(list(zip(folders_of(models), seeds, strict=True)), "bigrams"):
        model = load_model(ModelSpec(folder, device=device))
        loss, size = token_losses(model, rows), sizes(model)
        for one in present:
            here = group == one
            first, last = classes.edges[one]
            records.append(
                BigramLoss(
                    model=folder.name,
                    width=model.config.hidden_size,
                    seed=seed,
                    params_nonembedding=size.params_nonembedding,
                    params_total=size.params_total,
                    first_rank=first,
                    last_rank=last,
                    count=classes.mean_count(one),
                    tokens=int(here.sum()),
                    loss=float(loss[here].mean()),
                    **{name: float(values[here].mean()) for name, values in known.items()},
                )
            )
    write_csv(output, BigramLoss, records)


@torch.no_grad()
def token_losses(model, rows: np.ndarray, batch: int = 8) -> np.ndarray:
    """Loss in nats of every token but the first of windows (windows, tokens), window after window."""
    losses = []
    for part in torch.from_numpy(np.ascontiguousarray(rows)).to(model.device).split(batch):
        logits = model(input_ids=part[:, :-1], use_cache=False).logits.flatten(0, 1).float()
        losses.append(cross_entropy(logits, part[:, 1:].flatten(), reduction="none").cpu().numpy())
    return np.concatenate(losses).astype(np.float64)
