import ast
import functools
import hashlib
import os
import sys
from pathlib import Path

import yaml

ROOT = Path(workflow.basedir)
RESOURCES = ROOT / "workflow/resources"
# jobs find the library by PYTHONPATH, which comes before any other copy that may be installed
sys.path.insert(0, str(ROOT / "lib"))
os.environ.update(
    PYTHONPATH=os.pathsep.join(
        [str(ROOT / "lib"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
)

from geomkit import config as settings
from geomkit.errors import ConfigError
from geomkit.lm import names as trainings_by_name
from geomkit.measures.entropy import metrics as known_metrics
from geomkit.measures.selection import selectors as known_selectors
from geomkit.measures.spectra import MODES
from geomkit.sources.corpora import readers as known_readers


def load_settings():
    """The catalogue's models by name, once the configuration has passed every check that needs no computing."""
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    known = {
        "metric": known_metrics,
        "reader": known_readers,
        "normalise": MODES,
        "selection method": known_selectors,
    }
    try:
        settings.validate(config, schema)
        models = settings.expand_models(config["models"], RESOURCES)
        settings.check(config, models, known, RESOURCES)
    except ConfigError as error:
        raise SystemExit(f"ConfigError: {error}") from None
    return models


MODELS = load_settings()
VARIANTS = ["trained"]
if "shuffled" in config["entropy"]["nulls"]:
    VARIANTS.append("shuffled")
if "untrained" in config["entropy"]["nulls"]:
    VARIANTS += [
        f"untrained-{seed}" for seed in range(config["entropy"]["untrained_seeds"])
    ]


SELECTORS = config["tokens"]["selection"]["methods"]
if SELECTORS == "all":
    SELECTORS = list(known_selectors)


def is_docstring(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


@functools.cache
def parsed(path):
    """A module's source without comments and docstrings, and the modules of geomkit that it imports."""
    tree, uses = ast.parse(path.read_text()), []
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [line for line in body if not is_docstring(line)] or [
                ast.Pass()
            ]
        if isinstance(node, ast.ImportFrom) and node.module.startswith("geomkit"):
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
    return files_below(model.folder)


def files_below(path):
    """The file, or all files below the folder: a folder's own time does not change with what its files hold."""
    path = Path(path)
    return (
        [relative(file) for file in sorted(path.rglob("*")) if file.is_file()]
        if path.is_dir()
        else [relative(path)]
    )


def corpus_files(wildcards):
    """What reading a corpus waits for: the folder that is fetched, or the files that are there."""
    source = source_folder("corpora", wildcards.corpus)
    return (
        source
        if settings.fetched(config["corpora"][wildcards.corpus])
        else files_below(source)
    )


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
    return {
        "model": names(config[stage]["models"], f"{stage}.models"),
        "corpus": config[stage]["corpora"],
    }


def probed():
    """The same for models that choose among tokens: they are also run with masks."""
    models = config["tokens"]["selection"]["models"]
    return chosen("tokens") | {"model": names(models, "tokens.selection.models")}


def names(selection, key):
    """Names of the models that a list of names and families stands for."""
    return [model.name for model in settings.select(selection, MODELS, key)]


def gain_constants(wildcards):
    """What c = d / (n eps2) takes, where a later stage asks for the information gains of this model's tokens."""
    asked = chosen("tokens")
    if wildcards.model in asked["model"] and wildcards.corpus in asked["corpus"]:
        return {"n": config["texts"]["length"], "eps2": config["tokens"]["eps2"]}


def dump_path(variant):
    """The path of a variant's dump. Dumps of nulls are always temporary."""
    path = f"results/dumps/{{model}}/{{corpus}}/{variant}.h5"
    return path if variant == "trained" and config["dump"]["keep"] else temp(path)


def trainings(runs):
    """(width, seed) of everything that a list of runs asks for."""
    return [
        (width, seed)
        for run in runs
        for width in run["widths"]
        for seed in range(run["seeds"])
    ]


LADDER = [
    f"ladder-{width}-s{seed}" for width, seed in trainings(config["ladder"]["runs"])
]
CONTROLS = [
    str(training)
    for groups in config["ladder"]["controls"].values()
    for group in groups
    for training in trainings_by_name.expand(group)
]
STEPS = config["ladder"]["steps"]
STEPPED = [str(training) for training in trainings_by_name.expand(STEPS)]
CELL = "width-{width}_seed-{seed}_unique-{unique}_tokens-{tokens}_rate-{rate}_batch-{batch}"


def cell_recipe(wildcards):
    """The ladder's recipe with a cell's own budget, rate and batch."""
    own = {
        "tokens": int(wildcards.tokens),
        "peak_rate": float(wildcards.rate),
        "batch": int(wildcards.batch),
    }
    return config["ladder"]["recipe"] | own


def grid_cells():
    """Every width, seed and budget of unique tokens, trained for each number of epochs that the ladder's own tokens allow."""
    grid, recipe = config["ladder"]["grid"], config["ladder"]["recipe"]
    budgets = [
        (unique, epochs * unique)
        for unique in grid["unique_tokens"]
        for epochs in grid["epochs"]
        if epochs * unique <= recipe["tokens"]
    ]
    return [
        f"results/ladder/cells/{CELL}.csv".format(
            width=width,
            seed=seed,
            unique=unique,
            tokens=tokens,
            rate=recipe["peak_rate"],
            batch=recipe["batch"],
        )
        for width, seed in trainings(grid["runs"])
        for unique, tokens in budgets
    ]
