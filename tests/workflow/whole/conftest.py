"""A whole run of the small workflow, once for all tests of this folder, and the same run with a job killed."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from runs import ALL, PICTURES, SETTINGS, Killed, write_corpus
from workflow_case import Case, Outcome, calls, copy_project


@pytest.fixture(scope="session")
def case(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("whole") / "run"
    write_corpus(folder)
    return Case(project, folder, SETTINGS)


@pytest.fixture(scope="session")
def done(case: Case) -> Outcome:
    outcome = case.run(*ALL, "--cores", "2")
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
    next(job for job in reversed(jobs) if calls(job, "dump_states")).kill()
    outcome = run.wait()
    model = parts[0].parents[1].name
    dumps = list(folder.glob(f"results/dumps/{model}/**/*.h5"))
    resumed = other.start(*targets, "--cores", "1")
    yield Killed(other, outcome, dumps, resumed)
    resumed.stop()
