"""Extract gains, ridges, folds and sinks for later stages while a state's rows are read, so that no stage reads states again.

Rows of a dump and of a running model are treated alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from geomkit.core.arrays import Array, namespace
from geomkit.core.config import layer_name, resolve_layers
from geomkit.core.state import State
from geomkit.measures.controls import FOLDS, document_folds
from geomkit.measures.fixed_point import FixedPointSum
from geomkit.measures.gain import PENALTIES, RidgePath, ridge_path
from geomkit.measures.spectra import FixedPointCovariance, normalise
from geomkit.states.spectra import GAIN, SpectraWriter
from geomkit.states.texts import Texts


@dataclass(frozen=True)
class Requested:
    """Extracts requested for the trained model's states, each None if it is not.

    gain: constants of the information gain, n and eps2, for the ridge of last tokens. whitened: layers as configurations name
    them, for whitenings by other documents. sinks: `thresholds`, `metrics` and `eps2`, for texts without attention sinks.
    """

    gain: Mapping[str, Any] | None = None
    whitened: Any = None
    sinks: Mapping[str, Any] | None = None

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

    def add(self, rows: Array, texts: range) -> None:
        """Add rows of these texts, one after another."""
        sizes = self.texts.tokens[texts.start : texts.stop]
        if self.folds is not None and self.fold is not None:
            self.folds.add(rows, sizes, self.fold[texts.start : texts.stop].tolist())
        if self.ridges is not None and self.gain is not None:
            stops = np.cumsum(sizes).tolist()
            clouds = [rows[stop - size : stop] for stop, size in zip(stops, sizes, strict=True) if size == self.longest]
            if clouds:
                unit = normalise(namespace(rows).stack(clouds), "unit")
                self.ridges.append(ridge_path(unit, PENALTIES * self.gain["n"] * self.gain["eps2"] / self.width))

    def write(self, writer: SpectraWriter, variant: str) -> None:
        if self.ridges:
            writer.ridge(variant, self.state, self.ridges)
        if self.folds is not None:
            writer.folds(variant, self.state, self.folds.sums, self.folds.totals)


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
