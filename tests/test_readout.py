"""What a head makes of hidden states: the lens by closed forms and by transformers' own logits, and the unembedding."""

import numpy as np
import pytest
from opened import loaded, states_of
from scipy import stats

from geomkit.core.errors import DataError, RefusalError
from geomkit.core.state import State
from geomkit.measures.readout import leading_directions, log_probabilities, logit_lens, share_in_random_subspace, share_inside


def test_equal_logits_are_a_uniform_guess():
    final = np.random.default_rng(0).standard_normal((20, 50))
    lens = logit_lens(np.full((20, 50), 7.0, np.float32), log_probabilities(final), np.arange(20))
    p = np.exp(log_probabilities(final))
    own = -(p * np.log(p)).sum(axis=1)
    np.testing.assert_allclose(lens.entropy, np.log(50))
    np.testing.assert_allclose(lens.loss, np.log(50))
    np.testing.assert_allclose(lens.divergence, np.log(50) - own)


def test_scores_of_predictions_are_those_of_scipy_whatever_is_added_to_a_row():
    draws = np.random.default_rng(1)
    logits, final, targets = draws.standard_normal((11, 30)) * 4, draws.standard_normal((11, 30)) * 4, draws.integers(0, 30, 11)
    lens = logit_lens(logits + draws.standard_normal((11, 1)) * 100, log_probabilities(final), targets)
    q, p = (np.exp(own) / np.exp(own).sum(axis=1, keepdims=True) for own in (logits, final))
    np.testing.assert_allclose(lens.entropy, stats.entropy(q, axis=1))
    np.testing.assert_allclose(lens.divergence, stats.entropy(p, q, axis=1))
    np.testing.assert_allclose(lens.loss, -np.log(q[np.arange(11), targets]))
    same = logit_lens(logits, log_probabilities(logits), targets)
    np.testing.assert_allclose(same.divergence, 0, atol=1e-12)


def test_tokens_that_are_never_predicted_count_for_nothing():
    draws = np.random.default_rng(2)
    logits, final = draws.standard_normal((2, 5, 9))
    never = np.array([2, 6])
    seen = np.delete(np.arange(9), never)
    full = [own.copy() for own in (logits, final)]
    for own in full:
        own[:, never] = -np.inf
    targets = np.zeros(5, int)
    found = logit_lens(full[0], log_probabilities(full[1]), targets)
    expected = logit_lens(logits[:, seen], log_probabilities(final[:, seen]), targets)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other)
    assert np.isinf(logit_lens(full[0], log_probabilities(final), targets).divergence).all()


def test_the_share_inside_leading_directions_is_that_of_the_spectrum():
    draws = np.random.default_rng(3)
    rows = draws.standard_normal((400, 12)) * np.geomspace(3, 0.1, 12) + 5
    values, directions = leading_directions(np.cov(rows.T, ddof=0), 4)
    groups = np.arange(400) % 7
    counts = np.vstack([np.ones(7), draws.multinomial(7, np.full(7, 1 / 7), 3)])
    found = share_inside(rows, directions, groups, counts)
    assert found[0] == pytest.approx(values[:4].sum() / values.sum())
    for share, drawn in zip(found, counts, strict=True):
        taken = np.concatenate([rows[groups == group] for group in range(7) for _ in range(int(drawn[group]))])
        assert share == pytest.approx(np.trace(np.cov((taken @ directions).T)) / np.trace(np.cov(taken.T)))
    assert share_inside(rows, np.eye(12), groups, counts) == pytest.approx(1)
    assert np.isnan(share_inside(np.ones((4, 3)), np.eye(3)[:, :1], np.zeros(4, int), np.ones((1, 1)))).all()


@pytest.mark.parametrize("shares", [np.array([1.0, *np.zeros(23)]), 0.6 ** np.arange(24)], ids=["one direction", "geometric"])
def test_random_subspaces_have_the_moments_and_quantiles_of_draws(shares):
    p, draws = shares / shares.sum(), np.random.default_rng(4)
    inside = [
        (p @ np.square(np.linalg.qr(draws.standard_normal((24, 5)))[0])).sum() for _ in range(4000)
    ]  # the share of a random subspace, in the coordinates of the spectrum
    mean, low, high = share_in_random_subspace(p, 5)
    assert mean == pytest.approx(np.mean(inside), abs=5 * np.std(inside) / 4000**0.5)
    np.testing.assert_allclose(np.quantile(inside, [0.025, 0.975]), [low, high], atol=0.025)
    if p[0] == 1:
        assert [low, high] == pytest.approx(stats.beta.ppf([0.025, 0.975], 5 / 2, 19 / 2))


def test_a_flat_spectrum_and_a_whole_space_have_no_spread():
    assert share_in_random_subspace(np.full(10, 0.1), 3) == (0.3, 0.3, 0.3)
    assert share_in_random_subspace(np.array([1.0, 0, 0]), 3) == (1, 1, 1)
    with pytest.raises(DataError, match="from 1 to 3, found 4"):
        share_in_random_subspace(np.full(3, 1 / 3), 4)


# Running models


def rows_of(states, tokens):
    """Rows of some tokens at every block, as a portrait samples them."""
    depth = states.recorder.depth
    every = states.gather()
    return {state: own[tokens] for state, own in every.items() if state.layer <= depth}


TOKENS = np.array([0, 2, 9, 17, 30])


def changed_models():
    """Heads that do more than multiply: soft caps, scales, biases."""
    import transformers

    shape = {
        "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 48, "initializer_range": 0.25, "max_position_embeddings": 64, "pad_token_id": None,
    }  # fmt: skip
    return {
        "cohere": transformers.CohereForCausalLM(transformers.CohereConfig(**shape, logit_scale=0.3)),
        "granite": transformers.GraniteForCausalLM(transformers.GraniteConfig(**shape, logits_scaling=4.0)),
        "phi": transformers.PhiForCausalLM(transformers.PhiConfig(**shape)),
    }


@pytest.mark.parametrize(
    "name", ["llama", "gpt2", "gpt-neox", "gemma2", "opt", "opt-350m", "mamba", "mixtral", "cohere", "granite", "phi"]
)
def test_the_last_state_gives_the_models_own_logits_and_others_what_its_modules_give(tiny, tokenizer, name):
    import torch

    torch.manual_seed(0)
    model = changed_models()[name].eval() if name in ("cohere", "granite", "phi") else loaded(tiny(name))
    if name == "phi":
        torch.nn.init.normal_(model.lm_head.bias)
    with states_of(model, tokenizer) as states:
        rows = rows_of(states, TOKENS)
        found = states.readout(TOKENS, rows)
        offset, ids = states.texts.offset, np.concatenate(states.sample.ids)
        own = []
        for token in TOKENS:
            text = int(np.searchsorted(offset, token, "right")) - 1
            with torch.inference_mode():
                logits = model(torch.tensor(states.ids(text)[None].astype(np.int64))).logits[0, token - offset[text]]
            own.append(logits.double().numpy())
        log_p = log_probabilities(np.stack(own))
        last = found.lens[State(states.recorder.depth)]
        np.testing.assert_allclose(last.entropy, -(np.exp(log_p) * log_p).sum(axis=1), rtol=1e-4)
        np.testing.assert_allclose(last.loss, -log_p[np.arange(5), ids[TOKENS + 1]], rtol=1e-4)
        np.testing.assert_allclose(last.divergence, 0, atol=1e-9)
        assert found.vocabulary == 300
        assert (found.apart == "") is (name != "opt-350m")
        if name in ("llama", "mixtral"):
            with torch.inference_mode():
                middle = model.lm_head(model.model.norm(torch.from_numpy(rows[State(1)])))
            expected = logit_lens(middle.numpy(), log_p, ids[TOKENS + 1])
            for one, other in zip(found.lens[State(1)], expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4)


def test_a_soft_cap_is_the_models_own(tiny, tokenizer):
    """Without its cap the same model predicts otherwise, so the lens has it."""
    import torch

    with states_of(loaded(tiny("gemma2")), tokenizer) as states:
        capped = states.readout(TOKENS, rows := rows_of(states, TOKENS))
    plain = loaded(tiny("gemma2"), final_logit_softcapping=None)
    with states_of(plain, tokenizer) as states:
        free = states.readout(TOKENS, rows)
    with torch.inference_mode():
        norm, head = plain.model.norm, plain.lm_head
        cap = 30 * torch.tanh(head(norm(torch.from_numpy(rows[State(1)]))) / 30)
    expected = -(np.exp(own := log_probabilities(cap.numpy())) * own).sum(axis=1)
    np.testing.assert_allclose(capped.lens[State(1)].entropy, expected, rtol=1e-4)
    assert np.abs(free.lens[State(1)].entropy / expected - 1).max() > 1e-3


def test_scores_do_not_depend_on_the_size_of_groups(tiny, tokenizer, monkeypatch):
    from geomkit.models import readout

    with states_of(loaded(tiny("gpt2")), tokenizer) as states:
        whole = states.readout(TOKENS, rows := rows_of(states, TOKENS)).lens
        monkeypatch.setattr(readout, "LOGITS", 700)
        parts = states.readout(TOKENS, rows).lens
    for state in whole:
        np.testing.assert_allclose(np.stack(parts[state]), np.stack(whole[state]), rtol=1e-5, atol=1e-8)


def test_a_masked_model_predicts_tokens_that_are_masked(tiny, mask_tokenizer):
    import torch

    from geomkit.models.masking import masked_surprisals

    model = loaded(tiny("bert"))
    for batch in (12, 200):
        with states_of(model, mask_tokenizer, batch=batch) as states:
            found = states.readout(TOKENS, rows_of(states, TOKENS))
            masks, offset = states.runs.masks, states.texts.offset
            losses = []
            for token in TOKENS:
                text = int(np.searchsorted(offset, token, "right")) - 1
                ids = torch.tensor([[*states.sample.prefix, *states.ids(text).tolist(), *masks.suffix]])
                place = len(states.sample.prefix) + int(token - offset[text])
                losses.append(float(masked_surprisals(model, ids, torch.ones_like(ids).bool(), [(0, place)], masks.token, 99)))
        np.testing.assert_allclose(found.lens[State(2)].loss, losses, rtol=1e-4)
        np.testing.assert_allclose(found.lens[State(2)].divergence, 0, atol=1e-9)
        assert "layers of its own" in found.apart


def test_blocks_that_change_nothing_make_one_prediction_at_every_state(tiny, tokenizer):
    import torch

    model = loaded(tiny("llama"))
    for block in model.model.layers:
        torch.nn.init.zeros_(block.self_attn.o_proj.weight)
        torch.nn.init.zeros_(block.mlp.down_proj.weight)
    with states_of(model, tokenizer) as states:
        lens = states.readout(TOKENS, rows_of(states, TOKENS)).lens
    for state, scores in lens.items():
        np.testing.assert_allclose(scores.divergence, 0, atol=1e-9, err_msg=str(state))
        np.testing.assert_allclose(scores.entropy, lens[State(0)].entropy, rtol=1e-6)


def test_a_head_that_reads_the_embedding_exactly_predicts_each_token_itself(tokenizer):
    """Orthogonal rows of a table that is also the output matrix, and blocks that change nothing."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"vocab_size": 300, "hidden_size": 304, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 8}
    model = LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=True, pad_token_id=None, rms_norm_eps=1e-12)).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(3 * torch.eye(300, 304))
    with states_of(model, tokenizer) as states:
        own = np.concatenate(states.sample.ids)[TOKENS]
        rows = {state: values for state, values in rows_of(states, TOKENS).items()}
        found = states.readout(TOKENS, {State(0): rows[State(0)]})
        # RMS norm of 3 e_i is sqrt(304) e_i: the logit of a token itself is 3 sqrt(304), and all others are 0
        top = 3 * 304**0.5
        expected = np.log(np.exp(top) + 299) - top * (np.concatenate(states.sample.ids)[TOKENS + 1] == own)
        np.testing.assert_allclose(found.lens[State(0)].loss, expected, rtol=1e-5)
        d, v = 304, 300
        centred = 9 * (np.eye(v) - 1 / v) / v
        np.testing.assert_allclose(found.covariance, np.pad(centred, (0, d - v)), atol=1e-5)


def test_a_gain_is_in_the_rows_of_the_unembedding(tiny, tokenizer):
    import torch

    model = loaded(tiny("gpt-neox"))
    gain = torch.linspace(0.1, 3, 32)
    with torch.no_grad():
        model.gpt_neox.final_layer_norm.weight.copy_(gain)
    with states_of(model, tokenizer) as states:
        found = states.readout(TOKENS, rows_of(states, TOKENS))
    rows = model.get_output_embeddings().weight.detach().double().numpy() * gain.double().numpy()
    np.testing.assert_allclose(found.covariance, np.cov(rows.T, ddof=0), rtol=1e-4, atol=1e-6)


def test_a_model_whose_output_depends_on_more_than_the_last_state_is_absent(tiny, tokenizer):
    model = loaded(tiny("llama"))
    embedding = model.model.embed_tokens
    seen = {}
    embedding.register_forward_hook(lambda module, args, output: seen.update(first=output))
    model.model.norm.register_forward_pre_hook(lambda module, args: (args[0] + 0.5 * seen["first"],))
    with states_of(model, tokenizer) as states, pytest.raises(RefusalError, match="not its own prediction"):
        states.readout(TOKENS, rows_of(states, TOKENS))


def test_blocks_work_as_before_once_states_were_read_out(tiny, tokenizer):
    import torch

    model = loaded(tiny("qwen3"))
    ids = torch.arange(5, 15)[None]
    with torch.inference_mode():
        before = model(ids).logits
        with states_of(model, tokenizer) as states:
            states.readout(TOKENS, rows_of(states, TOKENS))
        assert torch.equal(model(ids).logits, before)
    assert not any("forward" in vars(block) for block in model.model.layers)


@pytest.mark.parametrize(
    ("objective", "words"), [("causal", "predict the next token better"), ("masked", "predict masked tokens better")]
)
def test_the_sentence_says_what_is_predicted(objective, words):
    from types import SimpleNamespace

    from geomkit.laws.resampling import Documents
    from geomkit.measures.readout import Lens
    from geomkit.studies.portrait.readout import readout_sentence

    draw = np.random.default_rng(0)
    scores = {State(layer): Lens(*(1 + 0.1 * draw.standard_normal((3, 40)))) for layer in range(3)}
    documents = Documents.draw(np.arange(40), 200, draw)
    file = SimpleNamespace(
        lens=lambda variant: (np.arange(40), scores), text_list=SimpleNamespace(offset=np.arange(41)), objective=objective
    )
    own = SimpleNamespace(place=lambda state: str(state.layer), depth=2)
    rows = [{"metric": "logit_lens_loss", "variant": name, "bound": 5.0, "high": 6.0} for name in ("trained", "untrained-0")]
    (sentence,) = readout_sentence(file, own, documents, rows)
    assert words in sentence
    assert "at every state" in sentence
