"""Sizes by hand, untrained twins, tokenizers and their prefixes, load errors, and GGUF against the weights it was made from."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from geomkit.core.config import ModelSpec
from geomkit.core.errors import ConfigError, DataError
from geomkit.models.load import (
    blocks,
    convert_gguf,
    find_device,
    load_config,
    load_model,
    load_tokenizer,
    prefix,
    sizes,
    tokenizer_folder,
    untrained_twin,
)

CPU = torch.device("cpu")
V, D, LAYERS = 300, 32, 2


def twin(folder: Path, seed: int, dtype: str = "float32") -> Any:
    return untrained_twin(ModelSpec(folder, device="cpu", dtype=dtype), seed)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> list[bool]:
    return [torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True)]


# sizes

NORM = 2 * D
"""Weight and bias."""

BY_HAND = {
    # query, key, value; attention's output; the MLP; two norms; and the final norm
    "gpt-neox": (LAYERS * ((D + 1) * 3 * D + (D + 1) * D + (D + 1) * 64 + (64 + 1) * D + 2 * NORM) + NORM, 2 * V * D),
    # two groups of keys and values, a gated MLP of width 48, norms without bias; one table, which is the output matrix too
    "llama": (LAYERS * (D * (D + 16 + 16 + D) + 3 * D * 48 + 2 * D) + D, V * D),
    # 64 learned positions; the output matrix is tied
    "gpt2": (LAYERS * ((D + 1) * 3 * D + (D + 1) * D + (D + 1) * 4 * D + (4 * D + 1) * D + 2 * NORM) + NORM, (V + 64) * D),
    # 64 + 2 learned positions; the output matrix is tied
    "opt": (LAYERS * (4 * (D + 1) * D + (D + 1) * 64 + (64 + 1) * D + 2 * NORM) + NORM, (V + 66) * D),
}
"""Parameters without embeddings, and those of the embeddings."""


@pytest.mark.parametrize("architecture", BY_HAND)
def test_sizes_are_those_counted_by_hand(load, architecture):
    body, tables = BY_HAND[architecture]
    found = sizes(load(architecture))
    assert (found.params_total, found.params_nonembedding) == (body + tables, body)


def test_the_twin_has_the_sizes_of_the_trained_model(tiny, load):
    assert sizes(twin(tiny("llama"), 0)) == sizes(load("llama"))


def test_blocks_are_the_models_own(load):
    model = load("opt")
    assert blocks(model) is model.model.decoder.layers
    assert len(blocks(load("gpt2"))) == LAYERS


# untrained twins


def test_a_seed_makes_one_twin(tiny):
    assert all(same_weights(twin(tiny("gpt-neox"), 3), twin(tiny("gpt-neox"), 3)))


def test_another_seed_makes_another_twin(tiny):
    a, b = twin(tiny("gpt-neox"), 3), twin(tiny("gpt-neox"), 4)
    matrices = [same for same, weight in zip(same_weights(a, b), a.parameters(), strict=True) if weight.ndim > 1]
    assert not any(matrices)


def test_a_twin_is_drawn_from_the_initialisation_not_from_the_weights(tiny, load):
    trained, untrained = load("llama"), twin(tiny("llama"), 0)
    assert not any(same_weights(trained, untrained))
    for weight in untrained.parameters():
        if weight.ndim > 1:
            assert 0.9 < float(weight.detach().std()) / 0.25 < 1.1, "initializer_range of the configuration"
        else:
            assert torch.equal(weight, torch.ones_like(weight))


def test_making_a_twin_leaves_the_global_generator_alone_and_does_not_see_it(tiny):
    torch.manual_seed(5)
    expected = twin(tiny("gpt-neox"), 0)
    torch.manual_seed(6)
    before = torch.get_rng_state()
    found = twin(tiny("gpt-neox"), 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(same_weights(expected, found))


def test_a_twin_has_no_dropout(tiny):
    model = twin(tiny("gpt2"), 0)
    assert model.config.resid_pdrop > 0
    assert not any(module.training for module in model.modules())
    ids = torch.arange(1, 20)[None]
    with torch.no_grad():
        assert torch.equal(model(ids).logits, model(ids).logits)


def test_a_twin_in_a_short_type_is_the_float32_twin_rounded(tiny):
    exact, rounded = twin(tiny("gpt-neox"), 0), twin(tiny("gpt-neox"), 0, "bfloat16")
    for a, b in zip(exact.parameters(), rounded.parameters(), strict=True):
        assert b.dtype == torch.bfloat16
        assert torch.equal(a.bfloat16(), b)


# loading


@pytest.mark.parametrize("architecture", ["llama", "mamba"])
def test_the_loaded_model_is_the_saved_one_in_eval_mode(tiny, architecture):
    model = load_model(ModelSpec(tiny(architecture), device="cpu"))
    assert not any(module.training for module in model.modules())
    state = model.state_dict()
    for name, weight in load_file(tiny(architecture) / "model.safetensors").items():
        assert torch.equal(state[name], weight)
    assert load_model(ModelSpec(tiny(architecture), device="cpu", dtype="float16")).dtype == torch.float16


def drop_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def reshape_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(31)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def cut_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def change(**values: object) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return changed


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "configuration is not JSON": (lambda folder: (folder / "config.json").write_text("{"), "not a valid JSON file"),
    "unknown architecture": (change(model_type="nonesuch"), "model type `nonesuch`"),
    "not a causal model": (change(model_type="vit"), "ViTConfig"),
    "sizes do not fit": (change(num_attention_heads=5), "not a multiple of the number of attention heads"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no file named model.safetensors"),
    "a weight is missing": (drop_weight, r"the weights lack model\.layers\.1\.mlp\.up_proj\.weight"),
    "a weight of another shape": (reshape_weight, r"model\.norm\.weight has shape \(31,\), but .* \(32,\)"),
    "weights are cut off": (cut_weights, r"model\.safetensors: has \d+ bytes, but its header describes \d+"),
    "the folder is not there": (shutil.rmtree, "no such folder"),
}


@pytest.fixture
def llama(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy to break."""
    return shutil.copytree(tiny("llama"), tmp_path / "family" / "llama")


@pytest.mark.parametrize("broken", BROKEN)
def test_a_model_that_cannot_be_loaded_is_one_line_that_names_the_folder(llama, broken):
    spoil, message = BROKEN[broken]
    spoil(llama)
    with pytest.raises(DataError, match=message) as error:
        load_model(ModelSpec(llama, device="cpu"))
    assert str(error.value).startswith(str(llama))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_a_configuration_that_cannot_be_loaded_names_the_folder(llama):
    (llama / "config.json").unlink()
    with pytest.raises(DataError, match=f"{llama}: no config.json"):
        load_config(ModelSpec(llama))
    with pytest.raises(DataError, match=f"{llama}: no config.json"):
        twin(llama, 0)


class Code:
    """Runs when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.mark), "w"))


def test_weights_of_the_old_format_are_loaded_and_nothing_else_in_it_is_run(llama, tmp_path):
    """OPT's are on the hub in this format only."""
    weights = load_file(llama / "model.safetensors")
    (llama / "model.safetensors").unlink()
    torch.save(weights, llama / "pytorch_model.bin")
    assert torch.equal(load_model(ModelSpec(llama, device="cpu")).model.norm.weight, weights["model.norm.weight"])
    torch.save(weights | {"model.norm.weight": Code(tmp_path / "it ran")}, llama / "pytorch_model.bin")
    with pytest.raises(DataError, match="UnpicklingError"):
        load_model(ModelSpec(llama, device="cpu"))
    assert not (tmp_path / "it ran").exists()
    (llama / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"pytorch_model\.bin: the file is empty"):
        load_model(ModelSpec(llama, device="cpu"))


def test_code_that_comes_with_a_model_is_not_run(llama, tmp_path):
    change(model_type="odd", auto_map={"AutoConfig": "odd.Config", "AutoModelForCausalLM": "odd.Model"})(llama)
    (llama / "odd.py").write_text(f"open({str(tmp_path / 'it ran')!r}, 'w')\n")
    with pytest.raises(DataError, match="set trust_remote_code: true"):
        load_model(ModelSpec(llama, device="cpu"))
    assert not (tmp_path / "it ran").exists()


# tokenizers


def test_a_tokenizer_is_looked_for_in_the_models_folder_first_then_beside_it(llama, tokenizer):
    beside = llama.parent / "tokenizer"
    assert tokenizer_folder(llama) == llama
    tokenizer.save_pretrained(beside)
    assert tokenizer_folder(llama) == llama
    for file in llama.glob("tokenizer*"):
        file.unlink()
    assert tokenizer_folder(llama) == beside
    deeper = llama.parent / "steps" / "llama-step5"
    deeper.mkdir(parents=True)
    assert tokenizer_folder(deeper) == beside
    assert load_tokenizer(llama)("A boat")["input_ids"] == tokenizer("A boat")["input_ids"]


@pytest.mark.parametrize("left", [[], ["tokenizer_config.json"]])
def test_no_tokenizer_is_one_line_that_names_the_folder(llama, left):
    for file in llama.glob("tokenizer*"):
        if file.name not in left:
            file.unlink()
    with pytest.raises(DataError, match=f"{llama}: no tokenizer could be loaded") as error:
        load_tokenizer(llama)
    assert "\n" not in str(error.value)


def test_a_broken_tokenizer_is_an_error(llama):
    (llama / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=rf"{llama}/tokenizer\.json: tokenizers \S+ cannot read it \(Model missing"):
        load_tokenizer(llama)


def test_prefix_is_what_the_tokenizer_puts_before_a_text(tokenizer, bos_tokenizer):
    assert prefix(tokenizer) == []
    assert prefix(bos_tokenizer) == [tokenizer.eos_token_id]


def test_what_comes_behind_a_text_is_no_prefix(tokenizer):
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    end = (tokenizer.eos_token, tokenizer.eos_token_id)
    for template, expected in ((f"$A {end[0]}", []), (f"{end[0]} {end[0]} $A {end[0]}", [end[1], end[1]])):
        backend.post_processor = TemplateProcessing(single=template, special_tokens=[end])
        assert prefix(PreTrainedTokenizerFast(tokenizer_object=backend)) == expected


# devices


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"compute\.device: cuda, but torch finds no GPU"):
        find_device("cuda")
    assert find_device("auto") == find_device("cpu") == CPU


def test_auto_takes_the_gpu_that_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert find_device("auto").type == find_device("cuda").type == "cuda"
    assert find_device("cpu") == CPU


# GGUF


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key map in GGUF's order: the two halves that are rotated together lie next to each other."""
    rows = len(weight) // heads // 2
    return weight.reshape(heads, 2, rows, -1).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(
    file: Path,
    model: Any,
    tokenizer: Any,
    kind: gguf.GGMLQuantizationType | None,
    leave_out: str = "",
    add: Callable[[gguf.GGUFWriter], object] = lambda writer: None,
) -> dict:
    """A tiny Llama as a GGUF file, with what `add` adds. Returns the weights that it holds, by their name in transformers."""
    config, names = model.config, gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model.config.num_hidden_layers)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    backend = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(backend["vocab"], key=backend["vocab"].get))
    writer.add_token_merges([" ".join(pair) for pair in backend["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    add(writer)
    held = {}
    for name, weight in model.state_dict().items():
        values = weight.numpy()
        if name in ("lm_head.weight", leave_out):
            continue
        for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
            values = interleaved(values, heads) if part in name else values
        stored = gguf.quantize(values, kind) if kind is not None and values.ndim > 1 else np.ascontiguousarray(values)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), stored, raw_dtype=kind if values.ndim > 1 else None)
        held[name] = (
            weight if stored.dtype == np.float32 else torch.tensor(gguf.dequantize(gguf.quantize(weight.numpy(), kind), kind))
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


@pytest.mark.parametrize("kind", [None, gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_1])
def test_a_converted_gguf_computes_what_its_weights_compute(load, tokenizer, tmp_path, kind):
    original = load("llama")
    original.config.intermediate_size = 64
    original = type(original)(original.config).eval()  # blocks of 32 must fit into each row
    held = write_gguf(tmp_path / "tiny.gguf", original, tokenizer, kind)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "tiny.gguf"]
    model = load_model(ModelSpec(tmp_path / "model", device="cpu"))
    assert "quantization_config" not in json.loads((tmp_path / "model" / "config.json").read_text())
    original.load_state_dict(held, strict=False)
    ids = torch.tensor([tokenizer("A boat came in with its lamp unlit.")["input_ids"]])
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, original(ids).logits, rtol=1e-5, atol=1e-5)
    assert sizes(model) == sizes(original)


def test_a_converted_gguf_brings_its_tokenizer(load, tokenizer, tmp_path):
    write_gguf(tmp_path / "tiny.gguf", load("llama"), tokenizer, None)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    text = "“Who brought these?” asked the café’s 27 gulls — nobody."
    found = load_tokenizer(tmp_path / "model")
    assert found(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert prefix(found) == []


def test_a_gguf_that_lacks_a_weight_is_refused(load, tokenizer, tmp_path):
    write_gguf(tmp_path / "tiny.gguf", load("llama"), tokenizer, None, leave_out="model.layers.1.mlp.up_proj.weight")
    with pytest.raises(DataError, match=r"tiny\.gguf: the weights lack model\.layers\.1\.mlp\.up_proj\.weight"):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


@pytest.mark.parametrize("content", [b"", b"not a GGUF file at all", b"GGUF\x03\x00\x00\x00"])
def test_a_file_that_is_not_gguf_is_refused(tmp_path, content):
    (tmp_path / "tiny.gguf").write_bytes(content)
    with pytest.raises(DataError, match=r"tiny\.gguf: (the file is empty|not a GGUF file|no GGUF file could be loaded)"):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_gguf_that_is_cut_off_is_refused(load, tokenizer, tmp_path, share):
    write_gguf(tmp_path / "whole.gguf", load("llama"), tokenizer, None)
    whole = (tmp_path / "whole.gguf").read_bytes()
    (tmp_path / "tiny.gguf").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"tiny\.gguf"):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_gguf_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"tiny\.gguf"):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")


LLAMA3 = {
    **{"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}


def llama3_factors() -> np.ndarray:
    """Divisors of the frequencies of a head of 8, as llama.cpp writes them of Llama 3.1's scaling."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = LlamaConfig(hidden_size=32, num_attention_heads=4, rope_parameters=LLAMA3)
    plain = 1 / 10000 ** (np.arange(0, 8, 2) / 8)
    return (plain / ROPE_INIT_FUNCTIONS["llama3"](config, CPU)[0].numpy()).astype(np.float32)


def scaling(kind: gguf.RopeScalingType, factor: float, **more: float) -> Callable[[gguf.GGUFWriter], None]:
    def add(writer: gguf.GGUFWriter) -> None:
        writer.add_rope_scaling_type(kind)
        writer.add_rope_scaling_factor(factor)
        if "original" in more:
            writer.add_rope_scaling_orig_ctx_len(int(more["original"]))
        writer.add_rope_scaling_finetuned(True)

    return add


@pytest.mark.parametrize(
    ("add", "expected"),
    [
        (lambda writer: writer.add_tensor("rope_freqs.weight", llama3_factors()), LLAMA3),
        (lambda writer: writer.add_tensor("rope_freqs.weight", np.ones(4, np.float32)), {"rope_type": "default"}),
        (scaling(gguf.RopeScalingType.LINEAR, 4.0), {"rope_type": "linear", "factor": 4.0}),
        (scaling(gguf.RopeScalingType.YARN, 4.0, original=16), YARN),
        (scaling(gguf.RopeScalingType.NONE, 1.0), {"rope_type": "default"}),
        (lambda writer: (writer.add_key_length(8), writer.add_sliding_window(64)), {"rope_type": "default"}),
    ],
    ids=["factors as of Llama 3.1", "factors of 1", "linear", "yarn", "no scaling", "keys that change nothing"],
)
def test_rotary_frequencies_of_a_gguf_are_those_that_it_says(add, expected, tiny, load, tokenizer, tmp_path):
    from transformers import AutoModelForCausalLM

    write_gguf(tmp_path / "tiny.gguf", load("llama"), tokenizer, None, add=add)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    rope = {"rope_theta": 10000.0} | expected
    right = AutoModelForCausalLM.from_pretrained(tiny("llama"), rope_parameters=rope).eval()
    plain, ids = load("llama"), torch.arange(1, 60)[None]
    with torch.no_grad():
        found, states, unscaled = (
            model(ids, output_hidden_states=True).hidden_states[1]
            for model in (load_model(ModelSpec(tmp_path / "model", device="cpu")), right, plain)
        )
    torch.testing.assert_close(found, states, rtol=1e-5, atol=1e-5)
    assert torch.equal(found, unscaled) is (expected["rope_type"] == "default")


UNREAD: dict[str, tuple[Callable[[gguf.GGUFWriter], object], str]] = {
    "factors of another number": (
        lambda writer: writer.add_tensor("rope_freqs.weight", np.full(3, 2, np.float32)),
        r"factors of rotary frequencies \(rope_freqs\.weight\)",
    ),
    "a scaling that is not known": (
        lambda w: w.add_string("llama.rope.scaling.type", "odd"),
        r"llama\.rope\.scaling\.type is 'odd'",
    ),
    "a scaling that says too little": (
        scaling(gguf.RopeScalingType.YARN, 4.0),
        "yarn' without rope.scaling.original_context_length",
    ),
    "a factor of attention": (
        lambda writer: (scaling(gguf.RopeScalingType.YARN, 4.0, original=16)(writer), writer.add_rope_scaling_attn_factors(1.5)),
        r"llama\.rope\.scaling\.attn_factor is not 1",
    ),
    "a window": (lambda writer: writer.add_sliding_window(8), r"llama\.attention\.sliding_window is 8"),
    "a cap of the logits": (lambda writer: writer.add_final_logit_softcapping(30.0), r"llama\.final_logit_softcapping is 30"),
    "a scale of the embedding": (lambda writer: writer.add_embedding_scale(12.0), r"llama\.embedding_scale is 12"),
    "a scale of the logits": (lambda writer: writer.add_logit_scale(0.5), r"llama\.logit_scale is 0\.5"),
    "values of another width": (lambda writer: writer.add_value_length(16), r"llama\.attention\.value_length is 16"),
    "experts": (lambda writer: (writer.add_expert_count(8), writer.add_expert_used_count(2)), r"llama\.expert_count is 8"),
    "a key that nobody knows": (lambda writer: writer.add_float32("llama.odd.scale", 2.0), r"llama\.odd\.scale is 2\.0"),
    "a bias": (
        lambda writer: writer.add_tensor("blk.0.attn_q.bias", np.ones(32, np.float32)),
        r"the tensor blk\.0\.attn_q\.bias \(1 such\), which transformers leaves out",
    ),
    "a block more": (
        lambda writer: writer.add_tensor("blk.2.attn_norm.weight", np.ones(32, np.float32)),
        r"the tensor blk\.2\.attn_norm\.weight",
    ),
    "a part of a model": (lambda writer: writer.add_uint16("split.count", 3), "one of 3 parts"),
    "words that are split in an unknown way": (lambda w: w.add_tokenizer_pre("odd"), r"tokenizer\.ggml\.pre is 'odd'"),
}


@pytest.mark.parametrize("case", UNREAD)
def test_what_transformers_does_not_read_of_a_gguf_is_refused_by_name(case, load, tokenizer, tmp_path):
    add, words = UNREAD[case]
    write_gguf(tmp_path / "tiny.gguf", load("llama"), tokenizer, None, add=add)
    with pytest.raises(DataError, match=rf"^{tmp_path}/tiny\.gguf: .*{words}") as error:
        convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


def test_digits_of_a_gguf_stand_alone_where_it_says_so(load, tokenizer, tmp_path):
    text = "boats\n\n27 crates"
    for kind, words in (("gpt-2", ["\n", "\n", "27"]), ("starcoder", ["\n\n", "2", "7"])):
        write_gguf(tmp_path / f"{kind}.gguf", load("llama"), tokenizer, None, add=lambda w, kind=kind: w.add_tokenizer_pre(kind))
        convert_gguf(tmp_path / f"{kind}.gguf", tmp_path / kind)
        backend = load_tokenizer(tmp_path / kind).backend_tokenizer
        found = [text[slice(*place)] for _, place in backend.pre_tokenizer.pre_tokenize_str(text)]
        assert found == ["boats", *words, " crates"]


def test_words_of_a_gguf_are_split_as_it_says_once_it_is_loaded_from_its_folder(load, tokenizer, tmp_path):
    """The class that the model's type names has other rules."""
    write_gguf(tmp_path / "tiny.gguf", load("llama"), tokenizer, None, add=lambda writer: writer.add_tokenizer_pre("llama-bpe"))
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "model")
    backend = load_tokenizer(tmp_path / "model").backend_tokenizer
    assert [place for _, place in backend.pre_tokenizer.pre_tokenize_str("12345")] == [(0, 3), (3, 5)]


def test_of_several_gguf_files_none_is_chosen(tmp_path):
    for name in ("Q4.gguf", "Q8.gguf", "._Q4.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(DataError, match=r"2 GGUF files \(Q4\.gguf, Q8\.gguf\), of which one should be named"):
        convert_gguf(tmp_path, tmp_path / "model")
    (tmp_path / "Q8.gguf").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(DataError, match=r"Q8\.gguf: a pointer of Git LFS"):
        convert_gguf(tmp_path / "Q8.gguf", tmp_path / "model")
