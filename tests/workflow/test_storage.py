"""The workflow with its results in a storage, of which a folder of this machine is the simplest."""

import shutil
from importlib.util import find_spec

import pytest
from runs import SETTINGS, write_corpus
from workflow_case import Case

TARGET = "results/entropy/ladder-16-s0/small.parquet"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("rsync"), reason="the storage plugin fs copies with rsync")
@pytest.mark.skipif(not find_spec("snakemake_storage_plugin_fs"), reason="snakemake-storage-plugin-fs is not installed")
def test_results_in_a_storage_have_the_bytes_of_results_in_the_working_folder(case, done, project, tmp_path):
    write_corpus(tmp_path / "run")
    store = tmp_path / "store"
    stored = Case(project, tmp_path / "run", SETTINGS)
    outcome = stored.run(TARGET, "--cores", "1", "--default-storage-provider", "fs", "--default-storage-prefix", str(store))
    assert outcome.status == 0, outcome.terminal
    assert (store / TARGET).read_bytes() == (case.folder / TARGET).read_bytes()
    assert not (tmp_path / "run/results").exists()
    assert outcome.jobs == {"corpus": 1, "texts": 1, "dump": 1, "spectra": 1, "entropy": 1}
