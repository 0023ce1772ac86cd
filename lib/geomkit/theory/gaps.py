"""Fit the theory's exact sums to gaps of models of planted facts, each by its one free number."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from geomkit.core.errors import DataError
from geomkit.theory.skills import Array, SkillGraph

THRESHOLDS = range(1, 17)


def capacity(graph: SkillGraph, size: ArrayLike, gap: ArrayLike) -> tuple[float, Array]:
    """c of gap = sum_{k > cN} p_k h_k by least squares of ln gap, and ln gap of that curve (n,), at sizes and gaps (n,).

    c is searched from where the largest model holds one fact to where it holds all but one. Limiting case: gaps made by the
    curve are met exactly. Raises DataError unless all sizes and gaps are positive.
    """
    size, measured = checked(size, gap)

    def curve(log_c: float) -> Array:
        return np.asarray(np.log(graph.conditional_entropy(np.exp(log_c) * size)))

    ends = np.log([1, graph.skills - 1]) - np.log(size.max())
    starts = np.linspace(ends[0], ends[1], 200)
    best = int(np.argmin([squares(curve(at), measured) for at in starts]))
    around = starts[max(0, best - 1)], starts[min(starts.size - 1, best + 1)]
    optimum = optimize.minimize_scalar(
        lambda at: squares(curve(at), measured), bounds=around, method="bounded", options={"xatol": 1e-9}
    )
    return float(np.exp(optimum.x)), curve(float(optimum.x))


def threshold(graph: SkillGraph, texts: ArrayLike, gap: ArrayLike, times: Sequence[int] = THRESHOLDS) -> tuple[int, Array]:
    """tau of gap = sum_k p_k h_k P(Binomial(D, p_k) < tau), of whole numbers, by least squares of ln gap, and ln gap of that
    sum (n,), at numbers of texts and gaps (n,).

    Limiting case: gaps made by the sum are met exactly. Raises DataError unless all numbers are positive.
    """
    texts, measured = checked(texts, gap)
    curves = dict(zip(times, np.log(gaps_below(graph, texts, times)), strict=True))
    best = min(curves, key=lambda tau: squares(curves[tau], measured))
    return best, curves[best]


def gaps_below(graph: SkillGraph, texts: Array, times: Sequence[int]) -> Array:
    """`SkillGraph.gap` of all skills under binomial counts, at texts (n,) and whole thresholds (times,): (times, n).

    Probabilities of 0, 1, .. sightings are added up, which costs a hundredth of an incomplete beta function for each threshold.
    """
    cost, p = graph.number * graph.probability * graph.entropy, graph.probability
    count = np.arange(max(times))[:, None]
    gaps = []
    for uses in texts * graph.degree:
        number = special.gammaln(uses + 1) - special.gammaln(count + 1) - special.gammaln(np.maximum(uses - count + 1, 1))
        chance = np.where(count <= uses, np.exp(number + count * np.log(p) + (uses - count) * np.log1p(-p)), 0.0)
        gaps.append(np.cumsum(chance @ cost)[np.asarray(times) - 1])
    return np.array(gaps).T


def checked(x: ArrayLike, gap: ArrayLike) -> tuple[Array, Array]:
    """Check sizes or data and gaps, and returns x (n,) and ln gap (n,)."""
    x, gap = np.asarray(x, dtype=float), np.asarray(gap, dtype=float)
    if x.shape != gap.shape or not x.size or not (np.isfinite(x + gap).all() and (x > 0).all() and (gap > 0).all()):
        raise DataError(f"planted facts: shapes {x.shape} and {gap.shape} of what is to be positive and finite")
    return x, np.log(gap)


def squares(predicted: Array, measured: Array) -> float:
    return float(((predicted - measured) ** 2).sum())
