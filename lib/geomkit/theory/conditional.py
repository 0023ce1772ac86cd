"""Measure the conditional entropy of representations: what each token adds to those before it, by position and size, and how the
covariance splits over documents; each beside the widest model's rows on as many directions as the model is wide."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.variants import TRAINED
from geomkit.laws.resampling import Documents
from geomkit.measures.controls import document_folds
from geomkit.measures.gain import information_gain
from geomkit.measures.projection import leading_directions
from geomkit.measures.spectra import normalise
from geomkit.states.donors import Source, by_corpus, families_of, family_of
from geomkit.states.stream import Open
from geomkit.tables.rows import read_csv, write_csv
from geomkit.theory.rows import ConditionalGain, DocumentVariance

LAYERS = ("last", "final")
RESAMPLES = 1000


Measured = tuple[list[ConditionalGain], DocumentVariance]
"""Gains and the documents' share of variance of one cloud of rows."""


@dataclass(frozen=True, eq=False)
class Clouds:
    """Unit rows of texts of one length (texts, n, d), and each text's document."""

    rows: Array
    documents: tuple[str, ...]


def join_conditional(
    spectra: Iterable[Path],
    made_gains: Iterable[Path],
    made_documents: Iterable[Path],
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    gains: Path,
    documents: Path,
) -> None:
    """Join the tables of `condition_model`: first every model as it is, by name, and then every narrower one as its family's
    donor's projection. A family's donor is its widest model, the first by name. All files are named by their corpora, in folders
    of their models' names."""
    made = {
        (table.stem, table.parent.name): read_made(table, other) for table, other in zip(made_gains, made_documents, strict=True)
    }
    tables: list[Measured] = []
    for corpus, files in sorted(by_corpus(spectra).items()):
        for members, layer in product(families_of(files, families, seeds).values(), LAYERS):
            names = sorted(model.name for model in members)
            own = {
                (row.model, row.variant): (rows, row) for name in names for rows, row in made[corpus, name] if row.layer == layer
            }
            tables += [own[name, variant] for variant in ("trained", "projected") for name in names if (name, variant) in own]
    write_csv(gains, ConditionalGain, [row for rows, _ in tables for row in rows])
    write_csv(documents, DocumentVariance, [row for _, row in tables])


def condition_model(
    states: Open,
    spectra: Iterable[Path],
    gains: Path,
    documents: Path,
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    length: int,
    eps2: float,
    seed: int,
) -> None:
    """Measure the first `length` tokens of every text with as many, on one model, which names the outputs' folder, and on its
    rows as a donor's; writes empty tables where it was refused.

    spectra: of all models of its family, which say how wide they are.
    """
    model, members = family_of(gains.parent.name, spectra, families, seeds)
    tables: list[Measured] = []
    for member, layer in product(members, LAYERS):  # before the model runs
        width(member, layer)
    if model is not None:
        with states()(TRAINED) as opened:
            own = model.of(opened, LAYERS)
            for layer in LAYERS:
                tables += model_rows(own, members, layer, gains.stem, length, eps2, seed).values()
    write_csv(gains, ConditionalGain, [row for rows, _ in tables for row in rows])
    write_csv(documents, DocumentVariance, [row for _, row in tables])


def read_made(gains: Path, documents: Path) -> list[Measured]:
    """Read the tables of `condition_model`."""
    rows = read_csv(gains, ConditionalGain)

    def key(row: ConditionalGain | DocumentVariance) -> tuple[str, str, str]:
        return row.model, row.layer, row.variant

    return [([row for row in rows if key(row) == key(own)], own) for own in read_csv(documents, DocumentVariance)]


def model_rows(
    model: Source, members: Sequence[Source], layer: str, corpus: str, length: int, eps2: float, seed: int
) -> dict[tuple[str, str], Measured]:
    """By model and variant: a model as it is and, of the donor, every narrower one as its projection."""
    donor = max(sorted(members, key=lambda member: member.name), key=lambda member: width(member, layer))
    clouds = unit_clouds(model, layer, length)
    if clouds.documents != text_documents(donor, length):
        raise DataError(f"{donor.name} and other models of its family read different texts")
    where: dict[str, Any] = {"corpus": corpus, "layer": layer}
    own = where | {"model": model.name, "params_nonembedding": model.facts["params_nonembedding"], "donor": None}
    measurements = {
        (model.name, "trained"): measured(clouds.rows, clouds.rows, clouds.documents, own | {"variant": "trained"}, eps2, seed)
    }
    for member in members if model.name == donor.name else []:
        if width(member, layer) < width(donor, layer):
            rows, back = projected_rows(clouds, width(member, layer))
            of = where | {"model": member.name, "params_nonembedding": member.facts["params_nonembedding"], "donor": donor.name}
            measurements[member.name, "projected"] = measured(
                rows, back, clouds.documents, of | {"variant": "projected"}, eps2, seed
            )
    return measurements


def width(model: Source, layer: str) -> int:
    """The width of a layer. Raises DataError if the layer was not measured."""
    if reason := model.missing(layer):
        raise DataError(f"theory.models: {reason}")
    return model.width(layer)


def text_documents(model: Source, length: int) -> tuple[str, ...]:
    """The documents of the texts that are long enough."""
    return tuple(name for name, tokens in zip(model.texts.document, model.texts.tokens, strict=True) if tokens >= length)


def unit_clouds(model: Source, layer: str, length: int) -> Clouds:
    """Unit rows of the texts that are long enough. Raises DataError if these are of fewer than two documents."""
    names = text_documents(model, length)
    if len(set(names)) < 2:
        raise DataError(f"{model.name}: texts of {length} tokens are of {len(set(names))} documents; it takes 2")
    starts = model.texts.offset[:-1][np.array(model.texts.tokens) >= length]
    return Clouds(normalise(model.rows(layer)[starts[:, None] + np.arange(length)], "unit"), names)


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
    # text by text, from the smaller Gram matrix: of wide models d x d for each text would be much
    each = (rows[text : text + 1] for text in range(len(rows)))
    grams = (own.mT @ own if own.shape[1] >= own.shape[2] else own @ own.mT for own in each)
    whole = np.concatenate([np.log1p(c * np.maximum(np.linalg.eigvalsh(gram), 0)).sum(axis=-1) for gram in grams])
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
    """Split the covariance of rows (n, d) by their documents (n,), by the law of total covariance: each part from its own
    deviations.

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
