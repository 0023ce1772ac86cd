"""Reduce the attention of several heads to one weight for each earlier token."""

from collections.abc import Sequence

import numpy as np

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
