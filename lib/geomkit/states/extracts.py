"""Extract gains, ridges, folds and sinks for later stages while a state's rows are read, so that no stage reads states again.

Rows of a dump and of a running model are treated alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from geomkit.core.arrays import Array, as_numpy, namespace, reals
from geomkit.core.config import layer_name, resolve_layers
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.core.variants import TRAINED
from geomkit.measures.controls import FOLDS, document_folds
from geomkit.measures.cosine import mean_cosines
from geomkit.measures.fixed_point import FixedPointSum
from geomkit.measures.gain import PENALTIES, RidgePath, ridge_path
from geomkit.measures.spectra import FixedPointCovariance, normalise
from geomkit.states.spectra import GAIN, SpectraWriter
from geomkit.states.texts import Texts


@dataclass(frozen=True)
class Requested:
    """Extracts requested for the trained model's states, each None if it is not.

    gain: constants of the information gain, n and eps2, for the ridge of last tokens. whitened: layers as configurations name
    them, for whitenings by other documents. sinks: `thresholds`, `modes`, `metrics` and `eps2`, for texts without attention
    sinks, and `all_tokens` if texts are not to be measured with their sinks too. lengths: whether the length of every row, and
    each text's mean cosine, are kept. shown: in how many documents the rows of the first text are kept, at the last block.
    Of nulls too: sample: numbers of the tokens whose rows are kept, in texts that all variants read (`sampled_tokens`); pooled:
    which rows stand for a whole text, of `POOLED`.
    """

    gain: Mapping[str, Any] | None = None
    whitened: Any = None
    sinks: Mapping[str, Any] | None = None
    lengths: bool = False
    shown: int = 0
    sample: Sequence[int] = ()
    pooled: Sequence[str] = ()

    def of(self, variant: str) -> "Requested":
        """Return what is requested of a variant."""
        return self if variant == TRAINED else Requested(sample=self.sample, pooled=self.pooled)

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the file of spectra: constants of the information gain."""
        return {f"{GAIN} {name}": value for name, value in (self.gain or {}).items()}

    def ridge(self, state: State, depth: int) -> bool:
        """Whether the ridge of last tokens is requested: at the layers that models of any depth have, except the embedding."""
        return bool(self.gain and state.layer and layer_name(state.layer, depth) and state.sublayer == "block")

    def folds(self, state: State, depth: int, texts: Texts) -> bool:
        """Whether sums of each fold of documents are requested, and there are folds."""
        if self.whitened is None or state.sublayer != "block" or len(set(texts.document)) < 2:
            return False
        return state.layer in resolve_layers(self.whitened, depth)


NOTHING = Requested()
POOLED: Mapping[str, Callable[[Array], Array]] = {
    "last": lambda rows: rows[-1],
    "mean": lambda rows: namespace(rows).mean(rows, axis=0),
}
"""Rows that stand for a whole text, (d,) of (tokens, d): that of its last token, or the mean of all."""


class StateExtracts:
    """Extracts of one state, whose rows (tokens, width) arrive text after text.

    Arrays are of the kind and on the device of `like`.

    texts: of the whole corpus, of which a part may arrive: sums over documents are in fixed point, so that those of parts add up
    bit for bit.
    """

    def __init__(self, state: State, depth: int, width: int, texts: Texts, requested: Requested, like: Array):
        self.state, self.texts, self.gain, self.width = state, texts, requested.gain, width
        self.longest = max(texts.tokens)
        self.ridges: list[RidgePath] | None = [] if requested.ridge(state, depth) else None
        self.folds = FoldMoments(width, like, sum(texts.tokens)) if requested.folds(state, depth, texts) else None
        self.fold = document_folds(texts.document) if self.folds else None
        self.lengths: list[np.ndarray] | None = [] if requested.lengths else None
        self.cosines: list[float] = []
        self.shown = shown_texts(texts.document, requested.shown) if state == State(depth) else []
        self.kept: list[np.ndarray] = []
        self.sample = np.asarray(requested.sample, dtype=np.int64)
        self.sampled: list[np.ndarray] = []
        self.pooled: dict[str, list[np.ndarray]] = {kind: [] for kind in requested.pooled}

    def add(self, rows: Array, texts: range) -> None:
        """Add rows of these texts, one after another."""
        sizes = self.texts.tokens[texts.start : texts.stop]
        if self.folds is not None and self.fold is not None:
            self.folds.add(rows, sizes, self.fold[texts.start : texts.stop].tolist())
        for text in texts:
            if text in self.shown:
                start, stop = self.texts.offset[text : text + 2] - self.texts.offset[texts.start]
                self.kept.append(as_numpy(rows[start:stop]).astype(np.float64))
        if len(self.sample):
            start, stop = self.texts.offset[[texts.start, texts.stop]]
            inside = self.sample[slice(*np.searchsorted(self.sample, (start, stop)))] - start
            self.sampled.append(as_numpy(rows[inside]).astype(np.float32))
        for kind, kept in self.pooled.items():
            kept += [pooled_rows(kind, rows, sizes)]
        if self.lengths is not None:
            self.lengths.append(row_lengths(rows))
            self.cosines += mean_cosines(rows, sizes)
        if self.ridges is not None and self.gain is not None:
            stops = np.cumsum(sizes).tolist()
            clouds = [rows[stop - size : stop] for stop, size in zip(stops, sizes, strict=True) if size == self.longest]
            if clouds:
                unit = normalise(namespace(rows).stack(clouds), "unit")
                self.ridges.append(ridge_path(unit, PENALTIES * self.gain["n"] * self.gain["eps2"] / self.width))

    def write(self, writer: SpectraWriter, variant: str) -> None:
        if self.ridges:
            writer.ridge(variant, self.state, self.ridges)
        if self.kept:
            writer.shown(variant, self.state, self.shown, np.concatenate(self.kept))
        if self.lengths is not None:
            writer.lengths(variant, self.state, self.lengths, self.cosines)
        if len(self.sample):
            writer.sample(variant, self.state, self.sample, np.concatenate(self.sampled))
        for kind, rows in self.pooled.items():
            writer.pooled(variant, self.state, kind, np.concatenate(rows))
        if self.folds is not None:
            writer.folds(variant, self.state, self.folds.sums, self.folds.totals)


def pooled_rows(kind: str, rows: Array, sizes: Sequence[int]) -> np.ndarray:
    """Return one row for each text (texts, d), by its kind; rows (tokens, d): texts one after another, of the given sizes."""
    stops = np.cumsum(sizes).tolist()
    return np.stack([as_numpy(POOLED[kind](reals(rows[stop - n : stop]))) for n, stop in zip(sizes, stops, strict=True)])


def shown_texts(documents: Sequence[str], count: int) -> list[int]:
    """Return the first text of each of the first documents."""
    return [list(documents).index(name) for name in list(dict.fromkeys(documents))[:count]]


def sampled_tokens(texts: Texts, count: int, among: Sequence[int]) -> list[int]:
    """Draw the tokens of a corpus whose rows are kept, among those of some texts: their numbers in order, all if there are few.

    They depend on the numbers of tokens alone, so that models which read the same tokens have the same sample.
    """
    ends = texts.offset
    tokens = np.concatenate([np.arange(ends[text], ends[text + 1]) for text in among])
    return np.sort(rng(0, "sample", len(tokens)).permutation(tokens)[:count]).tolist()


def row_lengths(rows: Array) -> np.ndarray:
    """Compute the length of each row: (tokens,)."""
    own = reals(rows)
    return as_numpy(namespace(own).sqrt(namespace(own).linalg.vecdot(own, own)))


class FoldMoments:
    """Sum of unit rows (d,) and of z z^T for each fold of documents. tokens: the number of rows of all jobs."""

    def __init__(self, d: int, like: Array, tokens: int):
        self.sums = [FixedPointCovariance(d, tokens, like) for _ in range(FOLDS)]
        self.totals = [FixedPointSum.zeros((d,), tokens, like) for _ in range(FOLDS)]

    def add(self, rows: Array, sizes: Sequence[int], folds: Sequence[int]) -> None:
        """Add rows (tokens, d): texts one after another, of the given sizes and in the given folds."""
        unit, start = normalise(rows, "unit"), 0
        for fold, group in groupby(zip(folds, sizes, strict=True), key=lambda pair: pair[0]):
            stop = start + sum(size for _, size in group)
            self.sums[fold].update(unit[start:stop])
            self.totals[fold] += namespace(unit).sum(unit[start:stop], axis=0)
            start = stop
