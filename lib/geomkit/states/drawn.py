"""Nulls of drawn rows, as a stream of states."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.measures.nulls import null_rows
from geomkit.states.stream import Batch, States, numbered_words, ranges, read_of


class Drawn:
    """Rows of a null in place of those of a stream's states, the same in every pass: `States` that no model has computed."""

    dtype = "float64"

    def __init__(self, null: str, states: States, seed: int):
        self.null, self.seed = null, seed
        self.attributes, self.absent = states.attributes, states.absent
        self.texts, self.share, self.borders, self.widths = states.texts, states.share, states.borders, states.widths

    def groups(self) -> list[list[State]]:
        return [[state] for state in self.widths]

    def batches(
        self,
        states: Sequence[State] | None = None,
        scored: bool = False,
        start: int = 0,
        texts: Collection[int] | None = None,
    ) -> Iterator[Batch]:
        for own in (own for batch in ranges(self.borders, self.share.start)[start:] for own in read_of(batch, texts)):
            rows = {state: self.rows(state, own) for state in (self.widths if states is None else states)}
            yield Batch(own, np.empty(0, dtype=np.int32), None, rows)

    def rows(self, state: State, texts: Sequence[int]) -> Array:
        sizes = self.texts.tokens
        width = self.widths[state]
        return np.concatenate(
            [null_rows(self.null, sizes[text], width, rng(self.seed, self.null, state.path, text)) for text in texts]
        )

    def ids(self, text: int) -> np.ndarray:
        raise DataError(f"{self.null} has no tokens")

    def gather(self, states: Sequence[State] | None = None, texts: Sequence[int] | None = None) -> Mapping[State, np.ndarray]:
        chosen = self.share if texts is None else texts
        return {state: self.rows(state, chosen) for state in (self.widths if states is None else states)}

    def words(self, ids: Sequence[int]) -> list[str]:
        return numbered_words(ids)

    def vocabulary(self) -> None:
        return None

    def __enter__(self) -> "Drawn":
        return self

    def __exit__(self, *error: Any) -> None:
        """Nothing is open."""
