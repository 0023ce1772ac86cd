"""Masked and shortened contexts against whole passes, on tiny models of several architectures."""

import numpy as np
import pytest
import torch

from geomkit.core.errors import DataError
from geomkit.models import intervene
from geomkit.models.intervene import attending, check, gradient_input, leave_one_out, masked, removed, run

ARCHITECTURES = ("gpt-neox", "gpt-neox-sequential", "gpt2", "llama", "opt", "opt-350m", "olmo2", "qwen3")
T = 24
PREFIXES = ([], [0])


@pytest.fixture(scope="module")
def ids():
    return np.random.default_rng(0).integers(5, 300, T).astype(np.int32)


@pytest.fixture(params=ARCHITECTURES)
def model(request, load):
    return attending(load(request.param))


def tensor(prefix, ids):
    return torch.tensor([[*prefix, *ids.tolist()]])


@torch.no_grad()
def log_probs(model, prefix, ids):
    return model(input_ids=tensor(prefix, ids)).logits[0, len(prefix) :].double().log_softmax(-1).numpy()


@pytest.mark.parametrize("prefix", PREFIXES, ids=["bare", "bos"])
def test_a_pass_predicts_as_the_model_does_and_its_attention_sums_to_one(model, ids, prefix):
    text = run(model, prefix, ids)
    np.testing.assert_allclose(text.log_probs.numpy(), log_probs(model, prefix, ids), atol=1e-5)
    assert text.attention.shape == (2, 4, T, T)
    assert text.value_norms.shape == (2, 4, T)
    assert not np.triu(text.attention, 1).any()
    total = text.attention.sum(-1)
    assert (np.abs(total - 1) < 1e-5).all() if not prefix else (total < 1 + 1e-5).all()


@pytest.mark.parametrize("prefix", PREFIXES, ids=["bare", "bos"])
def test_a_query_that_sees_everything_predicts_what_the_text_did(model, ids, prefix):
    text = run(model, prefix, ids)
    check(model, text)
    targets = np.array([0, 7, 7, T - 2, T - 1])
    score = masked(model, text, targets, np.ones((5, T), dtype=bool))
    assert (score.divergence < 1e-6).all()
    own = log_probs(model, prefix, ids)
    np.testing.assert_allclose(score.loss[:4], [-own[t, ids[t + 1]] for t in targets[:4]], atol=1e-4)
    assert np.isnan(score.loss[4])


def test_what_is_hidden_has_no_influence_and_what_is_visible_has(model, ids):
    """Keys and values of hidden tokens are replaced by noise."""
    text = run(model, [], ids)
    visible = np.zeros((1, T), dtype=bool)
    visible[0, [2, 5, 11]] = True
    before = intervene.masked_log_probs(model, text, np.array([15]), visible)
    for layer in text.cache.layers:
        hidden = ~torch.from_numpy(visible[0])
        layer.keys[:, :, hidden] = torch.randn_like(layer.keys[:, :, hidden])
        layer.values[:, :, hidden] = torch.randn_like(layer.values[:, :, hidden])
    torch.testing.assert_close(intervene.masked_log_probs(model, text, np.array([15]), visible), before, rtol=0, atol=1e-6)
    for layer in text.cache.layers:
        layer.values[:, :, 5] += 1
    assert (intervene.masked_log_probs(model, text, np.array([15]), visible) - before).abs().max() > 1e-3


def test_queries_do_not_see_each_other(model, ids, monkeypatch):
    text = run(model, [], ids)
    draw = np.random.default_rng(1)
    targets, visible = draw.integers(1, T - 1, 9), draw.random((9, T)) < 0.3
    together = masked(model, text, targets, visible)
    monkeypatch.setattr(intervene, "QUERIES", 1)
    alone = masked(model, text, targets, visible)
    np.testing.assert_allclose(together.divergence, alone.divergence, atol=1e-6)
    np.testing.assert_allclose(together.loss, alone.loss, atol=1e-4)


def test_divergence_is_that_of_the_two_distributions(load, ids):
    model = attending(load("llama"))
    text = run(model, [], ids)
    visible = np.zeros((1, T), dtype=bool)
    p = text.log_probs[9].numpy()
    q = intervene.masked_log_probs(model, text, np.array([9]), visible)[0].numpy()
    np.testing.assert_allclose(masked(model, text, np.array([9]), visible).divergence, [np.exp(p) @ (p - q)], rtol=1e-9)
    np.testing.assert_allclose(np.exp(q).sum(), 1)


@pytest.mark.parametrize("prefix", PREFIXES, ids=["bare", "bos"])
def test_a_context_of_which_nothing_is_removed_is_the_text(model, ids, prefix):
    text = run(model, prefix, ids)
    targets = np.array([0, 6, T - 1])
    score = removed(model, prefix, text, targets, np.ones((3, T), dtype=bool))
    assert (score.divergence < 1e-6).all()


def test_removed_tokens_are_gone_and_positions_stay(load, ids):
    """With one token left, the model is run on two tokens at their own positions: by hand."""
    model = attending(load("llama"))
    text = run(model, [], ids)
    visible = np.zeros((2, T), dtype=bool)
    visible[:, 4] = True
    with torch.no_grad():
        by_hand = model(
            input_ids=torch.tensor([[ids[4], ids[12]]]),
            position_ids=torch.tensor([[4, 12]]),
            attention_mask=torch.ones(1, 2, dtype=torch.long),
        ).logits[0, -1]
    q, p = by_hand.double().log_softmax(-1).numpy(), text.log_probs[12].numpy()
    score = removed(model, [], text, np.array([12, 12]), visible)
    np.testing.assert_allclose(score.divergence, np.exp(p) @ (p - q), rtol=1e-5)
    np.testing.assert_allclose(score.loss, -q[ids[13]], rtol=1e-5)


def test_in_one_block_hiding_a_token_is_removing_it(tmp_path, tokenizer, ids):
    """With a single block keys and values hold nothing of other tokens, so both variants are one."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48)
    )
    model = attending(model)
    text = run(model, [0], ids)
    draw = np.random.default_rng(2)
    targets, visible = draw.integers(1, T - 1, 8), draw.random((8, T)) < 0.3
    hidden, gone = masked(model, text, targets, visible), removed(model, [0], text, targets, visible)
    np.testing.assert_allclose(hidden.divergence, gone.divergence, atol=1e-7)
    np.testing.assert_allclose(hidden.loss, gone.loss, atol=1e-5)


def test_leaving_one_out_is_masking_all_others(load, ids):
    model = attending(load("gpt-neox"))
    text = run(model, [], ids)
    found = leave_one_out(model, text, 10)
    assert found.shape == (10,)
    visible = np.ones((1, T), dtype=bool)
    visible[0, 3] = False
    np.testing.assert_allclose(found[3], masked(model, text, np.array([10]), visible).divergence[0], rtol=1e-4)


def test_gradient_times_input_is_a_directional_derivative(load, ids):
    """Against a finite difference of scaling one token's embedding."""
    model = attending(load("llama").double())
    found = gradient_input(model, [0], ids, [9, 20])
    assert found.shape == (2, T)
    assert not found[0, 10:].any()
    embedded = model.get_input_embeddings()(tensor([0], ids)).detach()
    step = 1e-2  # attention weights are rounded to float32

    def best(scale):
        scaled = embedded.clone()
        scaled[0, 1 + 5] *= scale
        with torch.no_grad():
            return float(model(inputs_embeds=scaled).logits[0, 1 + 20].log_softmax(-1).max())

    np.testing.assert_allclose(found[1, 5], abs(best(1 + step) - best(1 - step)) / (2 * step), rtol=1e-3)


def test_a_model_without_attention_is_refused_by_name(load, ids):
    with pytest.raises(DataError, match="MambaForCausalLM"):
        run(attending(load("mamba")), [], ids)


@pytest.mark.parametrize("architecture", ["bloom", "falcon"])
def test_a_model_that_takes_no_mask_is_refused_by_name(load, ids, architecture):
    model = attending(load(architecture))
    with pytest.raises(DataError, match=f"(?i){architecture}ForCausalLM"):
        check(model, run(model, [], ids))


def test_texts_longer_than_a_sliding_window_are_refused_and_shorter_ones_are_not(load, ids):
    model = attending(load("gemma2"))
    with pytest.raises(DataError, match="Gemma2ForCausalLM: it keeps 7 of 24 tokens"):
        run(model, [], ids)
    check(model, run(model, [], ids[:6]))


def test_queries_of_a_model_that_ignores_its_mask_are_refused(load, ids, monkeypatch):
    model = attending(load("gpt-neox"))
    text = run(model, [], ids)
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda **given: forward(**given | {"attention_mask": None}))
    with pytest.raises(DataError, match="it cannot be probed"):
        check(model, text)


def test_too_little_memory_is_not_called_the_architectures(load, ids, monkeypatch):
    model = attending(load("gpt-neox"))

    def full(**given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model, "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        run(model, [], ids)


@pytest.mark.parametrize("ask", ["removed", "gradient_input"])
def test_a_model_that_takes_no_positions_or_embeddings_is_refused_by_name(load, ids, monkeypatch, ask):
    model = attending(load("gpt-neox"))
    text, visible = run(model, [], ids), np.ones((1, T), dtype=bool)
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda input_ids, attention_mask=None, use_cache=None: forward(input_ids=input_ids))
    with pytest.raises(DataError, match="GPTNeoXForCausalLM: it takes no"):
        removed(model, [], text, np.array([9]), visible) if ask == "removed" else gradient_input(model, [], ids, [9])
