"""The file of probes: what goes in comes out, whole or not at all."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.states.probes import SCORES, Probe, write_probe

DRAW = np.random.default_rng(0)
CHOSEN = {
    "3/0/lasso": DRAW.integers(0, 9, (4, 2, 5)),
    "3/1/lasso": DRAW.integers(0, 9, (4, 2, 5)),
    "11/0/norm": DRAW.integers(0, 9, (4, 2, 5)),
}
ARRAYS = {
    "targets/text": np.array([0, 0, 2, 2], dtype=np.int32),
    "targets/position": np.array([4, 9, 5, 9], dtype=np.int32),
    "targets/document": np.array(["a", "a", "naïve 27", "naïve 27"]),
    "reference/loss": DRAW.random(4),
    "reference/alone": DRAW.random(4),
    "texts/0": np.array([" the", "\n", "é"], dtype=object),
    "texts/2": np.array(["<b>"], dtype=object),
    "ids/0": np.arange(3, dtype=np.int32),
    "states/3/0": DRAW.random((3, 7)).astype(np.float32),
    "lengths/0": DRAW.random((12, 3)),
    "importance/3/norm": DRAW.random((4, 10)).astype(np.float32),
    "lasso/3/0/gap": DRAW.random((4, 2)),
    **{f"chosen/{path}": values for path, values in CHOSEN.items()},
    **{f"scores/{path}/{name}": DRAW.random((4, 2)) for path in CHOSEN for name in SCORES},
}
ATTRIBUTES = {"depth": 10, "budgets": [1, 5], "model": "m"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_probe(tmp_path / "corpus.h5", ARRAYS, ATTRIBUTES, {"norm": "why"})
    return tmp_path / "corpus.h5"


def test_what_goes_in_comes_out(path):
    with Probe(path) as file:
        assert file.budgets == [1, 5]
        assert file.absent == {"norm": "why"}
        assert file.document == ["a", "a", "naïve 27", "naïve 27"]
        assert file.tokens(0) == [" the", "\n", "é"]
        assert file.layers == [3, 11]
        assert file.width(3) == 7
        for found, name in ((file.ids(0), "ids/0"), (file.rows(3, 0), "states/3/0"), (file.lengths(0), "lengths/0")):
            np.testing.assert_array_equal(found, ARRAYS[name])
        np.testing.assert_array_equal(file.position, ARRAYS["targets/position"])
        np.testing.assert_array_equal(file.loss, ARRAYS["reference/loss"])
        np.testing.assert_array_equal(file.importance(3)["norm"], ARRAYS["importance/3/norm"])
        np.testing.assert_array_equal(file.gaps(3, 0), ARRAYS["lasso/3/0/gap"])
        assert file.gaps(3, 1) is None
        found = {f"{choice.layer}/{choice.first}/{choice.method}": choice for choice in file.choices()}
        assert found.keys() == CHOSEN.keys()
        for place, choice in found.items():
            np.testing.assert_array_equal(choice.chosen, CHOSEN[place])
            for name in SCORES:
                np.testing.assert_array_equal(choice.scores[name], ARRAYS[f"scores/{place}/{name}"])


def test_nothing_in_it_stores_the_time_when_it_was_made(path):
    times = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: times.update({name: h5py.h5o.get_info(item.id).mtime}))
    assert set(times.values()) == {0}


def test_written_twice_it_has_the_same_bytes(path, tmp_path):
    write_probe(tmp_path / "again.h5", ARRAYS, ATTRIBUTES, {"norm": "why"})
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_probe(tmp_path / "x.h5", ARRAYS | {"texts/9": np.array([{}], dtype=object)}, ATTRIBUTES, {})
    assert not list(tmp_path.iterdir())


def test_another_file_or_schema_is_refused(path):
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = 9
    with pytest.raises(DataError, match=r"corpus\.h5: not a probe of schema 2; remove it and run again"):
        Probe(path)
