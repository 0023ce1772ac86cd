"""Batches that a killed job has left, and a dump that goes on after them."""

from pathlib import Path

import numpy as np
import pytest

from geomkit.states.journal import Journal

RECORDS = [{"ids": np.arange(n, dtype=np.int32), "hidden/1": np.full((n, 3), n, np.float32)} for n in (4, 0, 7)]


def filled(path: Path, key: str = "key") -> Journal:
    journal = Journal(path, key)
    assert list(journal) == []
    for record in RECORDS:
        journal.append(record)
    return journal


def same(found: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]) -> bool:
    return len(found) == len(expected) and all(
        list(one) == list(other)
        and all(np.array_equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one)
        for one, other in zip(found, expected, strict=True)
    )


def test_what_was_kept_is_read_in_order_and_more_follows(tmp_path):
    filled(tmp_path / "a.batches")
    again = Journal(tmp_path / "a.batches", "key")
    assert same(list(again), RECORDS)
    again.append(RECORDS[0])
    assert same(list(Journal(tmp_path / "a.batches", "key")), [*RECORDS, RECORDS[0]])


def test_with_another_key_it_is_begun_anew(tmp_path):
    filled(tmp_path / "a.batches")
    assert list(Journal(tmp_path / "a.batches", "another")) == []
    assert list(Journal(tmp_path / "a.batches", "key")) == []


def test_a_record_that_is_cut_off_at_any_byte_is_left_out_and_written_over(tmp_path):
    path = tmp_path / "a.batches"
    filled(path)
    content = path.read_bytes()
    whole = {len(list(read_cut(path, content, length))) for length in range(0, len(content), 37)}
    assert whole == {0, 1, 2}
    path.write_bytes(content[:-1])
    journal = Journal(path, "key")
    assert same(list(journal), RECORDS[:2])
    journal.append(RECORDS[2])
    assert path.read_bytes() == content


def read_cut(path: Path, content: bytes, length: int) -> list[dict[str, np.ndarray]]:
    path.write_bytes(content[:length])
    return list(Journal(path, "key"))


def test_a_damaged_record_and_what_follows_is_left_out(tmp_path):
    path = tmp_path / "a.batches"
    filled(path)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert same(list(Journal(path, "key")), RECORDS[:2])


def test_it_is_gone_when_it_is_removed(tmp_path):
    filled(tmp_path / "a.batches").remove()
    assert list(tmp_path.iterdir()) == []


class Killed(BaseException):
    """What a job does not live to handle."""


@pytest.fixture
def run(tiny, tmp_path_factory, monkeypatch):
    """Dumps the states of texts in six batches, and counts those that the model runs. It is killed after `kill` of them."""
    from streams import STATES, STORAGE, Case

    from geomkit.models import stream
    from geomkit.states import dumping

    monkeypatch.setattr(dumping, "WORTH", 0)
    capture, top = stream.capture, tmp_path_factory.mktemp("texts")

    def dump(output: Path, kill: int | None = None, code: str = "", batch_tokens: int = 36) -> int:
        ran, case = 0, Case(tiny("gpt-neox"), top, batch_tokens=batch_tokens)

        def counted(*arguments, **options):
            nonlocal ran
            for part in capture(*arguments, **options):
                if ran == kill:
                    raise Killed
                ran += 1
                yield part

        monkeypatch.setattr(stream, "capture", counted)
        dumping.dump_states(case.running(modes=None), [output], STATES | STORAGE, ["trained"], code=code)
        return ran

    return dump


WHOLE = 6
"""Batches."""


@pytest.mark.parametrize("kills", [[1], [4], [2, 2], [0, 5]])
def test_a_dump_that_was_killed_goes_on_after_its_last_whole_batch_and_has_the_same_bytes(kills, run, tmp_path):
    whole, killed = tmp_path / "whole/m/c/trained.h5", tmp_path / "killed/m/c/trained.h5"
    assert run(whole) == WHOLE
    for kill in kills:
        with pytest.raises(Killed):
            run(killed, kill)
        assert not killed.exists()
    assert run(killed) == WHOLE - sum(kills)
    assert killed.read_bytes() == whole.read_bytes()
    assert [path.name for path in killed.parent.iterdir()] == ["trained.h5"]


def test_a_run_of_seconds_keeps_no_batches(run, tmp_path, monkeypatch):
    from geomkit.states import dumping

    output = tmp_path / "m/c/trained.h5"
    monkeypatch.setattr(dumping, "WORTH", 600)
    with pytest.raises(Killed):
        run(output, 4)
    assert run(output) == WHOLE


@pytest.mark.parametrize("change", [{"code": "other"}, {"batch_tokens": 24}])
def test_batches_of_other_code_or_size_are_not_taken(change, run, tmp_path):
    output, fresh = tmp_path / "m/c/trained.h5", tmp_path / "fresh/m/c/trained.h5"
    with pytest.raises(Killed):
        run(output, 4)
    assert run(output, **change) == run(fresh, **change)
    assert output.read_bytes() == fresh.read_bytes()


def test_an_error_keeps_no_batches(run, tmp_path, monkeypatch):
    from geomkit.states import dumps

    output = tmp_path / "m/c/trained.h5"
    append = dumps.DumpWriter.append

    def full(self, *arguments):
        if self.rows:
            raise OSError(28, "No space left on device")
        append(self, *arguments)

    monkeypatch.setattr(dumps.DumpWriter, "append", full)
    with pytest.raises(OSError, match="No space"):
        run(output)
    assert list(output.parent.iterdir()) == []
