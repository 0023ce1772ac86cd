"""Train one model of the ladder, or go on with it."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.ladder import SHAPES, Recipe, export, stream, train
from geomkit.lm.models import find_device, load_tokenizer, sizes
from geomkit.logs import logged
from geomkit.sources.corpora import stored_documents
from geomkit.store.provenance import replacing

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

COLUMNS = ("width", "layers", "heads", "params_nonembedding", "params_total", "seed", "tokens", "loss_validation")


def main(
    corpus: Path, tokenizer: Path, folder: Path, curve: Path, checkpoint: Path, width: int, seed: int, recipe: Recipe, device: str
) -> None:
    words = load_tokenizer(tokenizer)
    training, validation = (stream(stored_documents(corpus, split), words) for split in ("train", "validation"))
    run = train(width, seed, recipe, training, validation, checkpoint, find_device(device))
    size = sizes(run.model)
    layers, heads = SHAPES[width]
    with replacing(curve) as temporary, temporary.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for tokens, loss in run.curve:
            rows.writerow([width, layers, heads, size.params_nonembedding, size.params_total, seed, tokens, f"{loss:.6f}"])
    export(run, folder)
    checkpoint.unlink(missing_ok=True)


with logged(snakemake.log[0]):
    main(
        Path(snakemake.input.corpus),
        Path(snakemake.input.tokenizer).parent,
        Path(snakemake.output.model).parent,
        Path(snakemake.output.curve),
        Path(snakemake.params.checkpoint),
        int(snakemake.wildcards.width),
        int(snakemake.wildcards.seed),
        Recipe(**snakemake.params.recipe),
        snakemake.params.device,
    )
