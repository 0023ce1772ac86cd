"""Dumps of a family's models, side by side: donors of rows that are projected on fewer of their directions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from geomkit.config import resolve_layers
from geomkit.errors import RefusalError
from geomkit.measures.norms import NORMS, plain
from geomkit.store.dumps import PLAIN, Dump, State
from geomkit.store.tables import check_seeds, facts
from geomkit.store.texts import Texts


@dataclass(frozen=True, eq=False)
class Source:
    """One model of a family, its dump open."""

    name: str
    family: str
    seed: int | None
    dump: Dump
    facts: Mapping[str, int]
    texts: Texts

    def state(self, layer: str) -> State:
        """What a layer's rows are called in the table."""
        if layer == PLAIN:
            return State(self.facts["depth"] + 1, PLAIN)
        return State(resolve_layers(layer, self.facts["depth"])[0])

    def stored(self, layer: str) -> State:
        """The state in the dump that a layer's rows are made from: the last block's output where gain and bias are left out."""
        return self.state("last" if layer == PLAIN else layer)

    def width(self, layer: str) -> int:
        return self.dump.width(self.stored(layer))

    def missing(self, layer: str) -> str | None:
        """Why there are no rows of a layer, if there are none."""
        if self.stored(layer) not in self.dump.states:
            return f"this layer of {self.name} is not among dump.layers"
        if layer == PLAIN and self.dump.attributes.get("final norm") not in NORMS:
            return f"{self.name} has no final norm that is known"
        return None

    def rows(self, layer: str) -> np.ndarray:
        """All rows of a layer, (tokens, d), as they are stored but for `plain`."""
        found, facts = self.dump.rows(self.stored(layer), 0, len(self.texts.tokens)), self.dump.attributes
        return plain(found, str(facts["final norm"]), float(str(facts["final norm eps"]))) if layer == PLAIN else found


@contextmanager
def opened_sources(
    dumps: Iterable[str | Path], families: Mapping[str, str], seeds: Mapping[str, int | None]
) -> Iterator[dict[str, list[Source]]]:
    """The members of every family, by its name, in order of size, but for refused ones.

    Raises DataError for two of one size that no seed tells apart.
    """
    with ExitStack() as stack:
        sources = []
        for path in map(Path, dumps):
            name = path.parent.parent.name
            with suppress(RefusalError):
                dump = stack.enter_context(Dump(path))
                sources.append(Source(name, families[name], seeds[name], dump, facts(dump.attributes), dump.texts))
        sources.sort(key=lambda source: (source.family, source.facts["params_nonembedding"], source.name))
        found = {family: list(group) for family, group in groupby(sources, key=lambda source: source.family)}
        for family, group in found.items():
            check_seeds(family, ((source.name, source.seed, source.facts["params_nonembedding"]) for source in group))
        yield found


def incomparable(members: Sequence[Source]) -> str | None:
    """Why a family has no projections, if it has none."""
    first = members[0]
    if len(set(first.texts.document)) < 2:
        return "directions are those of other documents, and there is one document"
    for model in members if len(members) > 1 else []:
        if model.dump.ids(0).min() < 0:
            return f"{model.name} has no token ids, so that nobody knows whether it read the texts of the others"
    for model in members[1:]:
        if not same_texts(first, model):
            return f"{first.name} and {model.name} read different texts (their tokenizers differ)"
    return None


def same_texts(one: Source, other: Source) -> bool:
    """Whether two models read the same tokens of the same documents."""
    if (one.texts.document, one.texts.tokens) != (other.texts.document, other.texts.tokens):
        return False
    return all(np.array_equal(one.dump.ids(text), other.dump.ids(text)) for text in range(len(one.texts.tokens)))
