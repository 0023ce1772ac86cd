"""Attention weights made into one weight a token: closed forms and peers."""

import numpy as np

from geomkit.measures.attention import captured, rollout, value_weighted


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
