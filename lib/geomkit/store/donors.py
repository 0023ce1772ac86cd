"""A family's models side by side, from their dumps or spectra: donors of rows that are projected on fewer of their directions."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from geomkit.config import resolve_layers
from geomkit.errors import RefusalError
from geomkit.measures.norms import NORMS, plain
from geomkit.store.dumps import DTYPE, PLAIN, Dump, State, states_type
from geomkit.store.held import Held
from geomkit.store.spectra import Spectra
from geomkit.store.tables import check_seeds, facts
from geomkit.store.texts import Texts
from geomkit.variants import TRAINED


@dataclass(frozen=True, eq=False)
class Source:
    """One model of a family: what files say about it, the widths of its states, the ids (tokens,) of all texts, and where rows
    (tokens, d) of a state come from, if they come from anywhere."""

    name: str
    family: str
    seed: int | None
    attributes: Mapping[str, object]
    texts: Texts
    widths: Mapping[State, int]
    ids: np.ndarray
    stored_rows: Callable[[State], np.ndarray] | None = None

    @property
    def facts(self) -> dict[str, int]:
        return facts(self.attributes)

    @property
    def dtype(self) -> str:
        """The type with the fewest digits that its states were computed or stored in."""
        return states_type(self.attributes)

    def state(self, layer: str) -> State:
        """What a layer's rows are called in the table."""
        if layer == PLAIN:
            return State(self.facts["depth"] + 1, PLAIN)
        return State(resolve_layers(layer, self.facts["depth"])[0])

    def stored(self, layer: str) -> State:
        """The state in the dump that a layer's rows are made from: the last block's output where gain and bias are left out."""
        return self.state("last" if layer == PLAIN else layer)

    def width(self, layer: str) -> int:
        return self.widths[self.stored(layer)]

    def missing(self, layer: str) -> str | None:
        """Why there are no rows of a layer, if there are none."""
        if self.stored(layer) not in self.widths:
            return f"this layer of {self.name} is not among dump.layers"
        if layer == PLAIN and self.attributes.get("final norm") not in NORMS:
            return f"{self.name} has no final norm that is known"
        return None

    def rows(self, layer: str) -> np.ndarray:
        """All rows of a layer, (tokens, d), as they are stored but for `plain`."""
        assert self.stored_rows is not None, f"{self.name} has no rows"
        found, facts = self.stored_rows(self.stored(layer)), self.attributes
        return plain(found, str(facts["final norm"]), float(str(facts["final norm eps"]))) if layer == PLAIN else found

    def of(self, states: Dump | Held) -> "Source":
        """This model with rows of its states."""
        attributes = {**self.attributes, DTYPE: states.dtype}
        return replace(self, attributes=attributes, stored_rows=lambda state: states.rows(state, 0, len(self.texts.tokens)))


def of_dump(name: str, family: str, seed: int | None, dump: Dump) -> Source:
    """A model that was dumped."""
    texts = dump.texts
    widths = {state: dump.width(state) for state in dump.states}
    return Source(name, family, seed, dump.attributes, texts, widths, dump.all_ids()).of(dump)


def of_spectra(name: str, family: str, seed: int | None, spectra: Spectra) -> Source:
    """A model whose spectra are known, without rows. Of imported states nobody need know the ids."""
    texts = spectra.text_list
    ids = np.full(texts.offset[-1], -1) if "surprisal" in spectra.absent else spectra.tokens(TRAINED)[0]
    return Source(name, family, seed, spectra.attributes, texts, spectra.widths, ids)


@contextmanager
def opened_sources(
    dumps: Iterable[str | Path],
    families: Mapping[str, str],
    seeds: Mapping[str, int | None],
    spectra: Iterable[str | Path] = (),
) -> Iterator[dict[str, list[Source]]]:
    """The members of every family, by its name, in order of size, but for refused ones, from dumps and from files of spectra.

    Raises DataError for two of one size that no seed tells apart.
    """
    with ExitStack() as stack:
        sources = []
        for path in map(Path, dumps):
            name = path.parent.parent.name
            with suppress(RefusalError):
                sources.append(of_dump(name, families[name], seeds[name], stack.enter_context(Dump(path))))
        for path in map(Path, spectra):
            name = path.parent.name
            with suppress(RefusalError), Spectra(path) as file:
                sources.append(of_spectra(name, families[name], seeds[name], file))
        sources.sort(key=lambda source: (source.family, source.facts["params_nonembedding"], source.name))
        found = {family: list(group) for family, group in groupby(sources, key=lambda source: source.family)}
        for family, group in found.items():
            check_seeds(family, ((source.name, source.seed, source.facts["params_nonembedding"]) for source in group))
        yield found


def family_of(
    name: str, spectra: Iterable[str | Path], families: Mapping[str, str], seeds: Mapping[str, int | None]
) -> tuple[Source | None, list[Source]]:
    """A model, without rows, and all members of its family from their files of spectra; None if the model was refused."""
    with opened_sources([], families, seeds, spectra) as groups:
        members = groups.get(families[name], [])
    return next((member for member in members if member.name == name), None), members


def by_corpus(paths: Iterable[str | Path], corpus: Callable[[Path], str]) -> dict[str, list[Path]]:
    """Paths of each corpus, in their order."""
    found: dict[str, list[Path]] = {}
    for path in map(Path, paths):
        found.setdefault(corpus(path), []).append(path)
    return found


def incomparable(members: Sequence[Source]) -> str | None:
    """Why a family has no projections, if it has none."""
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
