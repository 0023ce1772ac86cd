"""Jobs that share the texts of a corpus: the same bytes whatever their number, and parts end between documents."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from streams import DRAWN, MODES, STATES, STORAGE, VARIANTS, Case, in_parts, spectra

from geomkit.core.errors import DataError, RefusalError
from geomkit.measures import spectra as covariances
from geomkit.models import stream, variants
from geomkit.models.capture import batch_groups
from geomkit.models.stream import share_of
from geomkit.states import dumping
from geomkit.states.decompose import sum_rows
from geomkit.states.dumping import dump_states
from geomkit.states.dumps import Dump
from geomkit.states.partial_spectra import merge_spectra
from geomkit.states.parts import merge_dumps, part_name
from geomkit.states.spectra import Spectra
from geomkit.states.texts import Sample, Texts

pytestmark = pytest.mark.slow

PARTS = (2, 7)
WAYS = ("running", "dumped")


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(6, 30)), min_size=1, max_size=20), st.integers(6, 200), st.integers(1, 30)
)
def test_parts_are_runs_of_batches_and_end_between_documents(documents, tokens, parts):
    names = [f"d{number}" for number, (count, _) in enumerate(documents) for _ in range(count)]
    sizes = [size for count, size in documents for _ in range(count)]
    sample = Sample([np.zeros(size, np.int32) for size in sizes], [], Texts(names, sizes, sizes))
    groups = batch_groups(sample, tokens)
    whole = [run for group in groups for run in group]
    assert [text for run in whole for text in run] == list(range(len(names)))
    for group in groups:
        padded = max(sizes[group[0].start : group[-1].stop]) * (group[-1].stop - group[0].start)
        alone = len({names[text] for run in group for text in run}) == 1
        assert (padded <= tokens and len(group) == 1) or alone
    shares = [share_of(groups, sample.texts, part_name(number, parts)) for number in range(parts)]
    assert [batch for share in shares for batch in share.batches] == list(range(len(whole)))
    assert [text for share in shares for text in share.texts] == list(range(len(names)))
    assert [size for share in shares for size in share.borders] == [len(run) for run in whole]
    owners = [{names[text] for text in share.texts} for share in shares]
    assert sum(map(len, owners)) == len(documents), "no document is in two parts"
    assert owners[0]
    largest = max(sum(sizes[group[0].start : group[-1].stop]) for group in groups)
    assert all(sum(sizes[text] for text in share.texts) < sum(sizes) / parts + largest for share in shares)


@pytest.fixture(scope="module", params=[("gpt-neox", "causal"), ("bert", "masked")], ids=lambda found: found[1])
def case(request, tiny, tmp_path_factory) -> Case:
    """A model; below `top`, by way and number of parts, a folder with spectra of parts and what was merged."""
    architecture, objective = request.param
    case = Case(tiny(architecture), tmp_path_factory.mktemp("parts"), objective)
    for name, way in case.ways.items():
        for parts in PARTS:
            in_parts(way, case.top / name / str(parts), parts)
    return case


@pytest.mark.parametrize("way", WAYS)
def test_merged_spectra_have_the_bytes_of_those_that_were_never_parted(case, way, tmp_path):
    whole = spectra(case.ways[way](None), tmp_path / "m/c.h5").read_bytes()
    for parts in PARTS:
        assert (case.top / way / str(parts) / "c.h5").read_bytes() == whole


@pytest.mark.parametrize("parts", PARTS)
def test_merged_dumps_have_the_bytes_of_one_that_was_never_parted(case, parts, tmp_path):
    every = [case.dumps(part_name(number, parts)) for number in range(parts)]
    for own, whole in zip(zip(*every, strict=True), case.dumps(), strict=True):
        merge_dumps(own, tmp_path / "merged.h5", "float32", None)
        assert (tmp_path / "merged.h5").read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("way", WAYS)
def test_wide_states_of_two_widths_have_the_bytes_too(way, tiny, tmp_path, monkeypatch):
    """Wider than a block of columns, and without sums of documents: batches are added to the sums then."""
    monkeypatch.setattr("geomkit.states.stream.WIDEST", 8)
    monkeypatch.setattr(covariances, "WIDE", 10)
    found, small = Case(tiny("opt-350m"), tmp_path).ways[way], {"modes": ["unit", "raw"], "variants": ["trained"]}
    in_parts(found, tmp_path, 3, **small)
    assert (tmp_path / "c.h5").read_bytes() == spectra(found(None), tmp_path / "whole/m/c.h5", **small).read_bytes()


def test_a_part_without_texts_is_a_file_of_its_own_that_runs_no_model(case, tmp_path, monkeypatch):
    """There are fewer groups of documents than parts, whose tokens are those of the texts."""
    parts = [part_name(number, 7) for number in range(7)]
    tokens = []
    for part in parts:
        with Dump(case.dumps(part)[0]) as dump, Spectra(case.top / "running/7" / part / "m/c.h5") as own:
            tokens.append(sum(dump.own_texts.tokens))
            assert sum(own.text_list.tokens) == tokens[-1]
            assert bool(dump.states) == ("trained" in own.file) == ("depth" in own.attributes) == (tokens[-1] > 0)
            assert sum(dump.texts.tokens) == 145
    assert sum(tokens) == 145
    assert 0 in tokens[1:]
    empty = parts[tokens.index(0)]
    monkeypatch.setattr(variants, "load_model", lambda *_: pytest.fail("the model was loaded"))
    dump_states(case.running(empty, None), [tmp_path / "m/c/trained.h5"], STATES | STORAGE, VARIANTS, empty)
    sum_rows(case.running(empty), tmp_path / "sums.h5", VARIANTS, DRAWN, empty, 0)
    spectra(case.running(empty), tmp_path / "spectra.h5", part=empty, sums=[])
    with pytest.raises(DataError, match="no texts in any part"):
        merge_dumps([tmp_path / "m/c/trained.h5"], tmp_path / "merged.h5", "float32", None)


def test_states_that_are_tensors_agree_to_rounding(tiny, tmp_path, monkeypatch):
    """As on a GPU, where one job computes the corpus's eigenvalues, which are computed from merged sums on the CPU."""
    capture = stream.capture

    def tensors(*arguments: Any, **options: Any) -> Any:
        for batch in capture(*arguments, **options):
            yield batch._replace(states={state: torch.as_tensor(rows) for state, rows in batch.states.items()})

    monkeypatch.setattr(stream, "capture", tensors)
    case, small = Case(tiny("gpt-neox"), tmp_path), {"variants": ["trained"]}
    spectra(case.running(), tmp_path / "whole/m/c.h5", **small)
    in_parts(case.running, tmp_path, 3, **small)
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


# what is not of this run


def copied(source: Path, target: Path, **attributes: object) -> Path:
    """The same file with other attributes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    with h5py.File(target, "r+") as file:
        file.attrs.update(attributes)
    return target


@pytest.mark.parametrize("way", WAYS)
def test_spectra_of_other_runs_are_named_with_what_differs(case, way, tmp_path):
    one, two = (case.top / way / "2" / f"{number}-of-2" / "m/c.h5" for number in (1, 2))
    other = copied(two, tmp_path / "other.h5", **{"weights sha256": "else"})
    asked = copied(two, tmp_path / "asked.h5", **{"asked lengths": "[4]"})
    coarse = copied(two, tmp_path / "coarse.h5")
    with h5py.File(coarse, "r+") as file:
        file["shuffled/sums/raw/hidden/1"].attrs["exponent"] += 1
    for parts, message in {
        (one, other): r"other\.h5: not of this run: weights sha256 is else instead of .*; remove it and run",
        (one, asked): r"asked\.h5: not of this run: asked lengths is \[4\] instead of \[4, 12\]",
        (two, one): r"2-of-2/m/c\.h5: not of this run: part is 2-of-2 instead of 1-of-2",
        (one,): r"1-of-2/m/c\.h5: not of this run: part is 1-of-2 instead of 1-of-1",
        (one, case.top / way / "2/c.h5"): r"2/c\.h5: not spectra of a part; remove it",
        (one, coarse): r"coarse\.h5: not of this run: of /shuffled/sums/raw/hidden/1 the exponent is -?\d+ instead",
    }.items():
        with pytest.raises(DataError, match=message):
            merge_spectra(parts, tmp_path / "c.h5")
    assert not (tmp_path / "c.h5").exists()


@pytest.mark.parametrize("way", WAYS)
def test_sums_of_another_run_are_named_with_what_differs(case, way, tmp_path):
    one, two = (case.top / way / "2/sums" / f"{number}-of-2" / "m/c.h5" for number in (1, 2))
    sums = [one, copied(two, tmp_path / "sums.h5", **{"asked batch_tokens": "72"})]
    with pytest.raises(DataError, match=r"sums\.h5: not of this run: asked batch_tokens is 72 instead of 36; remove it"):
        spectra(case.ways[way]("1-of-2"), tmp_path / "m/c.h5", part="1-of-2", sums=sums)
    assert not list((tmp_path / "m").iterdir())


def test_dumps_of_another_run_are_named_with_what_differs(case, tmp_path):
    (one, *_), (two, *_) = (case.dumps(f"{number}-of-2") for number in (1, 2))
    other = copied(two, tmp_path / "other.h5", seed=1)
    with pytest.raises(DataError, match=r"other\.h5: not of this run: seed is 1 instead of 0; remove it and run again"):
        merge_dumps([one, other], tmp_path / "trained.h5", "float32", None)
    assert not (tmp_path / "trained.h5").exists()


# jobs that do not end well


class Killed(BaseException):
    """What a job does not live to handle."""


def test_a_job_that_is_killed_leaves_nothing_but_the_batches_of_a_dump(tiny, tmp_path, monkeypatch):
    capture = stream.capture

    def killed(*arguments: Any, **options: Any) -> Any:
        for number, batch in enumerate(capture(*arguments, **options)):
            if number == 1:
                raise Killed
            yield batch

    case = Case(tiny("gpt-neox"), tmp_path)
    monkeypatch.setattr(stream, "capture", killed)
    for job in (
        lambda: sum_rows(case.running("1-of-2"), tmp_path / "sums/m/c.h5", VARIANTS, DRAWN, "1-of-2", 0),
        lambda: spectra(case.running("1-of-2"), tmp_path / "part/m/c.h5", part="1-of-2", modes=["unit"]),
        lambda: case.dumps("1-of-2"),
    ):
        with pytest.raises(Killed):
            job()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [".trained.batches", "texts.h5"]


def test_a_dump_that_was_killed_goes_on_after_its_last_batch(case, tmp_path, monkeypatch):
    ran: list[int] = []
    kill, capture = 2, stream.capture

    def counted(*arguments: Any, **options: Any) -> Any:
        ran.append(0)
        for batch in capture(*arguments, **options):
            if len(ran) == 1 and ran[0] == kill:
                raise Killed
            ran[-1] += 1
            yield batch

    monkeypatch.setattr(stream, "capture", counted)
    monkeypatch.setattr(dumping, "WORTH", 0)
    again = Case(case.model, tmp_path, case.objective)
    with pytest.raises(Killed):
        again.dumps("1-of-2")
    assert not list(tmp_path.rglob("m/c/*.h5"))
    outputs = again.dumps("1-of-2")
    assert ran[0] == kill
    assert ran[1] == ran[2] - kill, "the trained model goes on, and the next variant runs all batches"
    for path, expected in zip(outputs, case.dumps("1-of-2"), strict=True):
        assert path.read_bytes() == expected.read_bytes()
    assert not list(tmp_path.rglob("*.batches"))


def test_a_refused_model_leaves_refused_files_in_every_part_and_in_what_is_merged(tiny, tmp_path):
    case = Case(tiny("bert"), tmp_path)  # as a causal model
    found: list[tuple[Any, Path]] = []
    for name, way in case.ways.items():
        made = in_parts(way, tmp_path / name, 2, modes=MODES)
        found += [(Spectra, path) for path in (*made, tmp_path / name / "c.h5", spectra(way(None), tmp_path / name / "m/c.h5"))]
    dumps = [case.dumps(f"{number}-of-2")[0] for number in (1, 2)]
    merge_dumps(dumps, tmp_path / "trained.h5", "float32", None)
    found += [(Dump, path) for path in (*dumps, tmp_path / "trained.h5")]
    for kind, path in found:
        with pytest.raises(RefusalError, match="reads in both directions"):
            kind(path)
