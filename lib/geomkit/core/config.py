"""Read config.yaml: models by name, and layers by number or word."""

import inspect
import json
import re
import reprlib
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from geomkit.core.errors import ConfigError
from geomkit.core.registry import Registry
from geomkit.core.state import MLP_HIDDEN

CAUSAL, MASKED = "causal", "masked"
"""Objectives of training: to predict the next token, or tokens that are masked, from both sides."""
STATES = "states"
"""The source of models of which there are hidden states alone: no model runs."""
OF_NULLS = ("nulls", "untrained_seeds")
"""Keys of `entropy` that an entry of the catalogue of models may set for itself."""
OF_TEXTS = ("clean", "special_tokens", "template")
"""Keys of an entry of the catalogue of corpora that say how its texts are read, and not where they come from."""
Known = Mapping[str, Mapping[str, Any]]
"""Names that a configuration may use, by kind: `geomkit.core.catalogue.declared_by_kind`."""


class ModelSpec(NamedTuple):
    """Settings with which a model is loaded and run.

    A named tuple, since Snakemake does not compare parameters that are dataclasses.

    folder: empty until a job knows it, whose path may be that of a copy. objective: `CAUSAL` or `MASKED`. trust_remote_code:
    whether code that comes with the model may run. device: `auto`, `cpu` or `cuda`, as `geomkit.models.load.find_device` takes
    it. dtype: type of weights and activations.
    """

    folder: Path = Path()
    objective: str = CAUSAL
    trust_remote_code: bool = False
    device: str = "auto"
    dtype: str = "float32"

    def at(self, folder: Path) -> "ModelSpec":
        """Return the same settings for a model in another folder."""
        return self._replace(folder=folder)


@dataclass(frozen=True)
class Model:
    """One model to measure: its name, its entry in the catalogue, and the folder that it is loaded from.

    `step` says when in its training its weights were saved, if that is known: steps of the optimizer.
    """

    name: str
    family: str
    seed: int | None
    folder: Path
    key: str
    entry: Mapping[str, Any]
    step: int | None = None

    @property
    def tokenizer(self) -> str:
        """Name of its tokenizer; models with the same name read the same texts."""
        return str(self.entry.get("tokenizer", self.key))

    @property
    def objective(self) -> str:
        """Training objective: `CAUSAL` or `MASKED`."""
        return str(self.entry.get("objective", CAUSAL))

    @property
    def trust_remote_code(self) -> bool:
        """Whether code that comes with the model may run."""
        return bool(self.entry.get("trust_remote_code", False))

    def spec(self, device: str, dtype: str = "float32") -> ModelSpec:
        """Return the settings for loading it; the job fills in the folder."""
        return ModelSpec(Path(), self.objective, self.trust_remote_code, device, dtype)

    @property
    def training(self) -> str:
        """Name of its training run: the model's name without the step, or its family and seed where the name has no step."""
        stem, ends, _ = self.name.rpartition("-step")
        return stem if ends else self.family + ("" if self.seed is None else f"-s{self.seed}")

    @property
    def imported(self) -> bool:
        """Whether only its hidden states are available, and no weights."""
        return self.entry.get("source") == STATES

    @property
    def settings(self) -> Mapping[str, Any] | None:
        """The model's own configuration (config.json); None if it is not on disk.

        Raises ConfigError for a configuration that is no JSON mapping.
        """
        file = self.folder / "config.json"
        if not file.exists():
            return None
        try:
            settings = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(f"config: models.{self.key}: {file} cannot be read as JSON: {error}") from None
        if not isinstance(settings, dict):
            raise ConfigError(f"config: models.{self.key}: {file} is no mapping, as the configuration of a model is")
        return settings

    @property
    def depth(self) -> int | None:
        """Number of blocks, if the model's configuration is on disk and states it."""
        if self.imported:
            return int(self.entry["depth"])
        keys = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
        settings = self.settings or {}
        depth = next((settings[key] for key in keys if type(settings.get(key)) is int), 0)
        return depth if depth > 0 else None

    @property
    def size(self) -> Hashable:
        """What tells its size from others before it has run; models for which it is equal count as one size.

        Of a model that lies on this machine it is the whole numbers in its configuration, but for ids of tokens and the size of
        the vocabulary; of imported states, their number of parameters. A model that is yet to be downloaded or converted has but
        a name, which counts without a seed at its end.
        """
        if self.imported:
            return int(self.entry["params_nonembedding"])
        settings = None if converted(self.entry) else self.settings
        if settings is None:
            return re.sub(r"-s(eed)?\d+$", "", self.name)
        inner = settings.get("text_config")
        own = sorted((inner if isinstance(inner, dict) else settings).items())
        return tuple(pair for pair in own if type(pair[1]) is int and not pair[0].endswith("_id") and pair[0] != "vocab_size")


def completed(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a partial configuration with defaults. Lists are replaced, never joined."""
    both = {
        key: completed(config[key], value)
        for key, value in defaults.items()
        if isinstance(value, Mapping) and isinstance(config.get(key), Mapping)
    }
    return {**defaults, **config, **both}


ADAPTER = "adapter_config.json"
"""The file by which a folder is known to hold an adapter of peft."""
TOKENIZER_FILES = ("tokenizer*.json", "tokenizer.model", "vocab.*", "*.spm", "spiece.model", "*.bpe.model", "*.tiktoken")
"""Files that a tokenizer's rules or vocabulary are read from."""

NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(?!\n)"
"""Names of models that can stand in a path: file systems take 255 letters, and files that are being written have longer names."""

CONVERTED = Path("results/models")
"""Folder of models that are converted first."""
MOST_REVISIONS = 1000
"""Models that one entry of the hub may stand for."""

places: Registry[Callable[..., Path]] = Registry("place", by_name=True)
"""Sources of models and corpora that are on this machine already, and are read where they lie. A new one is one function here
with `@places.register(name)`, a literal: it takes the folder of what is shipped, and by keyword what an entry of it says, and
returns the path. Sources that come over the network are in geomkit.sources.fetch."""


@places.register("bundled")
def bundled(resources: Path, *, path: str) -> Path:
    """Return the path of a file or folder that ships with the project."""
    return resources / path


@places.register("local")
def local(resources: Path, *, path: str) -> Path:
    """Return a path relative to the working directory."""
    return Path(path).expanduser()


@places.register("states")
def states(
    resources: Path,
    *,
    path: str,
    depth: int,
    params_total: int,
    params_nonembedding: int,
    layout: str = "arrays",
    layers: Collection[int] | None = None,
    skip: int = 0,
) -> Path:
    """Return the folder of imported hidden states, which has a folder for each corpus (`geomkit.sources.imported`)."""
    return Path(path).expanduser()


def fetched(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is downloaded."""
    return entry["source"] not in places


def read_column(corpus: Mapping[str, Any]) -> str | None:
    """Return the column that a reader takes the text from, if not its default: texts from the hub are stored as `text`."""
    return None if corpus["source"] == "hub" else corpus.get("column")


def origin(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of an entry that decide its files. A change of any other key makes no file again."""
    elsewhere = ("family", "seed", "step", "tokenizer", "trust_remote_code", "objective", "reader", "split", *OF_TEXTS, *OF_NULLS)
    return {key: value for key, value in entry.items() if key not in elsewhere}


def download(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of an entry that decide its download. A change of any other key downloads nothing again."""
    return {key: value for key, value in origin(entry).items() if key != "adapter"}


def converted(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is first converted to safetensors: downloads, GGUF files, and models with an adapter."""
    return fetched(entry) or "adapter" in entry or str(entry.get("member", entry.get("path", ""))).endswith(".gguf")


def source_path(key: str, entry: Mapping[str, Any], resources: Path) -> Path:
    """Return the path of a bundled or local entry: below the shipped resources, or relative to the working directory.

    Raises ConfigError, naming the key, if nothing is there.
    """
    place = places[entry["source"]]
    keys = inspect.signature(place).parameters
    given = {name: value for name, value in entry.items() if name in keys}
    try:
        path = place(resources, **given)
        there, link = path.exists(), path.is_symlink()
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a null character, a home that nobody has
        said = getattr(error, "strerror", None) or error
        raise ConfigError(f"config: {key}.path: {reprlib.repr(entry.get('path'))} cannot be looked up: {said}") from None
    if not there:
        target = f"; it is a link to {path.readlink()}" if link else ""
        raise ConfigError(f"config: {key}.path: {path} does not exist{below_here(path)}{target}")
    return path


def below_here(path: Path) -> str:
    """Say from where a relative path counts; an empty string for an absolute one."""
    return "" if path.is_absolute() else f" in {Path.cwd()}, the working directory, from which paths count (--directory)"


def expand_models(catalogue: Mapping[str, Mapping[str, Any]], resources: Path) -> dict[str, Model]:
    """Return every model of the catalogue by name.

    A bundled or local folder of model folders is a family, each model under its folder's name. An entry with `revisions` has a
    model for each of these steps, under its own name and the step: pythia-70m-step512.

    Raises ConfigError for a folder that holds no model, for revisions that are none, and for two models of one name.
    """
    models: dict[str, Model] = {}
    for key, entry in catalogue.items():
        for model in members(key, entry, resources):
            if "-vs-" in model.name:
                raise ConfigError(f"config: models.{key}: -vs- in {model.name!r} names a comparison of two models; rename it")
            if model.name in models:
                raise ConfigError(f"config: models.{key}: there is already a model named {model.name!r}")
            models[model.name] = model
    return models


def members(key: str, entry: Mapping[str, Any], resources: Path) -> list[Model]:
    """List the models of one catalogue entry."""
    family, seed = entry.get("family", key), entry.get("seed")
    if "revisions" in entry:
        own = {name: value for name, value in entry.items() if name != "revisions"}
        each = {f"{key}-step{step}": own | {"revision": f"step{step}", "step": step} for step in revision_steps(key, entry)}
        return [Model(name, family, seed, CONVERTED / name, key, one, one["step"]) for name, one in each.items()]
    path = CONVERTED / key
    if "adapter" in entry and entry["source"] == STATES:
        raise ConfigError(f"config: models.{key}.adapter: there are states alone, and no model to apply an adapter to")
    if "adapter" in entry and not (adapter_folder(entry) / ADAPTER).is_file():
        folder = adapter_folder(entry)
        raise ConfigError(
            f"config: models.{key}.adapter: {folder} holds no {ADAPTER}, as an adapter of peft does{below_here(folder)}"
        )
    if not fetched(entry):
        source = source_path(f"models.{key}", entry, resources)
        path = path if converted(entry) else source
    if entry["source"] != STATES and not converted(entry) and not (path / "config.json").exists():
        folders = sorted(file.parent for file in path.glob("[!.]*/config.json"))
        if not folders and (path / ADAPTER).exists():
            raise ConfigError(
                f"config: models.{key}.path: {path} holds an adapter alone ({ADAPTER}); set path to the model that it was "
                "trained on, and adapter to this folder"
            )
        if not folders:
            raise ConfigError(
                f"config: models.{key}.path: {path} holds no model, nor a folder of models (no config.json){below_here(path)}"
            )
        for folder in folders:
            if not re.fullmatch(NAME, folder.name):
                raise ConfigError(
                    f"config: models.{key}.path: {folder.name} is no name of a model, which has letters, digits, dots, hyphens "
                    "and underscores, 128 at most, and no dot in front; rename the folder, or list the models one by one"
                )
        ends = [seed_and_step(folder.name) for folder in folders]
        return [Model(folder.name, family, end[0], folder, key, entry, end[1]) for folder, end in zip(folders, ends, strict=True)]
    return [Model(key, family, seed, path, key, entry, entry.get("step"))]


def revision_steps(key: str, entry: Mapping[str, Any]) -> list[int]:
    """List the training steps that `revisions` of an entry stands for, in order; both ends are among them.

    `every: log` takes what Pythia (Biderman et al. 2023, arXiv 2304.01373) has in even steps of a logarithm: 0, powers of two
    below 1000, and 1000 times powers of two. A number takes every so many steps from the first one on.

    Raises ConfigError beside the keys that it sets, and for steps that are none or too many.
    """
    where, asked = f"config: models.{key}.revisions", entry["revisions"]
    first, last, every = asked.get("from", 0), asked["to"], asked["every"]
    if beside := sorted({"revision", "step", "adapter"} & set(entry)):
        raise ConfigError(f"{where}: {beside[0]} stands beside it, and each revision would have the same; leave one of them out")
    if first > last:
        raise ConfigError(f"{where}: from {first} to {last} there is no step")
    if every != "log" and (last - first) // every >= MOST_REVISIONS:
        raise ConfigError(f"{where}: these are {(last - first) // every + 1:,} models; {MOST_REVISIONS:,} are allowed")
    if not re.fullmatch(NAME, longest := f"{key}-step{last}"):
        raise ConfigError(f"{where}: {longest!r} is longer than the 128 letters that a name may have")
    powers = [2**power for power in range(last.bit_length())]
    doubling = [0, *(power for power in powers if power < 1000), *(1000 * power for power in powers)]
    steps = doubling if every == "log" else range(first, last + 1, every)
    return sorted({first, *(step for step in steps if first <= step <= last), last})


def seed_and_step(name: str) -> tuple[int | None, int | None]:
    """Parse the seed and the training step from a name that ends in -s0 or -s0-step500."""
    end = re.search(r"-s(\d+)(?:-step(\d+))?$", name)
    if end is None:
        return None, None
    return int(end[1]), int(end[2]) if end[2] else None


MEANINGS = ("name", "key", "family")
"""Attributes of a model by which a selection may name it, from the most specific one."""


def meanings(models: Mapping[str, Model]) -> dict[str, str]:
    """Return all words that select models, each with its most specific meaning, one of `MEANINGS`."""
    return {getattr(model, meaning): meaning for meaning in reversed(MEANINGS) for model in models.values()}


def select(names: Iterable[str], models: Mapping[str, Model], key: str) -> list[Model]:
    """Select models, each once, in the order of the catalogue.

    A name means the model of this name, else the models of this catalogue entry, else those of this family: an entry may have the
    name of a family to which other entries belong too.

    Raises ConfigError, naming the key, for a name that is none of these.
    """
    known, chosen = meanings(models), set()
    for name in names:
        require(name, known, key, "model, entry or family")
        chosen.add((known[name], name))
    return [model for model in models.values() if chosen & {(meaning, getattr(model, meaning)) for meaning in MEANINGS}]


def trainings(models: Iterable[Model]) -> dict[str, list[Model]]:
    """Group models by training run, first step first, runs in order of their names."""
    by_step = sorted(models, key=lambda model: (model.training, model.step or 0))
    return {training: list(steps) for training, steps in groupby(by_step, key=lambda model: model.training)}


def stages(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the blocks of the configuration's schema that select models and corpora, by key."""
    return {
        name: part for name, part in schema["properties"].items() if {"models", "corpora"} <= part.get("properties", {}).keys()
    }


def require(name: str, known: Collection[str], key: str, kind: str) -> None:
    """Check that a name is known; raise ConfigError, naming the key, otherwise."""
    if name not in known:
        raise ConfigError(f"config: {key}: unknown {kind} {name!r}; known: {', '.join(sorted(known))}")


def adapter_folder(entry: Mapping[str, Any]) -> Path:
    """Return the folder of a model's adapter, relative to the working directory."""
    return Path(entry["adapter"]).expanduser()


def tokenizer_files(folder: Path) -> list[Path]:
    """List the tokenizer files in a folder. Hidden ones are skipped: macOS leaves `._tokenizer.json` beside what it copies."""
    files = {file for pattern in TOKENIZER_FILES for file in folder.glob(pattern)}
    return sorted(file for file in files if not file.name.startswith("."))


def tokenizer_folder(folder: Path) -> Path:
    """Return the folder of a model's tokenizer.

    It is the model's own folder, or `tokenizer` beside its files, or beside the folder itself, where a family shares it.
    """
    if tokenizer_files(folder):
        return folder
    shared = [place / "tokenizer" for place in list(folder.parents)[:2]]
    return next((place for place in shared if place.is_dir()), folder)


def resolve_layers(layers: Any, depth: int) -> list[int]:
    """Resolve layers to numbers.

    They are named by `all`, `middle` (half the blocks), `last` (the last block), `final` (after the final norm), `{every: k}`, or
    a list of numbers and of these words.

    Raises ConfigError for a layer that a model of `depth` blocks does not have.
    """
    if isinstance(layers, Mapping):
        return sorted({*range(0, depth + 1, layers["every"]), depth, depth + 1})
    words = {"middle": [-(-depth // 2)], "last": [depth], "final": [depth + 1], "all": list(range(depth + 2))}
    numbers: set[int] = set()
    for layer in layers if isinstance(layers, list) else [layers]:
        numbers |= set(words.get(layer, [layer]))
    if wrong := sorted(layer for layer in numbers if not 0 <= layer <= depth + 1):
        raise ConfigError(f"layer {wrong[0]} does not exist: this model has 0 (embedding) to {depth + 1} (after the final norm)")
    return sorted(numbers)


def hidden_layers(dump: Mapping[str, Any], depth: int) -> list[int]:
    """Resolve the blocks of which the key `mlp_hidden` of a dump requests the hidden states of the MLP; none without the key.

    Raises ConfigError for a layer that is no block of a model of `depth` blocks.
    """
    words = dump.get(MLP_HIDDEN, [])
    if words == "all":
        return list(range(1, depth + 1))
    layers = resolve_layers(words, depth)
    if outside := [layer for layer in layers if not 1 <= layer <= depth]:
        raise ConfigError(f"dump.mlp_hidden: layer {outside[0]} is no block, and has no MLP; blocks are 1 to {depth}, or last")
    return layers


def layer_name(layer: int, depth: int) -> str:
    """Name a layer that models of any depth have: embedding, middle, last or final; an empty string for any other."""
    return {0: "embedding", -(-depth // 2): "middle", depth: "last", depth + 1: "final"}.get(layer, "")
