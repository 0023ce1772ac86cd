"""Model folders as people have them: what is whole is measured, and everything else ends in one line that names the file or the
folder and what was found, with nothing left behind."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_bad_input import POINTER, tree

from geomkit.core.config import ModelSpec
from geomkit.core.errors import DataError, GeomkitError, RefusalError
from geomkit.core.logs import explain
from geomkit.models.cutting import cut_texts
from geomkit.models.load import load_config, load_model, load_tokenizer, prefix, skeleton, suffix, untrained_twin
from geomkit.models.stream import runs
from geomkit.sources.corpora import write_documents
from geomkit.sources.weights import write_weights
from geomkit.states.dumping import dump_states
from geomkit.states.dumps import Dump
from geomkit.states.texts import read_texts

pytestmark = pytest.mark.slow

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
Spoil = Callable[[Path], object]


@pytest.fixture
def llama(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy to break."""
    return shutil.copytree(tiny("llama"), tmp_path / "family" / "llama")


@pytest.fixture
def corpus(documents: list, tmp_path: Path) -> Path:
    write_documents(documents, tmp_path / "c.parquet")
    return tmp_path / "c.parquet"


def measure(folder: Path, corpus: Path, output: Path, length: int = 16) -> Path:
    """What the workflow does with a folder, in its order. Returns the dump."""
    write_weights(["mine"], [str(folder)], output / "weights.csv")
    cut_texts(folder, corpus, output / "texts.h5", "all", {"count": 4, "length": length}, seed=0, spec=ModelSpec())
    return dump(folder, output / "texts.h5", output / "dumps/mine/c/trained.h5")


def dump(folder: Path, texts: Path, output: Path) -> Path:
    states = partial(runs, folder, texts, output.parent.parent.name, ModelSpec(device="cpu"), 4096, 0)
    dump_states(states, [output], {"dtype": "float32", "compression": None}, ["trained"])
    return output


def same_states(found: Path, expected: Path) -> None:
    with Dump(found) as one, Dump(expected) as other:
        for text in range(len(other.texts.document)):
            np.testing.assert_array_equal(one.ids(text), other.ids(text))
            for state in other.states:
                np.testing.assert_array_equal(one.rows(state, text, text + 1), other.rows(state, text, text + 1))


# ways to spoil a folder


def put(name: str, content: bytes | str | object) -> Spoil:
    def spoil(folder: Path) -> None:
        text = content if isinstance(content, bytes | str) else json.dumps(content)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return spoil


def change(name: str = "config.json", **values: object) -> Spoil:
    return lambda folder: put(name, json.loads((folder / name).read_text()) | values)(folder)


def drop(key: str, name: str = "config.json") -> Spoil:
    return lambda folder: put(name, {k: v for k, v in json.loads((folder / name).read_text()).items() if k != key})(folder)


def unlink(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def as_folder(name: str) -> Spoil:
    return lambda folder: ((folder / name).unlink(), (folder / name).mkdir())


def as_link(name: str) -> Spoil:
    return lambda folder: ((folder / name).unlink(), (folder / name).symlink_to("nowhere"))


def cut_off(name: str, share: float = 0.5) -> Spoil:
    return lambda folder: put(name, (folder / name).read_bytes()[: int(share * (folder / name).stat().st_size)])(folder)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """In memory of their own: the file is to be written anew."""
    return {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}


def weights(alter: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Spoil:
    return lambda folder: save_file(alter(tensors(folder)), folder / WEIGHTS, {"format": "pt"})


def more(**shapes: tuple[int, ...]) -> Spoil:
    """Further tensors, whose names have __ for a point."""
    return weights(lambda found: found | {name.replace("__", "."): torch.ones(shape) for name, shape in shapes.items()})


def sharded(folder: Path) -> None:
    found, places = tensors(folder), {}
    for number, names in enumerate((sorted(found)[::2], sorted(found)[1::2]), 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: found[name] for name in names}, folder / file, {"format": "pt"})
        places |= dict.fromkeys(names, file)
    (folder / WEIGHTS).unlink()
    put(INDEX, {"metadata": {}, "weight_map": places})(folder)


def both(*spoils: Spoil) -> Spoil:
    return lambda folder: [spoil(folder) for spoil in spoils]


def pickled(content: Callable[[dict[str, torch.Tensor]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        torch.save(content(tensors(folder)), folder / "pytorch_model.bin")
        (folder / WEIGHTS).unlink()

    return spoil


def moved(name: str, to: str) -> Spoil:
    return lambda folder: (folder / name).rename(folder / to)


def tokenizer_rules(alter: Callable[[dict], object]) -> Spoil:
    """Another tokenizer.json, from its content."""

    def spoil(folder: Path) -> None:
        found = json.loads((folder / "tokenizer.json").read_text())
        put("tokenizer.json", alter(found) or found)(folder)

    return spoil


def other_merges(found: dict) -> None:
    found["model"]["merges"] = [{"pair": pair} for pair in found["model"]["merges"]]


ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "a/base", "r": 2, "target_modules": ["q_proj"]}
FOG = {"id": 300, "content": "fog", "special": False}
HEADER = (10).to_bytes(8, "little")

FOLDERS: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    # the configuration
    "no config": (unlink("config.json"), ("no config.json",)),
    "config empty": (put("config.json", ""), ("config.json: the file is empty",)),
    "config a list": (put("config.json", [1]), ("config.json: holds a JSON list",)),
    "config null": (put("config.json", "null"), ("config.json: holds a JSON NoneType",)),
    "config a number": (put("config.json", "3"), ("config.json: holds a JSON int",)),
    "config cut off": (cut_off("config.json"), ("config.json: not a valid JSON file",)),
    "config in UTF-16": (put("config.json", "{}".encode("utf-16")), ("config.json: not a valid JSON file",)),
    "config nested without end": (put("config.json", '{"a":' * 100_000), ("config.json: not a valid JSON file",)),
    "config a page": (put("config.json", "<!DOCTYPE html><title>Sign in</title>"), ("config.json: not a valid JSON file",)),
    "config a pointer": (put("config.json", POINTER), ("config.json: a pointer of Git LFS", "git lfs pull")),
    "config a folder": (as_folder("config.json"), ("config.json: a folder, not a file",)),
    "config a broken link": (as_link("config.json"), ("config.json: a link that leads nowhere",)),
    "config without model_type": (drop("model_type"), ("config.json: no model_type",)),
    "model_type a number": (change(model_type=7), ("config.json: model_type is 7",)),
    "model_type unknown": (change(model_type="nonesuch"), ("llama: no model configuration", "nonesuch")),
    "model_type of images": (change(model_type="vit"), ("llama", "ViTConfig")),
    "model_type of other weights": (change(model_type="gpt2"), ("llama", "the weights lack")),
    "dtype unknown": (change(dtype="float42"), ("config.json: dtype is 'float42'", "float32")),
    "dtype in the old key": (both(drop("dtype"), change(torch_dtype="half-ish")), ("config.json: dtype is 'half-ish'",)),
    "dtype a number": (change(dtype=16), ("config.json: dtype is 16",)),
    "padding beyond the vocabulary": (change(pad_token_id=99999), ("llama", "pad_token_id in config.json")),
    "vocabulary a word": (change(vocab_size="many"), ("llama", "vocab_size")),
    "vocabulary empty": (change(vocab_size=0), ("config.json: vocab_size is 0",)),
    "vocabulary smaller than the weights": (change(vocab_size=299), ("llama: ", "has shape (300, 32)", "(299, 32)")),
    "width a word": (change(hidden_size="wide"), ("llama", "hidden_size")),
    "width of other weights": (change(hidden_size=64), ("llama", "has shape")),
    "heads that do not divide": (change(num_attention_heads=5), ("llama", "attention heads")),
    "more blocks than weights": (change(num_hidden_layers=3), ("llama: the weights lack model.layers.2.",)),
    "fewer blocks than weights": (
        change(num_hidden_layers=1),
        ("llama: the model has no place for model.layers.1.", "num_hidden_layers"),
    ),
    "blocks nothing": (change(num_hidden_layers=None), ("llama", "num_hidden_layers")),
    "activation unknown": (change(hidden_act="nonesuch"), ("llama", "nonesuch")),
    "rotation a list": (change(rope_parameters=[1]), ("llama",)),
    "rotation unknown": (change(rope_parameters={"rope_type": "nonesuch", "rope_theta": 1e4}), ("llama", "nonesuch")),
    "an untied head without weights": (change(tie_word_embeddings=False), ("llama: the weights lack lm_head.weight",)),
    "quantisation a word": (change(quantization_config="int8"), ("llama",)),
    "code of its own": (
        change(model_type="odd", auto_map={"AutoConfig": "odd.C", "AutoModelForCausalLM": "odd.M"}),
        ("llama", "trust_remote_code: true"),
    ),
    # weights
    "no weights": (unlink(WEIGHTS), ("llama: no weights", "model.safetensors")),
    "weights empty": (put(WEIGHTS, b""), ("model.safetensors: the file is empty",)),
    "weights of few bytes": (put(WEIGHTS, b"abc"), ("model.safetensors: not a safetensors file",)),
    "weights a pointer": (put(WEIGHTS, POINTER), ("model.safetensors: a pointer of Git LFS", "git lfs pull")),
    "weights cut off": (cut_off(WEIGHTS, 0.9), ("model.safetensors: has", "cut off")),
    "weights cut off in the header": (cut_off(WEIGHTS, 0.001), ("model.safetensors: not a safetensors file",)),
    "weights with more behind them": (
        lambda folder: put(WEIGHTS, (folder / WEIGHTS).read_bytes() + b"more")(folder),
        ("model.safetensors: has", "damaged"),
    ),
    "weights a page": (put(WEIGHTS, "<!DOCTYPE html>" * 9), ("model.safetensors: not a safetensors file",)),
    "weights of a header that is a list": (put(WEIGHTS, HEADER + b"[1,2,3,4] "), ("model.safetensors: not a safetensors file",)),
    "weights of a header that says nothing": (put(WEIGHTS, HEADER + b'{"a": {} }'), ("model.safetensors: its header does not",)),
    "weights a folder": (as_folder(WEIGHTS), ("model.safetensors: a folder, not a file",)),
    "weights a broken link": (as_link(WEIGHTS), ("model.safetensors: a link that leads nowhere",)),
    "weights pickled under this name": (
        lambda folder: torch.save(tensors(folder), folder / WEIGHTS),
        ("model.safetensors: not a safetensors file",),
    ),
    "weights transposed": (
        weights(lambda found: found | {n: v.T.contiguous() for n, v in found.items() if n.endswith("up_proj.weight")}),
        ("llama", "up_proj.weight has shape (32, 48)"),
    ),
    "weights that lack one": (
        weights(lambda found: {n: v for n, v in found.items() if n != "model.norm.weight"}),
        ("llama: the weights lack model.norm.weight",),
    ),
    "weights in a wrapper": (
        weights(lambda found: {f"module.{n}": v for n, v in found.items()}),
        ("llama: the weights lack lm_head.weight", "module.", "without what wraps it"),
    ),
    "weights that are not numbers": (
        weights(lambda found: found | {"model.norm.weight": torch.full((32,), torch.nan)}),
        ("NaN or infinity",),
    ),
    "weights of TensorFlow alone": (moved(WEIGHTS, "tf_model.h5"), ("llama: no weights", "tf_model.h5")),
    "weights of a pickle that is cut off": (
        both(pickled(dict), cut_off("pytorch_model.bin")),
        ("llama", "no causal language model"),
    ),
    "weights of an empty pickle": (
        both(unlink(WEIGHTS), put("pytorch_model.bin", b"")),
        ("pytorch_model.bin: the file is empty",),
    ),
    "weights of a pickle that is a pointer": (
        both(unlink(WEIGHTS), put("pytorch_model.bin", POINTER)),
        ("pytorch_model.bin: a pointer of Git LFS",),
    ),
    "weights of a pickle of something else": (pickled(lambda found: [1, 2]), ("llama", "no causal language model")),
    "weights of a bare pickle": (
        both(unlink(WEIGHTS), put("pytorch_model.bin", pickle.dumps({"a": 1}))),
        ("llama", "no causal language model"),
    ),
    "weights half downloaded": (moved(WEIGHTS, "model.safetensors.part"), ("llama: no weights", "model.safetensors.part")),
    # shards
    "index empty": (both(sharded, put(INDEX, "")), ("index.json: the file is empty",)),
    "index a pointer": (both(sharded, put(INDEX, POINTER)), ("index.json: a pointer of Git LFS",)),
    "index a list": (both(sharded, put(INDEX, [])), ("index.json: holds a JSON list",)),
    "index without a map": (both(sharded, put(INDEX, {})), ("index.json: no weight_map",)),
    "index with a map that is a list": (both(sharded, put(INDEX, {"weight_map": [1]})), ("index.json: no weight_map",)),
    "index that leads out": (both(sharded, put(INDEX, {"weight_map": {"a": "../../a"}})), ("index.json: names ../../a",)),
    "a shard missing": (
        both(sharded, unlink("model-00002-of-00002.safetensors")),
        ("llama: no model-00002-of-00002.safetensors", "1 of 2 files are missing"),
    ),
    "a shard that is a pointer": (
        both(sharded, put("model-00001-of-00002.safetensors", POINTER)),
        ("model-00001-of-00002.safetensors: a pointer of Git LFS",),
    ),
    "a shard that is cut off": (
        both(sharded, cut_off("model-00001-of-00002.safetensors", 0.8)),
        ("model-00001-of-00002.safetensors: has", "cut off"),
    ),
    "a shard of another revision": (
        both(sharded, lambda f: shutil.copy(f / "model-00001-of-00002.safetensors", f / "model-00002-of-00002.safetensors")),
        ("model-00002-of-00002.safetensors", "another revision"),
    ),
    # tensors that the model has no place for
    "biases": (
        more(model__layers__0__self_attn__q_proj__bias=(32,)),
        ("no place for model.layers.0.self_attn.q_proj.bias", "attention_bias"),
    ),
    "a bias that is named as a mask is": (more(model__layers__0__attn__bias=(32,)), ("no place for model.layers.0.attn.bias",)),
    "a bias of the final norm": (more(model__norm__bias=(32,)), ("no place for model.norm.bias",)),
    "a table of positions": (more(model__embed_positions__weight=(64, 32)), ("no place for model.embed_positions.weight",)),
    "a bias of the head": (more(lm_head__bias=(300,)), ("no place for lm_head.bias",)),
    "weights of an adapter": (
        more(base_model__model__layers__0__self_attn__q_proj__lora_A__weight=(2, 32)),
        ("no place for base_model.model.layers.0.self_attn.q_proj.lora_A.weight",),
    ),
    "an adapter beside the weights": (
        put("adapter_config.json", ADAPTER),
        ("llama: an adapter (adapter_config.json)", "adapter to"),
    ),
    "an adapter alone": (
        both(put("adapter_config.json", ADAPTER), unlink("config.json"), unlink(WEIGHTS)),
        ("llama: no weights",),
    ),
    # the tokenizer
    "no tokenizer": (both(unlink("tokenizer.json"), unlink("tokenizer_config.json")), ("llama: no tokenizer",)),
    "a tokenizer's settings alone": (unlink("tokenizer.json"), ("llama: no tokenizer",)),
    "tokenizer empty": (put("tokenizer.json", ""), ("tokenizer.json: the file is empty",)),
    "tokenizer a pointer": (put("tokenizer.json", POINTER), ("tokenizer.json: a pointer of Git LFS",)),
    "tokenizer a list": (put("tokenizer.json", [1]), ("tokenizer.json: holds a JSON list",)),
    "tokenizer without a model": (put("tokenizer.json", {}), ("tokenizer.json: tokenizers", "another version")),
    "tokenizer cut off": (cut_off("tokenizer.json"), ("tokenizer.json: not a valid JSON file",)),
    "tokenizer of another version": (tokenizer_rules(other_merges), ("tokenizer.json: tokenizers", "another version")),
    "tokenizer of a model that there is not": (
        tokenizer_rules(lambda found: found | {"model": {"type": "Nonesuch", "vocab": {}}}),
        ("tokenizer.json: tokenizers", "another version"),
    ),
    "tokenizer a folder": (as_folder("tokenizer.json"), ("tokenizer.json: a folder, not a file",)),
    "settings a list": (put("tokenizer_config.json", [1]), ("tokenizer_config.json: holds a JSON list",)),
    "settings empty": (put("tokenizer_config.json", ""), ("tokenizer_config.json: the file is empty",)),
    "settings a pointer": (put("tokenizer_config.json", POINTER), ("tokenizer_config.json: a pointer of Git LFS",)),
    "settings with a class that is a number": (change("tokenizer_config.json", tokenizer_class=3), ("llama: no tokenizer",)),
    "settings with a length that is a word": (
        change("tokenizer_config.json", model_max_length="long"),
        ("llama: no tokenizer could be loaded",),
    ),
    "special tokens a list": (put("special_tokens_map.json", [1]), ("special_tokens_map.json: holds a JSON list",)),
    "added tokens a word": (put("added_tokens.json", '"a"'), ("added_tokens.json: holds a JSON str",)),
    "added tokens that are no tokens": (
        change("tokenizer_config.json", added_tokens_decoder={"x": 1}),
        ("llama: no tokenizer could be loaded",),
    ),
    "tokens that the embedding has not": (
        tokenizer_rules(lambda found: found["added_tokens"].append(found["added_tokens"][0] | FOG)),
        ("token id 300", "300 tokens"),
    ),
    "tokens that the file has not": (
        change("tokenizer_config.json", added_tokens_decoder={"300": dict.fromkeys(
            ("lstrip", "normalized", "rstrip", "single_word", "special"), False) | {"content": "lamp"}}),
        ("tokenizer.json: ", "other tokens than this file", "save the tokenizer again"),
    ),
}  # fmt: skip
"""What is done to a folder that is whole, and words of the line."""


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_is_not_a_models_is_one_line_that_names_it(case, llama, corpus, tmp_path):
    spoil, words = FOLDERS[case]
    spoil(llama)
    before = tree(tmp_path)
    with pytest.raises(GeomkitError) as error:
        measure(llama, corpus, tmp_path / "results")
    line = explain(error.value)
    assert line is not None
    assert "\n" not in line
    assert len(line) < 900
    assert [word for word in words if word not in line] == [], line
    left = (
        [name for name in tree(tmp_path / "results") if name not in ("weights.csv", "texts.h5")]
        if (tmp_path / "results").exists()
        else []
    )
    assert left == []
    assert before.items() <= tree(tmp_path).items()


# folders with more than is needed, which give what the whole one gives


def buffers(folder: Path) -> None:
    """What older versions of transformers saved beside the weights."""
    more(
        model__layers__0__self_attn__rotary_emb__inv_freq=(4,),
        model__layers__0__attn__bias=(1, 1, 64, 64),
        model__layers__0__attn__masked_bias=(),
        model__embeddings__position_ids=(1, 64),
    )(folder)


GOOD: dict[str, Spoil] = {
    "hidden copies of macOS": lambda folder: [
        put(f"._{name}", b"\x00\x05\x16\x07" + bytes(200))(folder) for name in (WEIGHTS, "config.json", "tokenizer.json", "a.bin")
    ],
    "what a trainer leaves": both(put("optimizer.pt", b"x"), put("training_args.bin", b""), put("old.safetensors", b"x")),
    "the same weights in another format": lambda folder: shutil.copy(folder / WEIGHTS, folder / "consolidated.safetensors"),
    "shards": sharded,
    "a pickle": pickled(dict),
    "buffers": buffers,
    "a tied head": weights(lambda found: found | {"lm_head.weight": found["model.embed_tokens.weight"].clone()}),
    "a tokenizer that says how it pads and truncates": tokenizer_rules(
        lambda found: found
        | {"truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}}
        | {"padding": {"strategy": {"Fixed": 99}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
                       "pad_token": "<|endoftext|>"}}
    ),
    "tokens beyond the embedding that no text has": tokenizer_rules(
        lambda found: found["added_tokens"].append(found["added_tokens"][0] | FOG | {"content": "<unused>"})
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_a_folder_with_more_in_it_gives_the_same_states(case, llama, corpus, tmp_path):
    expected = measure(llama, corpus, tmp_path / "expected")
    GOOD[case](llama)
    same_states(measure(llama, corpus, tmp_path / "results"), expected)


def test_parts_that_take_no_part_are_left_out_and_named_in_the_dump(llama, corpus, tmp_path, capsys):
    expected = measure(llama, corpus, tmp_path / "expected")
    more(score__weight=(2, 32), model__vision_tower__patch__weight=(4, 4), mtp__layers__0__weight=(3,))(llama)
    found = measure(llama, corpus, tmp_path / "results")
    same_states(found, expected)
    names = "model.vision_tower.patch.weight, mtp.layers.0.weight, score.weight"
    assert f"left out, for they take no part in what is measured: {names}" in capsys.readouterr().out
    with Dump(found) as file, Dump(expected) as other:
        assert file.attributes["weights left out"] == names
        assert "weights left out" not in other.attributes


def test_a_block_that_predicts_further_tokens_is_left_out(llama):
    more(model__layers__2__eh_proj__weight=(3,))(llama)
    with pytest.raises(DataError, match=r"no place for model\.layers\.2\.eh_proj\.weight"):
        load_model(ModelSpec(llama, device="cpu"))
    change(num_nextn_predict_layers=1)(llama)
    assert load_model(ModelSpec(llama, device="cpu")).left_out == ["model.layers.2.eh_proj.weight"]


def test_the_pooler_of_an_encoder_is_left_out_and_its_embeddings_are_not(tiny, tmp_path):
    bert = shutil.copytree(tiny("bert"), tmp_path / "bert")
    more(bert__pooler__dense__weight=(32, 32), cls__seq_relationship__bias=(2,))(bert)
    found = load_model(ModelSpec(bert, device="cpu", objective="masked")).left_out
    assert found == ["bert.pooler.dense.weight", "cls.seq_relationship.bias"]
    more(bert__embeddings__extra__weight=(300, 32))(bert)
    with pytest.raises(DataError, match=r"no place for bert\.embeddings\.extra\.weight"):
        load_model(ModelSpec(bert, device="cpu", objective="masked"))


@pytest.mark.parametrize("load", [load_config, load_tokenizer])
def test_a_file_that_may_not_be_read_keeps_its_own_error(load, llama, monkeypatch):
    """Root may read everything, so the file system is not asked."""

    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "config.json")

    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(PermissionError) as error:
        load(ModelSpec(llama))
    assert explain(error.value) == "StorageError: config.json: no permission to read or write there"


def test_an_encoder_with_a_decoder_is_refused(tmp_path):
    from transformers import BartConfig, BartForConditionalGeneration

    sizes = {f"{part}_{name}": size for part in ("encoder", "decoder") for name, size in
             (("layers", 1), ("attention_heads", 2), ("ffn_dim", 8))}  # fmt: skip
    model = BartForConditionalGeneration(BartConfig(vocab_size=300, d_model=8, max_position_embeddings=32, **sizes))
    model.save_pretrained(tmp_path / "bart")
    for load in (load_model, skeleton, lambda spec: untrained_twin(spec, 0)):
        with pytest.raises(RefusalError, match=r"bart: bart is an encoder with a decoder \(is_encoder_decoder"):
            load(ModelSpec(tmp_path / "bart", device="cpu"))


# which texts a model takes


def with_bos(folder: Path, bos_tokenizer: Any) -> Path:
    bos_tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("architecture", "fits"), [("gpt2", 64), ("llama", 64), ("opt", 64), ("bloom", None), ("mamba", None)])
def test_texts_fit_the_context_window_or_are_refused_before_the_model_runs(architecture, fits, tiny, documents, tmp_path):
    long = [document._replace(text=f"{document.text} {document.text}") for document in documents]
    write_documents(long, tmp_path / "c.parquet")
    folder = tiny(architecture)
    measure(folder, tmp_path / "c.parquet", tmp_path / "fits", 64)
    if fits is None:
        measure(folder, tmp_path / "c.parquet", tmp_path / "longer", 65)
        return
    with pytest.raises(
        DataError, match=rf"{folder}: texts of 65 tokens do not fit .* window of 64 .* texts\.length to at most 64"
    ):
        measure(folder, tmp_path / "c.parquet", tmp_path / "longer", 65)
    assert not (tmp_path / "longer/texts.h5").exists()


def test_a_token_before_every_text_counts(tiny, documents, bos_tokenizer, tmp_path):
    write_documents([document._replace(text=document.text * 2) for document in documents], tmp_path / "c.parquet")
    folder = with_bos(shutil.copytree(tiny("gpt2"), tmp_path / "gpt2"), bos_tokenizer)
    with pytest.raises(DataError, match=r"texts of 64 tokens, and 1 special around each, do .* texts\.length to at most 63"):
        measure(folder, tmp_path / "c.parquet", tmp_path / "results", 64)
    with Dump(measure(folder, tmp_path / "c.parquet", tmp_path / "shorter", 63)) as file:
        assert set(file.texts.tokens) == {63}


@pytest.mark.parametrize(
    ("name", "options", "fits"),
    [
        ("GPT2Config", {"n_positions": 48}, 48),
        ("LlamaConfig", {"max_position_embeddings": 48}, 48),
        ("LlamaConfig", {"max_position_embeddings": 48, "rope_parameters": {"rope_type": "linear", "factor": 2.0}}, 96),
        (
            "Qwen2Config",
            {
                "max_position_embeddings": 48,
                "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 48},
            },
            192,
        ),
        ("RobertaConfig", {"max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ("BertConfig", {"max_position_embeddings": 512}, 512),
        ("MptConfig", {"max_seq_len": 40}, 40),
        ("BloomConfig", {}, None),
        ("MambaConfig", {}, None),
    ],
)
def test_the_context_window_is_what_the_configuration_says(name, options, fits):
    import transformers

    from geomkit.models.context import window

    assert window(getattr(transformers, name)(**options)) == fits


# tokenizers


def classed(tokenizer: Any, folder: Path, model_type: str) -> Path:
    """A tokenizer's files beside a configuration of a type whose class has rules of its own."""
    tokenizer.save_pretrained(folder)
    change("tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")(folder)
    drop("backend", "tokenizer_config.json")(folder)
    put("config.json", {"model_type": model_type})(folder)
    return folder


def spaces() -> Any:
    """A BPE over words that begin with ▁, with byte fallback, as SentencePiece makes them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    backend.train_from_iterator(
        ["In 1997 we don't pay; the boats aren't 78."] * 9, trainers.BpeTrainer(special_tokens=["<s>", "<unk>"])
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>")


@pytest.mark.parametrize("model_type", ["qwen2", "llama", "gemma", "gpt2", "bert", "mistral", "phi3", "modernbert"])
@pytest.mark.parametrize("kind", ["byte-level", "metaspace"])
def test_ids_are_those_of_the_file_whatever_class_the_models_type_names(kind, model_type, tokenizer, tmp_path):
    from tokenizers import Tokenizer

    folder = classed(tokenizer if kind == "byte-level" else spaces(), tmp_path / "model", model_type)
    own, found = Tokenizer.from_file(str(folder / "tokenizer.json")), load_tokenizer(folder)
    for text in ("In 1997 we don't pay 1234 crates;  the\n\n  boats aren't 78.", "", " a", "Ünïcode — 中文 🧪\t\ttabs"):
        assert found(text, add_special_tokens=False)["input_ids"] == own.encode(text, add_special_tokens=False).ids
    assert (found.bos_token, found.eos_token) == (("<s>", None) if kind == "metaspace" else (None, "<|endoftext|>"))


def test_a_tokenizer_in_a_models_own_folder_wins_over_one_beside_it(llama, mask_tokenizer, tokenizer):
    mask_tokenizer.save_pretrained(llama.parent / "tokenizer")
    (llama / "tokenizer_config.json").unlink()
    assert prefix(load_tokenizer(llama)) == []


@pytest.mark.parametrize("alphabet", ["ABC", "中文字", "019"])
def test_a_tokenizer_without_small_letters_is_one(alphabet, tmp_path):
    from tokenizers import Tokenizer, models
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE({"<s>": 0, "</s>": 1} | {letter: 2 + k for k, letter in enumerate(alphabet)}, []))
    backend.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>").save_pretrained(tmp_path)
    found = load_tokenizer(tmp_path)
    assert found(alphabet, add_special_tokens=False)["input_ids"] == [2, 3, 4]
    assert (prefix(found), suffix(found)) == ([0], [1])


def test_a_text_that_is_refused_leaves_the_models_that_take_it(llama, tiny, corpus, tmp_path):
    """Models of one tokenizer read the same texts, and each is asked."""
    texts = tmp_path / "texts.h5"
    cut_texts(tiny("gpt2"), corpus, texts, "all", {"count": 4, "length": 16}, seed=0, spec=ModelSpec())
    assert max(int(ids.max()) for ids in read_texts(texts).sample.ids) < 300
    change(max_position_embeddings=8)(llama)
    dump(tiny("gpt2"), texts, tmp_path / "dumps/one/c/trained.h5")
    with pytest.raises(DataError, match=r"^other: texts of 16 tokens do not fit into the model's context window of 8"):
        dump(llama, texts, tmp_path / "dumps/other/c/trained.h5")
    assert os.listdir(tmp_path / "dumps") == ["one"]
