"""Parts of a job: files that several jobs make of one model and corpus, each from a range of the texts.

Parts are named `{part}-of-{parts}`, from 1, and follow one another in the order of the texts. A part may have no texts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from geomkit.core.errors import DataError
from geomkit.core.variants import TRAINED
from geomkit.states.dumps import Dump, write_dump
from geomkit.states.refusals import refused_files

PART, REQUESTED = "part", "asked "
"""The attribute that says which part of a run a file is, and how those begin that say what was requested of the run."""


def numbered(part: str) -> tuple[int, int]:
    """Parse the name of a part: its number from 0, and how many parts there are."""
    number, _, parts = part.partition("-of-")
    return int(number) - 1, int(parts)


def part_name(number: int, parts: int) -> str:
    """Format the name of a part from its number, counted from 0."""
    return f"{number + 1}-of-{parts}"


def requested(**settings: object) -> dict[str, str]:
    """Settings of a run as attributes of the files of its parts."""
    return {f"{REQUESTED}{name}": json.dumps(value, sort_keys=True) for name, value in settings.items()}


def whole_attributes(attributes: Mapping[str, object]) -> dict[str, object]:
    """Drop the attributes that only parts have."""
    return {name: value for name, value in attributes.items() if name != PART and not name.startswith(REQUESTED)}


@contextmanager
def opened_parts(paths: Sequence[Path], kind: Any, run: Mapping[str, Any] | None = None) -> Iterator[list[Any]]:
    """Open the files of all parts of one run by `kind`; those without texts are left out.

    run: attributes that all of them have; those of the first where it is None. Raises RefusalError if a part is refused, and
    DataError, naming file and attributes, if they are not all parts of one run in their order, or if none has a text.
    """
    with ExitStack() as files:
        parts = [files.enter_context(kind(path)) for path in paths]
        full = [part for part in parts if part.has_texts]
        if not full:
            raise DataError(f"{paths[0]}: no texts in any part of this run")
        known = full[0].facts if run is None else run
        for number, (path, part) in enumerate(zip(paths, parts, strict=True)):
            # a part without texts ran no model, and says less of it
            expected = {name: value for name, value in known.items() if part.has_texts or name in part.facts}
            check_facts(path, part.facts, expected | {PART: part_name(number, len(parts))})
        yield full


def check_facts(path: Path, facts: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    if names := [name for name in sorted(expected) if str(facts.get(name)) != str(expected[name])]:
        values = ", ".join(f"{name} is {facts.get(name)!s:.80} instead of {expected[name]!s:.80}" for name in names)
        raise DataError(f"{path}: not of this run: {values}; remove it and run again")


def merge_dumps(parts: Sequence[Path], output: Path, dtype: str, compression: str | None) -> None:
    """Merge all parts to one dump, with the bytes of one made without parts; a refused one if they are refused.

    Memory holds one batch.
    """
    with refused_files([output]), opened_parts(parts, Dump) as dumps:
        first = dumps[0]
        vocabulary = first.vocabulary() if first.attributes["variant"] == TRAINED else None
        borders = [texts for dump in dumps for texts in dump.borders]
        how = (dtype, compression, borders, vocabulary)
        with write_dump(output, first.texts, whole_attributes(first.attributes), first.absent, *how) as writer:
            for batch in (batch for dump in dumps for batch in dump.batches(scored=True)):
                writer.append(batch.ids, batch.surprisal, batch.rows)
