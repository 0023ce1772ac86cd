"""Write a job's log, report errors in one line, and show progress on the terminal."""

import errno
import faulthandler
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

from tqdm import tqdm

from geomkit.core.errors import GeomkitError, one_line, unexpected
from geomkit.core.watch import Pace, watch

T = TypeVar("T")
_terminal: TextIO = sys.stderr
_pace: list[Pace] = []
"""Loops that run, outermost first."""
FULL = re.compile(rf"errno = ({errno.ENOSPC}|{errno.EDQUOT})\b|No space left on device")
"""Words in which HDF5 and Arrow say that a disk is full."""


@contextmanager
def logged(path: str) -> Iterator[None]:
    """Send all output in the block, that of libraries too, to the log; progress bars stay on the terminal.

    Each minute the log gets another line, and the block is interrupted when the Snakemake that runs it has ended.

    The process ends with the block: to take torch and all else apart would take most of a second. What C buffered is lost.
    An error ends the process with status 1 and one line on the terminal. The log has its traceback too, and the line names the
    log, unless the line says what to do about it.
    """
    global _terminal
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    _terminal = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    Path(path).write_text("")
    with open(path, "a") as log:  # to which others may append too
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
    faulthandler.enable()  # to the log, if a library in C crashes
    watch(_pace)
    try:
        yield
    except KeyboardInterrupt:
        os._exit(130)
    except BaseException as error:
        line = explain(error) or unexpected(error, path)
        for stream in (sys.stderr, _terminal):
            print(line, file=stream, flush=True)
        os._exit(1)  # HDF5 crashes where it is left to close a file that the disk has no room for
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def explain(error: BaseException) -> str | None:
    """Say in one line what caused an error that a user can act on, and what to do; None for any other error.

    Such are a GeomkitError, a file that may not be written or read, a disk, a memory or a GPU that is full.
    """
    said = one_line(error)
    number, name = getattr(error, "errno", None), getattr(error, "filename", None)
    if isinstance(error, GeomkitError):
        return f"{type(error).__name__}: {said}"
    if number in (errno.ENOSPC, errno.EDQUOT) or FULL.search(said):
        where = name or next(iter(re.findall(r"filename = '([^']+)'", said)), "results")
        return f"StorageError: {where}: no space is left on the device; free some, then run again"
    if isinstance(error, PermissionError) or number == errno.EROFS:
        return f"StorageError: {name or said}: no permission to read or write there"
    if type(error).__name__ == "OutOfMemoryError":
        return "MemoryError: the GPU is full; lower compute.batch_tokens, or let fewer jobs share it (--resources gpu=1)"
    if isinstance(error, MemoryError):
        return "MemoryError: the memory is full; lower compute.batch_tokens or texts.count, or ask for more (mem_mb)"
    return None


def progress(
    items: Iterable[T], what: str, total: int | None = None, initial: int = 0, work: Callable[[T], int] = lambda item: 1
) -> Iterator[T]:
    """Iterate with a progress bar on a terminal, and a line to the log each minute.

    total, initial: the work of a whole job, of which these items are a part, and what is done of it; work: that of one item.
    """
    size = total if total is not None else len(items) if isinstance(items, Sized) else None
    pace = Pace(what, size, initial, initial)
    _pace.append(pace)
    try:
        with tqdm(desc=what, total=size, initial=initial, file=_terminal, disable=not _terminal.isatty(), leave=False) as bar:
            for item in items:
                yield item
                pace.done += work(item)
                bar.update(work(item))
    finally:
        _pace.remove(pace)
