"""Fetched models as safetensors: pickled weights are the same tensors afterwards, and nothing that a pickle asks for is run."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from test_bad_input import tree  # noqa: E402

from geomkit.core.config import ModelSpec  # noqa: E402
from geomkit.core.errors import ConfigError, DataError  # noqa: E402
from geomkit.models.convert import convert_model  # noqa: E402
from geomkit.models.load import load_model, load_tokenizer  # noqa: E402


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
        return load_model(ModelSpec(folder, device="cpu"))(torch.arange(9)[None]).logits


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
    assert load_model(ModelSpec(tmp_path / "models/llama", device="cpu"))


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


# adapters

ADAPTER = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 6, "target_modules": ["q_proj"], "bias": "none"}


def write_adapter(folder: Path, width: int = 32, names: str = "q_proj", **changes: object) -> dict[str, torch.Tensor]:
    """A LoRA adapter of a tiny Llama's queries, and its matrices A and B by block."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({**ADAPTER, "base_model_name_or_path": "elsewhere", **changes}))
    draw = torch.Generator().manual_seed(0)
    shapes = {"A": (2, width), "B": (width, 2)}
    found = {f"{layer}.{kind}": torch.randn(shape, generator=draw) for layer in (0, 1) for kind, shape in shapes.items()}
    stem = "base_model.model.model.layers.{}.self_attn.{}.lora_{}.weight"
    save_file(
        {stem.format(name[0], names, name[2]): value for name, value in found.items()},
        folder / "adapter_model.safetensors",
        {"format": "pt"},
    )
    return found


def test_an_adapter_is_added_to_the_weights_as_its_definition_says(tiny, tmp_path):
    """W + alpha / r B A (Hu et al. 2021, arXiv 2106.09685, section 4.1), and every other weight is the base's."""
    pytest.importorskip("peft")
    matrices = write_adapter(tmp_path / "adapter")
    base = tree(tiny("llama"))
    convert_model(tiny("llama"), tmp_path / "models/mine", tmp_path / "adapter")
    found, own = load_file(tmp_path / "models/mine/model.safetensors"), load_file(tiny("llama") / "model.safetensors")
    assert found.keys() == own.keys()
    for name, weight in own.items():
        layer = name.removeprefix("model.layers.")[0]
        added = 3 * matrices[f"{layer}.B"] @ matrices[f"{layer}.A"] if name.endswith("q_proj.weight") else 0.0
        torch.testing.assert_close(found[name], weight + added)
    assert not torch.equal(logits(tmp_path / "models/mine"), logits(tiny("llama")))
    assert load_tokenizer(tmp_path / "models/mine")("A boat")["input_ids"] == load_tokenizer(tiny("llama"))("A boat")["input_ids"]
    assert tree(tiny("llama")) == base
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine"]


def test_an_adapter_beside_its_base_is_refused_unless_it_is_asked_for(tiny, tmp_path):
    pytest.importorskip("peft")
    write_adapter(tmp_path / "adapter")
    folder = shutil.copytree(tiny("llama"), tmp_path / "llama")
    for file in (tmp_path / "adapter").iterdir():
        shutil.copy(file, folder / file.name)
    with pytest.raises(DataError, match=r"llama: an adapter \(adapter_config\.json\) lies beside .* set the entry's adapter"):
        load_model(ModelSpec(folder, device="cpu"))
    convert_model(folder, tmp_path / "models/mine", folder)
    convert_model(tiny("llama"), tmp_path / "models/other", tmp_path / "adapter")
    assert torch.equal(logits(tmp_path / "models/mine"), logits(tmp_path / "models/other"))


def test_an_adapter_of_a_member_of_a_family_has_the_tokenizer_that_the_family_shares(tiny, tmp_path):
    pytest.importorskip("peft")
    write_adapter(tmp_path / "adapter")
    folder = shutil.copytree(tiny("llama"), tmp_path / "family/llama")
    (tmp_path / "family/tokenizer").mkdir()
    for file in folder.glob("tokenizer*"):
        file.rename(tmp_path / "family/tokenizer" / file.name)
    convert_model(folder, tmp_path / "models/mine", tmp_path / "adapter")
    assert load_tokenizer(tmp_path / "models/mine")("A boat")["input_ids"] == load_tokenizer(tiny("llama"))("A boat")["input_ids"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: write_adapter(folder, width=16), "adapter: no adapter of this model could be loaded .*shape"),
        (lambda folder: write_adapter(folder, names="k_proj"), "adapter: no adapter of this model .*missing adapter keys"),
        (lambda folder: write_adapter(folder, target_modules=["nowhere"]), "adapter: no adapter of this model"),
        (lambda folder: write_adapter(folder, peft_type="NONESUCH"), "adapter: no adapter of this model"),
        (
            lambda folder: (write_adapter(folder), (folder / "adapter_model.safetensors").unlink()),
            r"adapter_model\.safetensors: no such file",
        ),
        (
            lambda folder: (
                write_adapter(folder),
                (folder / "adapter_model.safetensors").write_text("version https://git-lfs x"),
            ),
            "a pointer of Git LFS",
        ),
        (lambda folder: (write_adapter(folder), (folder / "adapter_config.json").write_text("[]")), "holds a JSON list"),
    ],
    ids=["another width", "other modules", "modules that are not there", "another kind", "no weights", "a pointer", "a list"],
)
def test_an_adapter_that_does_not_fit_is_one_line_and_leaves_nothing(spoil, words, tiny, tmp_path):
    pytest.importorskip("peft")
    spoil(tmp_path / "adapter")
    with pytest.raises(DataError, match=words) as error:
        convert_model(tiny("llama"), tmp_path / "models/mine", tmp_path / "adapter")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "models").iterdir())


def test_a_base_that_is_broken_is_named_where_it_lies(tiny, tmp_path):
    pytest.importorskip("peft")
    write_adapter(tmp_path / "adapter")
    folder = shutil.copytree(tiny("llama"), tmp_path / "llama")
    (folder / "config.json").write_text("[]")
    with pytest.raises(DataError, match=rf"^{folder}/config\.json: holds a JSON list"):
        convert_model(folder, tmp_path / "models/mine", tmp_path / "adapter")


def test_without_peft_an_adapter_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    write_adapter(tmp_path / "adapter")
    with pytest.raises(ConfigError, match=r"models\.\*\.adapter: .* pip install peft"):
        convert_model(tiny("llama"), tmp_path / "models/mine", tmp_path / "adapter")
    assert not list((tmp_path / "models").iterdir())
