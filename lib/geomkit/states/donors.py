"""Open the models of a family together, as donors of rows that are projected on fewer of their directions."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from geomkit.core.config import resolve_layers
from geomkit.core.errors import RefusalError
from geomkit.core.state import PLAIN, State
from geomkit.core.variants import TRAINED
from geomkit.measures.norms import NORMS, plain
from geomkit.states.spectra import Spectra
from geomkit.states.stream import DTYPE, States, states_type
from geomkit.states.texts import Texts
from geomkit.tables.tidy import check_seeds, facts


@dataclass(frozen=True, eq=False)
class Source:
    """One model of a family, as a donor or a target of projections: attributes, widths, token ids, and rows.

    ids (tokens,) are those of all texts, rows (tokens, d) those of some states, where they were gathered.
    """

    name: str
    family: str
    seed: int | None
    attributes: Mapping[str, object]
    texts: Texts
    widths: Mapping[State, int]
    ids: np.ndarray
    gathered: Mapping[State, np.ndarray] | None = None

    @property
    def facts(self) -> dict[str, int]:
        return facts(self.attributes)

    @property
    def dtype(self) -> str:
        """Type with the fewest digits in which its states were computed or stored."""
        return states_type(self.attributes)

    def state(self, layer: str) -> State:
        """Return a layer's state as the table names it."""
        if layer == PLAIN:
            return State(self.facts["depth"] + 1, PLAIN)
        return State(resolve_layers(layer, self.facts["depth"])[0])

    def stored(self, layer: str) -> State:
        """Return the stored state that a layer's rows are made from: the last block's output where gain and bias are left out."""
        return self.state("last" if layer == PLAIN else layer)

    def width(self, layer: str) -> int:
        return self.widths[self.stored(layer)]

    def missing(self, layer: str) -> str | None:
        """Return why a layer has no rows, if so."""
        if self.stored(layer) not in self.widths:
            return f"this layer of {self.name} is not among dump.layers"
        if layer == PLAIN and self.attributes.get("final norm") not in NORMS:
            return f"{self.name} has no final norm that is known"
        return None

    def rows(self, layer: str) -> np.ndarray:
        """Return all rows of a layer, (tokens, d), as stored except for `plain`."""
        assert self.gathered is not None, f"{self.name} has no rows"
        stored, facts = self.gathered[self.stored(layer)], self.attributes
        return plain(stored, str(facts["final norm"]), float(str(facts["final norm eps"]))) if layer == PLAIN else stored

    def of(self, states: States, layers: Iterable[str]) -> "Source":
        """Add the rows of some layers, read from a stream of the model's states."""
        gathered = states.gather(list(dict.fromkeys(map(self.stored, layers))))
        return replace(self, attributes={**self.attributes, DTYPE: states.dtype}, gathered=gathered)


def from_spectra(name: str, family: str, seed: int | None, spectra: Spectra) -> Source:
    """Build a model from its spectra, without rows."""
    return Source(name, family, seed, spectra.attributes, spectra.text_list, spectra.widths, spectra.ids(TRAINED))


def families_of(spectra: Iterable[Path], families: Mapping[str, str], seeds: Mapping[str, int | None]) -> dict[str, list[Source]]:
    """List the members of every family in order of size, without refused ones, from their files of spectra.

    Each file lies in a folder with the model's name.

    Raises DataError for two of one size that no seed tells apart.
    """
    sources = []
    for path in spectra:
        name = path.parent.name
        with suppress(RefusalError), Spectra(path) as file:
            sources.append(from_spectra(name, families[name], seeds[name], file))
    sources.sort(key=lambda source: (source.family, source.facts["params_nonembedding"], source.name))
    members = {family: list(group) for family, group in groupby(sources, key=lambda source: source.family)}
    for family, group in members.items():
        check_seeds(family, ((source.name, source.seed, source.facts["params_nonembedding"]) for source in group))
    return members


def family_of(
    name: str, spectra: Iterable[Path], families: Mapping[str, str], seeds: Mapping[str, int | None]
) -> tuple[Source | None, list[Source]]:
    """Return a model, without rows, and all members of its family from their files of spectra; None if the model was refused."""
    members = families_of(spectra, families, seeds).get(families[name], [])
    return next((member for member in members if member.name == name), None), members


def by_corpus(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Group paths by corpus, which their file names state."""
    grouped: dict[str, list[Path]] = {}
    for path in paths:
        grouped.setdefault(path.stem, []).append(path)
    return grouped


def incomparable(members: Sequence[Source]) -> str | None:
    """Return why a family has no projections, if so."""
    first = members[0]
    if len(set(first.texts.document)) < 2:
        return "directions are those of other documents, and there is one document"
    for model in members if len(members) > 1 else []:
        if model.ids.min() < 0:
            return f"{model.name} has no token ids, so that nobody knows whether it read the texts of the others"
    for model in members[1:]:
        if not same_texts(first, model):
            return f"{first.name} and {model.name} read different texts (their tokenizers differ)"
    return None


def same_texts(one: Source, other: Source) -> bool:
    """Whether two models read the same tokens of the same documents."""
    if (one.texts.document, one.texts.tokens) != (other.texts.document, other.texts.tokens):
        return False
    return np.array_equal(one.ids, other.ids)
