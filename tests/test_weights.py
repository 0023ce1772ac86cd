"""Entries with the same weights, and shards of another revision, are found by the bytes of their tensors."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from geomkit.core.errors import DataError
from geomkit.sources.weights import shards, write_weights
from geomkit.tables.rows import read_csv
from geomkit.tables.trainings import ModelShard


def tensors(seed, *names):
    draw = np.random.default_rng(seed)
    return {name: draw.standard_normal((3, 4)).astype(np.float32) for name in names}


def model(folder, parts, metadata=None):
    """A folder of shards, with the index that says what is in them."""
    folder.mkdir()
    weight_map = {}
    for number, part in enumerate(parts, 1):
        name = f"model-{number:05d}-of-{len(parts):05d}.safetensors"
        save_file(part, folder / name, metadata)
        weight_map |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return str(folder)


def test_models_with_weights_of_their_own_are_listed(tmp_path):
    folders = {name: model(tmp_path / name, [tensors(k, "a"), tensors(k + 10, "b")]) for k, name in enumerate("xy")}
    write_weights([*folders], [*folders.values()], tmp_path / "weights.csv")
    rows = read_csv(tmp_path / "weights.csv", ModelShard)
    assert [(row.model, row.shard[:11]) for row in rows] == [(name, f"model-{k:05d}") for name in "xy" for k in (1, 2)]
    assert len({row.sha256 for row in rows}) == 4


def test_two_entries_with_the_same_tensors_are_refused_whatever_else_their_files_say(tmp_path):
    folders = {
        "step1": model(tmp_path / "a", [tensors(0, "a"), tensors(1, "b")]),
        "step2": model(tmp_path / "b", [tensors(0, "a"), tensors(1, "b")], {"format": "pt"}),
    }
    with pytest.raises(DataError, match="step1 and step2 have the same weights"):
        write_weights([*folders], [*folders.values()], tmp_path / "weights.csv")
    assert not (tmp_path / "weights.csv").exists()


def test_a_shard_of_another_revision_is_found(tmp_path):
    folders = {
        "step1": model(tmp_path / "a", [tensors(0, "a"), tensors(1, "b")]),
        "step2": model(tmp_path / "b", [tensors(2, "a"), tensors(1, "b")]),
    }
    with pytest.raises(DataError, match=r"step2: model-00002-of-00002.safetensors holds the same tensors as .* of step1"):
        write_weights([*folders], [*folders.values()], tmp_path / "weights.csv")


def test_a_shard_that_its_index_does_not_describe_is_found(tmp_path):
    folder = tmp_path / "a"
    model(folder, [tensors(0, "a"), tensors(1, "b")])
    save_file(tensors(1, "c"), folder / "model-00002-of-00002.safetensors")
    with pytest.raises(DataError, match=r"model-00002-of-00002.safetensors: its index has other tensors for it \(such as b\)"):
        shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(DataError, match=r"no model-00002-of-00002.safetensors, which its index names"):
        shards(folder)


def test_one_number_of_one_tensor_tells_models_apart(tmp_path):
    other = tensors(0, "a")
    other["a"][2, 3] += 1e-6
    folders = {"x": model(tmp_path / "x", [tensors(0, "a")]), "y": model(tmp_path / "y", [other])}
    write_weights([*folders], [*folders.values()], tmp_path / "weights.csv")


def test_a_torch_file_counts_by_its_storages(tmp_path):
    import torch

    for name, value in (("x", 0.0), ("y", 0.0), ("z", 1.0)):
        (tmp_path / name).mkdir()
        torch.save({"a": torch.full((3,), value)}, tmp_path / name / "pytorch_model.bin")
    assert shards(tmp_path / "x") == shards(tmp_path / "y") != shards(tmp_path / "z")


def test_a_folder_without_weights_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no weights"):
        shards(tmp_path)
