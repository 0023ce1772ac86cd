"""Runs of the workflow, each once for all tests of this folder."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from runs import FAULTS, PICTURES, PRIMARY, SETTINGS, Killed, write_corpus
from wheels import make_wheel
from workflow_case import Case, Outcome, Run, copy_project

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
def case(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("whole") / "run"
    write_corpus(folder)
    return Case(project, folder, SETTINGS)


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
        **{stage: {"models": []} for stage in ("ablation", "components", "semantics")},
    }
    return Case(project, folder, settings, PIP_FIND_LINKS=str(wheels))


@pytest.fixture(scope="session")
def started(case: Case) -> Iterator[Run]:
    """The longest run, which goes on while other tests run."""
    run = case.start("--cores", "2")
    yield run
    run.stop()


@pytest.fixture(scope="session")
def faults(faulty: Case) -> Iterator[Run]:
    targets = [f"results/{target}" for target in (*FAULTS, "entropy/ladder-16-s0/small.parquet")]
    run = faulty.start(*targets, "--cores", "2")
    yield run
    run.stop()


@pytest.fixture(scope="session")
def done(started: Run) -> Outcome:
    outcome = started.wait()
    assert outcome.status == 0, outcome.terminal
    return outcome


@pytest.fixture(scope="session")
def table(case: Case, done: Outcome) -> list[dict[str, Any]]:
    return pq.read_table(case.folder / "results/entropy.parquet").to_pylist()


@pytest.fixture(scope="session")
def killed(case: Case, done: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """The same case on one core, in another place."""
    # a dump that is itself a target would be made again, for the nulls' dumps beside it are temporary
    made = [path for path in case.results() if not path.endswith(PICTURES) and not path.startswith("dumps/")]
    targets = [f"results/{path}" for path in made]
    folder = tmp_path_factory.mktemp("killed") / "some/where/else"
    folder.parent.mkdir(parents=True)
    write_corpus(folder)
    other = Case(copy_project(tmp_path_factory.mktemp("elsewhere")), folder, SETTINGS)
    run = other.start(*targets, "--cores", "1")
    while not (parts := list(folder.glob("results/dumps/*/small/.*.part"))) and run.process.poll() is None:
        time.sleep(0.002)
    jobs = psutil.Process(run.process.pid).children(recursive=True)
    next(job for job in reversed(jobs) if any(word.endswith(".dump.py") for word in job.cmdline())).kill()
    outcome = run.wait()
    model = parts[0].parents[1].name
    dumps = list(folder.glob(f"results/dumps/{model}/**/*.h5"))
    resumed = other.start(*targets, "--cores", "1")
    yield Killed(other, outcome, dumps, resumed)
    resumed.stop()


@pytest.fixture(scope="session", autouse=True)
def ahead(request: pytest.FixtureRequest) -> None:
    """Starts the longest runs before the first test of this folder, if any test that was chosen waits for them."""
    chosen = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for run in ("started", "faults"):
        if run in chosen:
            request.getfixturevalue(run)
