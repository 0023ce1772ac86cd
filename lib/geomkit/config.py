"""What config.yaml means: validation beyond types, the models behind each name, and layers by number and by word."""

import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomkit.errors import ConfigError
from geomkit.registry import Registry

CAUSAL, MASKED = "causal", "masked"
"""What a model was trained to predict: the next token, or tokens that are masked, from both sides."""
STATES = "states"
"""The source of models of which there are hidden states alone: no model runs."""
OF_NULLS = ("nulls", "untrained_seeds")
"""Keys of `entropy` that an entry of the catalogue of models may set for itself."""
Known = Mapping[str, Mapping[str, Any]]
"""Names that a configuration may use, by kind: `geomkit.catalogue.declared_by_kind`."""


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
        """Name of its tokenizer: models of one name read the same texts."""
        return str(self.entry.get("tokenizer", self.key))

    @property
    def objective(self) -> str:
        """What it was trained to predict: `CAUSAL` or `MASKED`."""
        return str(self.entry.get("objective", CAUSAL))

    @property
    def training(self) -> str:
        """The training whose weights these are: its name without the step, or its family and seed where the name has no step."""
        stem, ends, _ = self.name.rpartition("-step")
        return stem if ends else self.family + ("" if self.seed is None else f"-s{self.seed}")

    @property
    def imported(self) -> bool:
        """Whether there are hidden states alone."""
        return self.entry.get("source") == STATES

    @property
    def depth(self) -> int | None:
        """Number of blocks, if the folder is there already."""
        if self.imported:
            return int(self.entry["depth"])
        file = self.folder / "config.json"
        if not file.exists():
            return None
        found = json.loads(file.read_text())
        return next((found[key] for key in ("num_hidden_layers", "n_layer", "num_layers") if key in found), None)


def completed(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration that may be partial, with the defaults for all that it does not say. Lists are replaced, never joined."""
    both = {
        key: completed(config[key], value)
        for key, value in defaults.items()
        if isinstance(value, Mapping) and isinstance(config.get(key), Mapping)
    }
    return {**defaults, **config, **both}


def validate(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Raises ConfigError that names the key, for an unknown key or a value that the schema does not allow."""
    from jsonschema import Draft202012Validator  # what measures a model needs none
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(config), key=lambda error: -len(error.path))
    if error is None:
        return
    key = ".".join(map(str, error.absolute_path)) or "top level"
    message, hint = error.message, error.schema.get("description")
    if error.validator == "additionalProperties":
        keys = error.schema["properties"]
        message = f"unknown key {next(name for name in error.instance if name not in keys)!r}"
        hint = f"known keys: {', '.join(keys)}"
    elif error.validator == "type" and isinstance(error.instance, str) and error.instance.strip()[:1] in "0123456789+-.":
        hint = "numbers inside --config key={...} arrive as text: give them in a file with --configfile"
    raise ConfigError("; ".join(filter(None, [f"config: {key}: {message}", hint])))


NAME = "[A-Za-z0-9_-][A-Za-z0-9._-]*"
"""Names of models that can stand in a path."""

places: Registry[Callable[..., Path]] = Registry("place")
"""Sources of models and corpora that are on this machine already, and are read where they lie. A new one is one function here
with `@places.register(name)`, a literal: it takes the folder of what is shipped, and by keyword what an entry of it says, and
returns the path. Sources that come over the network are in geomkit.sources.fetch."""


@places.register("bundled")
def bundled(resources: Path, *, path: str) -> Path:
    """What is shipped with the project."""
    return resources / path


@places.register("local")
def local(resources: Path, *, path: str) -> Path:
    """A path from the working directory."""
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
    """Hidden states that another program has dumped, a folder for each corpus: `geomkit.sources.states` reads them."""
    return Path(path).expanduser()


def fetched(entry: Mapping[str, Any]) -> bool:
    """Whether an entry comes over the network."""
    return entry["source"] not in places


def read_column(corpus: Mapping[str, Any]) -> str | None:
    """The column that a corpus's reader is to take the text from, if not its own: what comes from the hub is stored as `text`."""
    return None if corpus["source"] == "hub" else corpus.get("column")


def origin(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry says about where its files come from: a change of anything else fetches nothing again."""
    elsewhere = ("family", "seed", "step", "tokenizer", "trust_remote_code", "objective", "reader", "split", *OF_NULLS)
    return {key: value for key, value in entry.items() if key not in elsewhere}


def converted(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is made safetensors once: what comes over the network, and a GGUF file."""
    return fetched(entry) or str(entry.get("member", entry.get("path", ""))).endswith(".gguf")


def source_path(key: str, entry: Mapping[str, Any], resources: Path) -> Path:
    """The path of a bundled or local entry: below the shipped resources, or as given, from the working directory.

    Raises ConfigError, naming the key, if nothing is there.
    """
    place = places[entry["source"]]
    keys = inspect.signature(place).parameters
    path = place(resources, **{name: value for name, value in entry.items() if name in keys})
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
    path = Path("results/models") / key
    if not fetched(entry):
        source = source_path(f"models.{key}", entry, resources)
        path = path if converted(entry) else source
    if entry["source"] != STATES and not converted(entry) and not (path / "config.json").exists():
        found = sorted(file.parent for file in path.glob("*/config.json"))
        if not found:
            raise ConfigError(f"config: models.{key}.path: {path} holds no model, nor a folder of models (no config.json)")
        for folder in found:
            if not re.fullmatch(NAME, folder.name):
                raise ConfigError(f"config: models.{key}.path: {folder} is no name of a model: it does not match {NAME}")
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


def checked_models(config: Mapping[str, Any], schema: Mapping[str, Any], known: Known, resources: Path) -> dict[str, Model]:
    """The catalogue's models by name, once the configuration has passed every check that needs no computing.

    Raises ConfigError that names the key.
    """
    validate(config, schema)
    for kind, source in (("models", "model source"), ("corpora", "corpus source")):
        described = schema["properties"][kind]["additionalProperties"]["properties"]
        for name, entry in config[kind].items():
            check_entry(f"{kind}.{name}", entry, known[source], described, known["corpus reader"] if kind == "corpora" else {})
    models = expand_models(config["models"], resources)
    check(config, models, known, resources)
    return models


def check_entry(
    key: str, entry: Mapping[str, Any], sources: Mapping[str, Any], described: Iterable[str], readers: Mapping[str, Any]
) -> None:
    """Raises ConfigError for a source or reader that there is not, and for a key that is missing or that nothing reads.

    sources, readers: declarations by name; each reads keys of its own, and models have no reader. described: keys of the schema,
    of which every entry may have those that no source reads.
    """
    require(entry["source"], sources, f"{key}.source", "source")
    source = sources[entry["source"]]
    if missing := [name for name in source.required if name not in entry]:
        raise ConfigError(f"config: {key}: {missing[0]!r} is a required property where the source is {entry['source']}")
    of_reader = reader_keys(key, entry, source.keys, readers) if readers else []
    of_sources = {name for other in sources.values() for name in other.keys}
    of_all = [name for name in described if name not in {"source", *of_sources, *of_reader}]
    allowed = ["source", *source.keys, *of_all, *of_reader]
    if unknown := [name for name in entry if name not in allowed]:
        raise ConfigError(f"config: {key}: unknown key {unknown[0]!r}; known keys: {', '.join(allowed)}")


def reader_keys(key: str, entry: Mapping[str, Any], of_source: Collection[str], readers: Mapping[str, Any]) -> list[str]:
    """Keys that a corpus's reader reads and its source does not.

    Raises ConfigError for a reader that there is not, and for a key that other readers read.
    """
    reader = entry.get("reader", "parquet")
    require(reader, readers, f"{key}.reader", "corpus reader")
    for name in entry:
        able = sorted(other for other, declaration in readers.items() if name in declaration.keys)
        if able and reader not in able and name not in of_source:
            raise ConfigError(f"config: {key}.{name}: the reader {reader!r} takes none; those that do: {', '.join(able)}")
    return [name for name in readers[reader].keys if name not in of_source]


def metric_parameters(entropy: Mapping[str, Any]) -> dict[str, float]:
    """Parameters of metrics by name, all that the configuration sets."""
    return {"eps2": entropy["eps2"], **entropy.get("parameters", {})}


def check(config: Mapping[str, Any], models: Mapping[str, Model], known: Known, resources: Path) -> None:
    """What a schema cannot tell: names of metrics and readers, paths, selections, and layers of models that are at hand.

    Raises ConfigError that names the key.
    """
    for name, corpus in config["corpora"].items():
        if not fetched(corpus):
            source_path(f"corpora.{name}", corpus, resources)
    if config["dump"]["keep"] == "none" and config["dump"]["parts"] > 1:
        raise ConfigError(
            f"config: dump.parts: {config['dump']['parts']} parts take dumps, which dump.keep: none leaves out; "
            "set dump.parts: 1, or dump.keep: true or false"
        )
    entropy, primary, selection = config["entropy"], config["scaling"]["primary"], config["tokens"]["selection"]
    for name in entropy["corpora"]:
        require(name, config["corpora"], "entropy.corpora", "corpus")
    for name in [] if entropy["metrics"] == "all" else entropy["metrics"]:
        require(name, known["metric"], "entropy.metrics", "metric")
    for name in entropy["normalise"]:
        require(name, known["normalisation"], "entropy.normalise", "normalisation")
    for name in entropy["nulls"]:
        require(name, known["null"], "entropy.nulls", "null")
    check_nulls(config, known)
    check_imported(config, models, known)
    check_parameters(entropy, known)
    for key, names in (("corpus", [config["ladder"]["corpus"]]), ("card", config["ladder"]["card"])):
        for name in names:
            require(name, config["corpora"], f"ladder.{key}", "corpus")
    check_tokens(config, models, known)
    for name in config["theory"]["corpora"]:
        require(name, config["corpora"], "theory.corpora", "corpus")
    measured = known["metric"] if entropy["metrics"] == "all" else entropy["metrics"]
    for name in primary["metrics"]:
        require(name, measured, "scaling.primary.metrics", "metric among entropy.metrics")
    for name in config["scaling"].get("exploratory", []):
        require(name, measured, "scaling.exploratory", "metric among entropy.metrics")
        if name in primary["metrics"]:
            raise ConfigError(f"config: scaling.exploratory: {name} is among scaling.primary.metrics")
    if primary["length"] not in entropy["lengths"]:
        raise ConfigError(
            f"config: scaling.primary.length: {primary['length']} is not among entropy.lengths {entropy['lengths']}"
        )
    if primary["normalise"] not in entropy["normalise"]:
        raise ConfigError(f"config: scaling.primary.normalise: {primary['normalise']} is not among entropy.normalise")
    if too_long := [length for length in entropy["lengths"] if length > config["texts"]["length"]]:
        raise ConfigError(f"config: entropy.lengths: {too_long[0]} is more than texts.length {config['texts']['length']}")
    of_size = select(entropy["models"], models, "entropy.models")
    for model in of_size:
        check_layers(config, model, "scaling.primary.layer", primary["layer"])
    check_steps(config, models, of_size)
    select(config["theory"]["models"], models, "theory.models")
    for model in select(selection["models"], models, "tokens.selection.models"):
        check_layers(config, model, "tokens.selection.layers", selection["layers"])
    check_experiments(config, models)


def check_device(config: Mapping[str, Any], here: bool) -> None:
    """Raises ConfigError where jobs run elsewhere and the device is `auto`: whether a job asks for a GPU must be known before."""
    if not here and config["compute"]["device"] == "auto":
        raise ConfigError("config: compute.device: auto, but jobs run on other machines; say cpu or cuda")


def check_shared(read: bool, run: bool) -> None:
    """Raises ConfigError where jobs share no folder with Snakemake (`run`) and the workflow was read as if they did (`read`), for
    Snakemake would then run all jobs with shipped models itself."""
    if read and not run:
        raise ConfigError("jobs share no folder with Snakemake, which must know it from the start: --shared-fs-usage none")


def check_steps(config: Mapping[str, Any], models: Mapping[str, Model], of_size: Iterable[Model]) -> None:
    """Raises ConfigError for a family of training steps where laws with size are fitted, for a model without a step along
    training, and for two models of one training and step."""
    steps: dict[str, set[int | None]] = {}
    for model in of_size:
        steps.setdefault(model.family, set()).add(model.step)
    for family, found in steps.items():
        if len(found) > 1:
            listed = ", ".join(map(str, sorted(found, key=str)))
            raise ConfigError(
                f"config: entropy.models: {family} is a family of training steps ({listed}), "
                "which have no law with size; name it in trajectory.models"
            )
    taken: dict[tuple[str, str, int | None], str] = {}
    for name in config["trajectory"]["corpora"]:
        require(name, config["corpora"], "trajectory.corpora", "corpus")
    for model in select(config["trajectory"]["models"], models, "trajectory.models"):
        if model.step is None:
            raise ConfigError(f"config: trajectory.models: {model.name} has no step; set models.{model.key}.step")
        other = taken.setdefault((model.family, model.training, model.step), model.name)
        if other != model.name:
            raise ConfigError(
                f"config: trajectory.models: {other} and {model.name} are both step {model.step} of {model.training}"
            )


def check_nulls(config: Mapping[str, Any], known: Known) -> None:
    """Raises ConfigError for an unknown null of an entry of the catalogue, and for twins of one that has none."""
    for name, entry in config["models"].items():
        for null in entry.get("nulls", []):
            require(null, known["null"], f"models.{name}.nulls", "null")
        if "untrained_seeds" in entry and "untrained" not in entry.get("nulls", config["entropy"]["nulls"]):
            where = f"models.{name}.nulls" if "nulls" in entry else "entropy.nulls"
            raise ConfigError(f"config: models.{name}.untrained_seeds: untrained is not among {where}")


RUNNING = {
    "tokens": "token ids, surprisal and counts of tokens",
    "ablation": "a model that runs with masks",
    "components": "a model that runs without its sublayers",
    "semantics": "the texts that were read",
    "trajectory": "a model that runs at each step",
    "theory": "token ids",
}
"""What stages need that imported states do not have."""


def check_imported(config: Mapping[str, Any], models: Mapping[str, Model], known: Known) -> None:
    """Raises ConfigError for imported states where a stage needs more than states, for an unknown layout, for a null that takes a
    model, and for a corpus without a folder."""
    for stage, need in RUNNING.items():
        for model in select(config[stage]["models"], models, f"{stage}.models"):
            if model.imported:
                raise ConfigError(f"config: {stage}.models: {model.name} are imported states, and this stage needs {need}")
    for model in filter(lambda model: model.imported, models.values()):
        key, layout = f"models.{model.key}", model.entry.get("layout", "arrays")
        require(layout, known["layout of states"], f"{key}.layout", "layout of states")
        if layout == "vllm" and "layers" not in model.entry:
            raise ConfigError(f"config: {key}: layout vllm needs layers, the numbers that eagle_aux_hidden_state_layer_ids named")
        for null in model.entry.get("nulls", []):
            if known["null"][null].kind == "model":
                raise ConfigError(f"config: {key}.nulls: {null} takes a model that runs, and there are states alone")
    for model in filter(lambda model: model.imported, select(config["entropy"]["models"], models, "entropy.models")):
        for corpus in config["entropy"]["corpora"]:
            if not (model.folder / corpus).is_dir():
                raise ConfigError(
                    f"config: models.{model.key}.path: {model.folder} has no folder {corpus}, as entropy.corpora has"
                )


def check_parameters(entropy: Mapping[str, Any], known: Known) -> None:
    """Raises ConfigError for a parameter that no metric has, and for one that has a key of its own."""
    parameters = entropy.get("parameters", {})
    if "eps2" in parameters:
        raise ConfigError("config: entropy.parameters: eps2 is set by entropy.eps2")
    for name in parameters:
        require(name, {key for metric in known["metric"].values() for key in metric.keys}, "entropy.parameters", "parameter")


def check_tokens(config: Mapping[str, Any], models: Mapping[str, Model], known: Known) -> None:
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


def check_experiments(config: Mapping[str, Any], models: Mapping[str, Model]) -> None:
    """The part of `check` about ablation, components and semantics."""
    ablation, semantics = config["ablation"], config["semantics"]
    for stage in ("ablation", "components", "semantics"):
        select(config[stage]["models"], models, f"{stage}.models")
        for name in config[stage]["corpora"] if config[stage]["models"] else []:
            require(name, config["corpora"], f"{stage}.corpora", "corpus")
    chosen_by = config["tokens"]["selection"]["layers"]
    for model in select(ablation["models"], models, "ablation.models"):
        check_layers(config, model, "ablation.layers", ablation["layers"])
        depth = model.depth
        if depth is not None and not set(resolve_layers(ablation["layers"], depth)) <= set(resolve_layers(chosen_by, depth)):
            raise ConfigError(f"config: ablation.layers: {ablation['layers']} is not among tokens.selection.layers {chosen_by}")
    for key in ("background", "judgements") if semantics["models"] else ():
        require(semantics[key], config["corpora"], f"semantics.{key}", "corpus")


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


def tokenizer_folder(folder: Path) -> Path:
    """Where a model's tokenizer is: its own folder, or `tokenizer` beside it or beside the folder that it is in, which a family
    shares."""
    if (folder / "tokenizer_config.json").exists():
        return folder
    shared = [place / "tokenizer" for place in list(folder.parents)[:2]]
    return next((place for place in shared if place.is_dir()), folder)


def resolve_layers(layers: Any, depth: int) -> list[int]:
    """Numbers of the layers named by `all`, `middle` (half the blocks), `last` (the last block), `final` (after the final norm),
    `{every: k}`, or a list of numbers and of these words.

    Raises ConfigError for a layer that a model of `depth` blocks does not have.
    """
    if isinstance(layers, Mapping):
        return sorted({*range(0, depth + 1, layers["every"]), depth, depth + 1})
    words = {"middle": [-(-depth // 2)], "last": [depth], "final": [depth + 1], "all": list(range(depth + 2))}
    found: set[int] = set()
    for layer in layers if isinstance(layers, list) else [layers]:
        found |= set(words.get(layer, [layer]))
    if wrong := sorted(layer for layer in found if not 0 <= layer <= depth + 1):
        raise ConfigError(f"layer {wrong[0]} does not exist: this model has 0 (embedding) to {depth + 1} (after the final norm)")
    return sorted(found)


def layer_name(layer: int, depth: int) -> str:
    """What figures call a layer that models of any depth have: embedding, middle, last, final; else nothing."""
    return {0: "embedding", -(-depth // 2): "middle", depth: "last", depth + 1: "final"}.get(layer, "")
