"""Similarity of all pairs of states, of one model or of two: the rows of the table."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.variants import TRAINED, base
from geomkit.laws.resampling import documents_in_words
from geomkit.measures.similarity import Clouds, similarities
from geomkit.measures.spectra import normalise
from geomkit.states.extracts import POOLED
from geomkit.states.spectra import Spectra
from geomkit.studies.portrait.profiles import Profiles
from geomkit.studies.portrait.rows import NEIGHBOURS, TOKENS

MODE = "unit"
"""Vectors have length 1, so that a few long ones do not decide."""


def states_rows(file: Spectra, own: Profiles) -> Iterator[dict[str, Any]]:
    """Yield the similarity of every pair of states, of the trained model and of its first untrained twin."""
    twins = [name for name in own.variants if base(name) == "untrained"]
    for variant in [TRAINED, *twins[:1]]:
        rows, documents = sampled(file, own, variant)
        for i, j, row in compared(rows, rows, own, own, documents):
            if i <= j:
                yield {"variant": variant, "scope": TOKENS, **row}


def models_rows(first: Spectra, second: Spectra, a: Profiles, b: Profiles, alike: bool) -> Iterator[dict[str, Any]]:
    """Yield the similarity of every state of one model and every state of another.

    alike: whether both have read the same tokens. If not, their texts are the same passages, and each text has one row.
    """
    for scope in [TOKENS] if alike else POOLED:
        (rows, documents), (others, _) = (
            sampled(file, own, TRAINED) if alike else pooled(file, own, scope) for file, own in ((first, a), (second, b))
        )
        for _, _, row in compared(rows, others, a, b, documents):
            yield {"variant": TRAINED, "scope": scope, **row}


def sampled(file: Spectra, own: Profiles, variant: str) -> tuple[list[Array], list[str]]:
    """Read the rows of sampled tokens at every state, and the document of each."""
    texts = np.searchsorted(file.text_list.offset, file.sampled_tokens(variant), side="right") - 1
    return [unit(file, file.sample(variant, state)) for state in own.states], [file.text_list.document[text] for text in texts]


def pooled(file: Spectra, own: Profiles, kind: str) -> tuple[list[Array], list[str]]:
    """Read one row of each text at every state, and its document."""
    return [unit(file, file.pooled(TRAINED, state, kind)) for state in own.states], list(file.text_list.document)


def unit(file: Spectra, rows: Array) -> Array:
    return normalise(rows, MODE, dtype=str(file.attributes.get("dtype", "float32")))


def compared(
    rows: Sequence[Array], others: Sequence[Array], a: Profiles, b: Profiles, documents: Sequence[str]
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield a row for each measure and pair of states, with the states' numbers. What is missing is said in `a`."""
    if (count := len(set(documents))) < 2 or len(documents) < 4:
        a.missing["similarity"] = f"{len(documents)} rows of {documents_in_words(count)} cannot be exchanged between documents"
        return
    first = Clouds(rows, documents)
    second = first if others is rows else Clouds(others, documents)
    for name, measure in similarities.items():
        neighbours = {"k": NEIGHBOURS} if "k" in similarities.keywords(name) else {}
        if neighbours and first.others.min() < 2 * NEIGHBOURS:
            a.missing[name] = f"other documents have {first.others.min()} rows, fewer than twice {NEIGHBOURS}"
            continue
        found = measure(first, second, **neighbours)
        for i, j in np.ndindex(found.value.shape):
            one, other = a.states[i], b.states[j]
            own = {"layer": one.layer, "state": one.sublayer, "place": a.place(one), "depth": a.relative(one), "d": a.widths[one]}
            pair = {**own, "other_layer": other.layer, "other_place": b.place(other), "normalise": MODE, "metric": name}
            numbers = {column: float(getattr(found, column)[i, j]) for column in ("value", "low", "high", "null")}
            known = {column: number for column, number in numbers.items() if np.isfinite(number)}
            if "value" in known:  # of equal rows there is none
                yield i, j, {**pair, **known, "n": len(documents), "documents": count}
