"""States of texts in memory, offered as a dump offers them: of a model that ran once more, and was never dumped."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from geomkit.store.dumps import Dump, State, order, states_type
from geomkit.store.texts import Texts


@dataclass(frozen=True, eq=False)
class Held:
    """What was captured: rows (tokens, d) of every state and token ids (tokens,), texts one after another; what the model is, and
    what it does not have, with reasons. As `geomkit.store.dumps.Dump` where it has the same names."""

    attributes: Mapping[str, object]
    absent: Mapping[str, str]
    texts: Texts
    token_ids: np.ndarray
    captured: Mapping[State, np.ndarray]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        """Nothing is open."""

    @property
    def states(self) -> list[State]:
        return sorted(self.captured, key=order)

    @property
    def offset(self) -> np.ndarray:
        return self.texts.offset

    def rows(self, state: State, first: int, last: int) -> np.ndarray:
        """Vectors of the texts first..last-1, one after another: (tokens, d)."""
        return self.captured[state][self.offset[first] : self.offset[last]]

    def ids(self, text: int) -> np.ndarray:
        """Token ids of a text: (tokens,)."""
        return self.token_ids[slice(*self.offset[text : text + 2])]

    @property
    def dtype(self) -> str:
        """The type that states were computed in."""
        return states_type(self.attributes)

    def width(self, state: State) -> int:
        return self.captured[state].shape[1]


def stored(dump: Path) -> Dump:
    """Opens a dump."""
    return Dump(dump)


States = Callable[[], Dump | Held]
"""Opens a dump, or runs a model: not before its states are needed. To be closed by `with`."""
