"""Open the files of spectra of whole families, to compare models with each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from geomkit.core.config import resolve_layers
from geomkit.core.errors import RefusalError
from geomkit.core.state import TOKENS, State
from geomkit.measures.spectra import CovarianceAccumulator, Spectrum
from geomkit.states.spectra import Spectra
from geomkit.tables.tidy import check_seeds, facts


@dataclass(frozen=True)
class Member:
    """One model of a family, with its file open."""

    name: str
    family: str
    seed: int | None
    file: Spectra

    @property
    def facts(self) -> dict[str, int]:
        return facts(self.file.attributes)

    def state(self, layer: int | str) -> State:
        """Return the state that `last`, `final` or a number names in this model."""
        return State(resolve_layers(layer, self.facts["depth"])[0])

    @property
    def document_names(self) -> list[str]:
        """Return the names of documents in the order of `documents`."""
        return list(dict.fromkeys(self.file.text_list.document))

    def keeps_documents(self, variant: str, mode: str, layer: int | str) -> bool:
        """Whether there are `documents`: wide models have none."""
        return f"{variant}/documents/{mode}/{self.state(layer).path}" in self.file.file

    def documents(self, variant: str, mode: str, layer: int | str) -> list[CovarianceAccumulator]:
        """Read each document's sum of z z^T."""
        return self.file.documents(variant, mode, self.state(layer))


@contextmanager
def opened_families(
    spectra: Iterable[str | Path], families: Mapping[str, str], seeds: Mapping[str, int | None]
) -> Iterator[dict[str, list[Member]]]:
    """Open the members of every family, in order of size.

    A model's file lies in a folder of its name, by which `families` and `seeds` have its family and seed. Models that were
    refused are left out.

    Raises DataError for two models of one size that no seed tells apart.
    """
    with ExitStack() as stack:
        files = {Path(path).parent.name: Path(path) for path in spectra}
        members = []
        for name, path in files.items():
            with suppress(RefusalError):
                members.append(Member(name, families[name], seeds[name], stack.enter_context(Spectra(path))))
        members.sort(key=lambda member: (member.family, member.facts["params_nonembedding"], member.name))
        grouped = {family: list(group) for family, group in groupby(members, key=lambda member: member.family)}
        for family, group in grouped.items():
            check_seeds(family, ((member.name, member.seed, member.facts["params_nonembedding"]) for member in group))
        yield grouped


def incomparable(members: Sequence[Member]) -> str | None:
    """Return why a family has no nulls for width, if so."""
    if len({model.facts["params_nonembedding"] for model in members}) < 2:
        return "a family of one size"
    texts = members[0].file.text_list
    if any((model.file.text_list.document, model.file.text_list.tokens) != (texts.document, texts.tokens) for model in members):
        return "its models read different texts (their tokenizers differ)"
    return None


def spectra_at(
    members: Sequence[Member], variant: str, mode: str, n: int | None, layer: int | str, rows: str = TOKENS
) -> list[Spectrum] | None:
    """Read every member's spectra of the first n tokens of texts, or (n None) of the corpus; None if one was not measured.

    rows: of the corpus, those of its cloud.
    """
    spectra = [member.file.at(variant, mode, n, member.state(layer), rows) for member in members]
    measured = [spectrum for spectrum in spectra if spectrum is not None]
    return measured if len(measured) == len(members) else None
