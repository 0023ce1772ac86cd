"""Compare two models on the same texts: the paired difference of every metric at every state, the second minus the first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.core.variants import TRAINED
from geomkit.laws.resampling import Documents, simultaneous
from geomkit.states.spectra import Spectra
from geomkit.studies.portrait.analyse import RESAMPLES, Row, depth_rows, known_or_none, loss_rows, mean_of, table_of
from geomkit.studies.portrait.dimension import compared_rows
from geomkit.studies.portrait.facts import BESIDE, facts_of_model
from geomkit.studies.portrait.measure import Vocabulary
from geomkit.studies.portrait.pooled import compared_clouds
from geomkit.studies.portrait.profiles import GAUSSIAN, Cell, Profiles, at, read_profiles
from geomkit.studies.portrait.readout import readout_rows
from geomkit.studies.portrait.rows import Facts, with_facts, write
from geomkit.studies.portrait.sentences import FEW_DOCUMENTS, Estimate, place, said, similarity_of_models
from geomkit.studies.portrait.similarity import models_rows
from geomkit.tables.rows import read_json

RANK = "erank_covariance"
EDGE = 64
"""Bytes of a first token, which one tokenizer may score and another not."""


def write_comparison(
    spectra: Sequence[Path],
    vocabularies: Sequence[Path],
    output: Path,
    csv: Path,
    models: Sequence[str],
    corpus: str,
    metrics: Sequence[str],
    parameters: Mapping[str, float],
    drawn: str,
    seed: int,
    command: str = "",
) -> None:
    """Write the comparison of two models as Parquet and as CSV. For the arguments see `write_portrait`."""
    del drawn
    sizes = [read_json(path, Vocabulary).size for path in vocabularies]
    with Spectra(spectra[0]) as first, Spectra(spectra[1]) as second:
        write(comparison_table(first, second, models, corpus, metrics, parameters, seed, sizes, command), output, csv)


def comparison_table(
    first: Spectra,
    second: Spectra,
    models: Sequence[str],
    corpus: str,
    metrics: Sequence[str],
    parameters: Mapping[str, float],
    seed: int,
    sizes: Sequence[int] = (0, 0),
    command: str = "",
) -> pa.Table:
    """Return the table of a comparison, with its facts. Raises DataError for models that have read different texts."""
    alike = same_tokens(first, second, models)
    a, b = (read_profiles(file, metrics, parameters, seed) for file in (first, second))
    documents = Documents.draw(a.documents, RESAMPLES, rng(seed, "portrait", corpus))
    rows: list[Row] = []
    for name, file, own, size in zip(models, (first, second), (a, b), sizes, strict=True):
        trained = [row for row in depth_rows(own, documents) if row["variant"] == TRAINED]
        readout = readout_rows(file, own, documents, [TRAINED])
        rows += [{"model": name, **row} for row in [*trained, *loss_rows(file, documents, size), *readout]]
    pairs = {state: partner(a, b, state) for state in a.states}
    rows += compared_clouds((first, second), (a, b), models, pairs, documents, metrics, parameters)
    rows += compared_rows((first, second), (a, b), models, pairs, alike)
    differences = [*difference_rows(a, b, documents), *loss_difference(first, second, documents, alike)]
    rows += [{"model": f"{models[1]} minus {models[0]}", **row} for row in differences]
    similar = list(models_rows(first, second, a, b, alike))
    rows += [{"section": "similarity", "model": " and ".join(models), **row} for row in similar]
    facts = joined_facts(first, second, a, b, models, corpus, metrics, command)
    absent = dict(facts.absent)
    if not alike:
        absent["equal tokens"] = (
            "the tokenizers differ: both models read the same passages, metrics are those of the first n tokens of each, and "
            "only the loss per byte is compared"
        )
    if a.depth != b.depth:
        absent["equal depth"] = f"{a.depth} and {b.depth} blocks: states are compared at the nearest relative depth"
    sentences = [*in_short(differences, models, a, len(set(a.documents))), *similarity_of_models(similar)]
    facts = replace(facts, sentences=tuple(sentences), absent=absent)
    return with_facts(table_of(rows, ""), facts)


def same_tokens(first: Spectra, second: Spectra, models: Sequence[str]) -> bool:
    """Whether two models have read the same tokens, or else the same passages in tokens of their own.

    Raises DataError, naming both, for models that have read different texts.
    """
    if np.array_equal(first.ids(TRAINED), second.ids(TRAINED)):
        return True
    sizes = zip(first.text_list.bytes, second.text_list.bytes, strict=False)
    same_bytes = all(abs(one - other) <= EDGE for one, other in sizes)
    if list(first.text_list.document) != list(second.text_list.document) or not same_bytes:
        raise DataError(f"{models[0]} and {models[1]} have read different texts, so nothing is paired")
    return False


def partner(a: Profiles, b: Profiles, state: State) -> State:
    """Return the second model's state at the relative depth of one of the first model's."""
    if state.layer > a.depth:
        return State(b.depth + 1, state.sublayer)
    return State(round(state.layer * b.depth / a.depth), state.sublayer)


def difference_rows(a: Profiles, b: Profiles, documents: Documents) -> Iterator[Row]:
    """Yield the difference of every metric at every state, with its interval and the band that holds for all states together."""
    for mode in a.modes:
        for n in a.lengths:
            pairs = [(state, partner(a, b, state)) for state in a.states if partner(a, b, state) in b.states]
            for metric in a.values[Cell(TRAINED, a.last, mode, n)]:
                columns = [difference(a, b, own, other, mode, n, metric) for own, other in pairs]
                measured = [(own, values) for (own, _), values in zip(pairs, columns, strict=True) if values is not None]
                if not measured:
                    continue
                band = simultaneous(documents, np.stack([values for _, values in measured], axis=1))
                for number_of, (state, values) in enumerate(measured):
                    common = {"section": "difference", **at(a, state), "normalise": mode, "scope": "text", "n": n}
                    ends = {
                        "band_low": known_or_none(band.band_low[number_of]),
                        "band_high": known_or_none(band.band_high[number_of]),
                    }
                    yield {**common, "metric": metric, **mean_of(documents, values), **ends}


def difference(a: Profiles, b: Profiles, own: State, other: State, mode: str, n: int, metric: str) -> Array | None:
    """Return the second model's metric of every text minus the first's, or None where one was not measured."""
    one, two = a.at(TRAINED, own, mode, n, metric), b.at(TRAINED, other, mode, n, metric)
    if one is None or two is None or not np.isfinite(two - one).any():
        return None
    return np.asarray(two - one)


def loss_difference(first: Spectra, second: Spectra, documents: Documents, alike: bool) -> Iterator[Row]:
    """Yield the difference of losses: in nats a token where the tokens are the same, and in nats a byte."""
    sums = [file.surprisal(TRAINED) for file in (first, second)]
    if sums[0] is None or sums[1] is None:
        return
    (nats_a, tokens_a), (nats_b, tokens_b) = sums[0], sums[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        if alike:
            yield {"section": "loss", "metric": "loss", **mean_of(documents, nats_b / tokens_b - nats_a / tokens_a)}
        if not (first.attributes.get("no bytes") or second.attributes.get("no bytes")):
            size_a, size_b = (np.where(own := np.asarray(file.text_list.bytes, float), own, np.nan) for file in (first, second))
            yield {"section": "loss", "metric": "loss_per_byte", **mean_of(documents, nats_b / size_b - nats_a / size_a)}


def joined_facts(
    first: Spectra,
    second: Spectra,
    a: Profiles,
    b: Profiles,
    models: Sequence[str],
    corpus: str,
    metrics: Sequence[str],
    command: str,
) -> Facts:
    """Join what was measured of both models; what is the same is said once."""
    one, two = (
        facts_of_model(file, own, name, corpus, metrics, command)
        for file, own, name in ((first, a, models[0]), (second, b, models[1]))
    )
    other = dict(two.measured)
    measured = [
        (label, value if other.get(label) == value else f"{value}; {other.get(label, 'unknown')}")
        for label, value in one.measured
    ]
    return Facts(
        "comparison",
        tuple(models),
        corpus,
        measured=tuple(measured),
        absent={name: why for name, why in one.absent.items() if name != "sinks"},
        command=command,
        labels={**one.labels, **BESIDE},
        variants={TRAINED: "trained", GAUSSIAN: "Gaussian rows"},
    )


def in_short(rows: Sequence[Row], models: Sequence[str], a: Profiles, documents: int) -> list[str]:
    """Say where two models part, and what that does to their loss; only differences whose band excludes 0."""
    if documents < 2:
        return ["All texts come from one document, so nothing here has an interval, and nothing can be said to differ."]
    found = []
    for mode in a.modes:
        measured = [row for row in rows if (row["metric"], row.get("normalise")) == (RANK, mode) and row["band_low"] is not None]
        longest = max((row["n"] for row in measured), default=0)
        profile = [row for row in measured if row["n"] == longest]
        apart = [row for row in profile if row["band_low"] > 0 or row["band_high"] < 0]
        if apart:
            largest = max(apart, key=lambda row: abs(row["value"]))
            estimate = Estimate(largest["value"], largest["low"], largest["high"])
            first, most = (place(a, State(row["layer"], row["state"])) for row in (apart[0], largest))
            found.append(
                f"In {mode} rows they part first {first}, and differ most {most}, where the "
                f"effective rank of {models[1]} minus that of {models[0]} is {said(estimate)} directions."
            )
    losses = {row["metric"]: row for row in rows if row["section"] == "loss"}
    for metric, unit in (("loss", "token"), ("loss_per_byte", "byte")):
        row = losses.get(metric)
        if row and row["low"] is not None and (row["low"] > 0 or row["high"] < 0):
            better = models[1] if row["value"] < 0 else models[0]
            found.append(
                f"The loss of {models[1]} minus that of {models[0]} is "
                f"{said(Estimate(row['value'], row['low'], row['high']))} nats a {unit}: {better} predicts these texts better."
            )
            break
    if documents < FEW_DOCUMENTS:
        found.append(f"There are only {documents} documents, so all intervals are rough.")
    if not found or (documents < FEW_DOCUMENTS and len(found) == 1):
        found.insert(0, "No difference between the two models is larger than texts explain.")
    return found
