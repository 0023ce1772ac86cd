"""Dumps: what goes in comes out, bad numbers and unfinished writers leave nothing, and bad files are named."""

import time
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from geomkit.core.errors import DataError
from geomkit.core.state import State
from geomkit.states.bfloat16 import from_words, to_words
from geomkit.states.dumps import Dump, DumpWriter, write_dump
from geomkit.states.spectra import write_spectra
from geomkit.states.texts import Texts

TEXTS = Texts(["a", "a", "naïve 27"], [3, 2, 4], [11, 7, 19])
ATTRIBUTES = {"depth": 2, "model source": "bundled", "seed": 0, "trust": False}
STATES = (State(0), State(2), State(2, "mlp"), State(2, "attention"), State(10))
D = 6


Values = tuple[np.ndarray, np.ndarray, dict[State, np.ndarray]]


def values(seed: int = 0) -> Values:
    """Ids, surprisal and states of nine tokens; the first of each text has no past."""
    draw = np.random.default_rng(seed)
    surprisal = draw.random(9).astype(np.float32)
    surprisal[[0, 3, 5]] = np.nan
    return draw.integers(0, 300, 9), surprisal, {state: draw.standard_normal((9, D)).astype(np.float32) for state in STATES}


def fill(writer: DumpWriter, *stops: int, data: Values | None = None) -> None:
    ids, surprisal, states = data or values()
    for rows in map(slice, (0, *stops), (*stops, 9)):
        writer.append(ids[rows], surprisal[rows], {state: block[rows] for state, block in states.items()})


def write(
    path: Path,
    *stops: int,
    dtype: str = "float32",
    compression: str | None = None,
    absent: Mapping[str, str] | None = None,
    data: Values | None = None,
) -> Path:
    with write_dump(path, TEXTS, ATTRIBUTES, absent or {}, dtype, compression, [2, 1]) as writer:
        fill(writer, *stops, data=data)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model" / "corpus" / "trained.h5"


def nothing_left(path: Path) -> bool:
    return not path.parent.exists() or not list(path.parent.iterdir())


def test_a_state_names_a_layer_and_what_it_was_taken_after():
    assert State(3).path == "hidden/3"
    assert State(3, "mlp").path == "sublayer/3/mlp"


@pytest.mark.parametrize("stops", [(), (3,), (3, 5), (1, 2, 8)])
@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
def test_what_is_written_batch_by_batch_is_read(path, stops, compression):
    ids, surprisal, states = values()
    write(path, *stops, compression=compression, absent={"sublayer": "why"})
    with Dump(path) as dump:
        assert dump.texts == TEXTS
        assert dump.absent == {"sublayer": "why"}
        assert dump.attributes == ATTRIBUTES
        np.testing.assert_array_equal(dump.offset, [0, 3, 5, 9])
        for text, rows in enumerate([slice(0, 3), slice(3, 5), slice(5, 9)]):
            np.testing.assert_array_equal(dump.ids(text), ids[rows])
            np.testing.assert_array_equal(dump.surprisal(text), surprisal[rows])
            for state, block in states.items():
                np.testing.assert_array_equal(dump.rows(state, text, text + 1), block[rows])
        for state, block in states.items():
            np.testing.assert_array_equal(dump.rows(state, 0, 3), block)
            np.testing.assert_array_equal(dump.rows(state, 1, 3), block[3:])
        assert dump.widths == dict.fromkeys(dump.states, D)


def test_states_come_by_layer_with_the_block_behind_its_sublayers(path):
    with Dump(write(path)) as dump:
        assert dump.states == [State(0), State(2, "attention"), State(2, "mlp"), State(2), State(10)]


def test_the_file_is_laid_out_as_documented(path):
    with h5py.File(write(path, 4)) as file:
        assert {name: (file[name].dtype, file[name].shape) for name in ("tokens/id", "tokens/offset", "tokens/surprisal")} == {
            "tokens/id": (np.int32, (9,)),
            "tokens/offset": (np.int64, (4,)),
            "tokens/surprisal": (np.float32, (9,)),
        }
        assert file["texts/bytes"].dtype == np.int64
        for state in STATES:
            assert file[state.path].shape == (9, D)
            assert file[state.path].dtype == np.float32


def test_rows_are_chunked_and_carry_checksums(path):
    total, width = 5000, 64
    with write_dump(path, Texts(["a"], [total], [0]), {}, {}, "float32", "gzip", [1]) as writer:
        writer.append(np.zeros(total), np.zeros(total), {State(1): np.zeros((total, width), np.float32)})
    with h5py.File(path) as file:
        for name in ("hidden/1", "tokens/id", "tokens/surprisal"):
            assert file[name].fletcher32
            assert file[name].compression == "gzip"
        assert file["hidden/1"].chunks == (1024, width), "a quarter of a MiB"


def test_damage_is_found_by_its_checksum(path):
    ids, _, states = values()
    write(path)
    content = path.read_bytes()
    place = content.index(states[State(2)][4].tobytes())
    path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    with Dump(path) as dump:
        np.testing.assert_array_equal(dump.ids(0), ids[:3])
        with pytest.raises(DataError, match=r"trained\.h5: /hidden/2 is not there or damaged"):
            dump.rows(State(2), 0, 3)


def test_a_state_that_is_not_there_is_named(path):
    with Dump(write(path)) as dump, pytest.raises(DataError, match=r"trained\.h5: /hidden/7 is not there"):
        dump.rows(State(7), 0, 1)


def test_float16_rounds_what_it_can_hold(path):
    with Dump(write(path, 4, dtype="float16")) as dump:
        for state, block in values()[2].items():
            found = dump.rows(state, 0, 3)
            assert found.dtype == np.float16
            np.testing.assert_array_equal(found, block.astype(np.float16))


def test_bfloat16_is_rounded_as_torch_rounds_and_kept_as_words(path):
    with Dump(write(path, 4, dtype="bfloat16")) as dump:
        for state, block in values()[2].items():
            found = dump.rows(state, 0, 3)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, torch.tensor(block).to(torch.bfloat16).float().numpy())
            stored = dump.file[state.path]
            assert (stored.dtype, stored.attrs["type"]) == (np.uint16, "bfloat16")


@pytest.mark.parametrize("scale", [1e-42, 1e-38, 1.0, 1e37])
def test_words_are_those_of_torch(scale):
    draw = np.random.default_rng(0).standard_normal(2000).astype(np.float32) * np.float32(scale)
    ties = (np.arange(1, 200, dtype=np.uint32) << 15).view(np.float32)  # halves between two bfloat16
    edges = np.array([0, -0.0, np.inf, -np.inf, np.nan, 3.3961775e38, 3.3895314e38], dtype=np.float32)
    for given in (draw, ties, edges):
        expected = torch.tensor(given).to(torch.bfloat16)
        np.testing.assert_array_equal(from_words(to_words(given)), expected.float().numpy())
        kept = ~np.isnan(given)
        np.testing.assert_array_equal(to_words(given)[kept], expected.view(torch.uint16).numpy()[kept])


def test_bfloat16_that_would_overflow_is_refused(path):
    data = values()
    data[2][State(2)][7, 3] = 3.4e38
    with pytest.raises(DataError, match=r"dump\.dtype: bfloat16 cannot hold /hidden/2, whose largest value is 3\.4e\+38"):
        write(path, dtype="bfloat16", data=data)
    assert nothing_left(path)


def test_float16_that_would_overflow_is_refused(path):
    """65504 is the largest number of float16; from 65520 on, numbers round to infinity."""
    data = values()
    data[2][State(2)][7, 3] = -65519
    with Dump(write(path, dtype="float16", data=data)) as dump:
        assert dump.rows(State(2), 0, 3).min() == -65504
    path.unlink()
    data[2][State(2)][7, 3] = -65520
    message = r"dump\.dtype: float16 cannot hold /hidden/2, whose largest value is 6\.55e\+04; use float32"
    with pytest.raises(DataError, match=message):
        write(path, dtype="float16", data=data)
    assert nothing_left(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_state_that_is_not_finite_is_refused(path, bad, dtype):
    data = values()
    data[2][State(2, "mlp")][8, 0] = bad
    with pytest.raises(DataError, match=r"/sublayer/2/mlp: the model computed NaN or infinity there"):
        write(path, 5, dtype=dtype, data=data)
    assert nothing_left(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [1, 4, 8])
def test_a_surprisal_that_is_not_finite_is_refused_but_for_a_texts_first(path, bad, place):
    data = values()
    data[1][place] = bad
    with pytest.raises(DataError, match=r"/tokens/surprisal: the model computed NaN or infinity there"):
        write(path, 5, data=data)
    assert nothing_left(path)


def test_a_writer_that_did_not_finish_leaves_nothing(path):
    ids, surprisal, states = values()
    short = ids[:4], surprisal[:4], {state: block[:4] for state, block in states.items()}
    with pytest.raises(DataError, match=r"trained\.h5: 4 of 9 tokens were written"):
        write(path, data=short)
    assert nothing_left(path)


def interrupted(path: Path) -> None:
    with write_dump(path, TEXTS, {}, {}, "float32", None, [3]) as writer:
        fill(writer, data=values(seed=1))
        raise KeyboardInterrupt


def test_a_writer_that_fails_leaves_what_was_there(path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert nothing_left(path)
    write(path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_absent_may_grow_while_the_dump_is_written(path):
    absent: dict[str, str] = {}
    with write_dump(path, TEXTS, {}, absent, "float32", None, [3]) as writer:
        fill(writer)
        absent["sublayer"] = "blocks differ"
    with Dump(path) as dump:
        assert dump.absent == {"sublayer": "blocks differ"}


def test_written_twice_it_has_the_same_bytes(path, tmp_path):
    first = write(path, 4, absent={"a": "b"}).read_bytes()
    time.sleep(1.1)  # HDF5 counts time in seconds
    assert write(tmp_path / "again.h5", 4, absent={"a": "b"}).read_bytes() == first


# bad files


@pytest.mark.parametrize("content", [None, b"", b"not HDF5", "cut"])
def test_what_is_not_hdf5_is_a_data_error_that_names_the_file(path, content):
    if content == "cut":
        content = write(path).read_bytes()[:-500]
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"trained\.h5: not a readable HDF5 file"):
        Dump(path)


@pytest.mark.parametrize("schema", [0, 2, None])
def test_another_schema_is_refused(path, schema):
    with h5py.File(write(path), "a") as file:
        del file.attrs["schema"]
        if schema is not None:
            file.attrs["schema"] = schema
    with pytest.raises(DataError, match=r"trained\.h5: not a dump of schema 1; remove it and run again"):
        Dump(path)


def test_a_file_of_eigenvalues_is_no_dump(path):
    with write_spectra(path, TEXTS, {}, {}):
        pass
    with pytest.raises(DataError, match=r"trained\.h5: not a dump of schema 1"):
        Dump(path)
