"""Attention weights made into one weight a token: closed forms and peers."""

import numpy as np
from scipy import stats

from geomkit.measures.attention import rank_agreement, rollout, value_weighted


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


def test_rank_agreement_is_spearmans_correlation():
    draw = np.random.default_rng(2)
    rows, reference = draw.random((4, 20)).round(1), draw.random(20)
    rows[3] = 0.5
    expected = [stats.spearmanr(row, reference).statistic for row in rows[:3]]
    np.testing.assert_allclose(rank_agreement(rows, reference), [*expected, 0], atol=1e-12)
