"""Turn one model's spectra into the table of its portrait, with an interval over documents beside each mean."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from geomkit.core.arrays import Array
from geomkit.core.provenance import rng
from geomkit.core.variants import TRAINED
from geomkit.laws.resampling import Documents, percentile_interval
from geomkit.measures.entropy import marchenko_pastur_edge
from geomkit.measures.gain import information_gain
from geomkit.measures.selection import lasso_paths
from geomkit.measures.sinks import THRESHOLD, sinks
from geomkit.measures.spectra import normalise
from geomkit.measures.valley import valley
from geomkit.states.spectra import Spectra
from geomkit.studies.portrait.attention import attention_rows, attention_sentence
from geomkit.studies.portrait.dimension import dimension_rows
from geomkit.studies.portrait.facts import facts_of_model
from geomkit.studies.portrait.measure import Vocabulary
from geomkit.studies.portrait.pooled import pooled_rows
from geomkit.studies.portrait.profiles import GAUSSIAN, Profiles, at, read_profiles
from geomkit.studies.portrait.readout import readout_rows, readout_sentence
from geomkit.studies.portrait.rows import COLUMNS, Reference, with_facts, write
from geomkit.studies.portrait.sentences import in_short
from geomkit.studies.portrait.similarity import states_rows
from geomkit.tables.rows import read_csv, read_json

RESAMPLES = 1000
RANKS = 48
"""Ranks of a spectrum that the table has, log-spaced."""
VALLEY_OF = "erank_covariance"
"""Metric whose valley over layers the table has."""
BUDGET = 8
"""Earlier tokens that Lasso chooses for each token of a shown text."""
Row = dict[str, Any]


def write_portrait(
    spectra: Path,
    vocabulary: Path,
    output: Path,
    csv: Path,
    model: str,
    corpus: str,
    metrics: Sequence[str],
    parameters: Mapping[str, float],
    drawn: str,
    seed: int,
    references: Path | None = None,
    command: str = "",
) -> None:
    """Write the portrait of one model on one corpus as Parquet and as CSV.

    drawn: the null of drawn rows. references: the values of models that ship. command: what makes the page again. Raises
    RefusalError, with the reason, for a model that was refused.
    """
    del drawn  # it only says that this job draws such rows
    with Spectra(spectra) as file:
        words = read_json(vocabulary, Vocabulary)
        known = read_csv(references, Reference) if references else []
        write(portrait_table(file, words, model, corpus, metrics, parameters, seed, known, command), output, csv)


def portrait_table(
    file: Spectra,
    words: Vocabulary,
    model: str,
    corpus: str,
    metrics: Sequence[str],
    parameters: Mapping[str, float],
    seed: int,
    references: Sequence[Reference] = (),
    command: str = "",
) -> pa.Table:
    """Return the table of a portrait, with its facts."""
    own = read_profiles(file, metrics, parameters, seed)
    documents = Documents.draw(own.documents, RESAMPLES, rng(seed, "portrait", corpus))
    lengths = lengths_of_rows(file, own)
    marked = marked_sinks(lengths, own, file)
    rows: list[Row] = [
        *depth_rows(own, documents),
        *pooled_rows(file, own, documents, metrics, parameters, seed),
        *valley_rows(own, documents),
        *spectrum_rows(own),
        *norm_rows(file, own, documents, lengths, marked),
        *dimension_rows(file, own, seed),
        *sink_rows(file, own, words, lengths, marked),
        *token_rows(file, own, words, parameters["eps2"]),
        *loss_rows(file, documents, words.size),
        *readout_rows(file, own, documents, own.variants),
        *attention_rows(file, own, documents),
        *reference_rows(references, corpus, own),
        *({"section": "similarity", **row} for row in states_rows(file, own)),
    ]
    facts = facts_of_model(file, own, model, corpus, metrics, command)
    absent = dict(facts.absent)
    if not any(row["section"] == "reference" for row in rows):
        absent["reference"] = f"no values of other models ship for {corpus} at the lengths that were measured"
    beside = [*attention_sentence(file, own, documents, rows), *readout_sentence(file, own, documents, rows)]
    facts = replace(facts, sentences=tuple(in_short(own, documents, marked, rows, beside)), absent=absent)
    return with_facts(table_of(rows, model), facts)


def table_of(rows: Iterable[Row], model: str) -> pa.Table:
    """Return rows as a table; columns that a row does not have hold null, and `model` where it names none."""
    return pa.Table.from_pylist([{"model": model, **row} for row in rows], schema=COLUMNS)


def known_or_none(value: float) -> float | None:
    """Return a finite number, or None."""
    return float(value) if np.isfinite(value) else None


def mean_of(documents: Documents, values: Array) -> Row:
    """Average the values of texts, with the interval over documents."""
    mean, low, high, count = documents.mean(values)
    ends = {"low": known_or_none(low), "high": known_or_none(high)}
    return {"value": known_or_none(mean), **ends, "texts": int(np.isfinite(values).sum()), "documents": count}


def depth_rows(own: Profiles, documents: Documents) -> Iterator[Row]:
    """Yield every metric at every state, with its interval; of drawn rows the mean over draws."""
    for cell, measured in own.values.items():
        common = {"section": "depth", "variant": cell.variant, **at(own, cell.state), "normalise": cell.normalise}
        common |= {"scope": "text", "n": cell.n, "sinks": cell.sinks}
        bounds = own.bounds.get(cell, {})
        for metric, values in measured.items():
            if not np.isfinite(values).any():
                continue
            mean = {"value": float(np.mean(values))} if cell.variant == GAUSSIAN else mean_of(documents, values)
            yield {**common, "metric": metric, **mean, "bound": bounds.get(metric)}
    for cell, single in own.whole.items():
        common = {"section": "depth", "variant": cell.variant, **at(own, cell.state), "normalise": cell.normalise}
        common |= {"scope": "corpus", "n": cell.n, "sinks": cell.sinks, "texts": len(own.documents)}
        for metric, value in single.items():
            if np.isfinite(value):
                yield {**common, "metric": metric, "value": value, "bound": own.bounds[cell][metric]}


def valley_rows(own: Profiles, documents: Documents) -> Iterator[Row]:
    """Yield depth and place of the effective rank's valley over layers, at the longest texts, of the model and of its nulls."""
    for mode in own.modes:
        for variant in own.variants:
            profile = own.profile(variant, mode, VALLEY_OF)
            if profile is None:
                continue
            logs = np.log(profile)
            whole, drawn = valley(np.exp(np.nanmean(logs, axis=0))), valley(np.exp(documents.means(logs)))
            state = own.blocks[int(whole.layer)]
            known = np.isfinite(logs).all(axis=1)
            counted = {"texts": int(known.sum()), "documents": len(set(documents.index[known].tolist()))}
            common = {"section": "valley", "variant": variant, **at(own, state), "normalise": mode, "n": own.longest, **counted}
            depth: dict[str, Any] = {"metric": "valley_depth", "value": float(whole.depth)}
            layer: dict[str, Any] = {"metric": "valley_layer", "value": float(whole.layer)}
            if counted["documents"] > 1:
                depth |= dict(zip(("low", "high"), percentile_interval(drawn.depth), strict=True))
                first, last = percentile_interval(drawn.layer)
                layer |= {"low": float(np.floor(first)), "high": float(np.ceil(last))}
            yield from ({**common, **depth}, {**common, **layer})


def spectrum_rows(own: Profiles) -> Iterator[Row]:
    """Yield relative spectra at log-spaced ranks, and the Marchenko-Pastur edge of each shape."""
    for cell, shares in own.shares.items():
        common = {"section": "spectrum", **at(own, cell.state), "normalise": cell.normalise, "n": cell.n}
        ranks = np.unique(np.geomspace(1, len(shares), RANKS).round().astype(int)).tolist()
        for rank in ranks:
            if shares[rank - 1] > 0:
                yield {**common, "variant": cell.variant, "rank": rank, "value": float(shares[rank - 1])}
        if cell.variant == TRAINED:
            edge = float(marchenko_pastur_edge(cell.n, own.widths[cell.state], 1.0))
            yield {**common, "variant": GAUSSIAN, "metric": "marchenko_pastur", "value": edge}


def lengths_of_rows(file: Spectra, own: Profiles) -> dict[Any, tuple[Array, Array]]:
    """Read the length of every row and each text's mean cosine, by state."""
    return {state: file.lengths(TRAINED, state) for state in own.states}


def marked_sinks(lengths: Mapping[Any, tuple[Array, Array]], own: Profiles, file: Spectra) -> list[Array]:
    """Mark the tokens of each text that are sinks."""
    blocks = [state for state in own.states if state.sublayer == "block"]
    together = np.stack([lengths[state][0] for state in blocks])
    stops = file.text_list.offset[1:-1]
    return [np.asarray(sinks(part, THRESHOLD)) for part in np.split(together, stops, axis=1)]


def norm_rows(
    file: Spectra, own: Profiles, documents: Documents, lengths: Mapping[Any, tuple[Array, Array]], marked: Sequence[Array]
) -> Iterator[Row]:
    """Yield lengths of rows, mean cosine, and the sinks' share of the squared length, by state."""
    stops = file.text_list.offset[1:-1]
    for state in own.states:
        norms, cosines = lengths[state]
        texts = np.split(norms, stops)
        squares = [np.square(text) for text in texts]
        quantities = {
            "norm_median": np.array([np.median(text) for text in texts]),
            "norm_largest": np.array([text.max() for text in texts]),
            "norm_first": np.array([text[0] for text in texts]),
            "mean_cosine": cosines,
            "sink_share": np.array([own[mask].sum() / max(own.sum(), 1e-300) for own, mask in zip(squares, marked, strict=True)]),
        }
        for metric, values in quantities.items():
            yield {"section": "norms", "variant": TRAINED, **at(own, state), "metric": metric, **mean_of(documents, values)}


def sink_rows(
    file: Spectra, own: Profiles, words: Vocabulary, lengths: Mapping[Any, tuple[Array, Array]], marked: Sequence[Array]
) -> Iterator[Row]:
    """Yield the tokens that are sinks, most frequent first: in how many texts, and how long they are where they are longest."""
    ids = np.split(file.ids(TRAINED), file.text_list.offset[1:-1])
    blocks = [state for state in own.states if state.sublayer == "block"]
    ratios: dict[tuple[int, str], list[Array]] = {}
    found: Counter[tuple[int, str]] = Counter()
    split = {state: np.split(lengths[state][0], file.text_list.offset[1:-1]) for state in blocks}
    for text, mask in enumerate(marked):
        for position in np.flatnonzero(mask).tolist():
            token = words.words.get(str(int(ids[text][position])), "")
            key = (position, token)
            found[key] += 1
            profile = [split[state][text][position] / max(float(np.median(split[state][text])), 1e-300) for state in blocks]
            ratios.setdefault(key, []).append(np.array(profile))
    for (position, token), count in found.most_common(20):
        mean = np.mean(ratios[position, token], axis=0)
        top = int(np.argmax(mean))
        common = {"section": "sinks", "position": position, "token": token, "texts": len(marked)}
        yield {**common, "metric": "sinks", "value": float(count)}
        yield {**common, **at(own, blocks[top]), "metric": "sink_ratio", "value": float(mean[top])}


def token_rows(file: Spectra, own: Profiles, words: Vocabulary, eps2: float) -> Iterator[Row]:
    """Yield gain and surprisal of the tokens of shown texts at the last block, and the earlier tokens that Lasso chooses."""
    ids = np.split(file.ids(TRAINED), file.text_list.offset[1:-1])
    scored = file.surprisal(TRAINED) is not None
    surprisal = np.split(file.tokens(TRAINED)[1], file.text_list.offset[1:-1]) if scored else None
    for number, (text, rows) in enumerate(file.shown(TRAINED, own.last).items()):
        unit = normalise(rows, "unit", dtype=str(file.attributes.get("dtype", "float32")))
        gain = information_gain(unit, eps2)
        chosen = lasso_choices(unit)
        for position, token in enumerate(ids[text].tolist()):
            common = {
                "section": "tokens",
                "text": number,
                "position": position,
                "token": words.words.get(str(token), f"#{token}"),
            }
            yield {**common, "metric": "gain", "value": float(gain[position])}
            if surprisal is not None and np.isfinite(surprisal[text][position]):
                yield {**common, "metric": "surprisal", "value": float(surprisal[text][position])}
            for rank, past in enumerate(chosen[position], 1):
                yield {"section": "selection", "text": number, "position": position, "past": past, "rank": rank}


def lasso_choices(unit: Array) -> list[list[int]]:
    """Choose for each token at most `BUDGET` earlier ones by Lasso, largest weight first; none for the first token."""
    if len(unit) < 2:
        return [[] for _ in range(len(unit))]
    paths = lasso_paths(unit @ unit.T, list(range(1, len(unit))), 0, [BUDGET])
    return [[], *(path.chosen[0].tolist() for path in paths)]


def loss_rows(file: Spectra, documents: Documents, vocabulary: int) -> Iterator[Row]:
    """Yield the loss, in nats a token and a byte, with its interval; the bound of the first is that of a uniform guess."""
    if (sums := file.surprisal(TRAINED)) is None:
        return
    nats, tokens = sums
    size = np.asarray(file.text_list.bytes, dtype=float)
    common = {"section": "loss", "variant": TRAINED}
    with np.errstate(invalid="ignore", divide="ignore"):
        yield {
            **common,
            "metric": "loss",
            **mean_of(documents, nats / tokens),
            "bound": float(np.log(vocabulary)) if vocabulary else None,
        }
        if not file.attributes.get("no bytes"):
            yield {**common, "metric": "loss_per_byte", **mean_of(documents, nats / np.where(size > 0, size, np.nan))}


def reference_rows(references: Sequence[Reference], corpus: str, own: Profiles) -> Iterator[Row]:
    """Yield values of shipped models on the corpus at the measured lengths, and the line that width alone would give."""
    for row in references:
        if row.corpus == corpus and row.n in own.lengths and row.normalise in own.modes:
            common = {"section": "width" if row.projected else "reference", "model": row.model, "d": row.d, "n": row.n}
            yield {
                **common,
                "normalise": row.normalise,
                "metric": row.metric,
                "value": row.value,
                "low": row.low,
                "high": row.high,
            }
