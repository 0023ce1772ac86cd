"""Read and write files of removals: a model's predictions at targets while parts of their context are hidden.

/targets/{text,position,document,stranger}   (targets,)      the text's number in the dump, the token's in the text; stranger: the
                                                             number of the target of another document
/reference/{loss,alone,sinks_alone}          (targets,)      nats: next token's loss with all of the past visible, divergence with
                                                             none, and with sinks alone
/leave_one_out                               (targets, T)    divergence without single tokens, NaN behind the target
/sinks                                       (targets, T)    1 for attention sinks, the first token among them
/orders/{layer}/{null}/{method}              (targets, T)    positions, most important first, then -1
/scores/{layer}/{null}/{sinks}/{method}/{direction}/{divergence,loss}   (targets, fractions), nats
attributes: model, seed, fractions; `absent` is a JSON object {what: why}

null: `own`, or the order that a method finds in this context for the target of another document (`stranger`), or in iid Gaussian
rows (`noise`). sinks: `removable`, or `kept`, where they stay visible and no part of the context counts them.
direction: `highest` or `lowest` first. Fractions are of the context that may be removed. Orders of chance are random-0, ..
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from geomkit.states.hdf5 import read
from geomkit.states.targets import Targets, write_targets

SCHEMA = 1
NULLS = ("own", "stranger", "noise")
SINKS = ("removable", "kept")
DIRECTIONS = ("highest", "lowest")


class Hidden(NamedTuple):
    """A model's divergence and loss when fractions of the context are hidden, each (targets, fractions), in nats; NaN for targets
    without an order by the method."""

    layer: int
    null: str
    sinks: str
    method: str
    direction: str
    divergence: np.ndarray
    loss: np.ndarray


def write_removals(
    path: Path, arrays: Mapping[str, np.ndarray], attributes: Mapping[str, object], absent: Mapping[str, str]
) -> None:
    """Write arrays by their path in the file, which appears only when it is complete."""
    write_targets(path, SCHEMA, arrays, attributes, absent)


class Removals(Targets):
    """A file of removals opened for reading. Raises DataError for another file or schema."""

    def __init__(self, path: Path):
        super().__init__(path, "file of removals", SCHEMA)
        self.fractions: list[float] = [float(part) for part in self.attributes["fractions"]]
        self.stranger = read(self.file, "targets/stranger")
        self.sinks_alone = read(self.file, "reference/sinks_alone")

    @property
    def layers(self) -> list[int]:
        return sorted(int(layer) for layer in self.file["orders"])

    @property
    def leave_one_out(self) -> np.ndarray:
        """The model's divergence without each token (targets, T)."""
        return read(self.file, "leave_one_out")

    @property
    def sinks(self) -> np.ndarray:
        """A mask of the tokens that are attention sinks (targets, T)."""
        return read(self.file, "sinks").astype(bool)

    def orders(self, layer: int, null: str) -> dict[str, np.ndarray]:
        """Orders of removal by method (targets, T)."""
        group = self.file[f"orders/{layer}"].get(null, {})
        return {method: read(self.file, f"orders/{layer}/{null}/{method}") for method in group}

    def hidden(self, layer: int) -> Iterator[Hidden]:
        """All measurements at one layer."""
        for null, kinds in self.file[f"scores/{layer}"].items():
            for sinks, methods in kinds.items():
                for method, directions in methods.items():
                    for direction in directions:
                        place = f"scores/{layer}/{null}/{sinks}/{method}/{direction}"
                        scores = (read(self.file, f"{place}/{name}") for name in ("divergence", "loss"))
                        yield Hidden(layer, null, sinks, method, direction, *scores)
