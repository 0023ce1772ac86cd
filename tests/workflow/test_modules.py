"""The workflow as a module of another one, from its own Snakefile, and where nothing but Snakemake is installed."""

import hashlib
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hidden import hiding
from runs import SETTINGS, WITHOUT, write_corpus
from wheels import make_wheel
from workflow_case import ROOT, Case, Outcome

CALLER = """
module geomkit:
    snakefile: "{project}/workflow/Snakefile"
    config: config["geomkit"]
    {prefix}

use rule * from geomkit as geomkit_*

rule copy:
    default_target: True
    input: "{inside}results/entropy/ladder-16-s0/speeches.parquet",
    output: "mine.parquet"
    shell: "cp {{input}} {{output}}"

dump = workflow.get_rule("geomkit_dump")
print(f"dump: {{sorted(dump.resources)}} in {{dump._group}}")
"""
PARTIAL: dict[str, Any] = {
    "corpora": {"speeches": {"source": "pypi", "package": "speeches==1.0", "member": "speeches", "sha256": "", "reader": "text"}},
    "texts": {"count": 4, "length": 16},
    "dump": {"layers": ["last", "final"]},
    "compute": {"device": "cpu"},
    "entropy": {"models": ["ladder-16-s0"], "corpora": ["speeches"], "lengths": [16], "nulls": ["gaussian"]},
    "scaling": {"primary": {"length": 16}},
    "tokens": {"models": ["ladder-16-s0"], "corpora": ["speeches"], "selection": {"models": []}},
    **WITHOUT,
}
"""What a caller says: the rest comes from config.yaml."""


def caller(project: Path, folder: Path, prefix: str) -> Case:
    """Another workflow that takes geomkit as a module, with a corpus from a wheel."""
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    wheel = make_wheel(wheels, "speeches", {f"speeches/{n}.txt": b"Fellow citizens, we are a people of laws. " * 9 for n in "ab"})
    config = PARTIAL | {
        "corpora": {"speeches": PARTIAL["corpora"]["speeches"] | {"sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()}}
    }
    case = Case(project, folder, {"geomkit": config}, PIP_FIND_LINKS=str(wheels))
    case.snakefile = folder / "Snakefile"
    case.snakefile.write_text(
        CALLER.format(project=project, prefix=f'prefix: "{prefix}"' if prefix else "", inside=f"{prefix}/" if prefix else "")
    )
    return case


@pytest.mark.parametrize("prefix", ["", "inside"], ids=["plain", "with a prefix"])
def test_a_module_runs_with_a_fetched_corpus_and_a_partial_configuration(project, tmp_path, prefix):
    case = caller(project, tmp_path, prefix)
    results = tmp_path / prefix / "results"
    corpus = "/".join(filter(None, [prefix, "results/corpora/speeches.parquet"]))
    outcome = case.run("copy" if prefix else corpus, "--cores", "1")
    assert outcome.status == 0, outcome.terminal
    ran = ("fetch_corpus", "corpus", *(("texts", "dump", "spectra", "entropy") if prefix else ()))
    assert outcome.jobs == dict.fromkeys([*(f"geomkit_{rule}" for rule in ran), *(["copy"] if prefix else [])], 1)
    assert (results / "corpora/speeches.parquet").is_file()
    if prefix:
        assert (tmp_path / "mine.parquet").read_bytes() == (results / "entropy/ladder-16-s0/speeches.parquet").read_bytes()
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} - {".snakemake", "wheels"} == {prefix or "results"}
    listed = case.run("geomkit_all", "geomkit_ladder", "--cores", "1", "--dry-run")
    assert listed.status == 0, listed.terminal
    assert set(re.findall(r"Missing output files: (\w+)/", listed.terminal)) == {prefix or "results"}
    assert gpu_and_group(listed) == (False, "measuring")


def gpu_and_group(outcome: Outcome) -> tuple[bool, str]:
    """Whether a job that dumps asks for a GPU, and the jobs that it runs with."""
    (found,) = re.findall(r"^dump: (.*) in (\w+)$", outcome.terminal, re.MULTILINE)
    return "'gpu'" in found[0], found[1]


def test_a_modules_faulty_key_is_named(project, tmp_path):
    case = caller(project, tmp_path, "inside")
    outcome = case.run("--cores", "1", settings={"geomkit": {"texts": {"counts": 4}}})
    assert outcome.status == 1
    assert re.findall(r"^ConfigError: config: texts: unknown key 'counts'", outcome.terminal, re.MULTILINE)


def test_where_there_is_a_gpu_a_job_asks_for_it_and_dumps_alone(project, tmp_path):
    case = caller(project, tmp_path, "")
    outcome = case.run("--cores", "1", "--dry-run", settings={"geomkit": {"compute": {"device": "cuda"}}})
    assert outcome.status == 0, outcome.terminal
    assert gpu_and_group(outcome) == (True, "None")


def needs(package: str, seen: set[str]) -> set[str]:
    """Distributions that a package needs, and what they need, without extras."""
    name = re.sub(r"[-_.]+", "-", package).lower()
    if name not in seen:
        seen.add(name)
        for requirement in metadata.requires(package) or []:
            wanted = re.match(r"[\w.-]+", requirement)
            if wanted and "extra ==" not in requirement and installed(wanted[0]):
                needs(wanted[0], seen)
    return seen


def installed(package: str) -> bool:
    try:
        return bool(metadata.distribution(package))
    except metadata.PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """PYTHONPATH of an interpreter in which nothing but Snakemake seems to be installed."""
    allowed = needs("snakemake", set()) | {"geomkit", "pip", "setuptools"}
    hidden = sorted(
        module
        for module, owners in metadata.packages_distributions().items()
        if not any(re.sub(r"[-_.]+", "-", owner).lower() in allowed for owner in owners)
    )
    assert {*hidden} >= {"numpy", "torch", "h5py", "pyarrow", "sklearn"}
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(hiding(hidden))
    return str(folder)


def test_the_workflow_is_read_where_nothing_but_snakemake_is_installed_and_its_own_snakefile_makes_the_same(
    project, bare, tmp_path
):
    root = Case(project, tmp_path / "root", {}, PYTHONPATH=bare).run("--cores", "1", "--dry-run")
    assert root.status == 0, root.terminal
    assert "hidden" not in root.terminal
    case = Case(project, tmp_path / "own", {})
    case.snakefile = project / "workflow/Snakefile"
    own = case.run("--cores", "1", "--dry-run")
    assert root.jobs == own.jobs
    assert root.jobs["all"] == 1


def test_snakemake_finds_nothing_to_complain_about_where_nothing_else_is_installed(project, bare, tmp_path):
    write_corpus(tmp_path / "run")
    outcome = Case(project, tmp_path / "run", SETTINGS, PYTHONPATH=bare).run("--lint")
    assert outcome.status == 0, outcome.terminal
    assert "Congratulations" in outcome.terminal
    assert "hidden" not in outcome.terminal


def test_numbers_inside_config_on_the_command_line_are_sent_to_a_file(project, tmp_path):
    outcome = Case(project, tmp_path, {}).run("--cores", "1", "--dry-run", "--config", "texts={count: 6}")
    assert outcome.status == 1
    (line,) = re.findall(r"^ConfigError: .*$", outcome.terminal, re.MULTILINE)
    assert "texts.count: '6' is not of type 'integer'" in line
    assert "--configfile" in line


RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_no_entry_of_params_is_a_path_of_a_result(path):
    blocks = re.findall(r"^    params:\n((?:        .*\n|\n)+)", path.read_text(), re.MULTILINE)
    for block in blocks:
        block = re.sub("#.*", "", block)
        assert not re.search(r"results/|relative\(|source_folder|\.folder\b|RESOURCES", block), block
