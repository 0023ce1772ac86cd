"""What a job says: everything to its log, errors that a user can act on as one line, progress to the terminal."""

import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

from tqdm import tqdm

from geomkit.errors import GeomkitError

T = TypeVar("T")
_terminal: TextIO = sys.stderr


@contextmanager
def logged(path: str) -> Iterator[None]:
    """Inside the block all output, that of libraries too, goes to the log; progress bars stay on the terminal.

    An error ends the process with one line on the terminal; the log has its traceback too, unless it is a GeomkitError.
    """
    global _terminal
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    _terminal = os.fdopen(os.dup(2), "w", buffering=1)
    with open(path, "w") as log:
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
    try:
        yield
    except Exception as error:
        if not isinstance(error, GeomkitError):
            traceback.print_exc()
        for stream in (sys.stderr, _terminal):
            print(f"{type(error).__name__}: {error}", file=stream)
        sys.exit(1)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def progress(items: Iterable[T], what: str, total: int | None = None, initial: int = 0) -> Iterable[T]:
    """The items, with a progress bar where a person is watching."""
    return tqdm(items, what, total, initial=initial, file=_terminal, disable=not _terminal.isatty(), leave=False)
