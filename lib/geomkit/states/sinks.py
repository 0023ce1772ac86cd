"""Metrics of texts with and without their attention sinks, in a file of spectra.

They are taken while all states of a text are at hand, for a token is a sink at all layers or at none.

/trained/sinks/count     (thresholds, texts)                            sinks in each text
/trained/sinks/whole     (layers, modes, metrics, texts)                of all tokens
/trained/sinks/without   (thresholds, layers, modes, metrics, texts)    NaN where fewer than two tokens are left
attributes: thresholds, layers, modes, metrics, eps2
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import h5py
import numpy as np

from geomkit.core.arrays import as_numpy
from geomkit.core.state import State
from geomkit.measures.entropy import measure
from geomkit.measures.sinks import sinks
from geomkit.measures.spectra import is_centred, is_unit, normalise, row_spectrum
from geomkit.states.hdf5 import put, read
from geomkit.states.stream import Batch, States

PLACE = "trained/sinks"


@dataclass(frozen=True)
class SinkEffects:
    """Content of the file: count, whole and without as above."""

    thresholds: Sequence[float]
    layers: Sequence[int]
    modes: Sequence[str]
    metrics: Sequence[str]
    eps2: float
    count: np.ndarray
    whole: np.ndarray
    without: np.ndarray
    all_tokens: bool = True

    @classmethod
    def blank(
        cls,
        thresholds: Sequence[float],
        layers: Sequence[int],
        names: Sequence[str],
        metrics: Sequence[str],
        eps2: float,
        texts: int,
        all_tokens: bool = True,
    ) -> "SinkEffects":
        """Allocate arrays for so many texts; `names` are those of normalisations.

        all_tokens: whether texts with all their tokens are measured too; otherwise a text without sinks has no values.
        """
        shape = (len(layers), len(names), len(metrics), texts)
        count, whole = np.zeros((len(thresholds), texts)), np.full(shape, np.nan)
        without = np.full((len(thresholds), *shape), np.nan)
        return cls([float(one) for one in thresholds], layers, list(names), metrics, eps2, count, whole, without, all_tokens)

    def add(self, batch: Batch, states: States) -> None:
        """Add a batch of a stream, with the rows of every block."""
        rows = [as_numpy(batch.rows[State(layer)]) for layer in self.layers]
        start = 0
        for size, alike in groupby(batch.texts, key=lambda text: states.texts.tokens[text]):
            numbers = [text - states.share.start for text in alike]
            stop = start + len(numbers) * size
            clouds = [part[start:stop].reshape(len(numbers), size, -1).astype(np.float64) for part in rows]
            self.add_texts(numbers, clouds, states.dtype)
            start = stop

    def add_texts(self, texts: Sequence[int], clouds: Sequence[np.ndarray], dtype: str) -> None:
        """Add vectors (texts, tokens, d) of some texts of one size at every layer."""
        norms = np.stack([np.linalg.norm(cloud, axis=-1) for cloud in clouds], axis=1)
        outliers = np.array([[sinks(own, threshold) for own in norms] for threshold in self.thresholds])
        self.count[:, texts] = outliers.sum(axis=-1)
        for row, cloud in enumerate(clouds):
            for column, mode in enumerate(self.modes):
                whole = metrics_of(cloud, self.metrics, mode, self.eps2, dtype) if self.all_tokens else np.nan
                self.whole[row, column][:, texts] = whole
                for number, marked in enumerate(outliers):
                    own = np.broadcast_to(np.asarray(whole), (len(self.metrics), len(texts))).copy()
                    for places in alike(marked.sum(axis=-1)):
                        left = np.stack([cloud[place][~marked[place]] for place in places])
                        too_few = left.shape[1] < 2
                        own[:, places] = np.nan if too_few else metrics_of(left, self.metrics, mode, self.eps2, dtype)
                    self.without[number, row, column][:, texts] = own

    def write(self, file: h5py.File) -> None:
        for name in ("count", "whole", "without"):
            put(file, f"{PLACE}/{name}", getattr(self, name))
        lists = {name: list(getattr(self, name)) for name in ("thresholds", "layers", "modes", "metrics")}
        file[PLACE].attrs.update(lists | {"eps2": self.eps2})


def alike(counts: np.ndarray) -> list[np.ndarray]:
    """Return the places of equal counts above 0, together, count by count."""
    return [np.flatnonzero(counts == count) for count in np.unique(counts[counts > 0])]


def metrics_of(rows: np.ndarray, metrics: Sequence[str], mode: str, eps2: float, dtype: str) -> np.ndarray:
    """Compute metrics (metrics, ...) of rows (..., n, d), NaN where the shape does not allow them.

    The rate distortion of rows that are not scaled is that of rows of mean squared length 1.
    """
    scaled = normalise(rows, mode, dtype=dtype)
    if not is_unit(mode):
        squares = np.mean(np.square(scaled).sum(axis=-1), axis=-1)[..., None, None]
        scaled = scaled / np.sqrt(np.where(squares > 0, squares, 1.0))
    measured = measure(row_spectrum(scaled, is_centred(mode)), metrics, eps2=eps2)
    none = np.full(rows.shape[:-2], np.nan)
    return np.array([measured[name].value if name in measured else none for name in metrics])


def read_sinks(file: h5py.File) -> SinkEffects:
    """Read the sink effects. Raises DataError where they were not requested."""
    count, whole, without = (read(file, f"{PLACE}/{name}") for name in ("count", "whole", "without"))
    facts = file[PLACE].attrs
    return SinkEffects(
        [float(one) for one in facts["thresholds"]],
        [int(one) for one in facts["layers"]],
        [str(one) for one in facts["modes"]],
        [str(one) for one in facts["metrics"]],
        float(facts["eps2"]),
        count,
        whole,
        without,
    )


def joined_sinks(parts: Sequence[SinkEffects]) -> SinkEffects:
    """Join the sink effects of texts in several parts."""
    arrays = (np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in ("count", "whole", "without"))
    count, whole, without = arrays
    return replace(parts[0], count=count, whole=whole, without=without)
