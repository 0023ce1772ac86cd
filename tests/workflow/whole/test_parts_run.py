"""One model on one corpus in several jobs: the same bytes as in one."""

import shutil

import pytest
from runs import SETTINGS, write_corpus
from workflow_case import Case

MODEL = "ladder-16-s0/small"
RESULTS = (f"spectra/{MODEL}.h5", f"dumps/{MODEL}/trained.h5", f"entropy/{MODEL}.parquet")


@pytest.mark.slow
@pytest.mark.parametrize("parts", [2, 5])
def test_a_run_in_parts_has_the_bytes_of_a_run_in_one(project, case, done, tmp_path, parts):
    """The six texts are three batches: of two parts one has two of them, and of five parts the third and the last have none."""
    write_corpus(tmp_path / "run")
    for folder in ("corpora", "texts"):
        shutil.copytree(case.folder / "results" / folder, tmp_path / "run/results" / folder)
    mine = Case(project, tmp_path / "run", SETTINGS)
    outcome = mine.run(f"results/{RESULTS[-1]}", "--cores", "2", settings={"dump": {"parts": parts}})
    assert outcome.status == 0, outcome.terminal
    in_parts, once = ("dump_part", "sum_rows", "spectra_part"), ("merge_dumps", "merge_spectra", "entropy")
    assert outcome.jobs == dict.fromkeys(in_parts, parts) | dict.fromkeys(once, 1)
    found, whole = mine.results(), case.results()
    assert [path for path in RESULTS if found[path] != whole[path]] == []
    assert {path for path in found if path.startswith(("dumps/", "spectra/"))} == set(RESULTS[:2]), "parts do not stay"
