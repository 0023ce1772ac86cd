"""Models that do not fit one device: who decides it, and that a model in several places computes the same bits."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from safetensors.torch import load_file, save_file

from geomkit.core.config import ModelSpec
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.state import State
from geomkit.models import placing
from geomkit.models.capture import Recorder, all_rows, capture
from geomkit.models.load import blocks, find_device, load_model, sizes, untrained_twin
from geomkit.models.norms import final_norm
from geomkit.models.placing import Placement, place, placement, weight_bytes
from geomkit.states.texts import Sample, Texts

GB = 10**9


@pytest.mark.parametrize(
    ("weights", "limits"),
    [
        (8, None),
        (9, {0: 8 * GB, 1: 8 * GB, "cpu": 0}),
        (16, {0: 8 * GB, 1: 8 * GB, "cpu": 0}),
        (20, {0: 8 * GB, 1: 8 * GB, "cpu": 30 * GB}),
        (46, {0: 8 * GB, 1: 8 * GB, "cpu": 30 * GB}),
    ],
)
def test_weights_go_to_one_gpu_then_to_several_then_to_the_host(weights, limits):
    assert placement("m", weights * GB, [10 * GB] * 2, 30 * GB, margin=2 * GB) == Placement(limits)


def test_what_nothing_holds_is_an_error_that_names_the_model_and_what_fits():
    message = r"m: its weights take 47\.0 GB, and 2 GPUs have room for 16\.0 GB .* host for 30\.0 GB; .* 46\.0 GB fit"
    with pytest.raises(ConfigError, match=message):
        placement("m", 47 * GB, [10 * GB] * 2, 30 * GB, margin=2 * GB)
    with pytest.raises(ConfigError, match=r"0 GPUs"):
        placement("m", 31 * GB, [], 30 * GB)
    assert placement("m", GB, [GB], 30 * GB, margin=2 * GB) == Placement({0: 0, "cpu": 30 * GB}), "a full GPU holds nothing"


def test_one_gpu_by_number_is_never_left(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(placing, "free_memory", lambda device: 3 * GB if device.type == "cuda" else 10 * GB)
    assert place("m", 2 * GB, find_device("cuda")) == Placement(None)
    limits = place("m", 2 * GB, find_device("auto")).limits
    assert limits is not None
    assert set(limits) == {0, 1, "cpu"}


def test_a_model_that_the_host_cannot_hold_is_refused_before_it_is_loaded(monkeypatch, tiny):
    monkeypatch.setattr(placing, "free_memory", lambda device: 1000)
    with pytest.raises(ConfigError, match=r"llama: its weights take .* models of up to 0\.0 GB fit"):
        load_model(ModelSpec(tiny("llama"), device="cpu"))


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2)])
def test_bytes_are_those_of_the_type_that_is_run(dtype, size, tiny):
    weights = load_file(tiny("gpt-neox") / "model.safetensors")
    assert weight_bytes(tiny("gpt-neox"), getattr(torch, dtype)) == size * sum(one.numel() for one in weights.values())


@pytest.mark.parametrize("architecture", ["llama", "gpt-neox"])
def test_a_model_on_cpu_and_disk_has_the_same_states_bit_for_bit(architecture, tiny, spread):
    """Blocks are read from the disk as they run, by the hooks that also move inputs from device to device."""
    whole, parted = load_model(ModelSpec(tiny(architecture), device="cpu")), spread(architecture)
    assert {weight.device.type for weight in parted.parameters()} == {"cpu", "meta"}
    ids = [np.arange(3, 3 + n, dtype=np.int32) for n in (5, 9, 7)]
    sample = Sample(ids, [], Texts(["a", "b", "c"], [5, 9, 7], [1, 1, 1]))
    runs = [list(capture(Recorder(model, range(4), True), sample, 20)) for model in (whole, parted)]
    for one, other in zip(*runs, strict=True):
        assert one.states.keys() == other.states.keys()
        assert all(np.array_equal(one.states[state], other.states[state]) for state in one.states)
        np.testing.assert_array_equal(one.surprisal, other.surprisal)
    kept = [all_rows(Recorder(model, [2, 3], False), sample, 20) for model in (whole, parted)]
    assert all(np.array_equal(kept[0][state], kept[1][state]) for state in (State(2), State(3)))
    assert final_norm(parted) == final_norm(whole)
    assert sizes(parted) == sizes(whole)


def test_states_lie_on_the_device_of_their_block(tiny):
    """From the second block on the model is on a device that computes nothing, to which accelerate's hooks move what it takes."""
    model, elsewhere = load_model(ModelSpec(tiny("gpt-neox"), device="cpu")), torch.device("meta")
    recorder = Recorder(model, range(4), True)
    recorder.checked = True  # which takes values
    for part in (blocks(model)[1], model.base_model.final_layer_norm, model.get_output_embeddings()):
        add_hook_to_module(part.to(elsewhere), AlignDevicesHook(execution_device=elsewhere))
    with recorder.hooked(), torch.inference_mode():
        model(input_ids=torch.arange(1, 7)[None], use_cache=False)
    places = {(state.layer, values.device.type) for state, values in recorder.states.items()}
    assert places == {(0, "cpu"), (1, "cpu"), (2, "meta"), (3, "meta")}
    assert len(recorder.states) == 4 + 2 * 2


@pytest.mark.parametrize(
    ("places", "runs", "first"),
    [
        ({"": 1}, "cuda:1", "cuda:1"),
        ({"a": 0, "a.b": 1, "ab": "cpu"}, "cuda:1", "cuda:0"),
        ({"x": "cpu", "a": "disk", "y": 2}, "cuda:2", "cuda:2"),
        ({"x": "cpu", "a": "disk"}, "cpu", "cpu"),
        ({"": torch.device("cuda", 3)}, "cuda:3", "cuda:3"),
    ],
)
def test_a_part_runs_where_it_lies_or_on_the_first_gpu(places, runs, first):
    assert placing.runs_on(places, "a.b.c") == torch.device(runs)
    assert placing.runs_on(places) == torch.device(first)


def test_blocks_of_a_twin_are_spread_whole(tiny):
    """Where there is no GPU they go to the host, and what it cannot hold to nowhere."""
    twin, whole = (untrained_twin(ModelSpec(tiny("llama"), device="cpu"), 0) for _ in range(2))
    ids = torch.arange(1, 12)[None]
    with torch.no_grad():
        assert torch.equal(placing.spread(twin, {"cpu": GB})(ids).logits, whole(ids).logits)
    assert set(twin.hf_device_map.values()) == {"cpu"} if hasattr(twin, "hf_device_map") else True


# quantised checkpoints


def edit(folder: Path, **quantization: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": quantization}))


BLOCK = 16


def quantised(folder: Path) -> dict[str, torch.Tensor]:
    """Makes a checkpoint one of blocks of FP8, as DeepSeek's and Qwen's are. Returns the weights that it stands for."""
    weights, stored, meant = load_file(folder / "model.safetensors"), {}, {}
    for name, weight in weights.items():
        stored[name] = meant[name] = weight
        if "_proj" in name:
            rows, columns = weight.shape
            tiles = weight.reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
            scale = tiles.abs().amax((1, 3)) / 448
            packed = (tiles / scale[:, None, :, None]).to(torch.float8_e4m3fn)
            stored[name], stored[f"{name}_scale_inv"] = packed.reshape(weight.shape), scale
            meant[name] = (packed.float() * scale[:, None, :, None]).reshape(weight.shape)
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    edit(folder, quant_method="fp8", activation_scheme="dynamic", weight_block_size=[BLOCK, BLOCK])
    return meant


@pytest.fixture
def fp8(tiny, tmp_path):
    folder = shutil.copytree(tiny("llama"), tmp_path / "quantised")
    return folder, quantised(folder)


def test_an_fp8_checkpoint_computes_what_its_weights_mean(fp8, load):
    folder, meant = fp8
    model, plain = load_model(ModelSpec(folder, device="cpu")), load("llama")
    plain.load_state_dict(meant, strict=False)
    ids = torch.arange(1, 12)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, plain(ids).logits, rtol=1e-5, atol=1e-5)
    assert sizes(model) == sizes(plain)


def test_a_twin_of_a_quantised_checkpoint_is_the_architecture_without_quantisation(fp8, tiny):
    twins = [untrained_twin(ModelSpec(folder, device="cpu", dtype="bfloat16"), 0) for folder in (fp8[0], tiny("llama"))]
    assert all(torch.equal(*pair) for pair in zip(*(twin.parameters() for twin in twins), strict=True))
    assert not hasattr(twins[0].config, "quantization_config")


@pytest.mark.parametrize(
    ("quantization", "package"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 16}, "optimum"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "compressed"),
    ],
)
def test_a_package_that_quantised_weights_need_and_is_not_there_is_named(tiny, tmp_path, quantization, package):
    folder = shutil.copytree(tiny("llama"), tmp_path / "quantised")
    edit(folder, **quantization)
    with pytest.raises(DataError, match=f"{folder}: no causal language model.*{package}") as error:
        load_model(ModelSpec(folder, device="cpu"))
    assert "\n" not in str(error.value)
