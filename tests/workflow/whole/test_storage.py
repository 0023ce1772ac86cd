"""The workflow with its results in a storage, of which a folder of this machine is the simplest."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
import yaml
from runs import MODELS, SETTINGS, write_corpus
from workflow_case import ROOT, Case, Outcome, Run, copy_project

TARGET = "results/entropy/ladder-16-s0/small.parquet"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("rsync"), reason="the storage plugin fs copies with rsync"),
    pytest.mark.skipif(not find_spec("snakemake_storage_plugin_fs"), reason="snakemake-storage-plugin-fs is not installed"),
]


def storage(folder) -> list[str]:
    return ["--default-storage-provider", "fs", "--default-storage-prefix", str(folder)]


def test_results_in_a_storage_have_the_bytes_of_results_in_the_working_folder(case, done, project, tmp_path):
    write_corpus(tmp_path / "run")
    store = tmp_path / "store"
    stored = Case(project, tmp_path / "run", SETTINGS)
    outcome = stored.run(TARGET, "--cores", "1", *storage(store))
    assert outcome.status == 0, outcome.terminal
    assert (store / TARGET).read_bytes() == (case.folder / TARGET).read_bytes()
    assert not (tmp_path / "run/results").exists()
    assert outcome.jobs == {"corpus": 1, "texts": 1, "dump": 1, "spectra": 1, "entropy": 1}


@pytest.fixture
def repository(tmp_path) -> Case:
    """A git repository with the project and the case's inputs, and without other models, which take time to compress."""
    folder = tmp_path / "repository"
    write_corpus(folder)
    copy_project(folder)
    for path in [*(folder / "workflow/resources/ladder").rglob("ladder-*")]:
        if path.is_dir() and not path.name.startswith((*MODELS, "ladder-18", "ladder-16-mlp16")):
            shutil.rmtree(path)
    (folder / ".gitignore").write_text("__pycache__\n")
    (tmp_path / "pods").mkdir()
    settings = SETTINGS | {stage: {"models": ["ladder-24-s0"]} for stage in ("theory", "next_token")}
    case = Case(folder, folder, settings, PYTHONPATH=str(ROOT / "tests/pods"), PODS=str(tmp_path / "pods"))
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return case


def alone(repository: Case, *arguments: str) -> Outcome:
    """A run from the repository itself. A folder that --directory names would be the jobs' folder too."""
    command = [sys.executable, "-m", "snakemake", TARGET, *arguments, "--configfile", "settings.yaml"]
    return Run(command, repository.folder, repository.environment).wait()


def profile(folder) -> list[str]:
    """The profile of Kubernetes, but that pods are empty folders of this machine, and the storage is one too."""
    settings = yaml.safe_load((ROOT / "profiles/kubernetes/config.yaml").read_text())
    elsewhere = {"executor": "pods", "default-storage-provider": "fs", "default-storage-prefix": str(folder / "store")}
    often = {"seconds-between-status-checks": 1}
    settings = {key: value for key, value in settings.items() if not key.startswith("kubernetes-")} | elsewhere | often
    (folder / "profile").mkdir()
    (folder / "profile/config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return ["--workflow-profile", str(folder / "profile")]


@pytest.mark.skipif(not shutil.which("git"), reason="Snakemake sends jobs what git knows of")
def test_jobs_that_share_no_folder_with_snakemake_make_the_same_bytes(case, done, repository, tmp_path):
    outcome = alone(repository, *profile(tmp_path))
    assert outcome.status == 0, outcome.terminal
    assert (tmp_path / "store" / TARGET).read_bytes() == (case.folder / TARGET).read_bytes()
    pods = [path for path in (tmp_path / "pods").iterdir() if path.is_dir()]
    assert sorted(path.name.rpartition("-")[0] for path in pods) == ["dump", "entropy", "spectra", "texts"]
    assert outcome.jobs["stage"] == 2
    assert all((pod / "lib/geomkit/core/config.py").is_file() for pod in pods)
    for pod in pods:
        asked = json.loads(pod.with_suffix(".json").read_text())
        assert (asked["gpu_manufacturer"], asked["scale"], asked["disk_mb"]) == ("nvidia", 0, 20000)
        assert asked["mem_mb"] >= 1000
        assert "gpu" not in asked, "a model on the CPU needs none"


def test_where_jobs_run_elsewhere_the_device_is_said(repository, tmp_path):
    outcome = alone(repository, *profile(tmp_path), "--config", "compute={device: auto}")
    assert outcome.status == 1
    assert "config: compute.device: auto, but jobs run on other machines; say cpu or cuda" in outcome.terminal
    assert "Traceback" not in outcome.terminal
    assert not list((tmp_path / "pods").iterdir())
