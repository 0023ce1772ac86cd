"""Reduce attention: of several heads to one weight for each earlier token, and to what sinks get of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from geomkit.core.arrays import Array


def value_weighted(attention: Array, value_norms: Array) -> Array:
    """Average over heads the attention times the length of the value vector it moves: (heads, T, T), (heads, T) to (T, T).

    A weight on a token whose value is zero moves nothing. Source: Kobayashi et al. 2020 (arXiv 2004.10102), their norm before the
    output projection.
    """
    weighted: Array = np.einsum("hij,hj->ij", attention, value_norms) / len(attention)
    return weighted


def rollout(attention: Array) -> Array:
    """Trace attention through the blocks down to the input, half of each block being its residual.

    Shapes are (blocks, heads, T, T) to (blocks, T, T), rows of which sum to 1 where those of the attention do.

    Limits: attention to oneself alone gives the identity. Source: Abnar, Zuidema 2020 (arXiv 2005.00928).
    """
    flow = np.eye(attention.shape[-1])
    steps = []
    for mean in attention.mean(axis=1, dtype=np.float64):
        flow = (mean + np.eye(len(mean))) / 2 @ flow
        steps.append(flow)
    return np.stack(steps)


def captured(rows: Array, effect: Array, k: int) -> Array:
    """Compute the share of an effect (T,) that lies on each head's k tokens of highest weight: (heads, T) to (heads,).

    1 for k = T, and for weights in the order of an effect on k tokens alone; 0 where there is no effect. Of equal weights the
    later token counts.
    """
    top = rows.shape[1] - 1 - np.argsort(-rows[:, ::-1], axis=1, kind="stable")[:, :k]
    return effect[top].sum(axis=1) / max(effect.sum(), np.finfo(np.float64).tiny)


def best_head(heads: Array, effect: Array, texts: Sequence[int], k: int) -> Array:
    """Select each target's attention (targets, T) from the head that captures most of an effect on other texts.

    heads: (targets, heads, T); effect: (targets, T), not negative, NaN for what is not in the target's past; texts: the text of
    each target. A target's head is the best on average over the targets of the other half of the texts, and the first one where
    there are none: a target's own effect never chooses its head.
    """
    known = [np.isfinite(row) for row in effect]
    share = np.array([captured(rows[:, past], row[past], k) for rows, row, past in zip(heads, effect, known, strict=True)])
    half = np.searchsorted(np.unique(texts), texts) % 2
    chosen = np.array([share[half != own].mean(axis=0).argmax() if (half != own).any() else 0 for own in (0, 1)])
    weights: Array = heads[np.arange(len(heads)), chosen[half]]
    return weights


def attention_on(attention: Array, marked: ArrayLike) -> Array:
    """Compute the attention that tokens give to marked ones, mean over all tokens that are not marked: (..., T, T) to (...).

    A row of the attention is for each token that looks. marked: (T,). Limits: for uniform causal attention and the first token
    alone the mean of 1 / (t + 1) over t = 1 .. T - 1; 0 where no token is marked; NaN where all are.
    """
    own = np.asarray(marked, dtype=bool)
    if own.all():
        return np.full(attention.shape[:-2], np.nan)
    given: Array = attention[..., ~own, :][..., own].sum(axis=-1, dtype=np.float64).mean(axis=-1)
    return given


def uniform_attention(attention: Array) -> Array:
    """Return equal attention to all tokens that a token gives any attention to, (..., T, T): what it sees, without preference."""
    seen = attention > 0
    return np.asarray(seen / np.maximum(seen.sum(axis=-1, keepdims=True), 1))


def shifted_correlations(x: Array, y: Array) -> Array:
    """Compute Spearman's correlation of two profiles along depth (L,), and of one with every circular shift of the other: (L,).

    The first is that of the profiles as they are. Neighbouring layers are alike, so layers are no independent observations; a
    shift keeps each profile's own smoothness, and breaks what the two share. With L layers no share of shifts is below 1 / L.
    NaN for a profile that does not vary.
    """
    ranks = [stats.rankdata(values) - (len(values) + 1) / 2 for values in (x, y)]
    scale = np.sqrt(np.square(ranks[0]).sum() * np.square(ranks[1]).sum())
    products = np.array([ranks[0] @ np.roll(ranks[1], shift) for shift in range(len(x))])
    return products / scale if scale > 0 else np.full(len(x), np.nan)
