"""Read hidden states as one stream of batches, wherever they come from: a dump, a running model, drawn rows."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np

from geomkit.core.arrays import narrowest
from geomkit.core.errors import DataError
from geomkit.core.state import State
from geomkit.measures.readout import Lens
from geomkit.states.texts import Texts

DTYPE = "dtype"
"""The attribute that says in which type states were computed."""


WIDEST = 1024
"""Up to this width each document's covariance is kept, after the last block and the final norm: wider ones fill disks, and
resampling them takes days."""


class Batch(NamedTuple):
    """Rows of some texts, one text after another.

    ids (tokens,), surprisal (tokens,) in nats, None where it is unknown or was not requested, and (tokens, d) of each state.
    `texts` are their numbers in the corpus.
    """

    texts: range
    ids: np.ndarray
    surprisal: np.ndarray | None
    rows: Mapping[State, Any]


class States(Protocol):
    """Hidden states of one variant of a model on the texts of a corpus, or on a part of them; to be closed by `with`.

    attributes: where they come from; absent: what is not there, with reasons; texts: those of the whole corpus; share: those of
    this stream, of a part whole documents, or none; widths: of every state, by layer, each block's output after its sublayers;
    dtype: the type with the fewest digits that rows were computed or stored in. borders: the number of texts of each batch, which
    depends on the corpus and the settings alone: a dump, a part of one and a running model have the same batches.
    """

    @property
    def attributes(self) -> Mapping[str, object]: ...
    @property
    def absent(self) -> Mapping[str, str]: ...
    @property
    def texts(self) -> Texts: ...
    @property
    def share(self) -> range: ...
    @property
    def widths(self) -> Mapping[State, int]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def borders(self) -> Sequence[int]: ...

    def groups(self) -> list[list[State]]:
        """Return the states that one pass reads together: those of a dump one by one, of a running model all."""

    def batches(
        self,
        states: Sequence[State] | None = None,
        scored: bool = False,
        start: int = 0,
        texts: Collection[int] | None = None,
    ) -> Iterator[Batch]:
        """Yield every batch from number `start` on, with rows of some or all states; with ids and, if `scored`, surprisals.

        texts: numbers of those that are read, if not all; those that do not follow one another are in batches of their own.

        Raises DataError for rows or surprisals that are not finite.
        """

    def gather(self, states: Sequence[State] | None = None, texts: Sequence[int] | None = None) -> Mapping[State, np.ndarray]:
        """Read rows (tokens, d) of some or all states, of some or all texts of the share, by number, in their order.

        Of a running model, memory holds all; ConfigError, before it is loaded, says what they would take where memory does not
        suffice.
        """

    def ids(self, text: int) -> np.ndarray:
        """Read the token ids of a text: (tokens,)."""

    def words(self, ids: Sequence[int]) -> list[str]:
        """Return token ids as text, or as numbers where no tokenizer is known."""

    def vocabulary(self) -> np.ndarray | None:
        """Read how often each token id occurs in other documents of the corpus, (ids,), where it is known."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: Any) -> None: ...


class Readout(NamedTuple):
    """What a model's head makes of its states, and what its output matrix is.

    lens: scores of each state's predictions of some tokens. covariance: of the rows of the output matrix (d, d) over the
    vocabulary, with what the head multiplies each coordinate of a state by in them; apart: why they are without it, else "".
    """

    lens: Mapping[State, Lens]
    vocabulary: int
    covariance: np.ndarray
    apart: str


class Attended(NamedTuple):
    """Attention in one text of T tokens, its prefix and suffix included.

    weights: (blocks, T, T), mean over heads, a row for each token that looks. lengths: (blocks + 1, T), of every token's vector
    at the embedding and after each block.
    """

    text: int
    weights: np.ndarray
    lengths: np.ndarray


@runtime_checkable
class Model(Protocol):
    """What a stream of states has beside them while a model runs. Both raise RefusalError for a model that does not show it."""

    def readout(self, tokens: np.ndarray, rows: Mapping[State, np.ndarray]) -> Readout:
        """Read rows (tokens, d) of states out through the model's own head.

        tokens: their numbers in the corpus, none of them a text's last. The state after the last block is the last of the states.
        A masked model predicts the tokens themselves, each masked in a copy of its text, whose rows it computes.
        """

    def attention(self, texts: Sequence[int], n: int) -> Iterator[Attended]:
        """Yield the attention in the first n tokens, or fewer if memory demands it, of each of some texts."""


Open = Callable[[], Callable[[str], States]]
"""Function that a rule names as its `states`: called in a job, it returns a function that opens a variant by its name."""

OpenByName = Callable[[], Callable[[str, Path], Callable[[str], States]]]
"""The same for several models: called with a model's name and folder, and then with a variant's name."""


def numbered_words(ids: Sequence[int]) -> list[str]:
    """Return token ids as numbers."""
    return [f"#{number}" for number in ids]


def states_type(attributes: Mapping[str, object], *stored: str) -> str:
    """Return the type with the fewest digits among those that states were computed and stored in; float32 if unknown."""
    return narrowest(str(attributes.get(DTYPE, "float32")), *stored)


def not_finite(path: str) -> DataError:
    """Build the error for a model that has overflowed."""
    return DataError(f"/{path}: the model computed NaN or infinity there; try compute.dtype: float32")


def scores(batch: Batch) -> np.ndarray:
    """Return the surprisals of a batch of a running model, which were requested."""
    assert batch.surprisal is not None
    return batch.surprisal


def ranges(sizes: Sequence[int], start: int = 0) -> list[range]:
    """Yield successive ranges of the given sizes."""
    ends = start + np.cumsum([0, *sizes])
    return [range(*each) for each in zip(ends.tolist(), ends[1:].tolist(), strict=False)]


def runs_of(numbers: Sequence[int]) -> list[range]:
    """Split ascending numbers of texts into runs that follow one another."""
    breaks = [place for place in range(1, len(numbers)) if numbers[place] != numbers[place - 1] + 1]
    runs = zip([0, *breaks], [*breaks, len(numbers)], strict=True)
    return [range(numbers[start], numbers[stop - 1] + 1) for start, stop in runs if stop > start]


def read_of(batch: range, texts: Collection[int] | None) -> list[range]:
    """Return the texts of a batch that are read, as runs that follow one another."""
    return [batch] if texts is None else runs_of([text for text in batch if text in texts])


def keeps_documents(state: State, depth: int, width: int) -> bool:
    """Whether each document's covariance is kept."""
    return state.layer >= depth and width <= WIDEST
