"""Fetched models as safetensors: pickled weights are the same tensors afterwards, and nothing that a pickle asks for is run."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from geomkit.errors import DataError  # noqa: E402
from geomkit.lm.convert import convert_model  # noqa: E402
from geomkit.lm.models import load_model  # noqa: E402


@pytest.fixture
def pickled(tiny, tmp_path: Path) -> Path:
    """A fetched folder with pytorch_model.bin alone, as OPT's and Cerebras-GPT's are."""
    folder = shutil.copytree(tiny("llama"), tmp_path / "sources/models/llama")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    return folder


def logits(folder: Path) -> Any:
    with torch.inference_mode():
        return load_model(folder, "float32", torch.device("cpu"))(torch.arange(9)[None]).logits


def test_pickled_weights_are_the_same_tensors_as_safetensors(pickled, tiny, tmp_path):
    convert_model(pickled, tmp_path / "models/llama")
    assert not list((tmp_path / "models/llama").glob("*.bin"))
    assert torch.equal(logits(tmp_path / "models/llama"), logits(tiny("llama")))
    found, expected = (load_file(folder / "model.safetensors") for folder in (tmp_path / "models/llama", tiny("llama")))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_shards_have_an_index(pickled, tiny, tmp_path):
    weights = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    (pickled / "pytorch_model.bin").unlink()
    for number in (1, 2):
        part = {name: weight for place, (name, weight) in enumerate(sorted(weights.items())) if place % 2 == number - 1}
        torch.save(part, pickled / f"pytorch_model-0000{number}-of-00002.bin")
    (pickled / "pytorch_model.bin.index.json").write_text("{}")
    convert_model(pickled, tmp_path / "models/llama")
    index = json.loads((tmp_path / "models/llama/model.safetensors.index.json").read_text())
    assert index["weight_map"].keys() == weights.keys()
    assert torch.equal(logits(tmp_path / "models/llama"), logits(tiny("llama")))


def test_safetensors_are_taken_as_they_are(tiny, tmp_path):
    source = shutil.copytree(tiny("llama"), tmp_path / "source")
    (source / "pytorch_model.bin").write_bytes(b"never read")
    convert_model(source, tmp_path / "models/llama")
    assert os.path.samefile(source / "model.safetensors", tmp_path / "models/llama/model.safetensors")
    assert load_model(tmp_path / "models/llama", "float32", torch.device("cpu"))


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda mark: Code(mark), "system"),
        (lambda mark: {"weight": torch.zeros(2), "extra": Code(mark)}, "system"),
        (lambda mark: {"weight": torch.zeros(2), "epoch": 3}, "'epoch' is a int, not a tensor"),
        (lambda mark: [torch.zeros(2)], "holds a list"),
    ],
    ids=["a command", "a command beside weights", "more than weights", "no names"],
)
def test_a_pickle_with_more_than_weights_is_refused_by_name_and_runs_nothing(content, words, pickled, tmp_path):
    mark = tmp_path / "it ran"
    torch.save(content(mark), pickled / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"pytorch_model\.bin: refused, for .*" + words) as error:
        convert_model(pickled, tmp_path / "models/llama")
    assert "\n" not in str(error.value)
    assert not mark.exists()
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())


@pytest.mark.parametrize("content", [b"", b"no pickle", None], ids=["empty", "text", "cut off"])
def test_a_file_that_is_no_pickle_is_refused_by_name(content, pickled, tmp_path):
    file = pickled / "pytorch_model.bin"
    file.write_bytes(file.read_bytes()[:5000] if content is None else content)
    with pytest.raises(DataError, match=r"pytorch_model\.bin: refused") as error:
        convert_model(pickled, tmp_path / "models/llama")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "models/llama").exists()
