"""A model that is measured while it runs beside one that is dumped."""

import json

import numpy as np
import pyarrow.parquet as pq
from runs import SETTINGS, write_corpus
from workflow_case import Case

STAGES = {"tokens": {"models": ["ladder-24-s0"], "selection": {"models": []}}, "ablation": {"models": []}}
NONE = {"dump": {"keep": "none"}, "theory": {"models": ["ladder-24-s0"]}, **STAGES}
TARGETS = ("results/entropy.parquet", "results/projections/small.parquet")


def test_states_of_a_model_that_only_entropy_selects_are_never_written(project, case, done, tmp_path):
    write_corpus(tmp_path / "run")
    mine = Case(project, tmp_path / "run", SETTINGS)
    outcome = mine.run(*TARGETS, "--cores", "2", settings=NONE)
    assert outcome.status == 0, outcome.terminal
    assert {rule: outcome.jobs[rule] for rule in ("measure", "project", "dump", "spectra", "entropy")} == {
        "measure": 1,
        "project": 1,
        "dump": 1,
        "spectra": 1,
        "entropy": 2,
    }
    assert not list((mine.folder / "results/dumps").rglob("*.h5"))
    assert not (mine.folder / "results/dumps/ladder-16-s0").exists()
    tables = [pq.read_table(each.folder / "results/entropy/ladder-16-s0/small.parquet") for each in (mine, case)]
    assert tables[0].drop(["value", "bound"]) == tables[1].drop(["value", "bound"])
    values = [table["value"].to_numpy() for table in tables]
    np.testing.assert_allclose(*values, rtol=1e-8)
    tables = [pq.read_table(each.folder / TARGETS[1]) for each in (mine, case)]
    assert len(tables[0])
    rows = [table.drop(["value", "bound"]).to_pylist() for table in tables]
    assert rows[0] == rows[1]
    np.testing.assert_allclose(*(table["value"].to_numpy() for table in tables), rtol=1e-10)
    reasons = [json.loads(table.schema.metadata[b"absent"]) for table in tables]
    assert reasons[0] == reasons[1]
