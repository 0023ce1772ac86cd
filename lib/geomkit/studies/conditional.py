"""Conditional entropy of representations: what each token adds to those before it, by position and size, and how the covariance
splits over documents; each beside the widest model's rows on as many directions as the model is wide."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
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
from geomkit.store.records.files import write_csv
from geomkit.store.records.theory import ConditionalGain, DocumentVariance
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
    """Of the first `length` tokens of every text that has as many. A family's donor is its widest model, the first by name."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(map(Path, dumps)):
        groups.setdefault((path.parent.name, families[path.parent.parent.name]), []).append(path)
    found: list[tuple[list[ConditionalGain], DocumentVariance]] = []
    for (corpus, _), paths in groups.items():
        for layer in LAYERS:
            found += family_rows([unit_clouds(path, layer, length) for path in paths], layer, corpus, eps2, seed)
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
        yield measured(model.rows, model.rows, model.documents, where | {"variant": "trained", "donor": None}, eps2, seed)
    for model in models:
        if model.d < donor.d:
            rows, back = projected_rows(donor, model.d)
            where = {"model": model.model, "corpus": corpus, "params_nonembedding": model.params, "layer": layer}
            yield measured(rows, back, donor.documents, where | {"variant": "projected", "donor": donor.model}, eps2, seed)


def projected_rows(donor: Clouds, k: int) -> tuple[Array, Array]:
    """A donor's unit rows on its leading k directions, estimated on other documents, scaled to unit length again: in coordinates
    (texts, n, k), which are those of each text's fold, and in the donor's space (texts, n, d), which all documents share."""
    fold = document_folds(donor.documents)
    basis = leading_directions(donor.rows, "unit", fold).basis[fold][:, :, :k]
    rows = normalise(np.matmul(donor.rows, basis), "unit")
    return rows, np.matmul(rows, basis.mT)


def measured(
    rows: Array, common: Array, documents: tuple[str, ...], where: Mapping[str, Any], eps2: float, seed: int
) -> tuple[list[ConditionalGain], DocumentVariance]:
    """rows (texts, n, d) give the gains; `common` are the same rows in one space, where documents can be compared."""
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
    parts = by_document(common.reshape(-1, common.shape[-1]), label, rows.shape[-1] / eps2)
    return found, DocumentVariance(**where, d=rows.shape[-1], **parts, chain_residual=chain)


def octaves(length: int) -> list[tuple[int, int]]:
    """Positions counted from 1: (1, 1), (2, 2), (3, 4), (5, 8) up to the length."""
    ends = [1, *(2**k for k in range(1, length.bit_length()) if 2**k < length), length]
    return [(1, 1), *((first + 1, last) for first, last in pairwise(ends) if last > first)]


def by_document(rows: Array, label: NDArray[np.int64], scale: float) -> dict[str, Any]:
    """The law of total covariance of rows (n, d) and their documents (n,): each part is computed from its own deviations.

    scale: what covariances are multiplied by in ln det, d / eps2 for a cloud of d dimensions.
    """
    n, d = rows.shape
    count = np.bincount(label)
    sums = np.zeros((count.size, d))
    np.add.at(sums, label, rows)
    means, mean = sums / count[:, None], rows.mean(axis=0)
    inside, apart, all_of = rows - means[label], means - mean, rows - mean
    within, between, whole = inside.T @ inside / n, (apart.T * count) @ apart / n, all_of.T @ all_of / n
    return {
        "documents": int(count.size),
        "tokens": n,
        "between": float(np.trace(between) / np.trace(whole)),
        "expected": (count.size - 1) / (n - 1),
        "residual": float(np.abs(whole - within - between).max() / np.abs(whole).max()),
        "ln_det_whole": ln_det(whole, scale),
        "ln_det_within": ln_det(within, scale),
        "ln_det_between": ln_det(between, scale),
    }


def ln_det(covariance: Array, scale: float) -> float:
    """ln det(I + scale C)."""
    return float(np.linalg.slogdet(np.eye(len(covariance)) + scale * covariance)[1])
