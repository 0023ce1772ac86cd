"""Spectra that several jobs have made of one model and corpus, each of some of the states, merged into one file."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from geomkit.store.decomposition import blocks
from geomkit.store.dumps import State, order
from geomkit.store.hdf5 import put, read
from geomkit.store.refusals import refused_files
from geomkit.store.sinks import PLACE, read_sinks
from geomkit.store.spectra import Spectra, SpectraWriter, datasets, write_spectra
from geomkit.store.texts import Texts
from geomkit.variants import TRAINED


def merge_spectra(
    parts: Sequence[Path],
    output: Path,
    modes: Sequence[str],
    lengths: Sequence[int],
    variants: Sequence[str],
    drawn: Sequence[str],
) -> None:
    """One file of all parts, with the bytes of one that was never parted; a refused one if they are refused.

    modes, lengths, variants, drawn: as the parts were measured. Memory holds the spectra of one state.
    """
    with refused_files([output]), ExitStack() as files:
        opened = [files.enter_context(Spectra(Path(part))) for part in parts]
        first = opened[0]
        with write_spectra(output, first.text_list, first.attributes, first.absent) as writer:
            copy_extracts(opened, writer)
            for variant in (*drawn, *variants):
                if variant in variants:
                    writer.tokens(variant, *(in_blocks(found, first.text_list) for found in first.tokens(variant)))
                owners = {
                    state: part for part in opened for state, _ in datasets(part.file.get(f"{variant}/corpus/{modes[0]}", {}))
                }
                for state in sorted(owners, key=order):
                    copy_state(owners[state], writer, variant, state, modes, lengths)


def copy_extracts(parts: Sequence[Spectra], writer: SpectraWriter) -> None:
    """What `geomkit.store.extracts` and `geomkit.store.sinks` took, in the order of `geomkit.studies.spectra`."""
    if "vocabulary/count" in parts[0].file:
        writer.vocabulary(read(parts[0].file, "vocabulary/count"))
    kinds = {"ridge": ("error", "freedom", "gcv", "penalties"), "folds": ("moment", "total", "tokens")}
    owners = {
        state: part for part in parts for kind in kinds for state, _ in datasets(part.file.get(f"{TRAINED}/{kind}", {}), above=1)
    }
    for state in sorted(owners, key=order):
        for kind, names in kinds.items():
            for path in [f"{TRAINED}/{kind}/{state.path}/{name}" for name in names]:
                if path in owners[state].file:
                    put(writer.file, path, read(owners[state].file, path))
    if PLACE in parts[0].file:
        read_sinks(parts[0].file).write(writer.file)


def copy_state(
    part: Spectra, writer: SpectraWriter, variant: str, state: State, modes: Sequence[str], lengths: Sequence[int]
) -> None:
    """All that was found of one state of one variant, written in the order of `geomkit.store.decomposition.decompose`."""
    sums = {mode: f"{variant}/documents/{mode}/{state.path}" for mode in modes}
    if sums[modes[0]] in part.file:
        for document in range(len(part.file[sums[modes[0]]])):
            for path in sums.values():
                upper = read(part.file, path, slice(document, document + 1))[0]
                writer.triangle(path, document, int(part.file[path].attrs["d"]), upper)
    for mode in modes:
        if found := part.at(variant, mode, None, state):
            writer.corpus(variant, mode, state, found)
    for mode in modes:
        for n in lengths:
            if found := part.at(variant, mode, n, state):
                writer.texts(variant, mode, state, found)
    if (path := f"{variant}/gains/{state.path}") in part.file:
        writer.gains(variant, state, in_blocks(read(part.file, path), part.text_list))


def in_blocks(values: np.ndarray, texts: Texts) -> Iterator[np.ndarray]:
    """Values of all tokens, some texts at a time."""
    offset = texts.offset
    for first, last in blocks(range(len(offset) - 1)):
        yield values[offset[first] : offset[last]]
