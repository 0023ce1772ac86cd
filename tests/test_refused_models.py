"""A model that is refused leaves files with the reason, and what compares models goes on without it."""

from functools import partial
from pathlib import Path

import h5py
import pyarrow.parquet as pq
import pytest

from geomkit.core.errors import DataError, RefusalError
from geomkit.states.decompose import decompose
from geomkit.states.dumps import Dump, stored
from geomkit.states.families import opened_families
from geomkit.states.refusals import refused_files, refused_table
from geomkit.states.spectra import Spectra, write_spectra
from geomkit.states.texts import Texts
from geomkit.studies.entropy.analyse import measure_spectra
from geomkit.studies.tokens.gains import measure_gains
from geomkit.studies.tokens.rows import TokenScore
from geomkit.tables.rows import read_csv
from geomkit.tables.tidy import EVERYTHING, merge_stage, read_absent

REASON = "BertForMaskedLM: it reads in both directions"


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    path = tmp_path / "dumps/bert/c/trained.h5"
    with refused_files([path]):
        raise RefusalError(REASON)
    return path


def test_a_refused_file_is_refused_when_it_is_opened(refused):
    with pytest.raises(RefusalError, match="both directions"):
        Dump(refused)


def test_other_errors_are_no_refusals(tmp_path):
    with pytest.raises(DataError, match="damaged"), refused_files([tmp_path / "a.h5"]):
        raise DataError("damaged")
    assert not (tmp_path / "a.h5").exists()


def test_a_refusal_reaches_the_merged_list_of_absences(refused, tmp_path):
    spectra, table = tmp_path / "spectra/bert/c.h5", tmp_path / "entropy/bert/c.parquet"
    decompose(partial(stored, refused), spectra, ["unit"], [4], ["trained"], [], None, 0)
    with pytest.raises(RefusalError, match="both directions"):
        Spectra(spectra)
    measure_spectra(spectra, table, "bert", None, None, {"eps2": 0.5})
    assert not len(pq.read_table(table))
    merge_stage([str(table)], tmp_path / "entropy.parquet", tmp_path / "entropy_absent.csv")
    assert read_absent(tmp_path / "entropy.parquet") == [[["bert", "c", EVERYTHING], REASON]]
    assert f"bert,c,{EVERYTHING}," in (tmp_path / "entropy_absent.csv").read_text()


def test_tokens_of_a_refused_model_are_an_empty_table_and_an_empty_summary(refused, tmp_path):
    spectra, table, summary = tmp_path / "spectra/bert/c.h5", tmp_path / "tokens/bert/c.parquet", tmp_path / "tokens/bert/c.csv"
    decompose(partial(stored, refused), spectra, ["unit"], [4], ["trained"], [], None, 0)
    measure_gains(spectra, table, summary, "bert", None, 0)
    assert not len(pq.read_table(table))
    assert read_csv(summary, TokenScore) == []


def test_families_go_on_without_a_refused_member(refused, tmp_path):
    facts = {"params_nonembedding": 10, "params_total": 20, "depth": 1}
    good = tmp_path / "spectra/good/c.h5"
    with write_spectra(good, Texts(["a"], [4], [4]), facts, {}):
        pass
    bad = tmp_path / "spectra/bert/c.h5"
    decompose(partial(stored, refused), bad, ["unit"], [4], ["trained"], [], None, 0)
    names = {"good": "f", "bert": "f"}
    with opened_families([good, bad], names, dict.fromkeys(names)) as groups:
        assert [member.name for member in groups["f"]] == ["good"]


def test_a_file_that_was_written_before_the_refusal_is_replaced(tmp_path):
    path = tmp_path / "a.h5"
    with refused_files([path]):
        with h5py.File(path, "w") as file:
            file["x"] = 1
        raise RefusalError(REASON)
    with h5py.File(path) as file:
        assert list(file) == []


def test_a_table_with_the_reason_alone(tmp_path):
    with refused_table(tmp_path / "m/c.parquet"):
        raise RefusalError(REASON)
    assert not len(pq.read_table(tmp_path / "m/c.parquet"))
