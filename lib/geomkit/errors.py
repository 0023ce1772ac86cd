"""Errors that a user can act on: each message names the file or config key, what was found, and what is allowed."""


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
