"""Measure text and text shuffled in blocks: effective rank in all directions and in fewer, and loss."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from geomkit.core.arrays import Array
from geomkit.core.config import CAUSAL, ModelSpec
from geomkit.core.errors import DataError, RefusalError
from geomkit.core.logs import progress
from geomkit.core.provenance import digest, replacing
from geomkit.core.state import State
from geomkit.measures.controls import document_folds
from geomkit.measures.entropy import measure
from geomkit.measures.projection import leading_directions, projected
from geomkit.measures.spectra import Spectrum, is_centred, normalise, row_spectrum
from geomkit.models.capture import Recorder, capture
from geomkit.models.cutting import texts_for
from geomkit.models.load import blocks, load_config, load_model, setting, sizes
from geomkit.models.memory import check_rows
from geomkit.states.extracts import shown_texts
from geomkit.states.texts import Sample
from geomkit.studies.word_order.rows import ALL, BLOCKS, FACTS, OF_TEXT, OWN, TEXTS

RANK, MODE = "erank_covariance", "centre-unit"
LAST: dict[str, Any] = {"layers": ["last"], "sublayers": False}


def measure_order(
    folder: Path,
    relatives: Sequence[Path],
    texts: Path,
    output: Path,
    spec: ModelSpec,
    batch_tokens: int,
    number: int | None,
    length: int,
    seed: int,
) -> None:
    """Write a row for each text, as it is and shuffled, in all directions and in as many as each narrower relative has.

    relatives: folders of the models of its family. number: of texts, each of another document (None: all). length: first tokens
    of each text; shorter texts are left out.
    Raises RefusalError for a masked model, which predicts no next token, and DataError where texts as long are of one document.
    """
    if spec.objective != CAUSAL:
        raise RefusalError(f"{folder.name}: its objective is {spec.objective}, and it predicts no next token")
    own = spec.at(folder)
    sample = texts_for(texts, own, folder.name).sample.first(length)
    chosen = texts_to_measure(sample, number, length)
    documents = [sample.texts.document[text] for text in chosen]
    if len(set(documents)) < 2:
        raise DataError(f"{texts}: texts of {length} tokens are of {len(set(documents))} documents; word order takes 2 or more")
    check_rows(folder.name, own, 2 * length * len(chosen), LAST)
    model = load_model(own)
    recorder = Recorder(model, [len(blocks(model))], False)
    recorder.try_out(sample)
    d = recorder.widths[State(recorder.depth)]
    table = Measuring(documents, narrower(relatives, own, d), own.dtype)
    for block in progress((0, *BLOCKS), folder.name):
        read = sample.shuffled(seed, block) if block else sample
        table.add(block, *rows_and_losses(recorder, read.some(chosen), batch_tokens))
    ids = digest(*documents, *(sample.ids[text].tolist() for text in chosen))
    facts = {"depth": recorder.depth, "d": d, **vars(sizes(model)), "ids": ids}
    with replacing(output) as temporary:
        pq.write_table(pa.Table.from_pylist(table.rows, schema=TEXTS.with_metadata({FACTS: json.dumps(facts)})), temporary)


def texts_to_measure(sample: Sample, number: int | None, length: int) -> list[int]:
    """Return the numbers of the texts that are as long: all, or the first of each of so many documents."""
    long = [text for text, ids in enumerate(sample.ids) if len(ids) == length]
    if number is None:
        return long
    return [long[place] for place in shown_texts([sample.texts.document[text] for text in long], number)]


def narrower(relatives: Sequence[Path], spec: ModelSpec, d: int) -> list[int]:
    """Return the widths of a family that are below d, in order."""
    return sorted({width for folder in relatives if (width := setting(load_config(spec.at(folder)), "hidden_size")) < d})


def rows_and_losses(recorder: Recorder, sample: Sample, batch_tokens: int) -> tuple[Array, Array]:
    """Return rows after the last block (texts, n, d), and each text's mean surprisal (texts,) in nats."""
    rows, surprisals = [], []
    for batch in capture(recorder, sample, batch_tokens):
        rows.append(batch.states[State(recorder.depth)])
        surprisals.append(batch.surprisal)
    nats = np.concatenate(surprisals).reshape(len(sample.ids), -1)
    return np.concatenate(rows).reshape(*nats.shape, -1), np.nanmean(nats, axis=1, dtype=np.float64)


class Measuring:
    """Rows of the table, of texts of the named documents (texts,), with projections on each number of directions of `widths`."""

    def __init__(self, documents: Sequence[str], widths: Sequence[int], dtype: str):
        self.documents, self.widths, self.dtype = documents, widths, dtype
        self.fold = document_folds(documents)
        self.rows: list[dict[str, Any]] = []

    def add(self, block: int, clouds: Array, losses: Array) -> None:
        """Add texts (texts, n, d) of one block length, first the text itself, block 0: others use its directions."""
        whole = row_spectrum(normalise(clouds, MODE, dtype=self.dtype), is_centred(MODE))
        self.add_ranks(whole, block=block, directions=ALL, surprisal=losses)
        if not self.widths:
            return
        own = leading_directions(clouds, MODE, self.fold, self.dtype)
        if block == 0:
            self.of_text = own
        for name, directions in ((OF_TEXT, self.of_text), (OWN, own)):
            known = [k for k in self.widths if k <= directions.rank.min()]
            for result in projected(clouds, MODE, self.fold, known, directions, self.dtype).values() if known else ():
                self.add_ranks(result.spectrum, block=block, directions=name)

    def add_ranks(self, spectrum: Spectrum, surprisal: Array | None = None, **where: Any) -> None:
        """Add the effective rank of every text."""
        ranks = np.asarray(measure(spectrum, [RANK])[RANK].value, dtype=float)
        for text, document in enumerate(self.documents):
            nats = None if surprisal is None else float(surprisal[text])
            self.rows.append({**where, "d": spectrum.d, "document": document, "value": float(ranks[text]), "surprisal": nats})
