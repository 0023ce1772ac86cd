"""Correlate information gain with the next token's surprisal, given the entropy of the prediction and other controls."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.laws.resampling import Clustered, Documents
from geomkit.measures.controls import document_folds
from geomkit.studies.next_token.rows import CONTROLS, FACTS, NextToken
from geomkit.tables.parquet import read_table
from geomkit.tables.rows import defined, write_csv

FIRST = 8
"""Tokens at the start of a text that are left out: there every token is new."""
RESAMPLES = 1000
ENTROPY, EVERYTHING = "entropy", "everything"
GIVEN: Mapping[str | None, Sequence[str]] = {None: (), **{name: (name,) for name in CONTROLS}, EVERYTHING: CONTROLS}
"""What is held fixed, by its name."""


def correlate(
    tables: Sequence[Path], output: Path, families: Mapping[str, str], seeds: Mapping[str, int | None], eps2: float, seed: int
) -> None:
    """Write next_token.csv from tables of tokens, {model}/{corpus}.parquet. families, seeds: of the models, by name."""
    rows: list[NextToken] = []
    for path in tables:
        table = read_table(path)
        model = path.parent.name
        common: dict[str, Any] = {
            "model": model,
            "family": families[model],
            "seed": seeds[model],
            "corpus": path.stem,
            "eps2": eps2,
        }
        common |= json.loads(table.schema.metadata[FACTS])
        for variant in dict.fromkeys(table["variant"].to_pylist()):
            tokens = tokens_of([row for row in table.to_pylist() if row["variant"] == variant])
            rows += [NextToken(**common, **own) for own in rows_of(tokens, variant, rng(seed, "next token", path.stem))]
    write_csv(output, NextToken, rows)


def tokens_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Arrange tokens as arrays (tokens,), gains as (tokens, blocks), of those that are not at the start of a text."""
    kept = [row for row in rows if row["position"] >= FIRST and np.isfinite(row["surprisal"])]
    return {name: np.array([row[name] for row in kept]) for name in ("document", *CONTROLS, "next_surprisal", "gains")}


def rows_of(tokens: Mapping[str, Any], variant: str, draw: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield correlations and shares of one variant at every block; none where a correlation is not defined."""
    documents = Documents.draw(tokens["document"], RESAMPLES, draw)
    outcome = tokens["next_surprisal"]
    for layer, gains in enumerate(tokens["gains"].T):
        where = {"layer": layer, "variant": variant, "metric": "gain_next_surprisal", "n": len(outcome)}
        for given, names in GIVEN.items():
            with suppress(DataError):
                estimate = documents.partial_rank_correlation(gains, outcome, [tokens[name] for name in names])
                yield where | {"kind": "correlation", "given": given, **columns(estimate)}
        if len(set(tokens["document"])) > 1:
            estimate = explained(documents, gains, tokens[ENTROPY], outcome, tokens["document"])
            yield where | {"kind": "explained", "given": ENTROPY, **columns(estimate)}


def columns(estimate: Clustered) -> dict[str, Any]:
    """Return an interval over documents as columns."""
    value, low, high, documents = estimate
    return {"value": float(value), "low": defined(low), "high": defined(high), "documents": documents}


def explained(documents: Documents, gains: Array, entropy: Array, outcome: Array, names: Sequence[str]) -> Clustered:
    """Compute the share of the squared error of the outcome's ranks that gain removes beside entropy, on left-out documents.

    1 - SSE(entropy, gain) / SSE(entropy), each a linear regression of ranks fitted on the other folds of documents. Below 0
    where gain only adds noise. The interval resamples documents with the fits held.
    """
    x, h, y = (stats.rankdata(values) / len(values) for values in (gains, entropy, outcome))
    fold = document_folds(names)
    errors = np.empty((len(y), 2))
    for number in np.unique(fold):
        out = fold == number
        for column, features in enumerate(([h], [h, x])):
            design = np.stack([np.ones(len(y)), *features], axis=1)
            weights, *_ = np.linalg.lstsq(design[~out], y[~out], rcond=None)
            errors[out, column] = np.square(y[out] - design[out] @ weights)
    without, beside = np.maximum(errors[:, 0], 1e-300), errors[:, 1]
    return documents.mean(1 - beside / without, weights=without)
