"""Errors that a user can act on: each message names the file or config key, what was found, and what is allowed."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class GeomkitError(Exception):
    """Base of every error that geomkit raises on purpose."""


class ConfigError(GeomkitError):
    """The configuration asks for something that does not exist or does not fit together."""


class SourceError(GeomkitError):
    """A model or text could not be fetched, or is not the one that was pinned."""


class DataError(GeomkitError):
    """A file or an array does not hold what it should."""


class RefusalError(DataError):
    """A model cannot be measured in this way, whatever its files: its architecture does not give what is asked for."""


@contextmanager
def plainly() -> Iterator[None]:
    """Ends the program with one line where the configuration is at fault."""
    try:
        yield
    except ConfigError as error:
        raise SystemExit(f"ConfigError: {error}") from None


def one_line(error: BaseException) -> str:
    """The message of an error on one line."""
    return " ".join(str(error).split())


def unexpected(error: BaseException, log: str | Path) -> str:
    """One line for an error that is not foreseen, once its traceback is in the log."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a") as file:
        traceback.print_exception(error, file=file)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("geomkit"):
        return f"ModuleNotFoundError: {sys.executable} has no {error.name}: install geomkit[all] there, or run with --sdm conda"
    said = one_line(error)
    return f"unexpected: {type(error).__name__}: {said[:500]}{'...' if len(said) > 500 else ''}, please report with {log}"


def catch_all(log: str) -> None:
    """From here on an error that ends this process is one line on the terminal, and a traceback in the log."""
    sys.excepthook = lambda _, error, __: print(unexpected(error, log), file=sys.stderr)
