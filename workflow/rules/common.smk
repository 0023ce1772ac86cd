import ast
import functools
import hashlib
import os
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
RESOURCES = ROOT / "workflow/resources"
sys.path.insert(0, str(ROOT / "lib"))

from geomkit import config as settings
from geomkit.errors import ConfigError
from geomkit.measures.entropy import metrics as known_metrics
from geomkit.measures.spectra import MODES
from geomkit.sources.corpora import readers as known_readers


def load_settings():
    """The catalogue's models by name, once the configuration has passed every check that needs no computing."""
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    known = {"metric": known_metrics, "reader": known_readers, "normalise": MODES}
    try:
        settings.validate(config, schema)
        models = settings.expand_models(config["models"], RESOURCES)
        settings.check(config, models, known, RESOURCES)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None
    return models


MODELS = load_settings()
VARIANTS = ["trained"]
if "shuffled" in config["entropy"]["nulls"]:
    VARIANTS.append("shuffled")
if "untrained" in config["entropy"]["nulls"]:
    VARIANTS += [
        f"untrained-{seed}" for seed in range(config["entropy"]["untrained_seeds"])
    ]


@functools.cache
def parsed(path):
    """A module's source without comments and docstrings, and the modules of geomkit that it imports."""
    tree, uses = ast.parse(path.read_text()), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("geomkit"):
            names = [
                node.module,
                *(f"{node.module}.{alias.name}" for alias in node.names),
            ]
            uses += [
                (ROOT / "lib").joinpath(*name.split(".")).with_suffix(".py")
                for name in names
            ]
    return ast.unparse(tree), [path for path in uses if path.is_file()]


@functools.cache
def code(script):
    """A digest of a script and of all the library code behind it, so that a change reruns exactly the rules that use it."""
    todo, seen = [ROOT / "workflow/scripts" / script], {}
    while todo:
        path = todo.pop()
        if path not in seen:
            seen[path], uses = parsed(path)
            todo += uses
    return hashlib.sha256(
        "".join(seen[path] for path in sorted(seen)).encode()
    ).hexdigest()[:16]


def relative(path):
    """A path from the working directory, so that results do not depend on where the project lies."""
    return os.path.relpath(path)


def model_files(wildcards):
    """What a job that loads a model waits for: its folder, or the files in it when they were there before the workflow."""
    model = MODELS[wildcards.model]
    if settings.fetched(model.entry) or settings.converted(model.entry):
        return str(model.folder)
    return [relative(path) for path in sorted(model.folder.iterdir()) if path.is_file()]


def source_folder(kind, name):
    """Where a catalogue entry's files are."""
    entry = config[kind][name]
    if settings.fetched(entry):
        return f"results/sources/{kind}/{name}"
    return relative(settings.source_path(f"{kind}.{name}", entry, RESOURCES))


def fetched_folder(kind, name):
    """The folder of a catalogue entry that comes over the network, in a list that is empty for any other."""
    return [source_folder(kind, name)] if settings.fetched(config[kind][name]) else []


def chosen(stage):
    """Names of the models and of the corpora that a stage of the configuration selects."""
    models = settings.select(config[stage]["models"], MODELS, f"{stage}.models")
    return {
        "model": [model.name for model in models],
        "corpus": config[stage]["corpora"],
    }


def dump_path(variant):
    """The path of a variant's dump. Dumps of nulls are always temporary."""
    path = f"results/dumps/{{model}}/{{corpus}}/{variant}.h5"
    return path if variant == "trained" and config["dump"]["keep"] else temp(path)
