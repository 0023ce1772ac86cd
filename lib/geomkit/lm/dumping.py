"""Hidden states and surprisal of one model on one corpus: the trained model, the shuffled texts, and the untrained twins."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.config import resolve_layers
from geomkit.errors import DataError
from geomkit.lm.capture import Recorder, Sample, batches, capture, sample, vocabulary_counts
from geomkit.lm.models import (
    blocks,
    find_device,
    load_config,
    load_tokenizer,
    sizes,
    tokenizer_folder,
)
from geomkit.lm.variants import Bench
from geomkit.logs import progress
from geomkit.sources.corpora import stored_documents
from geomkit.store.dumps import write_dump
from geomkit.store.provenance import file_sha256, versions
from geomkit.variants import TRAINED, make_run


def dump_model(
    folder: Path,
    corpus: Path,
    outputs: Iterable[str],
    split: str,
    texts: Mapping[str, int],
    dump: Mapping[str, Any],
    compute: Mapping[str, Any],
    seed: int,
    origin: Mapping[str, Any],
    trust_remote_code: bool,
) -> None:
    paths = {Path(output).stem: Path(output) for output in outputs}
    device = find_device(compute["device"])
    documents = stored_documents(corpus, split)
    tokenizer = load_tokenizer(folder, trust_remote_code)
    try:
        plain = sample(documents, tokenizer, texts["count"], texts["length"], seed)
    except DataError as error:
        raise DataError(f"{corpus}: {error}") from None
    del documents
    facts = {f"model {key}": value for key, value in origin.items()} | {
        "model": next(iter(paths.values())).parent.parent.name,
        "weights sha256": file_sha256(folder),
        "tokenizer sha256": file_sha256(tokenizer_folder(folder)),
        "corpus sha256": file_sha256(corpus),
        "dtype": compute["dtype"],
        "device": device.type,
        "seed": seed,
        "versions": versions("torch", "transformers", "numpy"),
    }
    print(f"{len(plain.ids)} texts of {len(set(plain.texts.document))} documents, {sum(plain.texts.tokens)} tokens")
    size = max(len(tokenizer), load_config(folder, trust_remote_code).get_text_config().vocab_size)
    counts = vocabulary_counts(stored_documents(corpus, "all"), set(plain.texts.document), tokenizer, size, seed)
    bench = Bench(folder, plain, seed, compute["dtype"], device, trust_remote_code)
    for variant, output in paths.items():
        vocabulary = counts if variant == TRAINED else None
        model, run = make_run(variant, bench)
        write(model, run, output, facts | {"variant": variant}, vocabulary, dump, compute["batch_tokens"])
        del model  # or two models would be in memory


def write(
    model,
    run: Sample,
    output: Path,
    facts: dict[str, object],
    vocabulary: np.ndarray | None,
    dump: Mapping[str, Any],
    batch_tokens: int,
) -> None:
    depth = len(blocks(model))
    recorder = Recorder(model, resolve_layers(dump["layers"], depth), dump["sublayers"])
    attributes = facts | {"depth": depth, **vars(sizes(model))}
    with write_dump(output, run.texts, attributes, recorder.absent, dump["dtype"], dump["compression"], vocabulary) as writer:
        total = len(batches([len(run.prefix) + len(ids) for ids in run.ids], batch_tokens))
        for part in progress(capture(recorder, run, batch_tokens), f"{output.parent.parent.name} {output.stem}", total):
            writer.append(*part)
