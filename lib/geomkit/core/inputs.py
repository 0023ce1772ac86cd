"""List and digest the files of models and corpora that jobs read.

A `Path` lies on this machine already; a `str` is made by a rule. Methods that take `job` are given a job's wildcards. Those that
list files give first the folder, or the file that a reader takes, and then the files in it if they are there already.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomkit.core.config import Model, adapter_folder, converted, fetched, origin, source_path, tokenizer_folder
from geomkit.core.digest import content_digest, files_below
from geomkit.core.errors import ConfigError
from geomkit.core.plan import Plan

Files = list[Path | str]

ABOVE = "-above-"
"""Stands for `..` in the path of a copy."""
STAGED = "results/staged/"
"""Folder of copies of folders in a storage."""


@dataclass(frozen=True)
class Inputs:
    """Input files of jobs and digests of their content.

    resources: the folder of what is shipped. shared: whether jobs see the folder that Snakemake runs in; where they do not,
    models are copied to the storage.
    """

    plan: Plan
    resources: Path
    shared: bool = True

    def entry(self, kind: str, name: str) -> Mapping[str, Any]:
        """Return the catalogue entry of a model or a corpus; of one of several revisions, that with the revision."""
        return self.plan.models[name].entry if kind == "models" else self.plan.config[kind][name]

    def source(self, kind: str, name: str) -> Path | str:
        """Return where the files of a model's or corpus's entry are."""
        entry = self.entry(kind, name)
        return f"results/sources/{kind}/{name}" if fetched(entry) else source_path(f"{kind}.{name}", entry, self.resources)

    def downloads(self, *stages: str, corpora: Iterable[str] = ()) -> list[str]:
        """List the folders of all that the stages, and these corpora beside them, download."""
        chosen = [self.plan.chosen(stage) for stage in stages if self.plan.config[stage]["models"]]
        names = [("models", name) for one in chosen for name in one["model"]]
        names += [("corpora", name) for one in chosen for name in (*one["corpus"], *corpora)]
        sources = [self.source(kind, name) for kind, name in dict.fromkeys(names)]
        return [source for source in sources if isinstance(source, str)]

    # files

    def source_files(self, kind: str, name: str) -> Files:
        """List the files of a catalogue entry."""
        source = self.source(kind, name)
        return with_files(source) if isinstance(source, Path) and source.is_dir() else [source]

    def corpus_files(self, job: Any) -> Files:
        """List the files of a corpus."""
        return self.source_files("corpora", job.corpus)

    def converted_files(self, job: Any) -> Files:
        """List the files that a model is converted from."""
        return self.source_files("models", job.name)

    def adapter_files(self, job: Any) -> Files:
        """List the files of a model's adapter; none for a model without one."""
        entry = self.entry("models", job.name)
        return with_files(adapter_folder(entry)) if "adapter" in entry else []

    def model_files(self, job: Any) -> Files:
        """List the files of a model."""
        model = self.plan.models[job.model]
        return self.loaded_files(model, model.folder)

    def tokenizer_files(self, job: Any) -> Files:
        """List the folder of the model whose tokenizer cuts texts, and the tokenizer's files."""
        model = self.plan.tokenizers[job.tokenizer]
        return self.loaded_files(model, tokenizer_folder(model.folder))

    def loaded_files(self, model: Model, read: Path) -> Files:
        """List a model's folder, and the files in the folder that it is loaded from."""
        if converted(model.entry):
            return [str(model.folder)]
        if not self.shared:
            return [*staged(model.folder, tokenizer_folder(model.folder))]
        return [model.folder, *with_files(read)[1:]]

    def states_files(self, job: Any) -> Files:
        """List the files of imported states of a corpus."""
        return with_files(self.plan.models[job.model].folder / job.corpus)

    def megabytes(self, files: Iterable[str]) -> int:
        """Return the size of files, and of all files in folders, in MB.

        A file that is only in a storage counts nothing, but for a folder that was copied there.

        Raises FileNotFoundError for an input that is yet to be made, by which Snakemake knows that it must ask again.
        """
        on_disk: set[Path] = set()
        for path in map(original, files):
            if self.shared:
                path.stat()
            on_disk |= set(path.rglob("*")) if path.is_dir() else {path}
        return sum(path.stat().st_size for path in on_disk if path.is_file()) // 10**6

    # digests

    def source_content(self, kind: str, name: str) -> Any:
        """Return what identifies the content of an entry's files: its pin if it is fetched, else their digest."""
        entry = self.entry(kind, name)
        return origin(entry) if fetched(entry) else content(source_path(f"{kind}.{name}", entry, self.resources))

    def content_of(self, model: Model) -> Any:
        """Return what identifies the content of a model's own folder."""
        return self.source_content("models", model.name) if converted(model.entry) else content(model.folder)

    def model_content(self, job: Any) -> Any:
        """Return what identifies the content of a job's model."""
        return self.content_of(self.plan.models[job.model])

    def tokenizer_content(self, job: Any) -> Any:
        """Return what identifies the content of the tokenizer that cuts texts."""
        model = self.plan.tokenizers[job.tokenizer]
        return self.content_of(model) if converted(model.entry) else content(tokenizer_folder(model.folder))

    def corpus_content(self, job: Any) -> Any:
        """Return what identifies the content of a corpus."""
        return self.source_content("corpora", job.corpus)

    def converted_content(self, job: Any) -> list[Any]:
        """Return what identifies the content of a model's source and of its adapter."""
        entry = self.entry("models", job.name)
        return [self.source_content("models", job.name), content(adapter_folder(entry)) if "adapter" in entry else None]

    def states_content(self, job: Any) -> str | None:
        """Digest the imported states of a corpus."""
        return content(self.plan.models[job.model].folder / job.corpus)


def with_files(folder: Path) -> Files:
    """List a folder and all files below it. Raises ConfigError for a name that Snakemake would take for a wildcard."""
    files = files_below(folder)
    if odd := [file for file in files if {"{", "}"} & set(file)]:
        raise ConfigError(f"{odd[0]}: Snakemake takes braces in names of files for wildcards; rename it")
    return [folder, *map(Path, files)]


def made(path: Path | str) -> bool:
    """Whether a rule makes this path: it lies among the results."""
    return Path(os.path.abspath(path)).is_relative_to(Path("results").absolute())


def content(path: Path) -> str | None:
    """Digest a file or folder, unless a rule makes it."""
    return None if made(path) else content_digest(path)


def staged(*folders: Path) -> list[str]:
    """List copies of folders in a storage, at the same relative places as the folders."""
    return list(dict.fromkeys(f"{STAGED}{os.path.relpath(folder).replace('..', ABOVE)}" for folder in folders))


def unstaged_files(job: Any) -> Files:
    """List the folder that one in a storage is a copy of, and the files in it."""
    return with_files(original(f"{STAGED}{job.place}"))


def staged_content(job: Any) -> str | None:
    """Digest the folder that one in a storage is a copy of."""
    return content(original(f"{STAGED}{job.place}"))


def original(path: Path | str) -> Path:
    """Return the folder that one in a storage is a copy of; any other path as it is."""
    _, copied, place = str(path).partition(STAGED)
    return Path(place.replace(ABOVE, "..") if copied else path)
