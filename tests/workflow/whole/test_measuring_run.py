"""Models that are measured while they run, through all stages, beside models that are dumped; and in several jobs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from runs import MODELS, SETTINGS, listed, write_corpus
from workflow_case import Case, Outcome

from geomkit.studies.width_share.rows import WidthExponent
from geomkit.tables.rows import read_csv
from geomkit.theory.rows import ConditionalGain

SMALL = {"models": list(MODELS), "corpora": ["small"]}
NONE = {"dump": {"keep": "none"}, "theory": SMALL, "width_share": SMALL}
STAGES = ("entropy", "tokens", "ablation", "sinks")
TARGETS = (*(f"results/{stage}.parquet" for stage in STAGES), "results/projections/small.parquet")
SINGULAR = ("erank_singular", "nuclear_norm")
"""Of singular values: the root of an eigenvalue that is rounding, as in the direction that a final norm removes, is 1e-8."""
TABLES = {"results/theory/conditional.csv": ConditionalGain, "results/width_share/exponents.csv": WidthExponent}


@pytest.fixture(scope="module")
def running(project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Outcome]:
    folder = tmp_path_factory.mktemp("running") / "run"
    write_corpus(folder)
    mine = Case(project, folder, SETTINGS)
    return mine, mine.run(*TARGETS, *TABLES, "--cores", "2", settings=NONE)


def test_no_states_are_written_of_models_that_are_measured_while_they_run(case, done, running):
    mine, outcome = running
    assert outcome.status == 0, outcome.terminal
    for_each = ("measure", "project_running", "measure_lengths", "condition_running")
    once = ("probe", "selection", "removal", "ablation", "sinks")
    expected = dict.fromkeys(for_each, len(MODELS)) | dict.fromkeys(once, 1)
    assert {rule: outcome.jobs[rule] for rule in expected} == expected
    assert not {"dump", "spectra", "project", "condition"} & outcome.jobs.keys()
    assert not (mine.folder / "results/dumps").exists()
    for path, record in TABLES.items():
        assert read_csv(mine.folder / path, record)
    for name in TARGETS:
        found, expected = (pq.read_table(each.folder / name) for each in (mine, case))
        assert len(found), name
        rows = [table.drop(["value", "bound"]).to_pylist() for table in (found, expected)]
        assert rows[0] == rows[1], name
        singular = np.isin(found["metric"].to_pylist(), SINGULAR)
        values = [table["value"].to_numpy() for table in (found, expected)]
        for rows, rtol in ((singular, 1e-5), (~singular, 1e-7)):
            np.testing.assert_allclose(*(own[rows] for own in values), rtol=rtol, atol=1e-9, err_msg=name)
        reasons = [pq.read_metadata(each.folder / name).metadata[b"absent"] for each in (mine, case)]
        assert json.loads(reasons[0]) == json.loads(reasons[1])


def test_documents_that_people_judged_take_no_dump_either(case, done):
    judged = {"models": ["ladder-16-s0"], "corpora": ["small"], "background": "small", "judgements": "small"}
    jobs = listed(case, settings=NONE | {"semantics": judged}, target="results/semantics.pdf").jobs
    assert jobs["compare"] == 1
    assert not {"dump", "semantics"} & jobs.keys()


@pytest.mark.slow
def test_a_run_in_parts_without_dumps_has_the_bytes_of_a_run_in_one(project, running, tmp_path):
    whole, folder = running[0].folder, tmp_path / "run"
    write_corpus(folder)
    for made in ("corpora", "texts"):
        shutil.copytree(whole / "results" / made, folder / "results" / made)
    target = f"results/spectra/{list(MODELS)[1]}/small.h5"
    mine = Case(project, folder, SETTINGS)
    outcome = mine.run(target, "--cores", "2", settings={**NONE, "dump": {"keep": "none", "parts": 2}})
    assert outcome.status == 0, outcome.terminal
    assert outcome.jobs == {"run_sums": 2, "measure_part": 2, "merge_spectra": 1}
    assert (folder / target).read_bytes() == (whole / target).read_bytes()
    left = [path.relative_to(folder).as_posix() for path in (folder / "results").rglob("*.h5")]
    assert [path for path in left if not path.startswith("results/texts/")] == [target], "parts do not stay"


def test_parts_of_unit_rows_alone_wait_for_no_sums_of_rows(case, done):
    settings = NONE | {"dump": {"keep": "none", "parts": 3}}
    target = f"results/spectra/{list(MODELS)[1]}/small.h5"
    for modes, first in ((["unit"], None), (["unit", "raw"], 3)):
        own = settings | {"entropy": SETTINGS["entropy"] | {"normalise": modes}}
        jobs = listed(case, settings=own, target=target).jobs
        assert (jobs.get("run_sums"), jobs["measure_part"], jobs["merge_spectra"]) == (first, 3, 1)
