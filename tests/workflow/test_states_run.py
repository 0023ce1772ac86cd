"""Imported states beside models that run, from a folder to the figure; and a model that chooses its own nulls."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest
from runs import SETTINGS, WITHOUT, write_corpus
from workflow_case import Case

from geomkit.states.dumps import Dump

SIZES = {"depth": 2, "params_total": 90000, "params_nonembedding": 60000}
MODELS = {
    "mine": {"source": "states", "path": "states", "family": "mine"} | SIZES,
    "few": {"source": "bundled", "path": "ladder/ladder-32-s0", "family": "few", "tokenizer": "ladder", "nulls": ["shuffled"]},
}
SELECTED = {
    "models": MODELS,
    "tokens": {"models": ["ladder-16-s0"], "selection": {"models": []}},
    "entropy": SETTINGS["entropy"] | {"models": ["ladder-16-s0", "few", "mine"]},
    **WITHOUT,
}
TARGETS = ("results/entropy_layers.pdf", "results/scaling_plot.pdf", "results/nulls_plot.pdf", "results/entropy_absent.csv")


def write_states(folder, lengths=(32, 32, 16)):
    """Texts of other lengths than the corpus's, at the last block and the final state."""
    folder.mkdir(parents=True)
    with (folder / "texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("document", "tokens"), *((f"d{number}", size) for number, size in enumerate(lengths))])
    draw = np.random.default_rng(0)
    for layer in (2, 3):
        np.save(folder / f"layer-{layer}.npy", draw.standard_normal((sum(lengths), 24)).astype(np.float32))


@pytest.fixture(scope="module")
def imported(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("states") / "run"
    write_corpus(folder)
    mine = Case(project, folder, SETTINGS)
    write_states(mine.folder / "states/small")
    outcome = mine.run(*TARGETS, "--cores", "2", settings=SELECTED)
    assert outcome.status == 0, outcome.terminal
    return mine, outcome


def test_states_become_a_dump_and_everything_up_to_the_figures(imported):
    mine, outcome = imported
    assert {rule: outcome.jobs.get(rule) for rule in ("import_states", "dump", "spectra")} == {
        "import_states": 1,
        "dump": 2,
        "spectra": 3,
    }
    with Dump(mine.folder / "results/dumps/mine/small/trained.h5") as dump:
        assert [state.layer for state in dump.states] == [2, 3]
    assert all((mine.folder / target).stat().st_size for target in TARGETS)


def test_each_model_has_its_own_nulls_and_the_others_are_absent_with_a_reason(imported):
    mine, _ = imported
    rows = pq.read_table(mine.folder / "results/entropy.parquet", columns=["model", "variant"]).to_pylist()
    variants = {name: {row["variant"] for row in rows if row["model"] == name} for name in ("mine", "few", "ladder-16-s0")}
    bracket = {"stretched", "fixed-spectrum"}
    assert variants["mine"] - bracket == {"trained", "gaussian"}
    assert variants["few"] - bracket == {"trained", "shuffled"}
    assert variants["ladder-16-s0"] - bracket == {"trained", "shuffled", "gaussian", "untrained-0"}
    with (mine.folder / "results/entropy_absent.csv").open(newline="") as file:
        reasons = {(row["model"], row["absent"]): row["reason"] for row in csv.DictReader(file)}
    assert reasons["mine", "untrained"] == reasons["mine", "shuffled"] == "no model runs: its states were imported"
    assert reasons["mine", "loss"] == "the states were imported, and their files do not say it"
    assert reasons["few", "untrained"] == reasons["few", "gaussian"] == "models.few.nulls leaves it out"


def test_a_file_that_changed_is_imported_again(imported):
    mine, _ = imported
    np.save(mine.folder / "states/small/layer-2.npy", np.ones((80, 24), np.float32))
    outcome = mine.run("results/spectra/mine/small.h5", "--cores", "1", "-n", settings=SELECTED)
    assert outcome.jobs.get("import_states") == 1
