"""Weights in the type of a run: rounded once, and without a copy in another type."""

import json
import struct
from pathlib import Path

import pytest
import torch
from conftest import ARCHITECTURES, MASKED
from loaded_peak import configuration, peak
from transformers import LlamaForCausalLM, initialization

from geomkit.core.config import ModelSpec
from geomkit.core.errors import DataError
from geomkit.models import weights as loading
from geomkit.models.load import load_model, untrained_twin
from geomkit.models.weights import BY_NUMBER, BY_ROW, stored_types, unused, widened

SHORT = torch.bfloat16


def types(model: torch.nn.Module) -> dict[str, torch.dtype]:
    return {name: tensor.dtype for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_short_model_and_its_twin_are_the_long_ones_rounded_and_of_the_same_types(tiny, architecture):
    folder, objective = tiny(architecture), "masked" if architecture in MASKED else "causal"
    for make in (load_model, lambda spec: untrained_twin(spec, 0)):
        long, short = (make(ModelSpec(folder, objective, device="cpu", dtype=dtype)) for dtype in ("float32", "bfloat16"))
        assert all(torch.equal(a.to(SHORT), b.to(SHORT)) for a, b in zip(long.parameters(), short.parameters(), strict=True))
    assert types(short) == types(load_model(ModelSpec(folder, device="cpu", dtype="bfloat16", objective=objective)))
    with torch.no_grad():
        assert short(input_ids=torch.arange(1, 6)[None]).logits.isfinite().all()


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {}) for name in (*BY_NUMBER, *BY_ROW, "trunc_normal_", "xavier_uniform_", "orthogonal_")]
    + [("kaiming_uniform_", {"mode": "fan_out"})],
)
@pytest.mark.parametrize("shape", [(50, 24), (33, 7, 3), (20, 5)])
def test_a_weight_that_is_drawn_in_blocks_is_the_one_drawn_whole(name, options, shape, monkeypatch):
    monkeypatch.setattr(loading, "BLOCK", 100)
    whole, parameter = torch.empty(shape), torch.nn.Parameter(torch.empty(shape))
    draw, after = getattr(initialization, name), []
    for weight in (whole, parameter):
        torch.manual_seed(0)
        widened(draw, SHORT, torch.empty(400))(weight, **options)
        after.append(torch.rand(3))
    assert parameter.dtype == SHORT
    assert torch.equal(parameter, whole.to(SHORT))
    assert torch.equal(*after), "a generator that goes on elsewhere"


def test_a_transposed_weight_is_drawn_as_it_lies():
    whole, short = torch.empty(50, 24).T, torch.empty(50, 24, dtype=SHORT).T
    for weight in (whole, short):
        torch.manual_seed(0)
        widened(initialization.normal_, SHORT, torch.empty(4000))(weight)
    assert torch.equal(short, whole.to(SHORT))


def test_rotary_frequencies_of_a_twin_are_not_rounded(tiny):
    frequencies = [
        dict(untrained_twin(ModelSpec(tiny("llama"), device="cpu", dtype=dtype), 0).named_buffers())["model.rotary_emb.inv_freq"]
        for dtype in ("float32", "bfloat16")
    ]
    assert torch.equal(*frequencies)


def test_nothing_of_transformers_stays_changed(tiny):
    before = dict(vars(initialization))
    untrained_twin(ModelSpec(tiny("llama"), device="cpu", dtype="bfloat16"), 0)
    assert vars(initialization) == before
    layer = torch.nn.Sequential(torch.nn.Linear(2, 2))
    assert layer[0].weight.dtype == torch.float32


def test_types_of_a_checkpoint_are_read_from_its_files(tiny, tmp_path):
    assert stored_types(tiny("llama")) == {torch.float32}
    (tmp_path / "model.safetensors").write_bytes(b"not one")
    with pytest.raises(DataError, match="not a safetensors file"):
        stored_types(tmp_path)
    load_model(ModelSpec(tiny("llama"), device="cpu", dtype="bfloat16")).save_pretrained(tmp_path)
    assert stored_types(tmp_path) == {SHORT}


def test_draws_of_the_constructors_are_in_blocks_too(tiny, monkeypatch):
    monkeypatch.setattr(loading, "BLOCK", 64)
    long, short = (untrained_twin(ModelSpec(tiny("gpt-neox"), device="cpu", dtype=dtype), 0) for dtype in ("float32", "bfloat16"))
    assert all(torch.equal(a.to(SHORT), b) for a, b in zip(long.parameters(), short.parameters(), strict=True))


@pytest.mark.parametrize("quantised", [False, True])
def test_tensors_beside_packed_weights_are_their_own_only_in_a_quantised_checkpoint(quantised):
    names = ["model.layers.0.up_proj.weight_scale", "model.layers.0.up_proj.weight.quant_state.bitsandbytes__nf4", "score.weight"]
    within, beside = unused(names, ["model", "lm_head"], {}, "model.layers", quantised=quantised)
    assert (len(within), beside) == (0 if quantised else 2, ["score.weight"])


def write_empty(folder: Path, dtype: torch.dtype) -> Path:
    """A checkpoint of zeros, which takes no space on a disk that knows holes."""
    with torch.device("meta"):
        model = LlamaForCausalLM(configuration())
    model.config.save_pretrained(folder)
    header, end = {}, 0
    for name, weight in model.state_dict().items():
        size = weight.numel() * dtype.itemsize
        kind = {torch.float32: "F32", SHORT: "BF16"}[dtype]
        header[name] = {"dtype": kind, "shape": list(weight.shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return folder


measured = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")


@pytest.mark.slow
@measured
@pytest.mark.parametrize(("stored", "dtype"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_loading_300_million_parameters_takes_the_memory_of_the_weights(tmp_path, stored, dtype):
    assert peak("load", write_empty(tmp_path, getattr(torch, stored)), dtype) < 1.15


@pytest.mark.slow
@measured
def test_a_short_twin_takes_the_memory_of_its_weights_though_most_are_two_tables(tmp_path):
    configuration(layers=4).save_pretrained(tmp_path)
    assert peak("twin", tmp_path, "bfloat16") < 1.15
