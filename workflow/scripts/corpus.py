"""Documents of a corpus, cleaned, each with its split: one Parquet file."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from geomkit.logs import logged
from geomkit.sources.corpora import read_documents, split_of, write_documents

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(source: Path, output: Path, reader: str, column: str | None) -> None:
    documents = read_documents(source, reader, column)
    write_documents(documents, output)
    splits = Counter(split_of(document.name) for document in documents)
    print(f"{len(documents)} documents, {sum(len(document.text) for document in documents)} characters; {dict(splits)}")


with logged(snakemake.log[0]):
    main(Path(snakemake.params.source), Path(snakemake.output[0]), snakemake.params.reader, snakemake.params.column)
