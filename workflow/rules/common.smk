import functools
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import yaml
from snakemake_interface_executor_plugins.settings import SharedFSUsage

ROOT = Path(str(workflow.current_basedir)).parents[1]
RESOURCES = ROOT / "workflow/resources"
# in a clone, jobs find the library by PYTHONPATH, which comes before any other copy that may be installed; a package is installed
# with its library
if (ROOT / "lib").exists():
    sys.path.insert(0, str(ROOT / "lib"))
    os.environ.update(
        PYTHONPATH=os.pathsep.join(
            [str(ROOT / "lib"), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
    )

from geomkit.core import checks, costs
from geomkit.core import config as settings
from geomkit.core.catalogue import declared_by_kind
from geomkit.core.configfiles import LOADER, ConfigFiles
from geomkit.core.declarations import LIBRARY, words_in
from geomkit.core.digest import files_below
from geomkit.core.errors import plainly
from geomkit.core.inputs import Inputs, made, staged_content, unstaged_files
from geomkit.core.job import call, check_rules
from geomkit.core.plan import Plan, one_of

DEFAULTS, SCHEMA = (
    yaml.load((ROOT / path).read_text(), Loader=LOADER)
    for path in ("config.yaml", "workflow/schemas/config.schema.yaml")
)
# in a module the configuration is its caller's, and may be partial
config = settings.completed(config or {}, DEFAULTS)
# files on the command line take precedence over the workflow's own
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


def shares_folder():
    """Whether jobs see the folder that Snakemake runs in. Where they do not, Snakemake runs each job with a local input itself."""
    return SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage


with plainly():
    config, MODELS, change = checks.checked(
        config, SCHEMA, declared_by_kind(), RESOURCES, FILES
    )
if change and workflow.is_main_process:
    print(change, file=sys.stderr)
# models that ship, for questions about the ladder itself
SHIPPED_LADDER = settings.select(["ladder"], MODELS, "models")
plan = Plan(config, MODELS, declared_by_kind(), list(settings.stages(SCHEMA)))
inputs = Inputs(plan, RESOURCES, shares_folder())
# figures show everything that the configuration selects, by names that they read in tables
call = functools.partial(call, shown=words_in((config, plan.metrics)))

# each file of rules adds its targets: of `rule all`, of `rule all` where there are laws with size, and of `rule fetch`
DEFAULT, LAWS, DOWNLOADS = [], [], []


wildcard_constraints:
    model=r"[A-Za-z0-9._-]+",
    corpus=r"[A-Za-z0-9._-]+",
    tokenizer=r"[A-Za-z0-9._-]+",


def relative(path):
    """The path of a file of the project or the user from the working directory, so that results do not depend on where it lies.
    It is local: neither the prefix of a module nor a storage provider applies to it."""
    return local(os.path.relpath(path))


def given(path):
    """The path of what an entry of the catalogue points at, whose time does not count: what it holds is a parameter (`content`).
    What a rule makes has a time that counts."""
    if isinstance(path, str):
        return path
    return relative(path) if made(path) and path.is_file() else ancient(relative(path))


def given_files(files, wildcards=None, **fixed):
    """What `Inputs` lists for a job, or for wildcards that are fixed."""
    with plainly():
        return [
            given(path)
            for path in files(SimpleNamespace(**fixed) if fixed else wildcards)
        ]


def head(files, **fixed):
    """The first of what `Inputs` lists for a job, or for wildcards that are fixed: a folder, or what a reader takes."""
    return lambda wildcards: given_files(files, wildcards, **fixed)[0]


def rest(files, **fixed):
    """The others: files in the folder, which are waited for."""
    return lambda wildcards: given_files(files, wildcards, **fixed)[1:]


def all_files(names):
    """What a job that loads several models waits for."""
    return [
        file for name in names for file in given_files(inputs.model_files, model=name)
    ]


def folders(names):
    """The folder of each of several models."""
    return [given_files(inputs.model_files, model=name)[0] for name in names]


def dump_path(variant):
    """The path of a variant's dump. Dumps of nulls are always temporary."""
    path = f"results/dumps/{{model}}/{{corpus}}/{variant}.h5"
    kept = variant == "trained" and config["dump"]["keep"] is True
    return path if kept else temp(path)


def spectra_of_family(stage):
    """Spectra of a stage's models of the family of a job's model."""
    return lambda wildcards: [
        f"results/spectra/{name}/{wildcards.corpus}.h5"
        for name in plan.members(stage, wildcards)["families"]
    ]


def widths_of_family(stage):
    """What says how wide the models of a job's family are: folders of models, or dumps of imported states."""
    return lambda wildcards: [
        (
            f"results/dumps/{name}/{wildcards.corpus}/trained.h5"
            if name in plan.imported
            else head(inputs.model_files, model=name)(wildcards)
        )
        for name in plan.members(stage, wildcards)["families"]
    ]


# without a GPU there is no key at all, because some executors take gpu=0 for a request
GPU = {"gpu": 1} if config["compute"]["device"] == "cuda" else {}
# on the CPU one cluster job dumps and decomposes. With a GPU, the GPU would be idle during the spectra; with a storage, the second rule
# would read what the first has not yet stored; and parts are jobs of their own
MEASURING = "measuring" if inputs.shared and not GPU and len(plan.parts) == 1 else None


def loading(minute, sized=lambda input: [input.folder]):
    """Resources of a job that loads a model: it takes a minute for so many megabytes of its folder, or of what is sized."""
    return GPU | {
        "mem_mb": lambda wildcards, input, attempt: attempt
        * (4000 + 5 * inputs.megabytes(sized(input))),
        "runtime": lambda wildcards, input, attempt: attempt
        * (60 + inputs.megabytes(sized(input)) // minute),
    }


LOADING = loading(10)


def spec_of(model):
    """How a model is loaded and run."""
    return model.spec(config["compute"]["device"], config["compute"]["dtype"])


# parameters of jobs that run a model, that read its states while it runs, and that read states from dumps
OF_MODEL = {
    "content": inputs.model_content,
    "spec": lambda wildcards: spec_of(MODELS[wildcards.model]),
}
RUNNING = OF_MODEL | {
    "states": "geomkit.models.stream:runs",
    "origin": lambda wildcards: settings.origin(MODELS[wildcards.model].entry),
    "batch_tokens": config["compute"]["batch_tokens"],
}
STORED = {"states": "geomkit.states.dumps:stored"}
# states to read from a running model: all selected ones, or those that models of different depth have in common
CHOSEN_STATES = {
    key: config["dump"][key] for key in ("layers", "sublayers", "mlp_hidden")
}
LAST_STATES = {"layers": ["last", "final"], "sublayers": False}


def relatives(stage):
    """Parameters with family and seed of a stage's models of the family of a job's model: others are no reason to run it again."""
    return {
        "families": lambda wildcards: plan.members(stage, wildcards)["families"],
        "seeds": lambda wildcards: plan.members(stage, wildcards)["seeds"],
    }


# parameters of tables about one model, of jobs that evaluate metrics, and of jobs that resample
ABOUT_MODEL = {
    "family": lambda wildcards: MODELS[wildcards.model].family,
    "model_seed": lambda wildcards: MODELS[wildcards.model].seed,
}
MEASURED = {"metrics": plan.metrics, "parameters": plan.parameters}
RESAMPLED = {"resamples": config["scaling"]["bootstrap"], "seed": config["seed"]}


# nothing else shows this early that it is a dry run
if {"-n", "--dry-run", "--dryrun"} & set(sys.argv):
    print(
        costs.estimate(plan, costs.read_rates(RESOURCES / "costs/rates.csv")),
        file=sys.stderr,
    )
