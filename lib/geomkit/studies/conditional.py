"""Conditional entropy of representations: what each token adds to those before it, by position and size, and how the covariance
splits over documents; each beside the widest model's rows on as many directions as the model is wide."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomkit.arrays import Array
from geomkit.config import resolve_layers
from geomkit.errors import DataError
from geomkit.laws.resampling import Documents
from geomkit.measures.controls import document_folds
from geomkit.measures.gain import information_gain
from geomkit.measures.projection import leading_directions
from geomkit.measures.spectra import normalise
from geomkit.store.dumps import Dump, State
from geomkit.store.provenance import rng
from geomkit.store.records import ConditionalGain, DocumentVariance, write_csv
from geomkit.store.tables import facts

LAYERS = ("last", "final")
RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Clouds:
    """Unit rows of texts of one length (texts, n, d), and each text's document."""

    model: str
    params: int
    rows: Array
    documents: tuple[str, ...]

    @property
    def d(self) -> int:
        return self.rows.shape[-1]


def measure_conditional(
    dumps: Iterable[str | Path], families: Mapping[str, str], gains: Path, documents: Path, length: int, eps2: float, seed: int
) -> None:
    """Of the first `length` tokens of every text that has as many. The donor of a family is its widest model, the first by name."""
    paths = sorted(map(Path, dumps), key=lambda path: (families[path.parent.parent.name], path.parent.parent.name))
    found: list[tuple[list[ConditionalGain], DocumentVariance]] = []
    for _, group in groupby(paths, key=lambda path: families[path.parent.parent.name]):
        members = list(group)
        for layer in LAYERS:
            found += family_rows([unit_clouds(path, layer, length) for path in members], layer, members[0].parent.name, eps2, seed)
    write_csv(gains, ConditionalGain, [row for rows, _ in found for row in rows])
    write_csv(documents, DocumentVariance, [row for _, row in found])


def unit_clouds(path: Path, layer: str, length: int) -> Clouds:
    """Raises DataError if texts as long are of fewer than two documents, or the layer is not in the dump."""
    with Dump(path) as dump:
        sizes = facts(dump.attributes)
        state = State(resolve_layers(layer, sizes["depth"])[0])
        if state not in dump.states:
            raise DataError(f"{path}: layer {layer} is not there; set dump.layers")
        texts = [text for text, tokens in enumerate(dump.texts.tokens) if tokens >= length]
        names = tuple(dump.texts.document[text] for text in texts)
        if len(set(names)) < 2:
            raise DataError(f"{path}: texts of {length} tokens are of {len(set(names))} documents; it takes 2")
        rows = dump.rows(state, 0, len(dump.texts.tokens))
        clouds = rows[dump.offset[texts][:, None] + np.arange(length)]
        return Clouds(path.parent.parent.name, sizes["params_nonembedding"], normalise(clouds, "unit"), names)


def family_rows(
    models: list[Clouds], layer: str, corpus: str, eps2: float, seed: int
) -> Iterator[tuple[list[ConditionalGain], DocumentVariance]]:
    """Every model as it is, and every narrower one as the donor's projection."""
    donor = max(models, key=lambda model: model.d)
    if any(model.documents != donor.documents for model in models):
        raise DataError(f"{donor.model} and other models of its family read different texts")
    for model in models:
        where: dict[str, Any] = {"model": model.model, "corpus": corpus, "params_nonembedding": model.params, "layer": layer}
        yield measured(model.rows, model.documents, where | {"variant": "trained", "donor": None}, eps2, seed)
    for model in models:
        if model.d < donor.d:
            rows = projected_rows(donor, model.d)
            where = {"model": model.model, "corpus": corpus, "params_nonembedding": model.params, "layer": layer}
            yield measured(rows, donor.documents, where | {"variant": "projected", "donor": donor.model}, eps2, seed)


def projected_rows(donor: Clouds, k: int) -> Array:
    """A donor's unit rows on its leading k directions, estimated on other documents, scaled to unit length again."""
    fold = document_folds(donor.documents)
    directions = leading_directions(donor.rows, "unit", fold)
    return normalise(np.matmul(donor.rows, directions.basis[fold][:, :, :k]), "unit")


def measured(
    rows: Array, documents: tuple[str, ...], where: Mapping[str, Any], eps2: float, seed: int
) -> tuple[list[ConditionalGain], DocumentVariance]:
    gains = information_gain(rows, eps2)
    c = rows.shape[-1] / (rows.shape[1] * eps2)
    whole = np.log1p(c * np.maximum(np.linalg.eigvalsh(rows.mT @ rows), 0)).sum(axis=-1)
    chain = float((np.abs(gains.sum(axis=-1) - whole) / whole).max())
    drawn = Documents.draw(documents, RESAMPLES, rng(seed, "theory", "conditional"))
    found = []
    for first, last in octaves(rows.shape[1]):
        part = gains[:, first - 1 : last]
        value, low, high, _ = drawn.mean(part.mean(axis=1))
        found.append(
            ConditionalGain(
                **where, d=rows.shape[-1], eps2=eps2, first=first, last=last, tokens=part.size, value=value, low=low, high=high
            )
        )
    numbers = {name: index for index, name in enumerate(dict.fromkeys(documents))}
    label = np.repeat([numbers[name] for name in documents], rows.shape[1])
    return found, DocumentVariance(**where, **by_document(rows.reshape(-1, rows.shape[-1]), label, eps2), chain_residual=chain)


def octaves(length: int) -> list[tuple[int, int]]:
    """Positions counted from 1: (1, 1), (2, 2), (3, 4), (5, 8) up to the length."""
    ends = [1, *(2**k for k in range(1, length.bit_length()) if 2**k < length), length]
    return [(1, 1), *((first + 1, last) for first, last in zip(ends[:-1], ends[1:], strict=True) if last > first)]


def by_document(rows: Array, label: NDArray[np.int64], eps2: float) -> dict[str, Any]:
    """The law of total covariance of rows (n, d) and their documents (n,): each part is computed from its own deviations."""
    n, d = rows.shape
    count = np.bincount(label)
    sums = np.zeros((count.size, d))
    np.add.at(sums, label, rows)
    means, mean = sums / count[:, None], rows.mean(axis=0)
    inside, apart, all_of = rows - means[label], means - mean, rows - mean
    within, between, whole = inside.T @ inside / n, (apart.T * count) @ apart / n, all_of.T @ all_of / n
    return {
        "d": d,
        "documents": int(count.size),
        "tokens": n,
        "between": float(np.trace(between) / np.trace(whole)),
        "expected": (count.size - 1) / (n - 1),
        "residual": float(np.abs(whole - within - between).max() / np.abs(whole).max()),
        "ln_det_whole": ln_det(whole, eps2),
        "ln_det_within": ln_det(within, eps2),
        "ln_det_between": ln_det(between, eps2),
    }


def ln_det(covariance: Array, eps2: float) -> float:
    """ln det(I + d C / eps2)."""
    return float(np.linalg.slogdet(np.eye(len(covariance)) + len(covariance) / eps2 * covariance)[1])
