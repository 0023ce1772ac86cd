"""A model that is measured while it runs, through all stages but two, beside one that is dumped."""

import json

import numpy as np
import pyarrow.parquet as pq
from runs import SETTINGS, write_corpus
from workflow_case import Case

NONE = {"dump": {"keep": "none"}, "theory": {"models": ["ladder-16-s0"]}}
STAGES = ("entropy", "tokens", "ablation", "sinks")
TARGETS = (*(f"results/{stage}.parquet" for stage in STAGES), "results/projections/small.parquet")
PROBED = "ladder-24-s0"


def test_no_states_are_written_of_a_model_that_neither_semantics_nor_theory_selects(project, case, done, tmp_path):
    write_corpus(tmp_path / "run")
    mine = Case(project, tmp_path / "run", SETTINGS)
    outcome = mine.run(*TARGETS, "--cores", "2", settings=NONE)
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
