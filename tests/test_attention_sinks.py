"""Attention to sinks: closed forms, planted sinks in running models, and what comes together along depth."""

import numpy as np
import pytest
from opened import loaded, states_of

from geomkit.core.errors import RefusalError
from geomkit.measures.attention import attention_on, shifted_correlations, uniform_attention

T = 9


def causal(weights: np.ndarray) -> np.ndarray:
    """Rows of positive weights on earlier tokens, which sum to 1."""
    own = np.tril(weights)
    return own / own.sum(axis=-1, keepdims=True)


def test_uniform_causal_attention_gives_the_first_token_the_mean_of_1_over_t():
    first = np.arange(T) == 0
    expected = np.mean([1 / (t + 1) for t in range(1, T)])
    assert attention_on(causal(np.ones((T, T))), first) == pytest.approx(expected)
    other = causal(np.random.default_rng(0).random((3, T, T)) + 0.1)
    np.testing.assert_allclose(attention_on(uniform_attention(other), first), expected)


def test_tokens_that_are_marked_do_not_count_as_those_that_look():
    attention = np.zeros((2, T, T))
    attention[:, :, 0] = 1  # a forced sink
    marked = np.isin(np.arange(T), [0, 4])
    assert attention_on(attention, marked).tolist() == [1, 1]
    attention[1] = np.eye(T)  # all look at themselves
    assert attention_on(attention, marked).tolist() == [1, 0]
    assert attention_on(attention, np.zeros(T, bool)).tolist() == [0, 0]
    assert np.isnan(attention_on(attention, np.ones(T, bool))).all()


def test_what_is_not_seen_has_no_share_in_equal_attention():
    """A window of three tokens: the first token is seen by the first three alone."""
    window = np.tril(np.triu(np.ones((T, T)), -2))
    own = uniform_attention(window * np.random.default_rng(1).random((T, T)).clip(0.1))
    np.testing.assert_allclose(own.sum(axis=-1), 1)
    assert attention_on(own, np.arange(T) == 0) == pytest.approx((1 / 2 + 1 / 3) / (T - 1))


def test_shifts_are_spearmans_correlations_of_shifted_profiles():
    from scipy import stats

    x, y = np.random.default_rng(2).standard_normal((2, 11))
    expected = [stats.spearmanr(x, np.roll(y, shift)).statistic for shift in range(11)]
    np.testing.assert_allclose(shifted_correlations(x, y), expected)
    assert np.isnan(shifted_correlations(x, np.ones(11))).all()
    slope = np.arange(12.0)
    assert shifted_correlations(slope, slope)[0] == pytest.approx(1)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt-neox", "gemma2", "opt-350m", "bert"])
def test_attention_is_transformers_own_and_leaves_the_model_as_it_was(tiny, tokenizer, mask_tokenizer, name):
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    masked = name == "bert"
    model, kind = loaded(tiny(name)), AutoModelForMaskedLM if masked else AutoModelForCausalLM
    before = model.config._attn_implementation
    peer = kind.from_pretrained(tiny(name), attn_implementation="eager").eval()
    with states_of(model, mask_tokenizer if masked else tokenizer) as states:
        ids = np.concatenate([states.sample.prefix, states.ids(3)[:8], states.runs.masks.suffix if masked else []])
        (found,) = states.attention([3], 8)
    with torch.inference_mode():
        output = peer(torch.tensor(ids[None].astype(np.int64)), output_attentions=True, output_hidden_states=True)
    np.testing.assert_allclose(found.weights, [own[0].mean(dim=0).numpy() for own in output.attentions], atol=1e-6)
    lengths = [own[0].double().norm(dim=-1).numpy() for own in output.hidden_states[:-1]]
    np.testing.assert_allclose(found.lengths[: len(lengths)], lengths, rtol=1e-4)
    assert model.config._attn_implementation == before


def test_a_planted_sink_gets_the_attention_of_all(tiny, tokenizer):
    """Values and norms stay; keys of one token are made so that all queries look at it, in every head of block 2."""
    model = loaded(tiny("gpt2"))
    attention = model.transformer.h[1].attn

    def forced(module, args, output):
        output = output.clone()
        q, k, _ = output.split(32, dim=-1)
        q[:] = 10.0
        k[:] = 0.0
        k[:, 0] = 10.0
        return output

    attention.c_attn.register_forward_hook(forced)
    with states_of(model, tokenizer) as states:
        (found,) = states.attention([0], 6)
    np.testing.assert_allclose(attention_on(found.weights, np.arange(6) == 0)[1], 1, atol=1e-6)


def test_a_model_that_shows_no_attention_is_absent_with_a_reason(tiny, tokenizer):
    with states_of(loaded(tiny("mamba")), tokenizer) as states, pytest.raises(RefusalError, match="shows no attention weights"):
        list(states.attention([0], 6))


def test_attention_that_is_not_that_of_the_measured_pass_is_absent(tiny, tokenizer):
    from transformers.models.llama import modeling_llama

    model, own = loaded(tiny("llama")), modeling_llama.eager_attention_forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            modeling_llama, "eager_attention_forward", lambda module, q, *more, **options: own(module, 2 * q, *more, **options)
        )
        with states_of(model, tokenizer) as states, pytest.raises(RefusalError, match="its states are others"):
            list(states.attention([0], 6))


def test_long_texts_are_cut_where_memory_demands_it(tiny, tokenizer, monkeypatch):
    from geomkit.models import attention

    monkeypatch.setattr(attention, "WEIGHTS", 8 * 16)  # two blocks of four heads
    with states_of(loaded(tiny("llama")), tokenizer) as states:
        (found,) = states.attention([7], 13)
    assert found.weights.shape == (2, 4, 4)


def test_attention_is_paired_with_the_state_that_its_block_reads():
    """Attention of each block falls with the effective rank of the state before it, and rises with the norm there."""
    from geomkit.core.state import State
    from geomkit.laws.resampling import Documents
    from geomkit.studies.portrait.attention import Read, together_rows
    from geomkit.studies.portrait.profiles import Cell, Profiles

    draws, depth, texts = np.random.default_rng(3), 12, 6
    states = [State(layer) for layer in range(depth + 1)]
    rank = 10 + 5 * draws.permutation(depth + 1)
    own = Profiles([f"d{number}" for number in range(texts)], depth, states, {}, ["trained"], ["unit"], [64])
    for state, value in zip(states, rank, strict=True):
        own.values[Cell("trained", state, "unit", 64)] = {"erank_covariance": value + draws.random(texts)}
    noise = 1 + 1e-3 * draws.random((texts, depth + 1))
    read = {"sinks": noise[:, 1:] / rank[:-1], "norm_ratio": noise * 100 / rank}
    documents = Documents.draw(own.documents, 50, draws)
    rows = {row["metric"]: row for row in together_rows(Read(64, np.arange(texts), read), own, documents)}
    assert {metric: round(row["value"], 12) for metric, row in rows.items()} == {
        "attention_with_rank": -1,
        "norm_with_rank": -1,
        "attention_with_norm": 1,
    }
    for row in rows.values():
        assert row["n"] == depth
        assert row["low"] == pytest.approx(row["value"])
        assert -1 < row["band_low"] < row["band_high"] < 1
