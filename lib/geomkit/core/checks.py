"""Check a configuration, by its schema and by rules that no schema can express.

All faults are listed at once. A check yields what it finds, and a value with a fault is no reason for another one.
No module that measures imports these checks, so a changed check makes no job run again.
"""

import math
import re
import reprlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from geomkit.core.config import (
    Known,
    Model,
    below_here,
    expand_models,
    fetched,
    hidden_layers,
    meanings,
    require,
    resolve_layers,
    select,
    source_path,
    stages,
)
from geomkit.core.configfiles import ConfigFiles, Fault, Keys, Written
from geomkit.core.errors import ConfigError, one_line
from geomkit.core.state import TOKENS
from geomkit.core.trainings import trainings

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

NO_FILES = ConfigFiles()
CATALOGUES = {"models": "model source", "corpora": "corpus source"}
"""Blocks of entries, and what their sources are called among declarations."""
NAMES = {
    "entropy.metrics": "metric",
    "entropy.normalise": "normalisation",
    "portrait.normalise": "normalisation",
    "entropy.nulls": "null",
    "tokens.selection.methods": "selection method",
}
"""Keys of lists of declared names, and what kind of declaration these are."""
BESIDE_BUDGET = 3
"""Tokens of a text that no budget of a selection can contain."""
OF_KEYS = ("additionalProperties", "propertyNames", "required")
"""Rules of the schema for names of keys; all others are for values."""
FITTED: Sequence[Keys] = (("entropy", "lengths"), ("scaling", "primary", "length"), ("tokens", "selection", "budgets"))
"""Keys whose defaults give way to shorter texts."""


class Checked(NamedTuple):
    """A configuration without faults.

    config: as it was read, but for defaults that its texts are too short for. models: those of the catalogue by name. change:
    what these defaults have become, in one line; empty if nothing had to change.
    """

    config: Mapping[str, Any]
    models: dict[str, Model]
    change: str


class Unsound(ConfigError):
    """A value could not be read because it has a fault that is known already."""


class Sound(dict[str, Any]):
    """A mapping without the values that have faults; reading one of these raises Unsound."""

    def __missing__(self, key: str) -> Any:
        raise Unsound(key)


class Catalogue(dict[str, Model]):
    """Models by name. Of an entry with a fault only its name is known, and not which models it has.

    complete: whether the catalogue itself could be read.
    """

    def __init__(self, complete: bool):
        super().__init__()
        self.faulty: set[str] = set()
        self.complete = complete

    def expand(self, key: str, entry: Mapping[str, Any], resources: Path) -> Iterator[Fault]:
        """Add the models of an entry, and check that their names are free; an empty entry is one with a known fault."""
        try:
            if not entry:
                raise Unsound(key)
            models = expand_models({key: entry}, resources)
        except ConfigError:
            self.complete = False
            self.faulty.add(key)
            self.setdefault(key, Model(key, key, None, Path("results/models", key), key, Sound()))
            raise
        for name, model in models.items():
            if name in self:
                yield Fault(f"models.{key}: there is already a model named {name!r}")
            self[name] = model

    def entries(self) -> list[str]:
        """Return the keys of entries without a fault."""
        return list(dict.fromkeys(model.key for model in self.values() if model.key not in self.faulty))

    def select(self, names: Iterable[str], key: str) -> list[Model]:
        """Select models as `geomkit.core.config.select` does, without entries that have a fault.

        Raises ConfigError for an unknown name, and Unsound where it may be that of a model of such an entry.
        """
        try:
            chosen = select(names, self, key)
        except ConfigError as error:
            raise error if self.complete else Unsound(key) from None
        return [model for model in chosen if model.name not in self.faulty]


class Faults:
    """Faults of a configuration, one line each, with file and line where a file has the key."""

    def __init__(self, config: Mapping[str, Any], files: ConfigFiles):
        self.config, self.files = config, files
        self.lines: dict[str, None] = {}

    def add(self, fault: object) -> None:
        self.lines[one_line(self.files.placed(ConfigError(str(fault)), self.config))] = None

    def collect(self, check: Iterable[Fault]) -> set[Keys]:
        """Add what a check yields, and the error that ends it if one does; return the keys whose values have a fault."""
        faulty = set()
        try:
            for fault in check:
                self.add(fault)
                faulty |= set() if fault.value is None else {fault.value}
        except Unsound:
            pass
        except ConfigError as error:
            self.add(error)
        return faulty

    def raise_all(self) -> None:
        """Raise ConfigError with all faults, one a line, if there are any."""
        if self.lines:
            raise ConfigError("\n".join(self.lines))


def checked(
    config: Mapping[str, Any], schema: Mapping[str, Any], known: Known, resources: Path, files: ConfigFiles = NO_FILES
) -> Checked:
    """Check the configuration, without computing anything.

    Raises ConfigError with all faults, one a line: each names the key, and its line in the files that it was read from.

    files: what the configuration was read from. resources: the folder of what is shipped.
    """
    faults = Faults(config, files)
    misread = faults.collect([*files.faults()])  # an alias that contains itself ends it here
    unnamed = faults.collect(check_keys(config, files))
    faulty = misread | unnamed
    faulty |= faults.collect(schema_faults(without(config, unnamed) if unnamed else config, schema, files))
    try:
        rest, change = fitted(without(config, faulty) if faults.lines else config, files)
    except Unsound:
        rest, change = without(config, faulty.union(FITTED)), ""
    entries = {keys[:2] for keys in faulty | faults.collect(files.entries_given_anew(CATALOGUES))}
    for kind, source in CATALOGUES.items():
        described = schema["properties"][kind]["additionalProperties"]["properties"]
        readers = known["corpus reader"] if kind == "corpora" else {}
        for name, entry in rest.get(kind, {}).items():
            if (kind, name) not in entries:
                entries |= faults.collect(check_entry((kind, name), entry, known[source], described, readers))
    models = Catalogue(complete="models" in rest)
    for key, entry in rest.get("models", {}).items():
        faults.collect(models.expand(key, {} if ("models", key) in entries else entry, resources))
    corpora = [name for name in rest.get("corpora", {}) if ("corpora", name) not in entries]
    for check in checks_of(rest, models, corpora, known, resources, stages(schema)):
        faults.collect(check)
    faults.raise_all()
    return Checked(rest, dict(models), change)


def without(config: Mapping[str, Any], faulty: Collection[Keys]) -> Mapping[str, Any]:
    """Return a configuration without the values at some keys, or that are missing; of a list with a fault nothing is left."""
    return sound(config, {mappings_of(config, keys) for keys in faulty})


def sound(value: Any, faulty: Collection[Keys], above: Keys = ()) -> Any:
    if not isinstance(value, Mapping):
        return value
    return Sound((key, sound(below, faulty, (*above, key))) for key, below in value.items() if (*above, key) not in faulty)


def mappings_of(config: Any, keys: Keys) -> Keys:
    """Return the first of some keys, as far as they lead through mappings."""
    for number, key in enumerate(keys):
        if not isinstance(config, Mapping):
            return keys[:number]
        config = config.get(key)
    return keys


def fitted(config: Mapping[str, Any], files: ConfigFiles) -> tuple[Mapping[str, Any], str]:
    """Fit defaults to the length of texts: lengths, the primary length, and budgets of a selection that is made.

    What the user has set stays, and is checked later. Returns the configuration, and in one line what has changed.
    """
    length, lengths = config["texts"]["length"], config["entropy"]["lengths"]
    primary, selection = config["scaling"]["primary"]["length"], config["tokens"]["selection"]
    budgets, fits = selection["budgets"], {}
    if files.is_default(FITTED[0], lengths):
        lengths = [one for one in lengths if one <= length] or [length]
        fits[FITTED[0]] = lengths
    if files.is_default(FITTED[1], primary) and primary not in lengths:
        fits[FITTED[1]] = max(lengths)
    short = [one for one in budgets if one <= length - BESIDE_BUDGET]
    if files.is_default(FITTED[2], budgets) and selection["models"] and short:
        fits[FITTED[2]] = short
    said = []
    for keys, value in fits.items():
        before = reduce(getitem, keys, config)
        if value != before:
            config = replaced(config, keys, value)
            said.append(f"{'.'.join(keys)} is {value}, not {before}")
    return config, f"Defaults that do not fit (texts.length is {length}): {'; '.join(said)}" if said else ""


def replaced(config: Any, keys: Keys, value: Any) -> Any:
    """Copy a configuration with another value at some keys."""
    return type(config)({**config, keys[0]: replaced(config[keys[0]], keys[1:], value)}) if keys else value


def schema_faults(config: Mapping[str, Any], schema: Mapping[str, Any], files: ConfigFiles = NO_FILES) -> Iterator[Fault]:
    """Check a configuration against its schema.

    A fault is an unknown key, one at the top that is missing, or a value that is not allowed.

    files: what the configuration was read from, for what a value is as it is written.
    """
    from jsonschema import Draft202012Validator  # what measures a model needs none
    from jsonschema.exceptions import best_match
    from jsonschema.validators import extend

    types = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": lambda _, value: whole(value), "number": lambda _, value: finite(value)}
    )
    whole_schema = {**schema, "required": list(schema["properties"])}
    for outer in extend(Draft202012Validator, type_checker=types)(whole_schema).iter_errors(config):
        error: Any = best_match([outer], key=lambda error: -len(error.path))
        keys = tuple(error.absolute_path)
        for message, hint in describe_fault(error, files.find(keys, error.instance)):
            if len(repr(error.instance)) > 200:
                message = message.replace(repr(error.instance), reprlib.repr(error.instance))
            said = "; ".join(filter(None, [message, hint]))
            named = error.validator in OF_KEYS and not any(isinstance(key, int) for key in keys)  # of a list, all is lost
            yield Fault(f"{named_by(keys)}: {said}", None if named else keys)


def describe_fault(error: "ValidationError", written: Written | None) -> Iterator[tuple[str, str | None]]:
    """Describe a schema error in the words of YAML, with its remedy; one of unknown keys, for each."""
    value: Any = error.instance
    allowed: Any = error.validator_value
    schema: Any = error.schema
    description = schema.get("description")
    as_written = repr(value) if written is None or isinstance(value, str) else getattr(written.value, "value", value)
    if error.validator == "additionalProperties":
        known = schema["properties"]
        yield from ((f"unknown key {name!r}", f"known keys: {', '.join(known)}") for name in value if name not in known)
    elif value is None:
        yield "nothing stands there; give it a value, or leave the key out", description
    elif error.validator == "enum":
        names = [{None: "null", True: "true", False: "false"}.get(one, repr(one)) for one in allowed]
        yield f"{as_written} is not one of [{', '.join(names)}]", description
    elif error.validator != "type":
        yield error.message, description
    else:
        types = [allowed] if isinstance(allowed, str) else allowed
        if "string" in types and not isinstance(value, Mapping | list):
            yield read_otherwise(value, as_written), description
        else:
            yield error.message, "; ".join(filter(None, [other_type(value, types, written), description]))


def whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_keys(config: Any, files: ConfigFiles, above: tuple[Any, ...] = ()) -> Iterator[Fault]:
    """Check that YAML read every key as text."""
    for key, value in config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ():
        if isinstance(config, Mapping) and not isinstance(key, str):
            written = files.find((*above, key), value)
            where = f" ({written.place})" if written else ""
            name = written.key.value if written else key
            yield Fault(f"{named_by(above)}: the name {read_otherwise(key, name)}{where}", (*above, key))
        else:
            yield from check_keys(value, files, (*above, key))


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


def named_by(keys: Iterable[Any]) -> str:
    """Write keys as messages name them."""
    return ".".join(map(str, keys)) or "top level"


def unknown(names: Iterable[str], known: Collection[str], key: str, kind: str, value: Keys | None = None) -> Iterator[Fault]:
    """Check that names are known; `value` is what nothing can be made of otherwise."""
    for name in names:
        try:
            require(name, known, key, kind)
        except ConfigError as error:
            yield Fault(str(error).removeprefix("config: "), value)


def check_entry(
    keys: Keys, entry: Mapping[str, Any], sources: Mapping[str, Any], described: Collection[str], readers: Mapping[str, Any]
) -> Iterator[Fault]:
    """Check the source, the reader and the keys of a catalogue entry, each of which must be known, and read by something.

    sources, readers: declarations by name; each reads keys of its own, and models have no reader. described: keys of the schema,
    of which every entry may have those that no source reads.
    """
    key, reader = named_by(keys), entry.get("reader", "parquet")
    yield from unknown([entry["source"]], sources, f"{key}.source", "source", keys)
    yield from unknown([reader], readers, f"{key}.reader", "corpus reader", keys) if readers else ()
    if entry["source"] not in sources or (readers and reader not in readers):
        return
    source = sources[entry["source"]]
    for name in source.required:
        if name not in entry and not (name == "revision" and "revisions" in entry):
            yield Fault(f"{key}: {name!r} is a required property where the source is {entry['source']}", keys)
    of_reader = [name for name in readers[reader].keys if name not in source.keys] if readers else []
    several = ["revisions"] if "revision" in source.keys and "revisions" in described else []
    of_sources = {"revisions", *(name for other in sources.values() for name in other.keys)}
    of_all = [name for name in described if name not in {"source", *of_sources, *of_reader}]
    allowed = ["source", *source.keys, *several, *of_all, *of_reader]
    for name in entry:
        able = sorted(other for other, declaration in readers.items() if name in declaration.keys and name not in source.keys)
        if able and reader not in able:
            yield Fault(f"{key}.{name}: the reader {reader!r} takes none; those that do: {', '.join(able)}", keys)
        elif name not in allowed:
            yield Fault(f"{key}: unknown key {name!r}; known keys: {', '.join(allowed)}", keys)


def checks_of(
    config: Mapping[str, Any],
    models: Catalogue,
    corpora: Iterable[str],
    known: Known,
    resources: Path,
    blocks: Mapping[str, Mapping[str, Any]],
) -> list[Iterator[Fault]]:
    """List what no schema can check: names, paths, selections, lengths, and the layers of models that are on disk.

    corpora: entries without a fault. blocks: those of the schema that select models and corpora.
    """
    return [
        *(check_path(config, name, resources) for name in corpora),
        *(check_stage(config, models, stage, block.get("needs")) for stage, block in blocks.items()),
        *(check_names(config, key, known, kind) for key, kind in NAMES.items()),
        *(check_nulls(config, name, known) for name in models.entries()),
        check_imported(config, models, known),
        check_parameters(config, known),
        check_ladder(config),
        check_tokens(config, models),
        check_budgets(config, models),
        check_metrics(config, known),
        check_primary(config),
        check_lengths(config),
        *(
            check_layers(config, models, *keys)
            for keys in (
                ("entropy.models", "scaling.primary.layer"),
                ("tokens.selection.models", "tokens.selection.layers"),
                ("ablation.models", "ablation.layers"),
            )
        ),
        check_families(config, models),
        check_steps(config, models),
        check_templates(config, models),
        check_ablation(config, models),
        check_semantics(config, models),
        check_needle(config, models),
    ]


def at(config: Mapping[str, Any], key: str) -> Any:
    """Return what stands at a key such as scaling.primary.layer."""
    return reduce(getitem, key.split("."), config)


def check_path(config: Mapping[str, Any], name: str, resources: Path) -> Iterator[Fault]:
    """Check that a corpus that is on this machine is there."""
    if not fetched(corpus := config["corpora"][name]):
        source_path(f"corpora.{name}", corpus, resources)
    yield from ()


def check_stage(config: Mapping[str, Any], models: Catalogue, stage: str, need: str | None) -> Iterator[Fault]:
    """Check the models and corpora of a stage, and that it is given no imported states if it needs more, as `need` says."""
    selected = config[stage]["models"]
    if selected:
        yield from unknown(config[stage]["corpora"], config["corpora"], f"{stage}.corpora", "corpus")
    yield from unknown(selected, meanings(models), f"{stage}.models", "model, entry or family") if models.complete else ()
    for model in models.select(selected, f"{stage}.models") if need else []:
        if model.imported:
            yield Fault(f"{stage}.models: {model.name} are imported states, and this stage needs {need}")


def check_names(config: Mapping[str, Any], key: str, known: Known, kind: str) -> Iterator[Fault]:
    """Check that the names at a key are of a kind."""
    yield from unknown(listed(at(config, key)), known[kind], key, kind)


def listed(names: Any) -> list[str]:
    """Return names that are listed; none for `all`."""
    return [] if names == "all" else names


def check_nulls(config: Mapping[str, Any], name: str, known: Known) -> Iterator[Fault]:
    """Check the nulls of a catalogue entry: names, and that one with a number of twins has twins."""
    entry = config["models"][name]
    yield from unknown(entry.get("nulls", []), known["null"], f"models.{name}.nulls", "null")
    if "untrained_seeds" in entry and "untrained" not in entry.get("nulls", config["entropy"]["nulls"]):
        where = f"models.{name}.nulls" if "nulls" in entry else "entropy.nulls"
        yield Fault(f"models.{name}.untrained_seeds: untrained is not among {where}")


def check_imported(config: Mapping[str, Any], models: Catalogue, known: Known) -> Iterator[Fault]:
    """Check the layout and nulls of imported states, which no model runs for, and that each selected corpus has a folder."""
    imported = [model for model in models.values() if model.imported]
    for model in imported:
        key, layout = f"models.{model.key}", model.entry.get("layout", "arrays")
        yield from unknown([layout], known["layout of states"], f"{key}.layout", "layout of states")
        if layout == "vllm" and "layers" not in model.entry:
            yield Fault(f"{key}: layout vllm needs layers, the numbers that eagle_aux_hidden_state_layer_ids named")
        for null in model.entry.get("nulls", []):
            if null in known["null"] and known["null"][null].kind == "model":
                yield Fault(f"{key}.nulls: {null} takes a model that runs, and there are states alone")
    for model in models.select(config["entropy"]["models"], "entropy.models") if imported else []:
        for corpus in config["entropy"]["corpora"] if model.imported else []:
            if not (model.folder / corpus).is_dir():
                said = f"{model.folder} has no folder {corpus}{below_here(model.folder)}, as entropy.corpora has"
                yield Fault(f"models.{model.key}.path: {said}")


def check_parameters(config: Mapping[str, Any], known: Known) -> Iterator[Fault]:
    """Check the parameters of metrics: that some metric has them, and that none has a key of its own."""
    parameters = config["entropy"].get("parameters", {})
    if "eps2" in parameters:
        yield Fault("entropy.parameters: eps2 is set by entropy.eps2")
    keys = {key for metric in known["metric"].values() for key in metric.keys}
    yield from unknown([name for name in parameters if name != "eps2"], keys, "entropy.parameters", "parameter")


def check_ladder(config: Mapping[str, Any]) -> Iterator[Fault]:
    """Check the corpora of the ladder, and that no two of its runs have the same model."""
    for key, names in (("corpus", [config["ladder"]["corpus"]]), ("card", config["ladder"]["card"])):
        yield from unknown(names, config["corpora"], f"ladder.{key}", "corpus")
    for (width, seed), runs in Counter(trainings(config["ladder"]["runs"])).items():
        if runs > 1:
            yield Fault(f"ladder.runs: ladder-{width}-s{seed} is in {runs} runs")


def check_tokens(config: Mapping[str, Any], models: Catalogue) -> Iterator[Fault]:
    """Check that the models of the selection are among those of the tokens."""
    selection = config["tokens"]["selection"]
    measured = {model.name for model in models.select(config["tokens"]["models"], "tokens.models")}
    chosen = [model.name for model in models.select(selection["models"], "tokens.selection.models")]
    yield from unknown(chosen, measured, "tokens.selection.models", "model among tokens.models")


def check_budgets(config: Mapping[str, Any], models: Catalogue) -> Iterator[Fault]:
    """Check that texts have as many tokens as a selection may choose."""
    selection, length = config["tokens"]["selection"], config["texts"]["length"]
    if selection["models"] and max(selection["budgets"]) > length - BESIDE_BUDGET:
        yield Fault(f"tokens.selection.budgets: {max(selection['budgets'])} is too much for texts of {length}")


def check_metrics(config: Mapping[str, Any], known: Known) -> Iterator[Fault]:
    """Check that metrics with laws are measured."""
    primary, explored = config["scaling"]["primary"]["metrics"], config["scaling"].get("exploratory", [])
    measured = listed(config["entropy"]["metrics"]) or list(known["metric"])
    if set(measured) <= set(known["metric"]):
        yield from unknown(primary, measured, "scaling.primary.metrics", "metric among entropy.metrics")
        yield from unknown(explored, measured, "scaling.exploratory", "metric among entropy.metrics")
    for name in set(explored).intersection(primary):
        yield Fault(f"scaling.exploratory: {name} is among scaling.primary.metrics")


def check_primary(config: Mapping[str, Any]) -> Iterator[Fault]:
    """Check that the primary endpoint is measured at its length, with its normalisation and its rows."""
    primary, entropy = config["scaling"]["primary"], config["entropy"]
    if primary["normalise"] not in entropy["normalise"]:
        yield Fault(f"scaling.primary.normalise: {primary['normalise']} is not among entropy.normalise")
    if primary["length"] not in entropy["lengths"]:
        yield Fault(f"scaling.primary.length: {primary['length']} is not among entropy.lengths {entropy['lengths']}")
    if TOKENS not in entropy["rows"]:
        yield Fault(f"entropy.rows: {TOKENS} is missing, which texts are always measured by")
    if (rows := primary.get("rows", TOKENS)) not in entropy["rows"]:
        yield Fault(f"scaling.primary.rows: {rows} is not among entropy.rows {entropy['rows']}")


def check_lengths(config: Mapping[str, Any]) -> Iterator[Fault]:
    """Check that texts are as long as they are measured."""
    longest, length = max(config["entropy"]["lengths"]), config["texts"]["length"]
    if longest > length:
        yield Fault(f"entropy.lengths: {longest} is more than texts.length {length}")


def check_templates(config: Mapping[str, Any], models: Catalogue) -> Iterator[Fault]:
    """Check that models of one tokenizer read their texts behind the same template."""
    known: dict[str, Model] = {}
    for model in models.values():
        other = known.setdefault(model.tokenizer, model)
        if other.entry.get("template") != model.entry.get("template"):
            yield Fault(
                f"models.{model.key}.template: {other.key} has the same tokenizer, {model.tokenizer!r}, and another template; "
                "models of one tokenizer read the same texts: set tokenizer to another name in one of the two entries"
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


def check_families(config: Mapping[str, Any], models: Catalogue) -> Iterator[Fault]:
    """Check that no family of which laws with size are fitted is one of training steps."""
    steps: dict[str, set[int | None]] = {}
    for model in models.select(config["entropy"]["models"], "entropy.models"):
        steps.setdefault(model.family, set()).add(model.step)
    for family, family_steps in steps.items():
        if len(family_steps) > 1:
            numbers = ", ".join(map(str, sorted(family_steps, key=str)))
            yield Fault(
                f"entropy.models: {family} is a family of training steps ({numbers}), "
                "which have no law with size; name it in trajectory.models"
            )


def check_steps(config: Mapping[str, Any], models: Catalogue) -> Iterator[Fault]:
    """Check that models along training have a step each, and that no two of a training have the same."""
    taken: dict[tuple[str, str, int | None], str] = {}
    for model in models.select(config["trajectory"]["models"], "trajectory.models"):
        if model.step is None:
            remedy = f"set models.{model.key}.step"
            if model.name != model.key:
                remedy += f" in an entry for {model.folder} alone, or name such folders by seed and step, as in a-s0-step100"
            yield Fault(f"trajectory.models: {model.name} has no step; {remedy}")
            continue
        other = taken.setdefault((model.family, model.training, model.step), model.name)
        if other != model.name:
            yield Fault(f"trajectory.models: {other} and {model.name} are both step {model.step} of {model.training}")


def check_ablation(config: Mapping[str, Any], models: Catalogue) -> Iterator[Fault]:
    """Check that tokens were chosen at the layers of the ablations."""
    layers, chosen_by = config["ablation"]["layers"], config["tokens"]["selection"]["layers"]
    for model in models.select(config["ablation"]["models"], "ablation.models"):
        depth = model.depth
        if depth is not None and not set(resolve_layers(layers, depth)) <= set(resolve_layers(chosen_by, depth)):
            yield Fault(f"ablation.layers: {layers} is not among tokens.selection.layers {chosen_by}")


def check_semantics(config: Mapping[str, Any], models: Catalogue) -> Iterator[Fault]:
    """Check the corpora beside the judged documents."""
    for key in ("background", "judgements") if config["semantics"]["models"] else ():
        yield from unknown([config["semantics"][key]], config["corpora"], f"semantics.{key}", "corpus")


def check_needle(config: Mapping[str, Any], models: Catalogue) -> Iterator[Fault]:
    """Check the model and the corpus of the experiment with a planted fact."""
    needle = config["ablation"]["needle"]
    yield from unknown([needle["model"]], models, "ablation.needle.model", "model") if models.complete else ()
    yield from unknown([needle["fillers"]], config["corpora"], "ablation.needle.fillers", "corpus")


def check_layers(config: Mapping[str, Any], models: Catalogue, selected: str, key: str) -> Iterator[Fault]:
    """Check that models on disk have the layers that stand at a key, and that these are dumped; one fault is enough."""
    dump, layers = config["dump"]["layers"], at(config, key)
    for model in models.select(at(config, selected), selected):
        if model.depth is None:
            continue
        place = "dump.layers"
        try:
            dumped = resolve_layers(dump, model.depth)
            hidden_layers(config["dump"], model.depth)
            place = key
            asked = resolve_layers(layers, model.depth)
        except Unsound:
            raise
        except ConfigError as error:
            yield Fault(f"{place}: {model.name}: {error}")
            return
        if not set(asked) <= set(dumped):
            yield Fault(f"{key}: {layers} is not among dump.layers")
            return
