"""Errors that a user can act on: each message names the file or config key, its value, and what is allowed."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class GeomkitError(Exception):
    """Base of every error that geomkit raises on purpose."""


class ConfigError(GeomkitError):
    """The configuration has an invalid or inconsistent value."""


class SourceError(GeomkitError):
    """A model or text could not be fetched, or is not the one that was pinned."""


class DataError(GeomkitError):
    """A file or an array has missing, damaged or invalid content."""


class RefusalError(DataError):
    """A model cannot be measured in this way, whatever its files: its architecture does not provide what is needed."""


@contextmanager
def plainly() -> Iterator[None]:
    """End the program with a message of one line for each fault where the configuration is at fault."""
    try:
        yield
    except ConfigError as error:
        raise SystemExit("\n".join(f"ConfigError: {line}" for line in str(error).splitlines())) from None


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line."""
    return " ".join(str(error).split())


def unexpected(error: BaseException, log: str | Path) -> str:
    """Report an unforeseen error in one line, once its traceback is in the log."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a") as file:
        traceback.print_exception(error, file=file)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("geomkit"):
        return f"ModuleNotFoundError: {sys.executable} has no {error.name}: install geomkit[all] there, or run with --sdm conda"
    said = one_line(error)
    return f"unexpected: {type(error).__name__}: {said[:500]}{'...' if len(said) > 500 else ''}, please report with {log}"


def catch_all(log: str) -> None:
    """From here on, report an error that ends this process in one line on the terminal, and its traceback in the log."""
    sys.excepthook = lambda _, error, __: print(unexpected(error, log), file=sys.stderr)
