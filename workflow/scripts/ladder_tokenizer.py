"""The ladder's tokenizer, from the training split."""

from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.lm.ladder import Recipe, train_tokenizer
from geomkit.logs import logged
from geomkit.sources.corpora import stored_documents

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(corpus: Path, folder: Path, recipe: Recipe) -> None:
    texts = [document.text for document in stored_documents(corpus, "train")]
    train_tokenizer(texts, recipe.vocabulary).save_pretrained(folder)


with logged(snakemake.log[0]):
    main(Path(snakemake.input[0]), Path(snakemake.output[0]).parent, Recipe(**snakemake.params.recipe))
