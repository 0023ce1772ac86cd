"""A model that is measured while it runs, through all stages but two, beside one that is dumped; and in several jobs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from runs import SETTINGS, write_corpus
from workflow_case import Case, Outcome

NONE = {"dump": {"keep": "none"}, "theory": {"models": ["ladder-16-s0"]}}
STAGES = ("entropy", "tokens", "ablation", "sinks")
TARGETS = (*(f"results/{stage}.parquet" for stage in STAGES), "results/projections/small.parquet")
PROBED = "ladder-24-s0"


@pytest.fixture(scope="module")
def running(project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Outcome]:
    folder = tmp_path_factory.mktemp("running") / "run"
    write_corpus(folder)
    mine = Case(project, folder, SETTINGS)
    return mine, mine.run(*TARGETS, "--cores", "2", settings=NONE)


def test_no_states_are_written_of_a_model_that_neither_semantics_nor_theory_selects(case, done, running):
    mine, outcome = running
    assert outcome.status == 0, outcome.terminal
    once = ("measure", "project", "dump", "spectra", "probe", "selection", "removal", "ablation", "sinks")
    assert {rule: outcome.jobs[rule] for rule in once} == dict.fromkeys(once, 1)
    assert not list((mine.folder / "results/dumps").rglob("*.h5"))
    assert not (mine.folder / f"results/dumps/{PROBED}").exists()
    for name in TARGETS:
        found, expected = (pq.read_table(each.folder / name) for each in (mine, case))
        assert len(found), name
        rows = [table.drop(["value", "bound"]).to_pylist() for table in (found, expected)]
        assert rows[0] == rows[1], name
        np.testing.assert_allclose(found["value"].to_numpy(), expected["value"].to_numpy(), rtol=1e-7, atol=1e-9, err_msg=name)
        reasons = [pq.read_metadata(each.folder / name).metadata[b"absent"] for each in (mine, case)]
        assert json.loads(reasons[0]) == json.loads(reasons[1])


@pytest.mark.slow
def test_a_run_in_parts_without_dumps_has_the_bytes_of_a_run_in_one(project, running, tmp_path):
    whole, folder = running[0].folder, tmp_path / "run"
    write_corpus(folder)
    for made in ("corpora", "texts"):
        shutil.copytree(whole / "results" / made, folder / "results" / made)
    target = f"results/spectra/{PROBED}/small.h5"
    mine = Case(project, folder, SETTINGS)
    outcome = mine.run(target, "--cores", "2", settings={**NONE, "dump": {"keep": "none", "parts": 3}})
    assert outcome.status == 0, outcome.terminal
    assert outcome.jobs == {"sum_rows": 3, "measure_part": 3, "merge_measured": 1}
    assert (folder / target).read_bytes() == (whole / target).read_bytes()
    left = [path.relative_to(folder).as_posix() for path in (folder / "results").rglob("*.h5")]
    assert [path for path in left if not path.startswith("results/texts/")] == [target], "parts do not stay"
