"""The final norm without gain and bias: what it does to rows, and which one a model has."""

import numpy as np
import pytest
import torch

from geomkit.core.errors import ConfigError
from geomkit.core.state import State
from geomkit.measures.norms import layer_norm, plain, rms_norm
from geomkit.models.capture import Recorder, capture
from geomkit.models.load import blocks
from geomkit.models.norms import FinalNorm, final_norm
from geomkit.states.texts import Sample, Texts

ROWS = np.random.default_rng(0).standard_normal((5, 7)) + 0.3


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.5])
def test_norms_are_those_of_torch_without_weights(eps):
    x = torch.tensor(ROWS)
    np.testing.assert_allclose(layer_norm(ROWS, eps), torch.nn.functional.layer_norm(x, (7,), eps=eps), rtol=1e-12)
    np.testing.assert_allclose(rms_norm(ROWS, eps), torch.nn.functional.rms_norm(x, (7,), eps=eps), rtol=1e-12)


def test_limits():
    np.testing.assert_allclose(np.linalg.norm(layer_norm(ROWS, 0.0), axis=1), np.sqrt(7), rtol=1e-12)
    np.testing.assert_allclose(rms_norm(3 * ROWS, 0.0), rms_norm(ROWS, 0.0), rtol=1e-12)
    assert not layer_norm(np.full((2, 7), 3.0), 1e-5).any()
    with pytest.raises(ConfigError, match="unknown final norm 'batch'; known: layer, rms"):
        plain(ROWS, "batch", 1e-5)


@pytest.mark.parametrize(
    ("architecture", "kind", "eps"),
    [
        ("gpt-neox", "layer", 1e-5), ("gpt2", "layer", 1e-5), ("opt", "layer", 1e-5), ("bloom", "layer", 1e-5),
        ("falcon", "layer", 1e-5), ("llama", "rms", 1e-6), ("gemma2", "rms", 1e-6), ("olmo2", "rms", 1e-5),
        ("mamba", "rms", 1e-5),
    ],
)  # fmt: skip
def test_a_models_final_norm_is_told_by_what_it_does(load, architecture, kind, eps):
    assert final_norm(load(architecture)) == FinalNorm(kind, eps)


def test_half_precision_does_not_hide_it(load):
    assert final_norm(load("llama", "bfloat16")) == FinalNorm("rms", 1e-6)
    assert final_norm(load("gpt2", "bfloat16")) == FinalNorm("layer", 1e-5)


@pytest.mark.parametrize(("architecture", "name"), [("openai-gpt", "OpenAIGPTLMHeadModel"), ("opt-350m", "OPTForCausalLM")])
def test_models_without_one_say_so(load, architecture, name):
    assert final_norm(load(architecture)) == f"{name} has no norm between its last block and its output"


def test_a_norm_that_is_neither_is_not_taken_for_one(load):
    class Halved(torch.nn.LayerNorm):
        def forward(self, x):
            return super().forward(x.abs())

    model = load("gpt2")
    model.transformer.ln_f = Halved(32)
    assert final_norm(model) == "GPT2LMHeadModel: its final norm (Halved) is none of layer, rms"


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_gain_and_bias_on_plain_rows_are_the_final_state(load, architecture):
    model = load(architecture)
    found, depth = final_norm(model), len(blocks(model))
    assert isinstance(found, FinalNorm)
    sample = Sample([np.arange(12, dtype=np.int32)], [], Texts(["a"], [12], [12]))
    (batch,) = capture(Recorder(model, [depth, depth + 1], False), sample, 64)
    module = model.transformer.ln_f if architecture == "gpt2" else model.model.norm
    with torch.no_grad():
        expected = module.weight.numpy() * plain(batch.states[State(depth)], found.kind, found.eps)
        expected += module.bias.numpy() if architecture == "gpt2" else 0
    np.testing.assert_allclose(batch.states[State(depth + 1)], expected, atol=1e-5)
