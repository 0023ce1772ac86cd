"""Runs of the workflow for tests of this folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from runs import FAULTS, PRIMARY, SETTINGS, WITHOUT, write_corpus
from wheels import make_wheel
from workflow_case import Case, Run, copy_project

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder runs Snakemake."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("workflow")


def write_loud_model(ladder: Path, target: Path) -> None:
    """The smallest model with an embedding that float16 cannot hold."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(ladder / "ladder-16-s0", target)
    shutil.copytree(ladder / "tokenizer", target, dirs_exist_ok=True)
    weights = {name: weight.astype(np.float32) for name, weight in load_file(target / "model.safetensors").items()}
    weights["gpt_neox.embed_in.weight"] *= 1e7
    save_file(weights, target / "model.safetensors", {"format": "pt"})


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project: nobody else edits it, and tests may."""
    return copy_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A case with corpora, and a model, that jobs find fault with, beside a project that no other test edits."""
    project = copy_project(tmp_path_factory.mktemp("untouched"))
    folder = tmp_path_factory.mktemp("faulty") / "run"
    write_corpus(folder)
    for name, content in {"blank/a.txt": " \n", "bare/a.csv": "no text", "short/a.txt": "a"}.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(content)
    wheels = folder.with_name("wheels")
    wheels.mkdir()
    make_wheel(wheels, "speeches", {"speeches/a.txt": b"Fellow citizens."})
    write_loud_model(project / "workflow/resources/ladder", folder / "loud")
    settings = SETTINGS | {
        "models": {"loud": {"source": "local", "path": "loud"}},
        "corpora": {
            **SETTINGS["corpora"],
            **{name: {"source": "local", "path": name, "reader": "text"} for name in ("blank", "bare", "short")},
            "wheel": {"source": "pypi", "package": "speeches==1.0", "member": "speeches/a.txt", "sha256": "0" * 64},
        },
        "dump": {"layers": [0, "last"], "sublayers": True, "dtype": "float16", "compression": "gzip", "keep": False},
        "entropy": SETTINGS["entropy"] | {"models": ["ladder-16-s0"], "metrics": PRIMARY, "nulls": ["gaussian"]},
        "tokens": {"models": ["ladder-16-s0"], "corpora": ["small"], "selection": {"models": []}},
        **WITHOUT,
    }
    return Case(project, folder, settings, PIP_FIND_LINKS=str(wheels))


@pytest.fixture(scope="session")
def faults(faulty: Case) -> Iterator[Run]:
    targets = [f"results/{target}" for target in (*FAULTS, "entropy/ladder-16-s0/small.parquet")]
    run = faulty.start(*targets, "--cores", "2")
    yield run
    run.stop()
