"""Train one model on a budget of unique tokens, and keep its losses alone."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.ladder import TEST_WINDOWS, Recipe, evaluate, stream, train
from geomkit.lm.models import find_device, load_tokenizer, sizes
from geomkit.logs import logged
from geomkit.sources.corpora import stored_documents
from geomkit.store.provenance import replacing

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    corpus: Path, tokenizer: Path, output: Path, checkpoint: Path, width: int, seed: int, unique: str, recipe: Recipe, device: str
) -> None:
    words = load_tokenizer(tokenizer)
    budget = None if unique == "all" else int(unique)
    training = stream(stored_documents(corpus, "train"), words, budget, seed)
    validation, test = (stream(stored_documents(corpus, split), words) for split in ("validation", "test"))
    run = train(width, seed, recipe, training, validation, checkpoint, find_device(device))
    row = {
        "width": width,
        "params_nonembedding": sizes(run.model).params_nonembedding,
        "seed": seed,
        "unique_tokens": len(training),
        "tokens": run.curve[-1][0],
        "peak_rate": recipe.peak_rate,
        "batch": recipe.batch,
        "loss_validation": f"{run.curve[-1][1]:.6f}",
        "loss_test": f"{evaluate(run.model, test, replace(recipe, validation_windows=TEST_WINDOWS)):.6f}",
    }
    with replacing(output) as temporary, temporary.open("w", newline="") as file:
        rows = csv.DictWriter(file, row, lineterminator="\n")
        rows.writeheader()
        rows.writerow(row)
    checkpoint.unlink(missing_ok=True)


with logged(snakemake.log[0]):
    main(
        Path(snakemake.input.corpus),
        Path(snakemake.input.tokenizer).parent,
        Path(snakemake.output[0]),
        Path(snakemake.params.checkpoint),
        int(snakemake.wildcards.width),
        int(snakemake.wildcards.seed),
        snakemake.wildcards.unique,
        Recipe(**snakemake.params.recipe),
        snakemake.params.device,
    )
