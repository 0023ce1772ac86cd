"""Compute the spectra of one state of a corpus from blocks of its rows, in memory for one block and a d x d sum."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from geomkit.core.arrays import Array, indices, namespace
from geomkit.measures.gain import information_gain
from geomkit.measures.spectra import CovarianceAccumulator, FixedPointCovariance, Spectrum, is_centred, normalise, row_spectrum

TOGETHER = 1 << 18
"""Numbers in the rows of short texts that are decomposed in one call, which costs as much for one text as for sixteen."""
Sums = Mapping[str, CovarianceAccumulator | FixedPointCovariance]
"""Sums of z z^T over all rows, by normalisation."""


class StateSpectra:
    """Spectra of every text's first n tokens and of all rows, and each document's sum of z z^T, in several normalisations.

    mean: (d,), that of all rows of the corpus, which `centre-unit` subtracts where texts are not measured one by one. It takes a
    pass over the rows of its own. Sums and spectra are of its kind, numpy's or torch's, and on its device, where rows are sent.
    documents: False where no document's own sums are asked for; it saves a sum for each normalisation, and no document need end.
    whole: sums that all rows are added to, in place of new ones in float64.
    dtype: the type that rows were computed or stored in, where they arrive in another: see `normalise`.
    Limit: any blocks, the whole corpus at once included, give the same spectra of texts bit for bit, and sums to rounding.
    """

    def __init__(
        self,
        d: int,
        modes: Sequence[str],
        lengths: Sequence[int],
        mean: Array,
        documents: bool = True,
        whole: Sums | None = None,
        dtype: Any = None,
    ):
        self.dtype = dtype
        self.modes, self.lengths, self.mean, self.d = list(modes), list(lengths), mean, d
        self.whole: Sums = self._sums() if whole is None else whole
        self.own = self._sums() if documents else {}
        self.parts: dict[tuple[str, int], list[Spectrum]] = {(mode, n): [] for mode in modes for n in lengths}
        self.waiting: list[tuple[Array, np.ndarray]] = []

    def _sums(self) -> dict[str, CovarianceAccumulator]:
        return {mode: CovarianceAccumulator(self.d, like=self.mean) for mode in self.modes}

    def add(self, rows: Array, sizes: Sequence[int] | Array) -> None:
        """Add whole texts of the current document: rows (tokens, d), text after text, and the number of tokens of each text."""
        for mode, sums in (self.own or self.whole).items():
            sums.update(normalise(rows, mode, self.mean, self.dtype))
        # a copy, or a view would keep the whole batch that it is a part of
        self.waiting.append((namespace(rows).asarray(rows, copy=True), np.asarray(sizes, dtype=np.int64)))
        if sum(len(own) for own, _ in self.waiting) * self.d >= TOGETHER:
            self._decompose()

    def _decompose(self) -> None:
        rows = namespace(self.mean).concat([own for own, _ in self.waiting])
        tokens = np.concatenate([sizes for _, sizes in self.waiting])
        self.waiting = []
        for mode, n, spectrum in text_spectra(rows, tokens, self.modes, self.lengths, self.dtype):
            self.parts[mode, n].append(spectrum)

    def end_document(self) -> dict[str, CovarianceAccumulator]:
        """End a document and return its sums by normalisation; the next text begins another."""
        done, self.own = self.own, self._sums()
        for mode, rows in done.items():
            self.whole[mode].merge(rows)
        return done

    def texts(self) -> Iterator[tuple[str, Spectrum]]:
        """Yield (normalisation, spectra of the first n tokens of every text that has as many), where there is one."""
        if self.waiting:
            self._decompose()
        for (mode, _), parts in self.parts.items():
            if parts:
                yield mode, replace(parts[0], eigenvalues=namespace(self.mean).concat([part.eigenvalues for part in parts]))

    def corpus(self) -> Iterator[tuple[str, Spectrum]]:
        """Yield (normalisation, spectrum of all rows of the documents that have ended)."""
        for mode, rows in self.whole.items():
            yield mode, rows.spectrum(centred=is_centred(mode))


def text_spectra(
    rows: Array, sizes: Sequence[int] | Array, modes: Sequence[str], lengths: Sequence[int], dtype: Any = None
) -> Iterator[tuple[str, int, Spectrum]]:
    """Yield (normalisation, n, spectra of the first n tokens of every text that has as many).

    rows (tokens, d) are text after text.

    sizes: tokens of each text; dtype: the type that rows were computed or stored in, where they arrive in another.
    """
    tokens = np.asarray(sizes, dtype=np.int64)
    starts = np.cumsum(tokens) - tokens
    for n in lengths:
        clouds = rows[indices(starts[tokens >= n, None] + np.arange(n), like=rows)]
        for mode in modes if len(clouds) else []:
            centred = is_centred(mode)
            if n > centred:
                yield mode, n, row_spectrum(normalise(clouds, mode, dtype=dtype), centred=centred)


def text_gains(rows: Array, sizes: Sequence[int], eps2: float, n: int) -> Iterator[Array]:
    """Yield the `information_gain` of whole texts' unit rows, one array for successive texts of one size.

    rows (tokens, d): texts one after another, of the given sizes; n: the number of tokens in c, one for all texts.
    """
    unit, stops = normalise(rows, "unit"), np.cumsum(sizes).tolist()
    texts = [unit[stop - size : stop] for stop, size in zip(stops, sizes, strict=True)]
    for size, alike in groupby(texts, key=len):
        stacked = list(alike)
        yield information_gain(namespace(unit).stack(stacked), eps2, n).reshape(len(stacked) * size)
