"""Values of every text at every state of one model and its nulls, from a file of spectra."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from geomkit.core.arrays import Array, as_numpy
from geomkit.core.provenance import rng
from geomkit.core.state import PLAIN, State
from geomkit.core.variants import TRAINED
from geomkit.measures.entropy import measure, measured_and_absent
from geomkit.measures.nulls import null_rows
from geomkit.measures.spectra import Spectrum, is_centred, normalise, row_spectrum
from geomkit.states.sinks import read_sinks
from geomkit.states.spectra import Spectra

GAUSSIAN, DRAWS = "gaussian", 20


class Cell(NamedTuple):
    """What a value was measured of: a variant, a state, a normalisation, the first n tokens, with or without sinks."""

    variant: str
    state: State
    normalise: str
    n: int
    sinks: str = "with"


@dataclass(frozen=True)
class Profiles:
    """Metrics of every text (texts,), NaN where a text has none, by cell and metric; and what is missing, with reasons.

    bounds: the bound of each metric in a cell. whole: of the corpus, by cell, whose n is the number of all tokens. shares: mean
    over texts of the relative spectrum (m,) of the longest length.
    """

    documents: Sequence[str]
    depth: int
    states: Sequence[State]
    widths: Mapping[State, int]
    variants: Sequence[str]
    modes: Sequence[str]
    lengths: Sequence[int]
    values: dict[Cell, dict[str, Array]] = field(default_factory=dict)
    bounds: dict[Cell, dict[str, float | None]] = field(default_factory=dict)
    whole: dict[Cell, dict[str, float]] = field(default_factory=dict)
    shares: dict[Cell, Array] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def at(self, variant: str, state: State, mode: str, n: int, metric: str, sinks: str = "with") -> Array | None:
        """Return a metric of every text, or None where it was not measured."""
        return self.values.get(Cell(variant, state, mode, n, sinks), {}).get(metric)

    @property
    def longest(self) -> int:
        """The longest length."""
        return max(self.lengths)

    @property
    def last(self) -> State:
        """The state after the last block."""
        return State(self.depth)

    @property
    def blocks(self) -> list[State]:
        """Embedding and outputs of blocks, in order."""
        return [state for state in self.states if state.layer <= self.depth]

    def profile(self, variant: str, mode: str, metric: str) -> Array | None:
        """Return a metric of the longest texts at the embedding and after each block: (texts, layers); None if one is absent."""
        columns = [one for state in self.blocks if (one := self.at(variant, state, mode, self.longest, metric)) is not None]
        return np.stack(columns, axis=1) if len(columns) == len(self.blocks) > 2 else None

    def place(self, state: State) -> str:
        """Name a state."""
        if state.sublayer == PLAIN:
            return PLAIN
        return {0: "embedding", self.depth: "last", self.depth + 1: "final"}.get(state.layer, str(state.layer))

    def relative(self, state: State) -> float:
        """Place of a state on the axis of depth: 0 the embedding, 1 the last block, then plain and final."""
        beyond = 0 if state.layer <= self.depth else 1 if state.sublayer == PLAIN else 2
        return min(state.layer, self.depth) / self.depth + beyond / self.depth


def at(own: Profiles, state: State) -> dict[str, Any]:
    """Return the columns of a state."""
    place = {"place": own.place(state), "depth": own.relative(state), "d": own.widths[state]}
    return {"layer": state.layer, "state": state.sublayer, **place}


def read_profiles(file: Spectra, metrics: Sequence[str], parameters: Mapping[str, float], seed: int) -> Profiles:
    """Evaluate metrics on every spectrum of a portrait's file, and on drawn rows of the same shapes."""
    texts, depth = file.text_list, int(str(file.attributes["depth"]))
    measured = list(file.texts(TRAINED))
    order = sorted({state for _, state, _ in measured}, key=lambda state: (state.layer, state.sublayer != PLAIN))
    widths = {state: spectrum.d for _, state, spectrum in measured}
    modes = list(dict.fromkeys(mode for mode, _, _ in measured))
    lengths = sorted({spectrum.n for _, _, spectrum in measured})
    variants = [TRAINED, *(name for name in file.variants if name != TRAINED)]
    own = Profiles(texts.document, depth, order, widths, variants, modes, lengths, missing=dict(file.absent))
    tokens = np.asarray(texts.tokens)
    for variant in variants:
        read = np.isin(np.arange(len(tokens)), file.measured_texts(variant))
        for mode, state, spectrum in file.texts(variant):
            cell = Cell(variant, state, mode, spectrum.n)
            add(own, cell, spectrum, read & (tokens >= spectrum.n), metrics, parameters)
            if spectrum.n == own.longest:
                own.shares[cell] = relative_spectrum(spectrum)
        for mode, state, spectrum in file.corpus(variant) if variant == TRAINED else ():
            results, _ = measured_and_absent(spectrum, metrics, parameters)
            cell = Cell(variant, state, mode, spectrum.n)
            own.whole[cell] = {name: float(result.value) for name, result in results.items()}
            own.bounds[cell] = {name: None if result.bound is None else float(result.bound) for name, result in results.items()}
    for (d, mode, n), spectrum in drawn_spectra(own, seed):
        results = measure(spectrum, metrics, **parameters)
        for state in (state for state in order if widths[state] == d):
            cell = Cell(GAUSSIAN, state, mode, n)
            own.values[cell] = {name: as_numpy(result.value) for name, result in results.items()}
            own.shares[cell] = relative_spectrum(spectrum)
    add_without_sinks(own, file)
    return own


def add(
    own: Profiles, cell: Cell, spectrum: Spectrum, present: Any, metrics: Sequence[str], parameters: Mapping[str, float]
) -> None:
    """Add the metrics of a batch of spectra, of the texts that are present."""
    results, without = measured_and_absent(spectrum, metrics, parameters)
    own.values[cell] = {name: spread(result.value, present) for name, result in results.items()}
    own.bounds[cell] = {
        name: None if result.bound is None else float(np.mean(as_numpy(np.asarray(result.bound))))
        for name, result in results.items()
    }
    own.missing.update({f"{name}, {cell.normalise}, n = {cell.n}": why for name, why in without.items()})


def spread(values: Any, present: Any) -> Array:
    """Put values of the texts that are present among all texts: (texts,), NaN elsewhere."""
    whole = np.full(present.shape, np.nan)
    whole[present] = values
    return whole


def relative_spectrum(spectrum: Spectrum) -> Array:
    """Average the relative spectrum over texts: (m,)."""
    values = as_numpy(spectrum.eigenvalues)
    trace = values.sum(axis=-1, keepdims=True)
    return np.asarray(np.mean(np.divide(values, trace, out=np.full_like(values, np.nan), where=trace > 0), axis=0))


def drawn_spectra(own: Profiles, seed: int) -> Iterator[tuple[tuple[int, str, int], Spectrum]]:
    """Yield ((d, normalisation, n), spectra of `DRAWS` clouds of Gaussian rows) for every shape that was measured."""
    for d in sorted(set(own.widths.values())):
        for n in own.lengths:
            draws = rng(seed, GAUSSIAN, n, d)
            clouds = np.stack([null_rows(GAUSSIAN, n, d, draws) for _ in range(DRAWS)])
            for mode in own.modes:
                if n > is_centred(mode):
                    yield (d, mode, n), row_spectrum(normalise(clouds, mode), is_centred(mode))


def add_without_sinks(own: Profiles, file: Spectra) -> None:
    """Add metrics of whole texts without their sinks, where there are sinks."""
    effects = read_sinks(file.file)
    if not effects.count[0].any():
        own.missing["sinks"] = f"no token is longer than {effects.thresholds[0]:g} times the median of its text"
        return
    for row, layer in enumerate(effects.layers):
        for column, mode in enumerate(effects.modes):
            cell = Cell(TRAINED, State(layer), mode, own.longest, "without")
            within = own.values[Cell(TRAINED, State(layer), mode, own.longest)]
            has_sinks = effects.count[0] > 0
            own.values[cell] = {
                name: np.where(has_sinks & np.isfinite(within[name]), effects.without[0, row, column, number], within[name])
                for number, name in enumerate(effects.metrics)
                if name in within
            }
