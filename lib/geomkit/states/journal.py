"""Journal of computed batches, from which a killed job resumes until its output is whole."""

import hashlib
import io
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

HEADER = struct.Struct("<Q32s")
"""Length and sha256 of what follows."""


class Journal:
    """A file of records behind a key of what they were computed from: with another key it is begun anew.

    A record that is cut off or damaged, and all that follows it, is left out and written over.
    """

    def __init__(self, path: Path, key: str):
        self.path, self.key = path, key
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("r+b" if path.exists() else "w+b")
        if self._read() != key.encode():
            self.file.seek(0)
            self.file.truncate()
            self._write(key.encode())

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield every whole record, in order. Afterwards the next one is appended behind them."""
        while True:
            place = self.file.tell()
            if (content := self._read()) is None:
                self.file.seek(place)
                self.file.truncate()
                return
            with np.load(io.BytesIO(content)) as record:  # numpy reads no pickles unless it is asked to
                yield {name: record[name] for name in record.files}

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Append one more record, to be called when all have been read."""
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]  # its stub takes all keywords for its own
        self._write(content.getvalue())

    def remove(self) -> None:
        """Close the journal and delete its file."""
        self.file.close()
        self.path.unlink(missing_ok=True)

    def _read(self) -> bytes | None:
        header = self.file.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        length, expected = HEADER.unpack(header)
        content = self.file.read(length)
        return content if hashlib.sha256(content).digest() == expected else None

    def _write(self, content: bytes) -> None:
        self.file.write(HEADER.pack(len(content), hashlib.sha256(content).digest()) + content)
        self.file.flush()
