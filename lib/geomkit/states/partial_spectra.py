"""Spectra of one part of a corpus's texts, measured while the model runs, and the file of spectra that all parts make.

A file of spectra (`geomkit.states.spectra`) of these texts and their documents. In place of what takes all texts it has sums of
these in fixed point (`geomkit.measures.fixed_point`), whose attribute `exponent` says the unit:

/{variant}/sums/{normalise}/{state}      int64 (d (d + 1) / 2,)   upper triangle of the sum of z z^T; attributes n and d
/{variant}/folds/{state}/{moment,total}  int64                    as there
/texts/batch                             int64 (batches,)         how many texts each batch of the part has
attributes                               besides `part`, and what was asked of the run, beginning with `asked`
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.arrays import as_numpy
from geomkit.core.errors import DataError
from geomkit.core.state import State, order
from geomkit.core.variants import TRAINED
from geomkit.measures.fixed_point import FixedPointSum
from geomkit.measures.spectra import FixedPointCovariance, is_centred
from geomkit.states.dumps import BATCHES
from geomkit.states.hdf5 import put, read
from geomkit.states.parts import REQUESTED, opened_parts, whole_attributes
from geomkit.states.refusals import refused_files
from geomkit.states.sinks import PLACE, joined_sinks, read_sinks
from geomkit.states.spectra import Spectra, SpectraWriter, datasets, from_triangle, upper_triangle, write_spectra
from geomkit.states.stream import ranges
from geomkit.states.texts import Texts, by_document

SUMS = "sums"


class PartWriter(SpectraWriter):
    """Writer of sums in fixed point where a file of all texts has spectra derived from them."""

    def whole(self, variant: str, mode: str, state: State, rows: FixedPointCovariance) -> None:
        units = upper_triangle(rows.sum.units)
        self._put(f"{variant}/{SUMS}/{mode}/{state.path}", units, n=rows.n, d=rows.d, exponent=rows.sum.exponent)

    def folds(self, variant: str, state: State, sums: Sequence[FixedPointCovariance], totals: Sequence[FixedPointSum]) -> None:
        moment = np.stack([upper_triangle(own.sum.units) for own in sums])
        total = np.stack([as_numpy(own.units) for own in totals])
        self.fold_arrays(variant, state, moment, total, np.array([own.n for own in sums]))
        for name, exponent in (("moment", sums[0].sum.exponent), ("total", totals[0].exponent)):
            self.file[f"{variant}/folds/{state.path}/{name}"].attrs["exponent"] = exponent


@contextmanager
def write_part(
    path: Path, texts: Texts, attributes: Mapping[str, object], absent: Mapping[str, str], batches: Sequence[int]
) -> Iterator[PartWriter]:
    """Yield a writer as `write_spectra` does, for the part's texts; batches: how many of them each batch has."""
    with write_spectra(path, texts, attributes, absent) as writer:
        put(writer.file, BATCHES, np.asarray(batches, dtype=np.int64))
        yield PartWriter(writer.file)


class PartSpectra(Spectra):
    """A part's file, opened for reading. Raises DataError if it is another file, and RefusalError if the model was refused."""

    def __init__(self, path: Path):
        super().__init__(path)
        if BATCHES not in self.file:
            self.file.close()
            raise DataError(f"{path}: not spectra of a part; remove it and run again")
        self.stops = [own.stop for own in by_document(self.text_list.document)]
        self.batches = ranges(read(self.file, BATCHES).tolist())
        self.has_texts = bool(self.batches)
        self.facts = self.attributes | ({"absent": self.absent} if self.batches else {})

    def states(self, variant: str, mode: str) -> list[State]:
        """List the states that have sums."""
        return sorted((state for state, _ in datasets(self.file.get(f"{variant}/{SUMS}/{mode}", {}))), key=order)

    def requested(self, name: str) -> Any:
        """A setting of the run."""
        return json.loads(str(self.attributes[f"{REQUESTED}{name}"]))

    def sum(self, path: str) -> FixedPointSum:
        """Read a dataset in fixed point."""
        return FixedPointSum(read(self.file, path), int(self.file[path].attrs["exponent"]))

    def ending(self, batch: range) -> range:
        """Return the documents that end in a batch."""
        return range(*np.searchsorted(self.stops, (batch.start, batch.stop), side="right").tolist())

    def in_batches(self, values: np.ndarray) -> Iterator[np.ndarray]:
        """Yield values of all tokens, a batch at a time."""
        offset = self.text_list.offset
        for batch in self.batches:
            yield values[offset[batch.start] : offset[batch.stop]]


def merge_spectra(parts: Sequence[Path], output: Path) -> None:
    """Merge all parts to one file, in the order of the texts, with the bytes of one made without parts.

    It is a refused one if they are refused.

    Memory holds the sums of one state in one normalisation, or of its folds, for two parts and in float64. Raises DataError,
    naming file and attributes, for parts of different runs.
    """
    with refused_files([output]), opened_parts(parts, PartSpectra) as opened:
        first = opened[0]
        modes, lengths, variants, drawn = (first.requested(name) for name in ("modes", "lengths", "variants", "drawn"))
        listed = [part.text_list for part in opened]
        texts = Texts(*([one for own in listed for one in getattr(own, name)] for name in ("document", "tokens", "bytes")))
        with write_spectra(output, texts, whole_attributes(first.attributes), first.absent) as writer:
            if "vocabulary" in first.file:
                writer.vocabulary(first.vocabulary())
            for variant in (*variants, *drawn):
                merge_variant(opened, writer, variant, modes, lengths)


def merge_variant(
    parts: Sequence[PartSpectra], writer: SpectraWriter, variant: str, modes: Sequence[str], lengths: Sequence[int]
) -> None:
    """Merge the measurements of one variant, in the order of `geomkit.states.stream_spectra`."""
    states = parts[0].states(variant, modes[0])
    one_by_one = variant in parts[0].requested("drawn") or not parts[0].requested("together")
    for number, group in enumerate([[state] for state in states] if one_by_one else [states]):
        merge_documents(parts, writer, variant, modes, group)
        if number == 0 and f"{variant}/tokens" in parts[0].file:
            ids = in_batches(parts, [part.ids(variant) for part in parts])
            known = f"{variant}/tokens/surprisal" in parts[0].file
            surprisal = in_batches(parts, [part.tokens(variant)[1] for part in parts]) if known else None
            writer.tokens(variant, ids, surprisal)
        if number == 0 and variant == TRAINED and PLACE in parts[0].file:
            joined_sinks([read_sinks(part.file) for part in parts]).write(writer.file)
        for state in group:
            merge_state(parts, writer, variant, state, modes, lengths)


def merge_state(
    parts: Sequence[PartSpectra],
    writer: SpectraWriter,
    variant: str,
    state: State,
    modes: Sequence[str],
    lengths: Sequence[int],
) -> None:
    """Merge the spectra of the corpus and of the texts, and the extracts of tokens."""
    for mode in modes:
        place = f"{variant}/{SUMS}/{mode}/{state.path}"
        d, n = int(parts[0].file[place].attrs["d"]), sum(int(part.file[place].attrs["n"]) for part in parts)
        writer.corpus(variant, mode, state, from_triangle(added(parts, place).value, d, n).spectrum(centred=is_centred(mode)))
    for mode in modes:
        for n in lengths:
            if present := [own for part in parts if (own := part.at(variant, mode, n, state))]:
                values = np.concatenate([own.eigenvalues for own in present])
                writer.texts(variant, mode, state, replace(present[0], eigenvalues=values))
    merge_extracts(parts, writer, variant, state)
    place = f"{variant}/gains/{state.path}"
    if place in parts[0].file:
        writer.gains(variant, state, in_batches(parts, [read(part.file, place) for part in parts]))


def merge_documents(
    parts: Sequence[PartSpectra], writer: SpectraWriter, variant: str, modes: Sequence[str], states: Sequence[State]
) -> None:
    """Merge sums of documents, in the order in which documents end."""
    before = 0
    for part in parts:
        for batch in part.batches:
            for state in states:
                for document in part.ending(batch):
                    for path in [f"{variant}/documents/{mode}/{state.path}" for mode in modes]:
                        if path in part.file:
                            upper = read(part.file, path, slice(document, document + 1))[0]
                            writer.triangle(path, before + document, int(part.file[path].attrs["d"]), upper)
        before += len(part.stops)


def merge_extracts(parts: Sequence[PartSpectra], writer: SpectraWriter, variant: str, state: State) -> None:
    """Merge what `geomkit.states.extracts` made of one state."""
    place = f"{variant}/ridge/{state.path}"
    if ridges := [part.ridge(variant, state) for part in parts if place in part.file]:  # a part may have no longest text
        writer.ridge(variant, state, ridges)
    for kind in dict.fromkeys(kind for part in parts for kind, own in part.pooled_rows(variant) if own == state):
        writer.pooled(variant, state, kind, np.concatenate([part.pooled(variant, state, kind) for part in parts]))
    place = f"{variant}/folds/{state.path}"
    if place in parts[0].file:
        moment, total = (added(parts, f"{place}/{name}").value for name in ("moment", "total"))
        tokens = np.sum([read(part.file, f"{place}/tokens") for part in parts], axis=0)
        writer.fold_arrays(variant, state, moment, total, tokens)


def added(parts: Sequence[PartSpectra], path: str) -> FixedPointSum:
    """Add a dataset in fixed point over all parts. Raises DataError, naming file and dataset, for another unit."""
    total = parts[0].sum(path)
    for part in parts[1:]:
        own = part.sum(path)
        if own.exponent != total.exponent:
            difference = f"exponent is {own.exponent} instead of {total.exponent}"
            raise DataError(f"{part.file.filename}: not of this run: of /{path} the {difference}; remove it and run again")
        total.merge(own)
    return total


def in_batches(parts: Sequence[PartSpectra], values: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield values of all tokens, given by part, a batch at a time."""
    for part, own in zip(parts, values, strict=True):
        yield from part.in_batches(own)
