"""Dumps that several jobs have made of one corpus, each of a range of its texts, read as one and merged into one file.

Parts are named `{part}-of-{parts}`, from 1, and follow one another in the order of the texts. A part may have no texts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np

from geomkit.errors import DataError
from geomkit.store.dumps import BATCHES, Dump, State, write_dump
from geomkit.store.hdf5 import read
from geomkit.store.refusals import refused_files
from geomkit.store.texts import Texts
from geomkit.variants import TRAINED

PART, ASKED = "part", "asked "
"""The attribute that says which part of a run a file is, and how those begin that say what was asked of the run."""


def numbered(part: str) -> tuple[int, int]:
    """(number from 0, how many) that the name of a part says."""
    number, _, parts = part.partition("-of-")
    return int(number) - 1, int(parts)


def part_name(number: int, parts: int) -> str:
    """The name of a part by its number from 0."""
    return f"{number + 1}-of-{parts}"


class DumpParts:
    """One variant's dump, whole or in parts in the order of the texts, opened for reading; as `Dump` where it has the same names.

    Raises RefusalError if a part is refused, and DataError if parts are not of one model, run in one way, or if none has a text.
    """

    def __init__(self, paths: Sequence[Path]):
        with ExitStack() as files:
            dumps = [files.enter_context(Dump(path)) for path in paths]
            self.parts = [dump for dump in dumps if dump.texts.tokens]
            if not self.parts:
                raise DataError(f"{paths[0]}: no texts in any part of this dump")
            self.attributes = self.parts[0].attributes
            for dump in self.parts:
                check_alike(self.parts[0], dump)
            self.files = files.pop_all()
        self.absent = {what: why for dump in self.parts for what, why in dump.absent.items()}
        self.states = self.parts[0].states
        listed = [dump.texts for dump in self.parts]
        self.texts = Texts(*(joined(getattr(texts, name) for texts in listed) for name in ("document", "tokens", "bytes")))
        self.offset = self.texts.offset
        self.first = np.cumsum([0, *(len(texts.tokens) for texts in listed)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.files.__exit__(*error)

    def _within(self, first: int, last: int) -> Iterator[tuple[Dump, int, int]]:
        """(part, its own first and last text) of every part that holds some of the texts first..last-1."""
        for dump, start, stop in zip(self.parts, self.first, self.first[1:], strict=False):
            if max(first, start) < min(last, stop):
                yield dump, max(first, start) - start, min(last, stop) - start

    def rows(self, state: State, first: int, last: int) -> np.ndarray:
        """Vectors of the texts first..last-1, one after another: (tokens, d)."""
        return np.concatenate([dump.rows(state, *texts) for dump, *texts in self._within(first, last)])

    def vocabulary(self) -> np.ndarray | None:
        """How often each token id occurs in other documents of the corpus: (ids,); None where no dump says it."""
        return self.parts[0].vocabulary()

    def width(self, state: State) -> int:
        return self.parts[0].width(state)

    @property
    def dtype(self) -> str:
        """The type with the fewest digits that states were computed or stored in."""
        return self.parts[0].dtype

    def all_ids(self) -> np.ndarray:
        """Token ids of all texts, one after another: (tokens,)."""
        return np.concatenate([dump.all_ids() for dump in self.parts])

    def all_surprisal(self) -> np.ndarray:
        """Surprisal of all texts' tokens in nats, one after another: (tokens,), NaN where there was no past."""
        return np.concatenate([dump.all_surprisal() for dump in self.parts])


def check_alike(one: Dump, other: Dump) -> None:
    """Raises DataError, naming what differs, for parts whose attributes or states are not the same."""
    facts: list[dict[str, Any]] = [{**dump.attributes, "states": [state.path for state in dump.states]} for dump in (one, other)]
    if names := unlike(*facts):
        raise DataError(
            f"{other.file.filename}: differs from {one.file.filename} in {', '.join(names)}, "
            "but both must be parts of one dump; remove both and run again"
        )


def unlike(facts: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Names of facts, of a file or a job, that differ."""
    return [name for name in sorted({*facts, *others}) if str(facts.get(name)) != str(others.get(name))]


def check_run(path: Path, found: Mapping[str, Any], run: Mapping[str, Any], number: int, parts: int) -> None:
    """Raises DataError, naming file and attributes, for a file whose attributes are not those of a part, by its number, of a
    run."""
    expected = {**run, PART: part_name(number, parts)}
    if names := unlike({name: found.get(name) for name in expected}, expected):
        values = ", ".join(f"{name} is {found.get(name)!s:.80} instead of {expected[name]!s:.80}" for name in names)
        raise DataError(f"{path}: not of this run: {values}; remove it and run again")


def joined(lists: Iterable[Sequence]) -> list:
    """One list after another."""
    return [each for found in lists for each in found]


def merge_dumps(parts: Sequence[Path], output: Path, dtype: str, compression: str | None) -> None:
    """One dump of all parts, with the bytes of one that was never parted; a refused one if they are refused.

    Memory holds one batch.
    """
    with refused_files([output]), DumpParts([Path(part) for part in parts]) as dump:
        vocabulary = dump.parts[0].vocabulary() if dump.attributes["variant"] == TRAINED else None
        with write_dump(output, dump.texts, dump.attributes, dump.absent, dtype, compression, vocabulary) as writer:
            for part in dump.parts:
                ends = np.cumsum(read(part.file, BATCHES)).tolist()
                for texts in zip([0, *ends], ends, strict=False):
                    ids, surprisal = ([get(part, text) for text in range(*texts)] for get in (Dump.ids, Dump.surprisal))
                    states = {state: part.rows(state, *texts) for state in dump.states}
                    writer.append(np.concatenate(ids), np.concatenate(surprisal), states)
