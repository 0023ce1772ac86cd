import csv
import functools
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import yaml
from snakemake_interface_executor_plugins.settings import SharedFSUsage

ROOT = Path(str(workflow.current_basedir)).parents[1]
RESOURCES = ROOT / "workflow/resources"
# jobs find the library by PYTHONPATH, which comes before any other copy that may be installed
sys.path.insert(0, str(ROOT / "lib"))
os.environ.update(
    PYTHONPATH=os.pathsep.join(
        [str(ROOT / "lib"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
)

from geomkit import config as settings
from geomkit import checks, costs, variants
from geomkit.catalogue import declared_by_kind
from geomkit.configfiles import LOADER, ConfigFiles
from geomkit.digest import content_digest, files_below
from geomkit.errors import ConfigError
from geomkit.job import call, check_rules
from geomkit.source import words_in

DEFAULTS, SCHEMA = (
    yaml.load((ROOT / path).read_text(), Loader=LOADER)
    for path in ("config.yaml", "workflow/schemas/config.schema.yaml")
)
# of a module the configuration is its caller's, which need not be whole
config = settings.completed(config or {}, DEFAULTS)
# of the files those on the command line go before the workflow's own
FILES = ConfigFiles(
    [
        ROOT / "config.yaml",
        *sorted(
            workflow.configfiles,
            key=lambda path: path in workflow.overwrite_configfiles,
        ),
    ],
    SCHEMA["properties"],
)
try:
    MODELS = checks.checked_models(config, SCHEMA, declared_by_kind(), RESOURCES, FILES)
except ConfigError as error:
    raise SystemExit(f"ConfigError: {error}") from None

# what each model is run for: the nulls that entropy chooses, or its entry of the catalogue
OWN_NULLS = {
    name: variants.own(config["entropy"], model.entry) for name, model in MODELS.items()
}
RUNS = {name: variants.runs(entropy) for name, entropy in OWN_NULLS.items()}
VARIANTS = variants.union(config["entropy"], [model.entry for model in MODELS.values()])
METRICS = config["entropy"]["metrics"]
if METRICS == "all":
    METRICS = list(declared_by_kind()["metric"])
PARAMETERS = settings.metric_parameters(config["entropy"])
SELECTORS = config["tokens"]["selection"]["methods"]
if SELECTORS == "all":
    SELECTORS = list(declared_by_kind()["selection method"])
# figures show all that is chosen, by names that they read in tables
call = functools.partial(call, shown=words_in((config, METRICS)))


ABOVE = "-above-"  # for .. in the path of a copy


def shares_folder():
    """Whether jobs see the folder that Snakemake runs in. Where they do not, Snakemake runs each job with a local input itself."""
    return SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage


SHARED = shares_folder()


wildcard_constraints:
    model=r"[A-Za-z0-9._-]+",
    corpus=r"[A-Za-z0-9._-]+",
    tokenizer=r"[A-Za-z0-9._-]+",


def head(files):
    """The first of what an input function gives: a folder, or what a reader takes."""
    return lambda wildcards: files(wildcards)[0]


def rest(files):
    """The others: files in the folder, which are waited for."""
    return lambda wildcards: files(wildcards)[1:]


def relative(path):
    """The path of a file of the project or the user from the working directory, so that results do not depend on where it lies.
    It is local: neither the prefix of a module nor a storage provider applies to it."""
    return local(os.path.relpath(path))


def given(path):
    """The path of what an entry of the catalogue points at, whose time does not count: what it holds is a parameter (`content`).
    What a rule makes has a time that counts."""
    return relative(path) if made(path) else ancient(relative(path))


def content(path):
    """A digest of what a file or folder holds, unless a rule makes it."""
    return None if made(path) else content_digest(Path(path))


def made(path):
    """Whether a path is among the results."""
    return Path(os.path.abspath(path)).is_relative_to(Path("results").absolute())


def entry_content(kind, name):
    """What tells whether an entry's files are others: of a fetched one its pin, of any other the digest."""
    entry = config[kind][name]
    if settings.fetched(entry):
        return settings.origin(entry)
    return content(source_folder(kind, name))


def content_of(model):
    """The same of a model, of its own folder alone."""
    if settings.converted(model.entry):
        return entry_content("models", model.key)
    return content(model.folder)


def model_content(wildcards):
    """The same of the model of a job."""
    return content_of(MODELS[wildcards.model])


def tokenizer_content(wildcards):
    """The same of the tokenizer that cuts texts."""
    model = TOKENIZERS[wildcards.tokenizer]
    if settings.converted(model.entry):
        return content_of(model)
    return content(settings.tokenizer_folder(model.folder))


def corpus_content(wildcards):
    """The same of a corpus."""
    return entry_content("corpora", wildcards.corpus)


def states_content(wildcards):
    """The same of a corpus's imported states."""
    return content(MODELS[wildcards.model].folder / wildcards.corpus)


def model_files(wildcards):
    """What a job that loads a model waits for: its folder first, and the files in it if they were there before the workflow."""
    return model_folder(MODELS[wildcards.model], lambda folder: folder)


def folders_of_models(models):
    """The folder of each of several models."""
    return [model_files(SimpleNamespace(model=name))[0] for name in models]


def files_of_models(models):
    """What a job that loads several models waits for."""
    return [
        file for name in models for file in model_files(SimpleNamespace(model=name))
    ]


def converted_files(wildcards):
    """What a model is converted from: its file or folder first, and the files in a folder that is there."""
    source = source_folder("models", wildcards.name)
    local_folder = not settings.fetched(config["models"][wildcards.name])
    return given_folder(source) if local_folder and Path(source).is_dir() else [source]


def adapter_files(wildcards):
    """The folder of a model's adapter first, then the files in it; nothing for a model without one."""
    entry = config["models"][wildcards.name]
    return given_folder(settings.adapter_folder(entry)) if "adapter" in entry else []


def adapter_content(wildcards):
    """A digest of a model's adapter."""
    entry = config["models"][wildcards.name]
    return content(settings.adapter_folder(entry)) if "adapter" in entry else None


def states_files(wildcards):
    """The folder of a corpus's imported states first, then the files in it."""
    return given_folder(MODELS[wildcards.model].folder / wildcards.corpus)


def tokenizer_files(wildcards):
    """What cutting texts waits for: first the folder of the model whose tokenizer it is, then the tokenizer's files that are there."""
    return model_folder(TOKENIZERS[wildcards.tokenizer], settings.tokenizer_folder)


def model_folder(model, read):
    """A model's folder first, and the files in what is read of it if they were there before the workflow."""
    if settings.converted(model.entry):
        return [str(model.folder)]
    if not SHARED:
        return staged(model.folder, settings.tokenizer_folder(model.folder))
    return given_folder(model.folder, read(model.folder))


def with_folder(folder):
    """A folder of the project, whose own time does not count, and then all files below it."""
    return [ancient(relative(folder)), *map(relative, files_below(Path(folder)))]


def given_folder(folder, read=None):
    """The same of what an entry points at: the folder, and then all files below it, or below the folder `read`."""
    files = files_below(Path(read or folder))
    if odd := [file for file in files if {"{", "}"} & set(file)]:
        raise SystemExit(
            f"ConfigError: {odd[0]}: Snakemake takes braces in names of files for wildcards; rename it"
        )
    return [ancient(relative(folder)), *map(given, files)]


def staged(*folders):
    """Copies of the folders in the storage, at places that have to one another the places of the folders."""
    return [
        f"results/staged/{place}"
        for place in dict.fromkeys(
            os.path.relpath(folder).replace("..", ABOVE) for folder in folders
        )
    ]


def unstaged(wildcards):
    """The folder that one in the storage is a copy of, and the files in it."""
    return given_folder(original(f"results/staged/{wildcards.place}"))


def staged_content(wildcards):
    """A digest of the folder that one in the storage is a copy of."""
    return content(original(f"results/staged/{wildcards.place}"))


def original(path):
    """The folder that one in the storage is a copy of; any other path as it is."""
    _, copied, place = str(path).partition("results/staged/")
    return place.replace(ABOVE, "..") if copied else path


def model_texts(wildcards):
    """The texts that a model reads of a corpus."""
    return f"results/texts/{MODELS[wildcards.model].tokenizer}/{wildcards.corpus}.h5"


def lengths_needed(wildcards):
    """Tokens that the longest text must have, by key: without them a model would run, and then nothing could be measured or drawn."""
    asked = chosen("entropy")
    tokenizers = {MODELS[name].tokenizer for name in asked["model"]}
    if wildcards.corpus not in asked["corpus"] or wildcards.tokenizer not in tokenizers:
        return {}
    primary = {"scaling.primary.length": config["scaling"]["primary"]["length"]}
    return {"entropy.lengths": min(config["entropy"]["lengths"])} | (
        primary if len(asked["corpus"]) == 1 else {}
    )


def corpus_files(wildcards):
    """What reading a corpus waits for: first the file or folder that a reader takes, then the files in a folder that is there."""
    source = source_folder("corpora", wildcards.corpus)
    if Path(source).is_dir() and not settings.fetched(
        config["corpora"][wildcards.corpus]
    ):
        return given_folder(source)
    return [source]


def source_folder(kind, name):
    """Where a catalogue entry's files are."""
    entry = config[kind][name]
    if settings.fetched(entry):
        return f"results/sources/{kind}/{name}"
    return given(settings.source_path(f"{kind}.{name}", entry, RESOURCES))


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


def selected(stage):
    """The figure of a stage, in a list that is empty where no model is selected."""
    return [f"results/{stage}.pdf"] if config[stage]["models"] else []


def names(selection, key):
    """Names of the models that a list of names and families stands for."""
    return [model.name for model in settings.select(selection, MODELS, key)]


# what the default targets, and `fetch`, are made for
STAGES = ("entropy", "tokens", "ablation", "components", "semantics", "trajectory")
SELECTED = [name for stage in (*STAGES, "theory") for name in chosen(stage)["model"]]
# of each tokenizer the first model that has it, selected ones first
TOKENIZERS = {
    MODELS[name].tokenizer: MODELS[name]
    for name in reversed([*SELECTED, *MODELS])
    if not MODELS[name].imported
}


# no key at all where there is no GPU, for some executors take gpu=0 for a request
GPU = {"gpu": 1} if config["compute"]["device"] == "cuda" else {}
# where several jobs share a model's work on a corpus: names of their parts
PARTS = [
    f"{number}-of-{config['dump']['parts']}"
    for number in range(1, config["dump"]["parts"] + 1)
]
PARTED = len(PARTS) > 1
# on the CPU one job of a cluster dumps and decomposes; a GPU would be held through the spectra, a storage would have to give to the
# second rule what the first has not yet brought there, and parts are jobs of their own
MEASURING = "measuring" if SHARED and not GPU and not PARTED else None


def megabytes(files):
    """Size of the files, and of all files in the folders: Snakemake's own size of a folder does not count what it holds. What is
    only in a storage counts nothing, but for a folder that was copied there."""
    held = set()
    for file in map(original, files):
        if SHARED:
            os.stat(
                file
            )  # of an input that is yet to be made Snakemake knows by this error that it must ask again
        path = Path(file)
        held |= set(path.rglob("*")) if path.is_dir() else {path}
    return sum(path.stat().st_size for path in held if path.is_file()) // 10**6


# models at steps of their training
ALONG_TRAINING = [MODELS[name] for name in chosen("trajectory")["model"]]


def models_along(training):
    """The models of a training, first step first."""
    return sorted(
        (model for model in ALONG_TRAINING if model.training == training),
        key=lambda model: model.step,
    )


def first_of(wildcards):
    """What all models of a training have in common."""
    return models_along(wildcards.training)[0]


GAIN = {"n": config["texts"]["length"], "eps2": config["tokens"]["eps2"]}


def gain_constants(wildcards):
    """What c = d / (n eps2) takes, where a later stage asks for the information gains of this model's tokens."""
    asked = chosen("tokens")
    if wildcards.model in asked["model"] and wildcards.corpus in asked["corpus"]:
        return GAIN


def runs_of(wildcards):
    """The variants of a model's dumps."""
    return RUNS[wildcards.model]


def drawn_for(wildcards):
    """Nulls of drawn rows of a model."""
    return variants.drawn(OWN_NULLS[wildcards.model])


def without(wildcards):
    """Nulls that a model has none of, and why."""
    model = MODELS[wildcards.model]
    return variants.left_out(config["entropy"], model.key, model.entry)


def whitened_layers(wildcards):
    """Layers of which each fold of documents has sums, where choices of tokens are to be compared at them."""
    asked = probed()
    if wildcards.model in asked["model"] and wildcards.corpus in asked["corpus"]:
        return config["tokens"]["selection"]["layers"]


def sinks_asked(wildcards):
    """Thresholds of attention sinks, where texts are to be measured without these."""
    asked = chosen("ablation")
    if wildcards.model in asked["model"] and wildcards.corpus in asked["corpus"]:
        return {
            "thresholds": config["ablation"]["sinks"],
            "eps2": config["entropy"]["eps2"],
        }


# at the final state differences from untrained twins are told only by many; results/scaling/fixed_width.csv alone asks for them
TWINS = 20


def twins_of(entry):
    """Twins of the models of an entry, which may set their number, or want none."""
    asked = "untrained" in entry.get("nulls", ["untrained"])
    return entry.get("untrained_seeds", TWINS) if asked else 0


def with_sublayers(wildcards):
    """Whether states after attention and MLPs are dumped: where that is asked for, and of the documents that people judged."""
    judged = chosen("semantics")
    return config["dump"]["sublayers"] or (
        wildcards.model in judged["model"] and wildcards.corpus in judged["corpus"]
    )


def dump_path(variant):
    """The path of a variant's dump. Dumps of nulls are always temporary."""
    path = f"results/dumps/{{model}}/{{corpus}}/{variant}.h5"
    kept = variant == "trained" and config["dump"]["keep"] is True
    return path if kept else temp(path)


IMPORTED = [name for name, model in MODELS.items() if model.imported]
DUMPED = [
    name for name in MODELS if name in IMPORTED or config["dump"]["keep"] != "none"
]
# those whose texts are run in several jobs, and those in one
IN_PARTS = [name for name in DUMPED if PARTED and name not in IMPORTED]
WHOLE = [name for name in DUMPED if name not in IN_PARTS]
# the same of those that are measured while they run
MEASURED = [name for name in MODELS if name not in DUMPED]
MEASURED_IN_PARTS = MEASURED if PARTED else []
MEASURED_WHOLE = [name for name in MEASURED if name not in MEASURED_IN_PARTS]
# normalisations for which a model that is measured while it runs is first run for sums of rows
FIRST_SUMMED = [
    mode
    for mode in config["entropy"]["normalise"]
    for facts in [declared_by_kind()["normalisation"][mode].facts]
    if facts.get("centred") or not facts.get("unit_rows")
]


def one_of(names):
    """A wildcard's pattern for these names alone."""
    return "|".join(map(re.escape, names)) or "(?!)"


def running(stage):
    """Those of a stage's models that run: of the others there are states alone."""
    return [name for name in chosen(stage)["model"] if name not in IMPORTED]


def kept(stage):
    """Those of a stage's models whose states are dumped."""
    return [name for name in chosen(stage)["model"] if name in DUMPED]


def measured(stage):
    """Those that are measured while they run."""
    return [name for name in chosen(stage)["model"] if name not in DUMPED]


def asked_again(layers, sublayers=False, firsts=False):
    """What is asked of a model that runs once more, since there is no dump: layers, and of all texts or the first of each document."""
    return lambda wildcards: {
        "layers": layers,
        "sublayers": sublayers,
        "firsts": firsts,
        "objective": MODELS[wildcards.model].objective,
        "trust_remote_code": MODELS[wildcards.model].entry.get(
            "trust_remote_code", False
        ),
    }


def family_spectra(stage):
    """Spectra of all models of a model's family that a stage selects."""
    return lambda wildcards: [
        f"results/spectra/{name}/{wildcards.corpus}.h5"
        for name in chosen(stage)["model"]
        if MODELS[name].family == MODELS[wildcards.model].family
    ]


def of_models(stage, fact):
    """A fact of the catalogue, family or seed, of each of a stage's models."""
    return {name: getattr(MODELS[name], fact) for name in chosen(stage)["model"]}


def of_family(stage, fact):
    """The same of a model's family alone: other models are no reason to run it again."""
    return lambda wildcards: {
        name: value
        for name, value in of_models(stage, fact).items()
        if MODELS[name].family == MODELS[wildcards.model].family
    }


if {"-n", "--dry-run", "--dryrun"} & set(
    sys.argv
):  # nothing else is told of a dry run this early
    print(
        costs.estimate(
            models=[MODELS[name] for name in running("entropy")],
            dumped=DUMPED,
            config=config,
            variants={name: len(runs) for name, runs in RUNS.items()},
            summed=len(FIRST_SUMMED),
            rates=costs.read_rates(RESOURCES / "costs/rates.csv"),
        ),
        file=sys.stderr,
    )


def refusals():
    """What was refused in this run, one line each: the model, the corpus and why. Everything else has been delivered."""
    return [
        f"{row['model']} on {row['corpus']}: {row['reason']}"
        for path in sorted(Path("results").glob("*_absent.csv"))
        for row in csv.DictReader(path.read_text().splitlines())
        if row["absent"] == "everything" and row["model"] in SELECTED
    ]


JUDGED = SimpleNamespace(corpus=config["semantics"]["judgements"])


def judgement_files(wildcards):
    """What people judged: what a reader takes comes first."""
    return corpus_files(JUDGED)


def planted_cells():
    """Every width, exponent and seed on the law itself, and the axis of data at the widest model and the first seed."""
    facts = config["theory"]["facts"]
    path = "results/theory/training/facts/w{width}-a{exponent:g}-s{seed}-{data}.csv"
    of_size = [
        path.format(width=width, exponent=exponent, seed=seed, data="law")
        for seed in range(facts["seeds"])
        for exponent in facts["exponents"]
        for width in facts["widths"]
    ]
    return of_size + [
        path.format(
            width=max(facts["widths"]), exponent=exponent, seed=0, data=f"d{texts}"
        )
        for exponent in facts["exponents"]
        for texts in facts["samples"]
    ]
