"""What config.yaml means: validation beyond types, and the models behind each name."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from geomkit.errors import ConfigError
from geomkit.layers import resolve_layers


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
    def depth(self) -> int | None:
        """Number of blocks, if the folder is there already."""
        file = self.folder / "config.json"
        if not file.exists():
            return None
        found = json.loads(file.read_text())
        return next((found[key] for key in ("num_hidden_layers", "n_layer", "num_layers") if key in found), None)


def validate(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Raises ConfigError that names the key, for an unknown key or a value that the schema does not allow."""
    error = best_match(Draft202012Validator(schema).iter_errors(config), key=lambda error: -len(error.path))
    if error is None:
        return
    key = ".".join(map(str, error.absolute_path)) or "top level"
    message, hint = error.message, error.schema.get("description")
    if error.validator == "additionalProperties":
        keys = error.schema["properties"]
        message = f"unknown key {next(name for name in error.instance if name not in keys)!r}"
        hint = f"known keys: {', '.join(keys)}"
    raise ConfigError("; ".join(filter(None, [f"config: {key}: {message}", hint])))


def fetched(entry: Mapping[str, Any]) -> bool:
    """Whether an entry comes over the network."""
    return entry["source"] in ("hub", "pypi")


def origin(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry says about where its files come from: a change of anything else fetches nothing again."""
    elsewhere = ("family", "seed", "step", "trust_remote_code", "reader", "split")
    return {key: value for key, value in entry.items() if key not in elsewhere}


def converted(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is a GGUF file, which is converted to safetensors once."""
    return str(entry.get("member", entry.get("path", ""))).endswith(".gguf")


def source_path(key: str, entry: Mapping[str, Any], resources: Path) -> Path:
    """The path of a bundled or local entry: below the shipped resources, or as given, from the working directory.

    Raises ConfigError, naming the key, if nothing is there.
    """
    path = resources / entry["path"] if entry["source"] == "bundled" else Path(entry["path"]).expanduser()
    if not path.exists():
        raise ConfigError(f"config: {key}.path: {path} does not exist")
    return path


def expand_models(catalogue: Mapping[str, Mapping[str, Any]], resources: Path) -> dict[str, Model]:
    """Every model by name. A bundled or local folder of model folders is a family, each model under its folder's name.

    Raises ConfigError for a folder that holds no model, and for two models of one name.
    """
    models: dict[str, Model] = {}
    for key, entry in catalogue.items():
        for model in members(key, entry, resources):
            if model.name in models:
                raise ConfigError(f"config: models.{key}: there is already a model named {model.name!r}")
            models[model.name] = model
    return models


def members(key: str, entry: Mapping[str, Any], resources: Path) -> list[Model]:
    """The models of one catalogue entry."""
    family, seed = entry.get("family", key), entry.get("seed")
    path = Path("results/sources/models") / key if fetched(entry) else source_path(f"models.{key}", entry, resources)
    if converted(entry):
        path = Path("results/models") / key
    elif not fetched(entry) and not (path / "config.json").exists():
        found = sorted(file.parent for file in path.glob("*/config.json"))
        if not found:
            raise ConfigError(f"config: models.{key}.path: {path} holds no model, nor a folder of models (no config.json)")
        ends = [seed_and_step(folder.name) for folder in found]
        return [Model(folder.name, family, end[0], folder, key, entry, end[1]) for folder, end in zip(found, ends, strict=True)]
    return [Model(key, family, seed, path, key, entry, entry.get("step"))]


def seed_and_step(name: str) -> tuple[int | None, int | None]:
    """What a name that ends in -s0 or -s0-step500 says of its training."""
    end = re.search(r"-s(\d+)(?:-step(\d+))?$", name)
    if end is None:
        return None, None
    return int(end[1]), int(end[2]) if end[2] else None


def select(names: Iterable[str], models: Mapping[str, Model], key: str) -> list[Model]:
    """Models named one by one, by catalogue entry or by family; each once, in the order of the catalogue.

    Raises ConfigError, naming the key, for a name that is none of these.
    """
    names = list(names)
    known = {name for model in models.values() for name in (model.name, model.key, model.family)}
    for name in names:
        require(name, known, key, "model or family")
    return [model for model in models.values() if {model.name, model.key, model.family} & set(names)]


def require(name: str, known: Collection[str], key: str, kind: str) -> None:
    """Raises ConfigError, naming the key, for a name that is not among the known ones."""
    if name not in known:
        raise ConfigError(f"config: {key}: unknown {kind} {name!r}; known: {', '.join(sorted(known))}")


def check(config: Mapping[str, Any], models: Mapping[str, Model], known: Mapping[str, Collection[str]], resources: Path) -> None:
    """What a schema cannot tell: names of metrics and readers, paths, selections, and layers of models that are at hand.

    `known` holds the names by kind: metric, reader, normalise, selection method. Raises ConfigError that names the key.
    """
    for name, corpus in config["corpora"].items():
        require(corpus.get("reader", "parquet"), known["reader"], f"corpora.{name}.reader", "corpus reader")
        if not fetched(corpus):
            source_path(f"corpora.{name}", corpus, resources)
    entropy, primary, selection = config["entropy"], config["scaling"]["primary"], config["tokens"]["selection"]
    for name in entropy["corpora"]:
        require(name, config["corpora"], "entropy.corpora", "corpus")
    for name in [] if entropy["metrics"] == "all" else entropy["metrics"]:
        require(name, known["metric"], "entropy.metrics", "metric")
    for name in entropy["normalise"]:
        require(name, known["normalise"], "entropy.normalise", "normalisation")
    for key, names in (("corpus", [config["ladder"]["corpus"]]), ("card", config["ladder"]["card"])):
        for name in names:
            require(name, config["corpora"], f"ladder.{key}", "corpus")
    check_tokens(config, models, known)
    measured = known["metric"] if entropy["metrics"] == "all" else entropy["metrics"]
    for name in primary["metrics"]:
        require(name, measured, "scaling.primary.metrics", "metric among entropy.metrics")
    if primary["length"] not in entropy["lengths"]:
        raise ConfigError(
            f"config: scaling.primary.length: {primary['length']} is not among entropy.lengths {entropy['lengths']}"
        )
    if primary["normalise"] not in entropy["normalise"]:
        raise ConfigError(f"config: scaling.primary.normalise: {primary['normalise']} is not among entropy.normalise")
    if too_long := [length for length in entropy["lengths"] if length > config["texts"]["length"]]:
        raise ConfigError(f"config: entropy.lengths: {too_long[0]} is more than texts.length {config['texts']['length']}")
    for model in select(entropy["models"], models, "entropy.models"):
        check_layers(config, model, "scaling.primary.layer", primary["layer"])
    for model in select(selection["models"], models, "tokens.selection.models"):
        check_layers(config, model, "tokens.selection.layers", selection["layers"])


def check_tokens(config: Mapping[str, Any], models: Mapping[str, Model], known: Mapping[str, Collection[str]]) -> None:
    """The part of `check` about tokens."""
    tokens, selection = config["tokens"], config["tokens"]["selection"]
    for name in tokens["corpora"]:
        require(name, config["corpora"], "tokens.corpora", "corpus")
    for name in [] if selection["methods"] == "all" else selection["methods"]:
        require(name, known["selection method"], "tokens.selection.methods", "selection method")
    measured = {model.name for model in select(tokens["models"], models, "tokens.models")}
    for model in select(selection["models"], models, "tokens.selection.models"):
        require(model.name, measured, "tokens.selection.models", "model among tokens.models")
    if selection["models"] and max(selection["budgets"]) > config["texts"]["length"] - 3:
        raise ConfigError(
            f"config: tokens.selection.budgets: {max(selection['budgets'])} is too much for texts of {config['texts']['length']}"
        )


def check_layers(config: Mapping[str, Any], model: Model, key: str, layers: Any) -> None:
    """Raises ConfigError for layers that a model at hand does not have, or that are not dumped."""
    if model.depth is None:
        return
    try:
        dumped = resolve_layers(config["dump"]["layers"], model.depth)
    except ConfigError as error:
        raise ConfigError(f"config: dump.layers: {model.name}: {error}") from None
    try:
        asked = resolve_layers(layers, model.depth)
    except ConfigError as error:
        raise ConfigError(f"config: {key}: {model.name}: {error}") from None
    if not set(asked) <= set(dumped):
        raise ConfigError(f"config: {key}: {layers} is not among dump.layers")
