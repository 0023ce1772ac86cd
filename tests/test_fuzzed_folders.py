"""Model folders that are spoilt at random: each is measured as transformers computes it, or ends in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from test_model_folders import WEIGHTS, measure, sharded, tensors
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from geomkit.core.errors import GeomkitError
from geomkit.core.logs import explain
from geomkit.core.state import State
from geomkit.sources.corpora import Document, stored_documents, write_documents
from geomkit.states.dumps import Dump

pytestmark = pytest.mark.slow

Spoiling = Callable[[Path], None]

VALUES = [None, True, False, -1, 0, 1, 2, 3, 4, 16, 32, 33, 300, 1e-5, 0.5, 1e4, "", "llama", "gpt2", "silu", [], [1], {}]
"""Values in place of others: no number is so large that a model of it would not fit the memory."""


@st.composite
def of_file(draw: st.DrawFn) -> Spoiling:
    """A file that is cut off, changed in a byte, replaced or gone."""
    place, share, byte = draw(st.integers(0, 9)), draw(st.floats(0, 1)), draw(st.binary(max_size=12))
    how = draw(st.sampled_from(["cut off", "changed", "replaced", "gone", "a folder"]))

    def spoil(folder: Path) -> None:
        files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != "generation_config.json")
        file = files[place % len(files)]
        content, position = file.read_bytes(), int(share * file.stat().st_size)
        file.unlink()
        if how == "a folder":
            file.mkdir()
        elif how != "gone":
            changed = content[:position] + byte + content[position + len(byte) :]
            file.write_bytes({"cut off": content[:position], "changed": changed, "replaced": byte}[how])

    return spoil


@st.composite
def of_json(draw: st.DrawFn) -> Spoiling:
    """A key of a JSON file with another value, or without one."""
    name = draw(
        st.sampled_from(["config.json"] * 3 + ["tokenizer_config.json", "tokenizer.json", "model.safetensors.index.json"])
    )
    place, value, gone = draw(st.integers(0, 99)), draw(st.sampled_from(VALUES)), draw(st.booleans())

    def spoil(folder: Path) -> None:
        try:
            found = json.loads((folder / name).read_text())
            keys = sorted(found)
        except (OSError, ValueError, TypeError):
            return
        if keys:
            key = keys[place % len(keys)]
            found = {k: v for k, v in found.items() if k != key} | ({} if gone else {key: value})
            (folder / name).write_text(json.dumps(found))

    return spoil


@st.composite
def of_tensors(draw: st.DrawFn) -> Spoiling:
    """A tensor that is left out, named otherwise, cut, in another type, or a further one."""
    place = draw(st.integers(0, 99))
    how = draw(st.sampled_from(["left out", "renamed", "cut", "halved", "further"]))
    ending = draw(st.sampled_from([".bias", ".lora_A.weight", ".weight_scale", "_extra", ".inv_freq"]))

    def spoil(folder: Path) -> None:
        if not (folder / WEIGHTS).is_file():
            return
        try:
            found = tensors(folder)
        except Exception:  # spoilt before
            return
        name = sorted(found)[place % len(found)] if found else ""
        if how in ("left out", "renamed", "cut", "halved") and name:
            tensor = found.pop(name)
            others = {"renamed": (name + ending, tensor), "cut": (name, tensor[:-1].clone()), "halved": (name, tensor.half())}
            found |= dict([others[how]] if how in others else [])
        else:
            found[name.removesuffix(".weight") + ending] = torch.ones(32)
        save_file(found, folder / WEIGHTS, {"format": "pt"})

    return spoil


spoilings = st.lists(st.one_of(of_file(), of_json(), of_tensors()), min_size=1, max_size=3)


def check(spoils: list[Spoiling], shards: bool, whole: Path, scratch: Path) -> None:
    """Spoils a copy of a folder and measures it."""
    shutil.rmtree(scratch, ignore_errors=True)
    folder = shutil.copytree(whole, scratch / "model")
    if shards:
        sharded(folder)
    for spoil in spoils:
        spoil(folder)
    words = [Document(f"d{k}", "fog lamp quay boat gull bread net rope salt " * 3) for k in range(4)]
    write_documents(words, scratch / "c.parquet")
    try:
        found = measure(folder, scratch / "c.parquet", scratch / "results", 8)
        compare(found, folder, scratch / "c.parquet")
    except GeomkitError as error:
        line = explain(error)
        assert line is not None
        assert "\n" not in line
        assert len(line) < 1000
        assert "model" in line or "mine" in line
        assert not list(scratch.glob("results/dumps/mine/c/*.h5"))
    assert not list(scratch.rglob("*.part"))


def compare(found: Path, folder: Path, corpus: Path) -> None:
    """A dump has the ids of the tokenizer's file and the states that transformers gives for them. A refused one raises."""
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    own.encode_special_tokens = True
    documents = {name: own.encode(text, add_special_tokens=False).ids for name, text in stored_documents(corpus, "all")}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with Dump(found) as file, torch.no_grad():
        for text, name in enumerate(file.texts.document):
            ids = file.ids(text).tolist()
            assert any(documents[name][start : start + len(ids)] == ids for start in range(len(documents[name])))
            run = model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False, return_dict=True)
            for layer, expected in enumerate(run.hidden_states[:-1]):
                np.testing.assert_allclose(file.rows(State(layer), text, text + 1), expected[0].numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(spoils=spoilings, shards=st.booleans())
def test_a_folder_that_is_spoilt_is_measured_right_or_named(spoils, shards, tiny, tmp_path):
    check(spoils, shards, tiny("llama"), tmp_path / "scratch")


@pytest.mark.slow
@pytest.mark.conformance
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt-neox", "opt"])
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoils=spoilings, shards=st.booleans())
def test_many_folders_that_are_spoilt(spoils, shards, architecture, tiny, tmp_path):
    check(spoils, shards, tiny(architecture), tmp_path / "scratch")
