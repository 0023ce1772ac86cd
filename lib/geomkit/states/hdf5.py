"""Read and write HDF5 files between stages, with checks of their kind and of every checksum."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from geomkit.core.errors import DataError, RefusalError

REFUSED = "refused"
"""The attribute of a file that holds nothing but the reason for that."""


VERSION = ("v110", "v110")
"""Of the format of files that are written. HDF5 puts checksums on a file's own structure from 1.10 on."""


def created(path: Path, **options: Any) -> h5py.File:
    """Create a file, opened for writing."""
    return h5py.File(path, "w", libver=VERSION, **options)


def put(group: h5py.Group, path: str, values: np.ndarray | Sequence[Any]) -> h5py.Dataset:
    """Write a whole dataset with checksums.

    Names are stored as UTF-8 of one length, for HDF5 has no checksum on other text.
    """
    array = np.asarray(values)
    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8")
        array = array.astype(h5py.string_dtype("utf-8", array.dtype.itemsize))
    return group.create_dataset(path, data=array, fletcher32=array.size > 0 and array.ndim > 0)


@contextmanager
def undamaged(path: str | Path) -> Iterator[None]:
    """Turn HDF5's errors about a file inside the block into a DataError that names it."""
    try:
        yield
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        refuse_damage(path, error)
        raise


def refuse_damage(path: str | Path, error: BaseException | None) -> None:
    """Raise DataError, naming the file, for an error of HDF5 itself."""
    if isinstance(error, KeyError | OSError | RuntimeError | ValueError) and OWN.search(str(error)):
        raise DataError(f"{path}: damaged ({error})") from None


OWN = re.compile(r"^['\"]?(Unable to|Can't|unable to|Invalid|Inappropriate|Unspecified) ")
"""First words of HDF5's errors."""


class Reader:
    """A file opened for reading, to be closed by `with`; HDF5's errors about it inside the block become a DataError."""

    file: h5py.File

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        path = self.file.filename
        self.file.close()
        refuse_damage(path, error)


def opened(path: Path, kind: str, schema: int, holds: str) -> h5py.File:
    """Open a file between stages for reading.

    Raises DataError if it is not of that kind and schema, and RefusalError if its model was refused.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: not a readable HDF5 file ({error})") from None
    with undamaged(path):
        reason, version, present = file.attrs.get(REFUSED), file.attrs.get("schema"), holds in file
    if reason:
        file.close()
        raise RefusalError(reason)
    if version != schema or not present:
        file.close()
        raise DataError(f"{path}: not a {kind} of schema {schema}; remove it and run again")
    return file


def read(file: h5py.File, path: str, rows: slice = slice(None)) -> np.ndarray:
    """Read rows of a dataset. Raises DataError if it is not there, or fails its checksum."""
    try:
        return file[path][rows]
    except (KeyError, OSError, RuntimeError) as error:
        raise DataError(f"{file.filename}: /{path.lstrip('/')} is not there or damaged ({error})") from None
