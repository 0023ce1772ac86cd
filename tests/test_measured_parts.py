"""A model measured while it runs, in several jobs: the same bytes whatever their number."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from geomkit.errors import DataError, RefusalError
from geomkit.lm import passes
from geomkit.lm.cutting import tokenizer_sha256
from geomkit.lm.first_pass import sum_rows
from geomkit.lm.measuring import measure_model
from geomkit.lm.models import load_tokenizer
from geomkit.measures import spectra
from geomkit.store import decomposition
from geomkit.store.partial_spectra import PartSpectra, merge_measured
from geomkit.store.spectra import Spectra
from geomkit.store.texts import Sample, Texts, write_texts

pytestmark = pytest.mark.slow

PARTS = (2, 7)
DOCUMENTS = [3, 1, 2, 5, 1, 1, 2]
"""Texts of each document: with batches of 36 tokens three texts of 12 fit, so that the fourth document takes two batches."""
MODES, LENGTHS, VARIANTS, DRAWN = ("unit", "centre-unit", "raw"), (4, 12), ("trained", "shuffled", "untrained-0"), ("gaussian",)
COMMON: dict[str, Any] = {
    "dump": {"layers": "all", "sublayers": True},
    "compute": {"device": "cpu", "dtype": "float32", "batch_tokens": 36},
    "modes": MODES,
    "variants": VARIANTS,
    "seed": 0,
    "origin": {"source": "test"},
    "trust_remote_code": False,
    "whitened": "all",
}
MEASURED: dict[str, Any] = {
    "lengths": LENGTHS,
    "drawn": DRAWN,
    "gain": {"n": 12, "eps2": 0.5},
    "sinks": {"thresholds": [10, 2], "eps2": 0.5, "metrics": ["rate_distortion_ratio", "erank_covariance"]},
}


def store(path: Path, folder: Path) -> Path:
    """Documents of so many texts of random tokens, the last text of each shorter."""
    names = [f"d{number}" for number, count in enumerate(DOCUMENTS) for _ in range(count)]
    draw, ends = np.random.default_rng(0), np.cumsum(DOCUMENTS) - 1
    ids = [draw.integers(1, 300, 12 - 5 * (text in ends)).astype(np.int32) for text in range(len(names))]
    sizes = [len(own) for own in ids]
    facts = {"model": "m", "tokenizer sha256": tokenizer_sha256(load_tokenizer(folder)), "corpus sha256": "c", "seed": 0}
    write_texts(path, Sample(ids, [], Texts(names, sizes, sizes)), np.arange(300), facts)
    return path


def in_parts(top: Path, folder: Path, texts: Path, parts: int, **changed: Any) -> list[Path]:
    """Spectra of each part, and the file that they make at `top / c.h5`."""
    names = [f"{number + 1}-of-{parts}" for number in range(parts)]
    common = COMMON | changed
    sums = [top / "sums" / name / "m/c.h5" for name in names]
    for name, path in zip(names, sums, strict=True):
        sum_rows(folder, texts, path, part=name, **common)
    measured = [top / name / "m/c.h5" for name in names]
    for name, path in zip(names, measured, strict=True):
        measure_model(folder, texts, path, part=name, sums=list(map(str, sums)), **common | MEASURED)
    merge_measured(list(map(str, measured)), top / "c.h5", common["modes"], LENGTHS, common["variants"], DRAWN)
    return measured


@pytest.fixture(scope="module", params=[("gpt-neox", "causal"), ("bert", "masked")], ids=lambda found: found[1])
def runs(request: pytest.FixtureRequest, tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has by number of parts a folder with parts and what was merged; 1 is a run that was never parted."""
    architecture, objective = request.param
    top, folder = tmp_path_factory.mktemp("runs"), tiny(architecture)
    texts = store(top / "texts.h5", folder)
    measure_model(folder, texts, top / "m/c.h5", objective=objective, **COMMON | MEASURED)
    for parts in PARTS:
        in_parts(top / str(parts), folder, texts, parts, objective=objective)
    return top


@pytest.mark.slow
@pytest.mark.parametrize("parts", PARTS)
def test_merged_parts_have_the_bytes_of_one_that_was_never_parted(runs, parts):
    assert (runs / str(parts) / "c.h5").read_bytes() == (runs / "m/c.h5").read_bytes()


def test_all_that_can_be_asked_for_is_in_there(runs):
    with h5py.File(runs / "m/c.h5") as file:
        for variant in VARIANTS:
            assert {*file[variant]} >= {"corpus", "texts", "tokens", "documents"}
            assert {*file[variant]["corpus"]} == {*file[variant]["documents"]} == {*MODES}
        assert {*file["trained"]} >= {"gains", "ridge", "folds", "sinks"}
        kinds = {"hidden", "sublayer"} if file.attrs["objective"] == "causal" else {"hidden"}  # BERT normalises after adding
        assert {*file["trained/corpus/raw"]} == {*file["trained/documents/unit"]} == kinds
        assert {*file} == {"documents", "texts", "vocabulary", *VARIANTS, *DRAWN}


def test_sums_across_documents_are_those_of_documents(runs):
    """The spectrum of the corpus, from sums in fixed point, against that of the documents' sums in float64."""
    with Spectra(runs / "m/c.h5") as found:
        for mode in MODES:
            for state in [state for state in found.widths if f"trained/documents/{mode}/{state.path}" in found.file]:
                documents = found.documents("trained", mode, state)
                total = sum(own.total for own in documents) / sum(own.n for own in documents)
                whole = found.at("trained", mode, None, state)
                largest = np.linalg.eigvalsh(total)[::-1][: whole.m]
                np.testing.assert_allclose(whole.eigenvalues, largest, rtol=0, atol=1e-13 * np.trace(total))


def test_parts_without_texts_wait_for_no_model_and_drawn_rows_are_shared_out(runs):
    """Six groups of documents in seven parts."""
    owners, busy = [], []
    for number in range(7):
        with PartSpectra(runs / "7" / f"{number + 1}-of-7" / "m/c.h5") as part:
            busy.append(bool(part.text_list.tokens))
            assert bool(part.batches) == ("trained" in part.file) == ("depth" in part.attributes) == busy[-1]
            owners += [state for mode, state, _ in (part.corpus("gaussian") if "gaussian" in part.file else ()) if mode == "unit"]
    assert busy.count(False) >= 1
    assert busy[0]
    with Spectra(runs / "m/c.h5") as whole:
        assert sorted(owners) == sorted(whole.widths)


@pytest.mark.slow
@pytest.mark.parametrize("modes", [["unit"], ["unit", "centre-unit"]])
def test_wide_states_of_two_widths_have_the_bytes_too(tiny, tmp_path, monkeypatch, modes):
    """Wider than a block of columns, and without sums of documents: batches are added to the sums then."""
    monkeypatch.setattr(decomposition, "WIDEST", 8)
    monkeypatch.setattr(spectra, "WIDE", 10)
    folder, small = tiny("opt-350m"), {"modes": modes, "variants": ["trained"], "dump": {"layers": "all", "sublayers": False}}
    texts = store(tmp_path / "texts.h5", folder)
    measure_model(folder, texts, tmp_path / "whole/m/c.h5", **COMMON | MEASURED | small)
    in_parts(tmp_path, folder, texts, 3, **small)
    assert (tmp_path / "c.h5").read_bytes() == (tmp_path / "whole/m/c.h5").read_bytes()
    with Spectra(tmp_path / "c.h5") as found:
        assert len(set(found.widths.values())) == 2
        assert "documents" not in found.file["trained"]


def test_states_that_are_tensors_agree_to_rounding(tiny, tmp_path, monkeypatch):
    """As on a GPU, where one job computes the corpus's eigenvalues, which are computed from merged sums on the CPU."""
    capture = passes.capture

    def tensors(*arguments: Any, **options: Any) -> Any:
        for batch in capture(*arguments, **options):
            yield batch._replace(states={state: torch.as_tensor(rows) for state, rows in batch.states.items()})

    monkeypatch.setattr(passes, "capture", tensors)
    folder, small = tiny("gpt-neox"), {"variants": ["trained"], "dump": {"layers": "all", "sublayers": False}}
    texts = store(tmp_path / "texts.h5", folder)
    measure_model(folder, texts, tmp_path / "whole/m/c.h5", **COMMON | MEASURED | small)
    in_parts(tmp_path, folder, texts, 3, **small)
    with h5py.File(tmp_path / "whole/m/c.h5") as whole, h5py.File(tmp_path / "c.h5") as parted:
        paths: list[str] = []
        whole.visititems(lambda path, item: paths.append(path) if isinstance(item, h5py.Dataset) else None)
        assert "trained/folds/hidden/1/moment" in paths
        for path in paths:
            one, other = whole[path][()], parted[path][()]
            if path.startswith("trained/corpus"):
                np.testing.assert_allclose(other, one, rtol=0, atol=1e-14 * one.max())
            else:
                np.testing.assert_array_equal(other, one, err_msg=path)


def copied(source: Path, target: Path, **attributes: object) -> str:
    """The same file with other attributes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    with h5py.File(target, "r+") as file:
        file.attrs.update(attributes)
    return str(target)


def merged(parts: list[str], output: Path) -> None:
    merge_measured(parts, output, MODES, LENGTHS, VARIANTS, DRAWN)


def test_parts_of_other_runs_are_named_with_what_differs(runs, tmp_path):
    one, two = (runs / "2" / f"{number}-of-2" / "m/c.h5" for number in (1, 2))
    other = copied(two, tmp_path / "other.h5", **{"weights sha256": "else"})
    with pytest.raises(DataError, match=r"other\.h5: not of this run: weights sha256 is else instead of .*; remove it and run"):
        merged([str(one), other], tmp_path / "c.h5")
    asked = copied(two, tmp_path / "asked.h5", **{"asked lengths": "[4]"})
    with pytest.raises(DataError, match=r"asked\.h5: not of this run: asked lengths is \[4\] instead of \[4, 12\]"):
        merged([str(one), asked], tmp_path / "c.h5")
    with pytest.raises(DataError, match=r"2-of-2/m/c\.h5: not of this run: part is 2-of-2 instead of 1-of-2"):
        merged([str(two), str(one)], tmp_path / "c.h5")
    with pytest.raises(DataError, match=r"1-of-2/m/c\.h5: not of this run: part is 1-of-2 instead of 1-of-1"):
        merged([str(one)], tmp_path / "c.h5")
    with pytest.raises(DataError, match=r"m/c\.h5: not spectra of a part; remove it"):
        merged([str(one), str(runs / "m/c.h5")], tmp_path / "c.h5")
    coarse = copied(two, tmp_path / "coarse.h5")
    with h5py.File(coarse, "r+") as file:
        file["shuffled/sums/raw/hidden/1"].attrs["exponent"] += 1
    with pytest.raises(
        DataError, match=r"coarse\.h5: not of this run: of /shuffled/sums/raw/hidden/1 the exponent is -?\d+ instead"
    ):
        merged([str(one), coarse], tmp_path / "c.h5")
    assert not (tmp_path / "c.h5").exists()


def test_sums_of_another_run_are_named_with_what_differs(runs, tiny, tmp_path):
    with h5py.File(runs / "2/sums/1-of-2/m/c.h5") as file:
        architecture = {"causal": "gpt-neox", "masked": "bert"}[file.attrs["objective"]]
        objective = str(file.attrs["objective"])
    files = [runs / "2/sums" / f"{number}-of-2" / "m/c.h5" for number in (1, 2)]
    sums = [str(files[0]), copied(files[1], tmp_path / "sums.h5", **{"asked batch_tokens": "72"})]
    how: dict[str, Any] = {"part": "1-of-2", "sums": sums, "objective": objective}
    with pytest.raises(DataError, match=r"sums\.h5: not of this run: asked batch_tokens is 72 instead of 36; remove it"):
        measure_model(tiny(architecture), runs / "texts.h5", tmp_path / "m/c.h5", **COMMON | MEASURED | how)
    assert not list((tmp_path / "m").iterdir())


class Killed(BaseException):
    """What a job does not live to handle."""


def test_a_job_that_is_killed_leaves_nothing(tiny, tmp_path, monkeypatch):
    capture = passes.capture

    def killed(*arguments: Any, **options: Any) -> Any:
        for number, batch in enumerate(capture(*arguments, **options)):
            if number == 1:
                raise Killed
            yield batch

    folder = tiny("gpt-neox")
    texts = store(tmp_path / "texts.h5", folder)
    monkeypatch.setattr(passes, "capture", killed)
    with pytest.raises(Killed):
        sum_rows(folder, texts, tmp_path / "sums/m/c.h5", part="1-of-2", **COMMON)
    with pytest.raises(Killed):
        measure_model(folder, texts, tmp_path / "part/m/c.h5", part="1-of-2", **COMMON | MEASURED | {"modes": ["unit"]})
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["texts.h5"]


def test_a_refused_model_leaves_refused_files_in_every_part_and_in_what_is_merged(tiny, tmp_path):
    folder = tiny("bert")
    parts = in_parts(tmp_path, folder, store(tmp_path / "texts.h5", folder), 2, objective="causal", variants=["trained"])
    for path in (*parts, tmp_path / "c.h5"):
        with pytest.raises(RefusalError, match="reads in both directions"):
            Spectra(path)
