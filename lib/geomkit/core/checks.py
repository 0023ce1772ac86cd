"""Check a configuration, by its schema and by rules that no schema can express.

No module that measures imports these checks, so a changed check makes no job run again.
"""

import math
import re
import reprlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomkit.core.config import Known, Model, expand_models, fetched, require, resolve_layers, select, source_path, stages
from geomkit.core.configfiles import ConfigFiles, Written
from geomkit.core.errors import ConfigError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

NO_FILES = ConfigFiles()


def validate(config: Mapping[str, Any], schema: Mapping[str, Any], files: ConfigFiles = NO_FILES) -> None:
    """Check a configuration against its schema.

    Raises ConfigError that names the key: an unknown one, one at the top that is missing, or a value that is not allowed.

    files: what the configuration was read from, for what a value is as it is written.
    """
    from jsonschema import Draft202012Validator  # what measures a model needs none
    from jsonschema.exceptions import best_match
    from jsonschema.validators import extend

    check_keys(config, files)
    types = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": lambda _, value: whole(value), "number": lambda _, value: finite(value)}
    )
    whole_schema = {**schema, "required": list(schema["properties"])}
    errors = extend(Draft202012Validator, type_checker=types)(whole_schema).iter_errors(config)
    error = best_match(errors, key=lambda error: -len(error.path))
    if error is None:
        return
    key = ".".join(map(str, error.absolute_path)) or "top level"
    message, hint = describe_fault(error, files.find(list(error.absolute_path), error.instance))
    if len(repr(error.instance)) > 200:
        message = message.replace(repr(error.instance), reprlib.repr(error.instance))
    raise ConfigError("; ".join(filter(None, [f"config: {key}: {message}", hint])))


def describe_fault(error: "ValidationError", written: Written | None) -> tuple[str, str | None]:
    """Describe a schema error in the words of YAML, with its remedy."""
    value: Any = error.instance
    allowed: Any = error.validator_value
    schema: Any = error.schema
    description = schema.get("description")
    as_written = repr(value) if written is None or isinstance(value, str) else getattr(written.value, "value", value)
    if error.validator == "additionalProperties":
        known = schema["properties"]
        return f"unknown key {next(name for name in value if name not in known)!r}", f"known keys: {', '.join(known)}"
    if value is None:
        return "nothing stands there; give it a value, or leave the key out", description
    if error.validator == "enum":
        names = [{None: "null", True: "true", False: "false"}.get(one, repr(one)) for one in allowed]
        return f"{as_written} is not one of [{', '.join(names)}]", description
    if error.validator != "type":
        return error.message, description
    types = [allowed] if isinstance(allowed, str) else allowed
    if "string" in types and not isinstance(value, Mapping | list):
        return read_otherwise(value, as_written), description
    return error.message, "; ".join(filter(None, [other_type(value, types, written), description]))


def whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_keys(config: Any, files: ConfigFiles, above: tuple[Any, ...] = ()) -> None:
    """Check that YAML read every key as text; raise ConfigError otherwise."""
    for key, value in config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ():
        if isinstance(config, Mapping) and not isinstance(key, str):
            written = files.find((*above, key), value)
            where = f" ({written.place})" if written else ""
            name = written.key.value if written else key
            raise ConfigError(f"config: {'.'.join(map(str, above)) or 'top level'}: the name {read_otherwise(key, name)}{where}")
        check_keys(value, files, (*above, key))


def other_type(value: Any, allowed: Sequence[str], written: Written | None) -> str | None:
    """Suggest a remedy for a value of the wrong type."""
    if isinstance(value, float) and value.is_integer():
        return f"write {value:.0f}"
    if isinstance(value, str) and {"integer", "number"}.intersection(allowed):
        return as_number(value, written)
    return f"a list is written [{value}]" if "array" in allowed and isinstance(value, str) else None


def read_otherwise(value: object, written: object) -> str:
    """Name the type that YAML gave to a text, and say how to keep it text."""
    kinds = {bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}
    return f'{written} is read as {kinds.get(type(value), "a date")}, not as text; quote it: "{written}"'


def as_number(value: str, written: Written | None) -> str | None:
    """Spell a number that was read as text so that YAML reads it as a number."""
    if not (parts := re.fullmatch(r"([-+]?[0-9]*)(\.[0-9]*)?([eE])?([-+])?([0-9]+)?", value)) or not re.search("[0-9]", value):
        return None
    if written is None:
        return "numbers inside --config key={...} arrive as text: give them in a file with --configfile"
    if getattr(written.value, "style", None):
        return f"write it without quotes: {value}"
    before, after, e, sign, digits = parts.groups(default="")
    before += "" if before[-1:].isdigit() else "0"
    return f"YAML reads it as text; write {before}{after if len(after) > 1 else '.0'}e{sign or '+'}{digits}" if e else None


def checked_models(
    config: Mapping[str, Any], schema: Mapping[str, Any], known: Known, resources: Path, files: ConfigFiles = NO_FILES
) -> dict[str, Model]:
    """Check the configuration and return the catalogue's models by name, without computing anything.

    Raises ConfigError that names the key, and its line in the files that the configuration was read from.
    """
    try:
        files.check()
        files.check_entries(("models", "corpora"))
        return _checked_models(config, schema, known, resources, files)
    except ConfigError as error:
        raise files.placed(error, config) from None


def _checked_models(
    config: Mapping[str, Any], schema: Mapping[str, Any], known: Known, resources: Path, files: ConfigFiles
) -> dict[str, Model]:
    validate(config, schema, files)
    for kind, source in (("models", "model source"), ("corpora", "corpus source")):
        described = schema["properties"][kind]["additionalProperties"]["properties"]
        for name, entry in config[kind].items():
            check_entry(f"{kind}.{name}", entry, known[source], described, known["corpus reader"] if kind == "corpora" else {})
    models = expand_models(config["models"], resources)
    check(config, models, known, resources, stages(schema))
    return models


def check_entry(
    key: str, entry: Mapping[str, Any], sources: Mapping[str, Any], described: Iterable[str], readers: Mapping[str, Any]
) -> None:
    """Check the source, the reader and the keys of a catalogue entry.

    Raises ConfigError for an unknown source or reader, and for a key that is missing or that nothing reads.

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
    """Return the keys that a corpus's reader reads and its source does not.

    Raises ConfigError for a reader that there is not, and for a key that other readers read.
    """
    reader = entry.get("reader", "parquet")
    require(reader, readers, f"{key}.reader", "corpus reader")
    for name in entry:
        able = sorted(other for other, declaration in readers.items() if name in declaration.keys)
        if able and reader not in able and name not in of_source:
            raise ConfigError(f"config: {key}.{name}: the reader {reader!r} takes none; those that do: {', '.join(able)}")
    return [name for name in readers[reader].keys if name not in of_source]


def check(
    config: Mapping[str, Any],
    models: Mapping[str, Model],
    known: Known,
    resources: Path,
    blocks: Mapping[str, Mapping[str, Any]],
) -> None:
    """Check names of metrics and readers, paths, selections, and the layers of models that are on disk.

    blocks: those of the schema that select models and corpora.

    Raises ConfigError that names the key.
    """
    for name, corpus in config["corpora"].items():
        if not fetched(corpus):
            source_path(f"corpora.{name}", corpus, resources)
    entropy, primary, selection = config["entropy"], config["scaling"]["primary"], config["tokens"]["selection"]
    check_templates(models)
    for stage, block in blocks.items():
        check_stage(config, models, stage, block.get("needs"))
    for name in [] if entropy["metrics"] == "all" else entropy["metrics"]:
        require(name, known["metric"], "entropy.metrics", "metric")
    for stage in ("entropy", "portrait"):
        for name in config[stage]["normalise"]:
            require(name, known["normalisation"], f"{stage}.normalise", "normalisation")
    for name in entropy["nulls"]:
        require(name, known["null"], "entropy.nulls", "null")
    check_nulls(config, known)
    check_imported(config, models, known)
    check_parameters(entropy, known)
    for key, names in (("corpus", [config["ladder"]["corpus"]]), ("card", config["ladder"]["card"])):
        for name in names:
            require(name, config["corpora"], f"ladder.{key}", "corpus")
    check_tokens(config, models, known)
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
    for model in select(selection["models"], models, "tokens.selection.models"):
        check_layers(config, model, "tokens.selection.layers", selection["layers"])
    check_experiments(config, models)


def check_templates(models: Mapping[str, Model]) -> None:
    """Check that models of one tokenizer read their texts behind the same template; raise ConfigError otherwise."""
    known: dict[str, Model] = {}
    for model in models.values():
        other = known.setdefault(model.tokenizer, model)
        if other.entry.get("template") != model.entry.get("template"):
            raise ConfigError(
                f"config: models.{model.key}.template: {other.key} has the same tokenizer, {model.tokenizer!r}, and another "
                "template; models of one tokenizer read the same texts: set tokenizer to another name in one of the two entries"
            )


def check_device(config: Mapping[str, Any], here: bool) -> None:
    """Check that the device is named where jobs run on other machines.

    Raises ConfigError for `auto` there: whether a job asks for a GPU must be known before it starts.
    """
    if not here and config["compute"]["device"] == "auto":
        raise ConfigError("config: compute.device: auto, but jobs run on other machines; say cpu or cuda")


def check_shared(read: bool, run: bool) -> None:
    """Check that jobs share a folder with Snakemake, or that the workflow was parsed for jobs that do not.

    Raises ConfigError where jobs share none (`run`) and the workflow was parsed as if they did (`read`): Snakemake would then run
    all jobs with shipped models itself.
    """
    if read and not run:
        raise ConfigError("jobs share no folder with Snakemake, which must know it from the start: --shared-fs-usage none")


def check_steps(config: Mapping[str, Any], models: Mapping[str, Model], of_size: Iterable[Model]) -> None:
    """Check the training steps of models.

    Raises ConfigError for a family of training steps where laws with size are fitted, for a model without a step along training,
    and for two models of one training and step.
    """
    steps: dict[str, set[int | None]] = {}
    for model in of_size:
        steps.setdefault(model.family, set()).add(model.step)
    for family, family_steps in steps.items():
        if len(family_steps) > 1:
            listed = ", ".join(map(str, sorted(family_steps, key=str)))
            raise ConfigError(
                f"config: entropy.models: {family} is a family of training steps ({listed}), "
                "which have no law with size; name it in trajectory.models"
            )
    taken: dict[tuple[str, str, int | None], str] = {}
    for model in select(config["trajectory"]["models"], models, "trajectory.models"):
        if model.step is None:
            remedy = f"set models.{model.key}.step"
            if model.name != model.key:
                remedy += f" in an entry for {model.folder} alone, or name such folders by seed and step, as in a-s0-step100"
            raise ConfigError(f"config: trajectory.models: {model.name} has no step; {remedy}")
        other = taken.setdefault((model.family, model.training, model.step), model.name)
        if other != model.name:
            raise ConfigError(
                f"config: trajectory.models: {other} and {model.name} are both step {model.step} of {model.training}"
            )


def check_nulls(config: Mapping[str, Any], known: Known) -> None:
    """Check the nulls of catalogue entries.

    Raises ConfigError for an unknown null of an entry of the catalogue, and for twins of one that has none.
    """
    for name, entry in config["models"].items():
        for null in entry.get("nulls", []):
            require(null, known["null"], f"models.{name}.nulls", "null")
        if "untrained_seeds" in entry and "untrained" not in entry.get("nulls", config["entropy"]["nulls"]):
            where = f"models.{name}.nulls" if "nulls" in entry else "entropy.nulls"
            raise ConfigError(f"config: models.{name}.untrained_seeds: untrained is not among {where}")


def check_stage(config: Mapping[str, Any], models: Mapping[str, Model], stage: str, need: str | None) -> None:
    """Check the models and corpora of a stage.

    Raises ConfigError for an unknown one, and for imported states where a stage needs more than states, as `need` says.
    """
    chosen = select(config[stage]["models"], models, f"{stage}.models")
    for name in config[stage]["corpora"] if chosen else []:
        require(name, config["corpora"], f"{stage}.corpora", "corpus")
    for model in chosen if need else []:
        if model.imported:
            raise ConfigError(f"config: {stage}.models: {model.name} are imported states, and this stage needs {need}")


def check_imported(config: Mapping[str, Any], models: Mapping[str, Model], known: Known) -> None:
    """Check the entries of imported states.

    Raises ConfigError for an unknown layout, for a null that needs a model to run, and where a corpus has no folder.
    """
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
    """Check the parameters of metrics.

    Raises ConfigError for a parameter that no metric has, and for one that has a key of its own.
    """
    parameters = entropy.get("parameters", {})
    if "eps2" in parameters:
        raise ConfigError("config: entropy.parameters: eps2 is set by entropy.eps2")
    for name in parameters:
        require(name, {key for metric in known["metric"].values() for key in metric.keys}, "entropy.parameters", "parameter")


def check_tokens(config: Mapping[str, Any], models: Mapping[str, Model], known: Known) -> None:
    """Check the block `tokens`."""
    tokens, selection = config["tokens"], config["tokens"]["selection"]
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
    """Check the blocks `ablation` and `semantics`."""
    ablation, semantics = config["ablation"], config["semantics"]
    chosen_by = config["tokens"]["selection"]["layers"]
    for model in select(ablation["models"], models, "ablation.models"):
        check_layers(config, model, "ablation.layers", ablation["layers"])
        depth = model.depth
        if depth is not None and not set(resolve_layers(ablation["layers"], depth)) <= set(resolve_layers(chosen_by, depth)):
            raise ConfigError(f"config: ablation.layers: {ablation['layers']} is not among tokens.selection.layers {chosen_by}")
    for key in ("background", "judgements") if semantics["models"] else ():
        require(semantics[key], config["corpora"], f"semantics.{key}", "corpus")
    require(ablation["needle"]["model"], models, "ablation.needle.model", "model")
    require(ablation["needle"]["fillers"], config["corpora"], "ablation.needle.fillers", "corpus")


def check_layers(config: Mapping[str, Any], model: Model, key: str, layers: Any) -> None:
    """Check that a model on disk has these layers and that they are dumped; raise ConfigError otherwise."""
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
