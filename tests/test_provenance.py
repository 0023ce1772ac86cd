"""Hashes, seeds, and writes that are whole or absent."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geomkit.core.provenance import copy_folder, digest, file_sha256, replacing, replacing_folder, rng, versions

LIBRARY = Path(__file__).parents[1] / "lib"


def test_digest_depends_on_where_parts_end_and_on_their_order():
    found = {digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("c", "ab"), digest("ab", "c", ""), digest("('ab', 'c')")}
    assert len(found) == 6
    assert all(len(each) == 64 and int(each, 16) >= 0 for each in found)


def test_digest_is_of_the_parts_text():
    assert digest(1, Path("x")) == digest("1", "x")


def test_rng_depends_on_the_seed_and_the_labels_alone():
    first = rng(3, "cut", 7).random(5)
    np.random.default_rng(0).random(100)
    np.testing.assert_array_equal(rng(3, "cut", 7).random(5), first)
    for other in (rng(4, "cut", 7), rng(3, "cut", 8), rng(3, "cut"), rng(37, "cut"), rng(3, "cut7")):
        assert not np.array_equal(other.random(5), first)


def test_rng_is_the_same_in_another_process():
    program = "from geomkit.core.provenance import rng; print(rng(0, 'documents').integers(2**62))"
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "PYTHONHASHSEED": "5"}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert int(found.stdout) == rng(0, "documents").integers(2**62)


def test_rng_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    rng(0, "x").random(10)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_sha256_of_a_file_is_the_known_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(str(tmp_path / "abc")) == file_sha256(tmp_path / "abc")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "model"
    (found / "sub").mkdir(parents=True)
    (found / "a").write_bytes(b"1")
    (found / "sub" / "b").write_bytes(b"2")
    return found


def test_sha256_of_a_folder_is_of_names_and_contents(folder, tmp_path):
    before = file_sha256(folder)
    folder.rename(tmp_path / "elsewhere")
    moved = tmp_path / "elsewhere"
    assert file_sha256(moved) == before
    (moved / "a").write_bytes(b"3")
    assert file_sha256(moved) != before
    (moved / "a").write_bytes(b"1")
    assert file_sha256(moved) == before
    (moved / "a").rename(moved / "c")
    assert file_sha256(moved) != before


def test_sha256_of_a_folder_leaves_out_what_snakemake_puts_there(folder):
    before = file_sha256(folder)
    (folder / ".snakemake_timestamp").write_text("now")
    assert file_sha256(folder) == before
    (folder / ".hidden").write_text("now")
    assert file_sha256(folder) != before


def test_versions_name_python_and_the_packages():
    python = ".".join(map(str, sys.version_info[:3]))
    assert versions("numpy") == f"python {python}, numpy {np.__version__}"
    assert versions() == f"python {python}"


class Broken(Exception):
    pass


def break_off_file(path: Path, *, empty: bool = False) -> None:
    with replacing(path) as temporary:
        if not empty:
            temporary.write_text("half")
        raise Broken


def break_off_folder(path: Path) -> None:
    with replacing_folder(path) as temporary:
        (temporary / "c").write_text("half")
        raise Broken


def test_replacing_makes_the_file_only_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent, "a rename must not cross file systems"
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_replacing_keeps_the_old_file_if_the_block_fails(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(Broken):
        break_off_file(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_leaves_nothing_if_the_block_fails_at_once(tmp_path):
    with pytest.raises(Broken):
        break_off_file(tmp_path / "file.txt", empty=True)
    assert not list(tmp_path.iterdir())


def test_replacing_folder_takes_the_place_of_the_old_folder(folder):
    with replacing_folder(folder) as temporary:
        assert not list(temporary.iterdir())
        (temporary / "c").write_text("new")
        assert (folder / "a").exists()
    assert [path.name for path in folder.iterdir()] == ["c"]
    assert list(folder.parent.iterdir()) == [folder]


def test_replacing_folder_keeps_the_old_folder_if_the_block_fails(folder):
    before = file_sha256(folder)
    with pytest.raises(Broken):
        break_off_folder(folder)
    assert file_sha256(folder) == before
    assert list(folder.parent.iterdir()) == [folder]


def test_replacing_folder_starts_empty_after_a_process_that_was_killed(tmp_path):
    left = tmp_path / f".model.{socket.gethostname()}-4194999.part"
    left.mkdir()
    (left / "half").write_text("half")
    with replacing_folder(tmp_path / "model") as temporary:
        (temporary / "whole").write_text("whole")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["whole"]
    assert not left.exists()


def test_a_copied_folder_is_the_same_and_what_was_there_is_gone(folder, tmp_path):
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    (source / "below/a").write_text("a")
    copy_folder(source, folder)
    assert file_sha256(folder) == file_sha256(source)
    with pytest.raises(FileNotFoundError):
        copy_folder(tmp_path / "nowhere", folder)
    assert file_sha256(folder) == file_sha256(source)
    assert not list(folder.parent.glob(".*.part"))
