"""HDF5 files between stages: opened only if they are of the expected kind, and read with every checksum checked."""

from pathlib import Path

import h5py
import numpy as np

from geomkit.errors import DataError, RefusalError

REFUSED = "refused"
"""The attribute of a file that holds nothing but the reason for that."""


def opened(path: Path, kind: str, schema: int, holds: str) -> h5py.File:
    """A file between stages, opened for reading.

    Raises DataError if it is not of that kind and schema, and RefusalError if its model was refused.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: not a readable HDF5 file ({error})") from None
    if reason := file.attrs.get(REFUSED):
        file.close()
        raise RefusalError(reason)
    if file.attrs.get("schema") != schema or holds not in file:
        file.close()
        raise DataError(f"{path}: not a {kind} of schema {schema}; remove it and run again")
    return file


def read(file: h5py.File, path: str, rows: slice = slice(None)) -> np.ndarray:
    """Rows of a dataset. Raises DataError if it is not there, or fails its checksum."""
    try:
        return file[path][rows]
    except (KeyError, OSError) as error:
        raise DataError(f"{file.filename}: /{path.lstrip('/')} is not there or damaged ({error})") from None
