"""Ablated sublayers against models whose sublayers are changed by hand, and restarts that must change no bit."""

import numpy as np
import pytest
import torch

from geomkit.core.errors import DataError, RefusalError
from geomkit.core.state import State
from geomkit.models.ablate import (
    ROLES,
    Ablation,
    Whole,
    ablate,
    every_head,
    every_sublayer,
    restarted,
    sublayer,
    sublayer_means,
    text_losses,
    whole,
)
from geomkit.models.capture import Recorder, capture, with_prefix
from geomkit.models.load import blocks
from geomkit.models.selfcheck import READINGS, padded
from geomkit.states.texts import Sample, Texts

COMMON = {"vocab_size": 300, "initializer_range": 0.25, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 64}
GATED = {**SHAPE, "num_key_value_heads": 2, "intermediate_size": 48}
GEMMA = {**GATED, "head_dim": 8}
CONFIGS = {
    "gpt_neox": ("GPTNeoXConfig", {**SHAPE, "intermediate_size": 64}),
    "gpt_neox-sequential": ("GPTNeoXConfig", {**SHAPE, "intermediate_size": 64, "use_parallel_residual": False}),
    "llama": ("LlamaConfig", GATED),
    "gpt2": ("GPT2Config", {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}),
    "opt": ("OPTConfig", {**SHAPE, "ffn_dim": 64, "word_embed_proj_dim": 32, "init_std": 0.25}),
    "opt-350m": (
        "OPTConfig",
        {**SHAPE, "ffn_dim": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False, "init_std": 0.25},
    ),
    "qwen2": ("Qwen2Config", GATED),
    "qwen3": ("Qwen3Config", GEMMA),
    "mixtral": ("MixtralConfig", {**GATED, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen2_moe": (
        "Qwen2MoeConfig",
        {**GATED, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 24},
    ),
    "gemma": ("GemmaConfig", GEMMA),
    "gemma2": ("Gemma2Config", {**GEMMA, "query_pre_attn_scalar": 8, "sliding_window": 8}),
    "gemma3_text": ("Gemma3TextConfig", {**GEMMA, "query_pre_attn_scalar": 8, "sliding_window": 8}),
}
OF_EXPERTS = {"mixtral": "mlp.experts", "qwen2_moe": "mlp"}
"""Modules of which all weights are made 0 where the MLP has no last linear map of its own."""
LAST = {
    "gpt_neox": ("attention.dense", "mlp.dense_4h_to_h"),
    "gpt2": ("attn.c_proj", "mlp.c_proj"),
    "opt": ("self_attn.out_proj", "fc2"),
}
"""The last linear maps of both sublayers, where they are not those of Llama. With weights and bias 0 they put out 0."""


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    import transformers

    kind, options = CONFIGS[request.param]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        made = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(**COMMON | options))
        for weight in made.parameters():
            if weight.ndim < 2:
                weight += 0.2 * torch.randn(weight.shape)
    return made.eval()


def texts(prefix=(), lengths=(9, 14, 5, 14)):
    draw = np.random.default_rng(0)
    ids = [draw.integers(1, 300, n).astype(np.int32) for n in lengths]
    return Sample(ids, list(prefix), Texts(["a", "b", "a", "c"][: len(ids)], list(lengths), list(lengths)))


def test_every_row_of_the_table_is_tested():
    assert {name.partition("-")[0] for name in CONFIGS} == set(ROLES)


@pytest.mark.parametrize("prefix", [(), (0,)], ids=["bare", "bos"])
def test_a_restart_without_ablation_changes_no_bit(model, prefix):
    sample, shown = texts(prefix), [0, 1, 2, 3, 4]
    plain = list(capture(Recorder(model, shown, False), sample, 40))
    found = list(ablate(model, sample, every_sublayer(model, ["none", "zero"]), 40, shown))
    bare = [each for each in found if each.ablation is None]
    assert len(plain) == len(bare) > 1
    for one, other in zip(plain, bare, strict=True):
        np.testing.assert_array_equal(one.surprisal, other.surprisal)
        for each in found:
            if each.texts == other.texts and each.ablation and each.ablation.kind == "none":
                np.testing.assert_array_equal(each.surprisal, one.surprisal)
                assert {state.layer for state in each.states} == set(range(each.ablation.layer, 5))
                for state, values in each.states.items():
                    np.testing.assert_array_equal(values, one.states[state])
    after = list(capture(Recorder(model, shown, False), sample, 40))  # the model is as it was
    np.testing.assert_array_equal(after[0].surprisal, plain[0].surprisal)


@pytest.mark.parametrize("name", ["attention", "mlp"])
def test_a_zeroed_sublayer_is_a_model_whose_last_map_is_zero(model, name):
    sample = texts()
    kind = model.config.model_type
    path = LAST.get(kind, ("self_attn.o_proj", OF_EXPERTS.get(kind, "mlp.down_proj")))[name == "mlp"]
    found = text_losses(list(ablate(model, sample, [Ablation(2, name, "zero")], 4096)), sample)
    last = blocks(model)[1].get_submodule(path)
    kept = [weight.clone() for weight in last.parameters()]
    with torch.no_grad():
        for weight in last.parameters():
            weight.zero_()
        by_hand = next(iter(capture(Recorder(model, [3], False), sample, 4096)))
        for weight, values in zip(last.parameters(), kept, strict=True):
            weight.copy_(values)
    expected = [np.nanmean(part) for part in np.split(by_hand.surprisal, np.cumsum([len(ids) for ids in sample.ids])[:-1])]
    np.testing.assert_allclose(found[Ablation(2, name, "zero")], expected, rtol=1e-5)
    assert (np.abs(found[Ablation(2, name, "zero")] - found[None]) > 1e-3).all()


@pytest.mark.parametrize("name", ["attention", "mlp"])
@pytest.mark.parametrize("prefix", [(), (0,)], ids=["bare", "bos"])
def test_a_sublayer_puts_out_what_was_asked_for(model, name, prefix):
    """The mean over other documents, and the first position's own, by hand from each text alone."""
    sample = texts(prefix)
    own = []
    with torch.inference_mode():
        for index in range(4):
            one = Sample([sample.ids[index]], sample.prefix, sample.texts)
            ids, real = padded(with_prefix(one, range(1)))
            own.append(whole(model, ids, real, [2]).outputs[2, name].reshape(ids.shape[1], -1).double().numpy())
        others = {0: [1, 3], 1: [0, 2, 3], 2: [1, 3], 3: [0, 1, 2]}
        means = sublayer_means(model, sample, [2], 40)
        seen = []
        hook = sublayer(model, 2, name).register_forward_hook(lambda module, args, output: seen.append(output))
        ids, real = padded(with_prefix(sample, range(4)))
        before = whole(model, ids, real, [2])
        seen.clear()
        restarted(model, ids, real, before, Ablation(2, name, "mean"), torch.from_numpy(means.others(2, name, range(4))))
        hook.remove()
    output = seen[0] if isinstance(seen[0], torch.Tensor) else seen[0][0]
    output = output.reshape(*ids.shape, -1).numpy()
    for text, documents in others.items():
        start = np.mean([own[other][0] for other in documents], axis=0)
        rest = np.concatenate([own[other][1:] for other in documents]).mean(axis=0)
        np.testing.assert_allclose(output[text, 0], start, atol=1e-5 * np.abs(start).max())
        np.testing.assert_allclose(output[text, 1:], np.tile(rest, (ids.shape[1] - 1, 1)), atol=1e-5 * np.abs(rest).max())


def test_the_block_after_a_zeroed_sublayer_holds_its_input_and_the_other_one(model):
    """A block that adds up its input and two sublayers, in sequence or in parallel, is its input and attention without the MLP;
    one that norms after each sum, as OPT-350m does, norms them twice."""
    sample = texts()
    found = list(ablate(model, sample, [Ablation(3, "mlp", "zero")], 4096, [2, 3]))
    ids, real = padded(with_prefix(sample, range(4)))
    with torch.inference_mode():
        attention = whole(model, ids, real, [3]).outputs[3, "attention"]
        expected = torch.from_numpy(found[0].states[State(2)]) + attention[real]
        if model.config.model_type == "opt" and not model.config.do_layer_norm_before:
            block = blocks(model)[2]
            expected = block.final_layer_norm(block.self_attn_layer_norm(expected))
    expected = expected.numpy()
    np.testing.assert_allclose(found[1].states[State(3)], expected, atol=1e-5 * np.abs(expected).max())


def test_a_silent_head_is_a_model_whose_mix_ignores_it(load):
    model, sample = load("gpt-neox"), texts()
    ablations = every_head(model)
    assert [each.sublayer for each in ablations] == [f"head-{head}" for head in range(4)] * 2
    found = text_losses(list(ablate(model, sample, ablations, 40)), sample)
    mix = blocks(model)[1].attention.dense.weight
    with torch.no_grad():
        mix[:, 16:24] = 0
    by_hand = text_losses(list(ablate(model, sample, [], 40)), sample)[None]
    np.testing.assert_allclose(found[Ablation(2, "head-2", "zero")], by_hand, rtol=1e-5)
    assert (np.abs(by_hand - found[None]) > 1e-4).all()


@pytest.mark.parametrize(
    ("architecture", "ablation", "message"),
    [
        ("llama", Ablation(1, "head-0", "zero"), "heads are taken out of gpt_neox alone, not of 'llama'"),
        ("gpt-neox", Ablation(1, "head-4", "zero"), "no head 4; it has 4"),
        ("gpt-neox", Ablation(1, "head-0", "none"), "a head can only become zero, found 'none'"),
    ],
)
def test_heads_that_cannot_be_taken_out_are_refused(load, architecture, ablation, message):
    with pytest.raises(DataError, match=message):
        list(ablate(load(architecture), texts(), [ablation], 4096))


def test_an_architecture_that_is_not_in_the_table_is_refused_by_name(load):
    with pytest.raises(DataError, match="BloomForCausalLM: no table of the sublayers of 'bloom'"):
        list(ablate(load("bloom"), texts(), [Ablation(1, "mlp", "zero")], 4096))


def test_a_model_whose_texts_may_not_share_a_batch_is_refused(load):
    model = load("llama")
    READINGS.pop(model, None)
    model.config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    with pytest.raises(RefusalError, match="LlamaForCausalLM: its states depend on the texts of a batch"):
        list(ablate(model, texts(), [Ablation(1, "mlp", "zero")], 4096))


def test_what_cannot_be_ablated_is_refused(load):
    model = load("gpt-neox")
    with pytest.raises(DataError, match="no sublayer 'mlp' of block 3"):
        list(ablate(model, texts(), [Ablation(3, "mlp", "zero")], 4096))
    with pytest.raises(DataError, match="at least two documents"):
        list(ablate(model, texts(lengths=(9,)), [Ablation(1, "mlp", "mean")], 4096))
    with pytest.raises(DataError, match="one of none, zero, mean"):
        restarted(model, torch.zeros(1, 2), torch.ones(1, 2), Whole({}, {}, torch.zeros(0)), Ablation(1, "mlp", "half"))
