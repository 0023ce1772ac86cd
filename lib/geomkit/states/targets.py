"""Files of measurements at target tokens: written whole, with the targets in them.

/targets/{text,position,document}   (targets,)   the text's number in the dump, the token's in the text
/reference/{loss,alone}             (targets,)   nats: next token's loss with all of the past visible; divergence with none
attributes: `absent` is a JSON object {what: why}
"""

import json
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from geomkit.core.provenance import replacing
from geomkit.states.hdf5 import Reader, created, opened, read


def write_targets(
    path: Path, schema: int, arrays: Mapping[str, np.ndarray], attributes: Mapping[str, object], absent: Mapping[str, str]
) -> None:
    """Write arrays by their path in the file, which appears whole."""
    with replacing(path) as temporary, created(temporary) as file:
        file.attrs.update({**attributes, "schema": schema, "absent": json.dumps(absent)})
        for name, values in arrays.items():
            if values.dtype.kind in "UO":
                # not by assignment, which gives the group above it a time
                file.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype())
            else:
                file.create_dataset(name, data=values, fletcher32=values.ndim > 0)


class Targets(Reader):
    """A file of target measurements, opened for reading. Raises DataError for another kind or schema."""

    def __init__(self, path: Path, kind: str, schema: int):
        self.file = opened(path, kind, schema, "targets/text")
        self.attributes = dict(self.file.attrs)
        self.absent: dict[str, str] = json.loads(self.attributes.pop("absent"))
        self.text, self.position = (read(self.file, f"targets/{name}") for name in ("text", "position"))
        self.document = [name.decode() for name in read(self.file, "targets/document")]
        self.loss, self.alone = (read(self.file, f"reference/{name}") for name in ("loss", "alone"))
