"""Probes: token selections and a model's scores with them, from runs with masks and gradients, at targets in some texts.

/targets/{text,position,document}      (targets,)            the text's number in the dump, the token's in the text
/texts/{text}                          (tokens,)             the tokens as they read; /ids/{text} their ids
/states/{layer}/{text}                 (tokens, d)           vectors of the texts' tokens at the layers that methods choose by
/lengths/{text}                        (layers, tokens)      lengths of the vectors at every layer that is measured
/reference/{loss,alone}                (targets,)            next token's loss with all of the past visible; divergence with none
/importance/{layer}/{name}             (targets, T)          a weight for each token before the target, NaN elsewhere
/chosen/{layer}/{first}/{method}       (targets, budgets, largest budget)   positions, most important first, then -1
/scores/{layer}/{first}/{method}/{divergence,loss,removed_divergence,removed_loss}   (targets, budgets), nats
/lasso/{layer}/{first}/{penalty,gap}   (targets, budgets)    of the Lasso whose support was chosen
attributes                                 model, seed, budgets; `absent` is a JSON object {what: why}

layer: its number; first: 0 if the first token was among the candidates, 1 if not. `removed_` scores are NaN where they were not
asked for.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from geomkit.states.hdf5 import read
from geomkit.states.targets import Targets, write_targets

SCHEMA = 2
SCORES = ("divergence", "loss", "removed_divergence", "removed_loss")


class Choice(NamedTuple):
    """Tokens that one method chose, and how the model fared with them."""

    layer: int
    first: int
    method: str
    chosen: np.ndarray
    scores: dict[str, np.ndarray]


def write_probe(
    path: Path, arrays: Mapping[str, np.ndarray], attributes: Mapping[str, object], absent: Mapping[str, str]
) -> None:
    """Write arrays by their path in the file, which appears whole."""
    write_targets(path, SCHEMA, arrays, attributes, absent)


class Probe(Targets):
    """A probe opened for reading. Raises DataError for another file or schema."""

    def __init__(self, path: Path):
        super().__init__(path, "probe", SCHEMA)
        self.budgets: list[int] = [int(k) for k in self.attributes["budgets"]]

    def tokens(self, text: int) -> list[str]:
        """Read a text's tokens as text."""
        return [token.decode() for token in read(self.file, f"texts/{text}")]

    def ids(self, text: int) -> np.ndarray:
        """Read the token ids of a text: (tokens,)."""
        return read(self.file, f"ids/{text}")

    def rows(self, layer: int, text: int) -> np.ndarray:
        """Read the vectors of a text's tokens: (tokens, d)."""
        return read(self.file, f"states/{layer}/{text}")

    def lengths(self, text: int) -> np.ndarray:
        """Read the lengths of a text's vectors at every layer that is measured: (layers, tokens)."""
        return read(self.file, f"lengths/{text}")

    def width(self, layer: int) -> int:
        return int(self.file[f"states/{layer}/{self.text[0]}"].shape[1])

    @property
    def layers(self) -> list[int]:
        return sorted(int(layer) for layer in self.file["chosen"])

    def importance(self, layer: int) -> dict[str, np.ndarray]:
        """Read weights (targets, T) by name."""
        return {name: read(self.file, f"importance/{layer}/{name}") for name in self.file[f"importance/{layer}"]}

    def gaps(self, layer: int, first: int) -> np.ndarray | None:
        """Read the KKT gap of each Lasso (targets, budgets), relative to its largest penalty; None if Lasso was not requested."""
        path = f"lasso/{layer}/{first}/gap"
        return read(self.file, path) if path in self.file else None

    def choices(self) -> list[Choice]:
        """Read all choices."""
        all_choices = []
        for layer in self.layers:
            for first, methods in self.file[f"chosen/{layer}"].items():
                for method, chosen in methods.items():
                    place = f"scores/{layer}/{first}/{method}"
                    scores = {name: read(self.file, f"{place}/{name}") for name in SCORES}
                    all_choices.append(Choice(layer, int(first), method, read(self.file, chosen.name), scores))
        return all_choices
