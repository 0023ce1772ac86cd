"""Attention weights made into one weight a token: closed forms and peers."""

import numpy as np

from geomkit.measures.attention import best_head, captured, rollout, value_weighted


def causal(draw, *shape):
    weights = np.tril(draw.random(shape))
    return weights / weights.sum(-1, keepdims=True)


def test_rollout_of_attention_to_oneself_is_the_identity():
    np.testing.assert_array_equal(rollout(np.broadcast_to(np.eye(5), (3, 2, 5, 5))), np.broadcast_to(np.eye(5), (3, 5, 5)))


def test_rollout_of_two_blocks_by_hand():
    draw = np.random.default_rng(0)
    attention = causal(draw, 2, 3, 6, 6)
    first, second = ((block.mean(0) + np.eye(6)) / 2 for block in attention)
    np.testing.assert_allclose(rollout(attention), [first, second @ first])
    np.testing.assert_allclose(rollout(attention).sum(-1), 1)
    assert not np.triu(rollout(attention), 1).any()


def test_value_weighting_by_hand_and_with_equal_lengths():
    draw = np.random.default_rng(1)
    attention, norms = causal(draw, 3, 6, 6), draw.random((3, 6))
    np.testing.assert_allclose(value_weighted(attention, norms)[4, 2], np.mean(attention[:, 4, 2] * norms[:, 2]))
    np.testing.assert_allclose(value_weighted(attention, np.ones((3, 6))), attention.mean(0))


def test_captured_is_the_share_of_the_effect_on_the_highest_weights():
    draw = np.random.default_rng(2)
    rows, effect = draw.random((4, 20)), draw.random(20)
    found = captured(rows, effect, 3)
    for row, share in zip(rows, found, strict=True):
        np.testing.assert_allclose(share, effect[np.argsort(row)[-3:]].sum() / effect.sum())
    np.testing.assert_allclose(captured(rows, effect, 20), 1)
    np.testing.assert_allclose(captured(effect[None], np.where(effect >= np.sort(effect)[-3], effect, 0), 3), 1)
    assert not captured(rows, np.zeros(20), 3).any()
    np.testing.assert_allclose(captured(np.ones((1, 20)), effect, 2), effect[-2:].sum() / effect.sum())


def test_the_best_head_is_the_one_that_captures_the_effect_in_other_texts():
    """Head 1 holds the effect of the texts of one half, head 0 that of the other: each target gets the head of the others."""
    effect = np.array([[5.0, 0, 0, 0, np.nan], [0, 0, 5.0, 0, np.nan]])
    right, wrong = np.where(np.isfinite(effect), effect, np.nan), np.array([[0, 1.0, 0, 0, np.nan]] * 2)
    heads = np.stack([np.stack([wrong[0], right[0]]), np.stack([right[1], wrong[1]])])
    found = best_head(heads, effect, [3, 8], 1)
    np.testing.assert_array_equal(found[0], heads[0, 0], "the text of the other half prefers head 0")
    np.testing.assert_array_equal(found[1], heads[1, 1])


def test_a_target_alone_in_its_half_and_with_none_in_the_other_has_the_first_head():
    heads = np.array([[[0.1, 0.9], [0.9, 0.1]]])
    np.testing.assert_array_equal(best_head(heads, np.array([[1.0, 0.0]]), [0], 1), heads[:, 0])


def test_a_targets_own_effect_never_chooses_its_head():
    draw = np.random.default_rng(0)
    heads, effect, texts = draw.random((6, 3, 9)), draw.random((6, 9)), [0, 0, 1, 1, 2, 2]
    before = best_head(heads, effect, texts, 2)
    effect[[0, 1, 4, 5]] = effect[[0, 1, 4, 5]][:, ::-1]
    np.testing.assert_array_equal(best_head(heads, effect, texts, 2)[[0, 1, 4, 5]], before[[0, 1, 4, 5]])
