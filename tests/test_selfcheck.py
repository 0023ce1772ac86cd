"""Models that come with code of their own: hidden states are the right ones, or the model is refused by name.

Every model is a small decoder whose code the test writes into its folder, changed in one way that is found in real code.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geomkit.core.config import ModelSpec
from geomkit.core.errors import DataError, RefusalError
from geomkit.core.state import State
from geomkit.models.capture import Recorder, capture
from geomkit.models.load import blocks, load_model, sizes
from geomkit.models.masking import Masking
from geomkit.models.norms import FinalNorm, final_norm
from geomkit.models.selfcheck import READINGS, Reading, read_states
from geomkit.states.texts import Sample, Texts

WIDTH, DEPTH, VOCABULARY = 16, 3, 50

CODE = """
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput


class OwnConfig(PreTrainedConfig):
    model_type = "own"

    def __init__(self, width=16, {depth_key}=3, vocab_size=50, **options):
        self.width, self.{depth_key}, self.vocab_size = width, {depth_key}, vocab_size
        super().__init__(**options)


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.past = nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    def change(self, x):
        n = x.shape[1]
        mean = torch.tril(torch.ones(n, n, dtype=x.dtype)) / torch.arange(1, n + 1)[:, None]
        return self.mlp(self.norm(self.past(mean.to(x) @ x) + x))

    def forward(self, x, residual=None):
{block}


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed = nn.Embedding(config.vocab_size, config.width)
        self.layers = {blocks}(*[Block(config.width) for _ in range(config.{depth_key})])
        self.norm = nn.LayerNorm(config.width)

    def forward(self, input_ids, output_hidden_states=False):
        x, seen = self.embed(input_ids), ()
{decoder}
        return BaseModelOutput(last_hidden_state=x, hidden_states=seen if output_hidden_states else None)


class OwnForCausalLM(PreTrainedModel):
    config_class = OwnConfig
    {prefix}

    def __init__(self, config):
        super().__init__(config)
        self.decoder = Decoder(config)
        self.out_norm = nn.LayerNorm(config.width)
        self.lm_head = nn.Linear(config.width, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.decoder.embed

    def get_output_embeddings(self):
        return {head}

    def forward(self, input_ids{options}):
{model}
"""

BLOCK = "        return x + self.change(x)"
DECODER = """
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)"""
SEEN = """
        for layer in self.layers:
            seen += (x,)
            x = layer(x)
        x = self.norm(x)
        seen += (x,)"""
MODEL = """
        found = self.decoder(input_ids, output_hidden_states)
        return CausalLMOutput(logits=self.lm_head(found.last_hidden_state), hidden_states=found.hidden_states)"""
BARE = """
        return {"loss": None, "logits": self.lm_head(self.decoder(input_ids).last_hidden_state)}"""
LISTED = "(lambda *each: nn.ModuleList(each))"
PARTS: dict[str, str] = {
    "block": BLOCK, "decoder": DECODER, "model": MODEL, "blocks": LISTED, "head": "self.lm_head", "prefix": "",
    "depth_key": "num_hidden_layers", "options": ", attention_mask=None, output_hidden_states=False, **kwargs",
}  # fmt: skip

PAIR = "        residual = x if residual is None else x + residual\n        return self.change(residual), residual"
RIGHT: dict[str, dict[str, str]] = {
    "without base_model_prefix": {"decoder": SEEN},
    "with a prefix that names nothing": {"decoder": SEEN, "prefix": 'base_model_prefix = "language_model"'},
    "without hidden states of its own": {},
    "blocks in a Sequential": {"blocks": "nn.Sequential"},
    "another key for the depth": {"depth_key": "n_layers"},
    "no options in its forward pass, and a dictionary of results": {"options": "", "model": BARE},
    "a tuple of results": {"model": "        return (self.lm_head(self.decoder(input_ids).last_hidden_state),)"},
    "blocks called by keyword": {"decoder": DECODER.replace("layer(x)", "layer(x=x)")},
    "blocks that return more": {"block": BLOCK + ", None", "decoder": DECODER.replace("layer(x)", "layer(x)[0]")},
    "blocks that change their input in place": {"block": "        x += self.change(x)\n        return x"},
    "blocks that return a change and its residual": {
        "block": "        return self.change(x), x", "decoder": DECODER.replace("x = layer(x)", "x = sum(layer(x))"),
    },
    "blocks that take and return a change and its residual": {
        "block": PAIR,
        "decoder": "\n        residual = None\n        for layer in self.layers:\n            x, residual = layer(x, residual)"
        "\n        x = self.norm(x + residual)",
    },
    "a tied output matrix, which is no module's call": {
        "decoder": SEEN, "head": "self.decoder.embed",
        "model": MODEL.replace("self.lm_head(found.last_hidden_state)", "found.last_hidden_state @ self.decoder.embed.weight.T"),
    },
    "the final norm beside the decoder": {
        "decoder": SEEN.replace("        x = self.norm(x)\n", ""),
        "model": MODEL.replace("found.last_hidden_state)", "self.out_norm(found.last_hidden_state))"),
    },
    "a scale before the output matrix": {"model": MODEL.replace("found.last_hidden_state)", "found.last_hidden_state / 4)")},
}  # fmt: skip

WRONG: dict[str, tuple[dict[str, str], str]] = {
    "blocks that run three times": (
        {"decoder": "\n        for _ in range(3):\n            for layer in self.layers:\n                x = layer(x)"},
        "block 1 runs 3 times in one pass",
    ),
    "a block that does not run": (
        {"decoder": DECODER.replace("self.layers", "self.layers[:2]")}, "no hook sees block 3 of 3 run on text alone",
    ),
    "blocks in another order": (
        {"decoder": DECODER.replace("self.layers", "reversed(self.layers)")}, r"but in \[3, 2, 1\]",
    ),
    "several residual streams": (
        {"decoder": "\n        x = torch.stack([x, 2 * x])" + DECODER + "[0]",
         "block": BLOCK.replace("self.change(x)", "self.change(x.flatten(0, 1)).view_as(x)")},
        r"block 1 is given a tensor of shape \(2, 1, 3, 16\) .* several streams",
    ),
    "tokens before texts": (
        {"decoder": DECODER.replace("layer(x)", "layer(x.mT.contiguous().mT).transpose(0, 1).contiguous().transpose(0, 1)"),
         "block": "        x = x + self.change(x)\n        return x.transpose(0, 1)"},
        r"block 1 returns a tensor of shape \(3, 1, 16\)",
    ),
    "states that change between blocks": (
        {"decoder": DECODER.replace("layer(x)", "1.5 * layer(x)")},
        r"what block 1 returns is not what the next block is given \(off by 33%\)",
    ),
    "hidden states of its own that blocks do not return": (
        {"decoder": SEEN.replace("(x,)", "(2 * x,)", 1)}, "is not the hidden state that the model itself returns for it",
    ),
    "predictions of the last token alone": (
        {"model": MODEL.replace("found.last_hidden_state)", "found.last_hidden_state[:, -1:])")},
        r"its predictions are of shape \(1, 1, 50\) for 1 text of 3 tokens",
    ),
    "no output matrix": ({"head": "None"}, "it names no output matrix"),
    "a forward pass that takes no token ids": (
        {"model": "        raise ValueError('pixel_values are missing')"},
        "no short text runs through it .*pixel_values are missing",
    ),
    "states that differ from pass to pass": (
        {"block": "        return x + self.change(x) + torch.randn_like(x)"},
        "the states of a text differ by .* when it is run again",
    ),
}  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A model of the code above, of which some parts are others."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "cache"))

    def load(**parts: str) -> Any:
        found = {**PARTS, **parts}
        depth = found["depth_key"]
        code = CODE
        for name, text in found.items():
            code = code.replace(f"{{{name}}}", text)
        (tmp_path / "modeling_own.py").write_text(code)
        auto = {"AutoConfig": "modeling_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}
        about = {"model_type": "own", "auto_map": auto, "width": WIDTH, depth: DEPTH, "vocab_size": VOCABULARY}
        (tmp_path / "config.json").write_text(json.dumps({**about, "architectures": ["OwnForCausalLM"]}))
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.from_pretrained(tmp_path, trust_remote_code=True, local_files_only=True)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            made = AutoModelForCausalLM.from_config(config, trust_remote_code=True)
            for weight in made.parameters():
                weight += 0.3 * torch.randn(weight.shape)
        made.save_pretrained(tmp_path)
        (tmp_path / "config.json").write_text(json.dumps({**about, "architectures": ["OwnForCausalLM"]}))
        return load_model(ModelSpec(tmp_path, device="cpu", trust_remote_code=True))

    return load


def texts(*lengths: int) -> Sample:
    draw = np.random.default_rng(0)
    ids = [draw.integers(0, VOCABULARY, n).astype(np.int32) for n in lengths]
    return Sample(ids, [], Texts([f"d{k}" for k in range(len(ids))], list(lengths), list(lengths)))


def by_hand(model: Any, ids: np.ndarray, norm: Any) -> list[np.ndarray]:
    """States 0 to L + 1 of one text, block by block."""
    with torch.no_grad():
        states = [model.decoder.embed(torch.tensor(ids)[None])]
        for block in model.decoder.layers:
            states.append(states[-1] + block.change(states[-1]))
        return [state[0].numpy() for state in (*states, norm(states[-1]))]


@pytest.mark.parametrize("kind", RIGHT)
def test_states_of_code_that_comes_with_a_model_are_those_computed_by_hand(hub, kind):
    model, run = hub(**RIGHT[kind]), texts(9, 5)
    norm = model.out_norm if "beside" in kind else model.decoder.norm
    (batch,) = capture(Recorder(model, range(DEPTH + 2), False), run, 4096)
    expected = [np.concatenate(both) for both in zip(*(by_hand(model, ids, norm) for ids in run.ids), strict=True)]
    for layer, values in enumerate(expected):
        np.testing.assert_allclose(batch.states[State(layer)], values, atol=1e-5)
    assert isinstance(final_norm(model), FinalNorm)
    assert len(blocks(model)) == DEPTH


def test_texts_run_alone_where_they_depend_on_others_of_their_length(hub):
    """As where a batch's tokens compete for experts."""
    model, run = hub(block="        return x + self.change(x) * len(x)"), texts(9, 9, 5)
    assert read_states(model).together == "none"
    (batch,) = capture(Recorder(model, range(DEPTH + 2), False), run, 4096)
    expected = [np.concatenate(each) for each in zip(*(by_hand(model, ids, model.decoder.norm) for ids in run.ids), strict=True)]
    for layer, values in enumerate(expected):
        np.testing.assert_allclose(batch.states[State(layer)], values, atol=1e-5)


@pytest.mark.parametrize("kind", WRONG)
def test_a_model_without_one_hidden_state_for_each_token_and_block_is_refused_by_name(hub, kind):
    parts, message = WRONG[kind]
    model = hub(**parts)
    with pytest.raises(RefusalError, match=f"^OwnForCausalLM: .*{message}") as error:
        list(capture(Recorder(model, range(DEPTH + 2), False), texts(9, 5), 4096))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_a_configuration_without_a_number_of_blocks_is_refused_by_its_key(hub):
    with pytest.raises(RefusalError, match=r"^OwnConfig: config\.json has no number num_hidden_layers"):
        blocks(hub(depth_key="stages"))


def test_one_block_that_is_listed_twice_runs_twice(load):
    model = load("llama")
    model.model.layers[1] = model.model.layers[0]
    with pytest.raises(RefusalError, match="LlamaForCausalLM: block 1 runs 2 times in one pass"):
        read_states(model)


def test_weights_that_overflow_are_named_with_the_state(load):
    model = load("llama")
    model.model.layers[0].mlp.down_proj.weight.data[:] = float("inf")
    with pytest.raises(DataError, match=r"LlamaForCausalLM: /hidden/1: the model computed NaN or infinity there"):
        read_states(model)


def test_rotary_positions_that_stretch_with_the_longest_text_run_one_length_at_a_time(load):
    model = load("llama")
    assert read_states(model).together == "any"
    del READINGS[model]
    model.config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    assert read_states(model).together == "length"


def test_a_model_is_looked_at_once(load, monkeypatch):
    model = load("llama")
    found = read_states(model)
    monkeypatch.setattr("geomkit.models.selfcheck.self_check", lambda model: pytest.fail("looked at again"))
    assert read_states(model) is found == Reading()


def test_other_numbers_of_hidden_states_are_noted(load):
    assert read_states(load("mamba")).numbering.startswith("its own hidden_states begin with the state after the first block")


@pytest.fixture
def fnet() -> Any:
    """Its attention is a Fourier transform over all tokens of a batch, padding included."""
    from transformers import FNetConfig, FNetForMaskedLM

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48, "max_position_embeddings": 64}
    return FNetForMaskedLM(FNetConfig(vocab_size=VOCABULARY, initializer_range=0.3, **shape)).eval()


def test_texts_of_unequal_length_run_apart_where_padding_reaches_their_states(fnet):
    run, mask = texts(9, 9, 5, 9), Masking(4, [2])
    assert read_states(fnet).together == "length"
    passes = []
    fnet.register_forward_pre_hook(lambda _, args, kwargs: passes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True)
    (batch,) = capture(Recorder(fnet, range(4), False), run, 4096, mask, scored=False)
    assert passes == [(2, 10), (1, 6), (1, 10)]
    scored = next(capture(Recorder(fnet, range(4), False), run, 4096, mask))
    starts = np.cumsum([0, *map(len, run.ids)])
    for text, ids in enumerate(run.ids):
        own = slice(starts[text], starts[text + 1])
        whole = torch.tensor([[*ids.tolist(), 2]])
        with torch.no_grad():
            states = fnet(input_ids=whole, output_hidden_states=True).hidden_states
            hidden = whole.clone()
            hidden[0, 3] = 4
            expected = -fnet(input_ids=hidden).logits[0, 3].log_softmax(-1)[ids[3]]
        for layer, state in ((0, 0), (1, 1), (3, 2)):
            np.testing.assert_allclose(batch.states[State(layer)][own], states[state][0, :-1].numpy(), atol=1e-5)
        assert scored.surprisal[own][3] == pytest.approx(float(expected), rel=1e-4)


def test_the_text_model_of_a_wrapper_is_measured_and_counted_alone():
    """A tower for images has as many blocks as the text model, and a width of its own."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    text = {**shape, "vocab_size": VOCABULARY, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64}
    tower = {**shape, "hidden_size": 64, "image_size": 28, "patch_size": 14}
    config = Gemma3Config(text_config=text, vision_config=tower, mm_tokens_per_image=4, image_token_index=5, boi_token_index=6)
    model = Gemma3ForConditionalGeneration(config).eval()
    assert blocks(model) is model.model.language_model.layers
    size = sizes(model)
    alone = model.model.language_model
    assert size.params_total == alone.num_parameters()
    assert size.params_nonembedding == alone.num_parameters() - model.get_input_embeddings().weight.numel()
    run = texts(9)
    (batch,) = capture(Recorder(model, range(4), False), run, 4096)
    with torch.no_grad():
        states = model(input_ids=torch.tensor(run.ids[0])[None], output_hidden_states=True).hidden_states
    for layer, state in ((0, 0), (1, 1), (3, 2)):
        np.testing.assert_allclose(batch.states[State(layer)], states[state][0].numpy(), atol=1e-5)
