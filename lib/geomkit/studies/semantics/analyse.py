"""Correlate distances between documents' hidden states with human judgements of how similar the documents are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.errors import DataError
from geomkit.core.logs import progress
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.core.variants import TRAINED
from geomkit.measures.entropy import measure
from geomkit.measures.semantics import (
    Agreement,
    Documents,
    Judged,
    cosine_distance,
    distances,
    length_distance,
    pairs,
    random_projection,
    tfidf,
)
from geomkit.measures.spectra import normalise, row_spectrum
from geomkit.states.refusals import refused_table
from geomkit.states.stream import Open
from geomkit.states.texts import Texts
from geomkit.tables.experiments import Likeness
from geomkit.tables.rows import write_csv
from geomkit.tables.tidy import COLUMNS, TableWriter, columns_of, read_columns

KINDS = ("pearson", "spearman")
BASELINES = ("tfidf", "random_projection", "length")
EQUAL = ("bures_wasserstein", "bures", "frobenius")
"""Distances that use a covariance, which depends on the number of tokens: documents are cut to equal numbers."""
PROJECTION = 256
"""Width of the random projection."""


@dataclass(frozen=True)
class Compared:
    """Similarities of pairs of documents (measures, P), and of each measure its state (layer -1 for a baseline), name and
    width."""

    names: list[tuple[State, str, int]]
    similarities: np.ndarray


def judge(
    states: Open,
    corpus: Path,
    background: Path,
    judgements: Path,
    output: Path,
    summary: Path,
    family: str,
    model_seed: int | None,
    halves: int,
    resamples: int,
    eps2: float,
    seed: int,
    *,
    metrics: Sequence[str],
) -> None:
    """Write the table and the summary of one model and corpus, which the path of the table names.

    states: of each document's first text at least. judgements: a folder with a file of a square matrix, or the file. metrics: of
    spectra with one row for each document.
    """
    model, name = output.parent.name, output.stem
    texts = [row["text"] for row in read_columns(corpus, ["document", "text"])]
    named = [row["document"] for row in read_columns(corpus, ["document"])]
    others = [row["text"] for row in read_columns(background, ["text"])]
    human = read_judgements(judgements, len(named))
    with refused_table(output, COLUMNS, summary, Likeness), states()(TRAINED) as opened:
        places = document_texts(opened.texts, named, model)
        gathered = opened.gather(texts=places)
        common = columns_of(output, opened.attributes, family, model_seed)
        absent, sizes = dict(opened.absent), [opened.texts.tokens[place] for place in places]
        layers, spectra = by_layer(gathered, sizes, opened.dtype, metrics, eps2, seed)
        compared = merged(layers, baselines(texts, others, [opened.ids(place) for place in places], seed))
        rows = [
            row for kind in KINDS for row in agreements(compared, human, kind, halves, resamples, rng(seed, "semantics", name))
        ]
        for row in rows:
            if not np.isfinite(row["value"]):
                absent[f"{row['distance']}, {row['agreement']}"] = (
                    "its distances do not vary, as lengths of texts that were cut to one"
                )
        rows = [row for row in rows if np.isfinite(row["value"])] + spectra
        count = len(named)
        ends = {"documents": count, "n": count * (count - 1) // 2}
        table = TableWriter(**common, variant="trained", text=-1, eps2=eps2)
        records = [Likeness(**common | ends | row) for row in rows]
        for record in records:
            if record.kind in ("agreement", "spectrum"):
                metric = "_".join(filter(None, [record.distance, record.agreement or record.metric]))
                table.add(layer=record.layer, sublayer=record.sublayer, d=record.d, n=record.n, metric=metric, value=record.value)
        table.write(output, absent)
        write_csv(summary, Likeness, records)


def read_judgements(path: Path, documents: int) -> np.ndarray:
    """Judged similarities of the pairs i < j, from a text file of a square matrix whose upper half holds them.

    Raises DataError for a file that is no matrix of that many documents.
    """
    files = [path] if path.is_file() else [file for file in sorted(path.rglob("*.txt")) if file.name[0] != "."]
    if not files:
        raise DataError(f"{path}: no .txt file of judgements in there")
    try:
        matrix = np.loadtxt(files[0], encoding="utf-8-sig")
    except ValueError as error:
        raise DataError(f"{files[0]}: not a matrix of numbers ({error})") from None
    if matrix.shape != (documents, documents):
        raise DataError(f"{files[0]}: judgements of shape {matrix.shape}, but there are {documents} documents")
    return pairs(matrix)


def document_texts(texts: Texts, named: list[str], model: str) -> list[int]:
    """The number of each document's first text. Raises DataError for a document without one."""
    first = {document: text for text, document in reversed(list(enumerate(texts.document)))}
    if missing := [name for name in named if name not in first]:
        raise DataError(f"{model}: no text of document {missing[0]!r}; texts.count must be at least {len(named)}")
    return [first[name] for name in named]


def by_layer(
    gathered: Mapping[State, np.ndarray], sizes: Sequence[int], dtype: str, metrics: Sequence[str], eps2: float, seed: int
) -> tuple[Compared, list[dict[str, Any]]]:
    """Every distance at every layer, also after each sublayer where these are measured, and the spectra of documents' rows beside
    those of their tokens."""
    names: list[tuple[State, str, int]] = []
    similar: list[np.ndarray] = []
    spectra: list[dict[str, Any]] = []
    for state in progress(gathered, "layers", len(gathered)):
        rows = gathered[state].astype(np.float64)
        documents = Documents(np.split(rows, np.cumsum(sizes)[:-1]))
        equal, width = documents.equal_sizes(rng(seed, "semantics", "equal sizes")), rows.shape[1]
        for name, distance in distances.items():
            names.append((state, name, width))
            similar.append(-pairs(distance(equal if name in EQUAL else documents)))
        spectra += document_spectra(documents, state, metrics, eps2, dtype)
    return Compared(names, np.array(similar)), spectra


def document_spectra(documents: Documents, state: State, metrics: Sequence[str], eps2: float, dtype: str) -> list[dict[str, Any]]:
    """Metrics of the corpus with one row for each document, its mean or last token, and with all of their tokens."""
    clouds = {"mean": documents.means, "last": documents.last, "tokens": np.concatenate(documents.tokens)}
    results = []
    for name, rows in clouds.items():
        unit = normalise(rows, "centre-unit", dtype=dtype)
        for metric, result in measure(row_spectrum(unit, True), metrics, eps2=eps2).items():
            where: dict[str, Any] = {**state._asdict(), "d": rows.shape[1], "metric": metric, "n": len(rows)}
            value: dict[str, Any] = {"value": float(result.value), "low": None, "high": None}
            results.append(where | value | {"distance": name, "agreement": None, "kind": "spectrum"})
    return results


def baselines(texts: list[str], background: list[str], ids: list[np.ndarray], seed: int) -> Compared:
    """Baselines without a model: words weighted by rarity, shared tokens, and lengths."""
    words = tfidf(texts, background)
    projected = random_projection(ids, PROJECTION, rng(seed, "semantics", "projection"))
    similarities = [cosine_distance(words), cosine_distance(projected), length_distance([len(each) for each in ids])]
    widths = (words.shape[1], PROJECTION, 1)
    names = [(State(-1), name, width) for name, width in zip(BASELINES, widths, strict=True)]
    return Compared(names, np.array([-pairs(each) for each in similarities]))


def merged(layers: Compared, others: Compared) -> Compared:
    return Compared(layers.names + others.names, np.vstack([layers.similarities, others.similarities]))


def agreements(
    found: Compared, human: np.ndarray, kind: str, halves: int, resamples: int, draw: np.random.Generator
) -> list[dict[str, Any]]:
    """Rows of one kind of correlation: of every measure, and of the one chosen on halves, compared with TF-IDF."""
    judged = Judged(found.similarities, human, kind)
    common = {"agreement": kind, "metric": kind}
    rows: list[dict[str, Any]] = []
    for (state, name, width), result in zip(found.names, judged.agreement(resamples, draw), strict=True):
        rows.append({**common, **numbers(result), **state._asdict(), "distance": name, "d": width, "kind": "agreement"})
    among = [place for place, (state, _, _) in enumerate(found.names) if state.layer >= 0 and state.sublayer == "block"]
    base = next(place for place, (_, name, _) in enumerate(found.names) if name == "tfidf")
    choice = judged.choice(among, base, draw, halves, resamples)
    whole = {**common, **State(-1)._asdict(), "distance": "chosen", "d": found.names[0][2]}
    results: Mapping[str, Agreement] = {
        "chosen": choice.score,
        "baseline": choice.baseline,
        "difference": choice.difference,
    }
    rows += [{**whole, **numbers(result), "kind": what} for what, result in results.items()]
    rows.append({**whole, "value": choice.least, "low": None, "high": None, "kind": "least"})
    for place, share in zip(among, choice.chosen.tolist(), strict=True):
        if share > 0:
            state, name, width = found.names[place]
            alone = {"value": share, "low": None, "high": None, "kind": "share"}
            rows.append({**common, **alone, **state._asdict(), "distance": name, "d": width})
    return rows


def numbers(result: Agreement) -> dict[str, Any]:
    return {"value": result.value, "low": result.low, "high": result.high}
