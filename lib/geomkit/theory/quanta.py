"""Test the quanta view: does the rank up to which bigrams are learnt move with model size, as it does if a model knows the most
frequent ones?"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.tables.rows import read_csv, write_csv
from geomkit.theory.rows import BigramLoss, LearntRank

SHARES = (0.25, 0.5, 0.75)
FEWEST = 200
"""Test tokens that a class needs."""
CLEAR = 0.1
"""Nats by which a bigram model must be better than a unigram model on a class, for a share of that to be told."""


def learnt_ranks(bigrams: Path, output: Path) -> None:
    """Write the ranks up to which each model has learnt bigrams."""
    rows = [row for row in read_csv(bigrams, BigramLoss) if row.first_rank and row.tokens >= FEWEST]
    if not rows:
        raise DataError(f"{bigrams}: no class of bigrams has {FEWEST} test tokens")
    write_csv(output, LearntRank, [*crossings(rows), *improvements(rows)])


def profile(rows: Sequence[BigramLoss], width: int) -> tuple[Array, Array]:
    """ln of the middle ranks (classes,), and the share learnt of what the bigram model knows (classes,), seeds averaged."""
    ranks, shares = [], []
    for first in sorted({row.first_rank for row in rows}):
        mine = [row for row in rows if row.first_rank == first and row.width == width]
        known = mine[0].unigram - mine[0].bigram
        if known > CLEAR:
            ranks.append(0.5 * np.log(first * mine[0].last_rank))
            shares.append(np.mean([(row.unigram - row.loss) / known for row in mine]))
    return np.array(ranks), np.array(shares)


def crossings(rows: Sequence[BigramLoss]) -> list[LearntRank]:
    """For each width and share the rank at which its profile falls through the share, the highest one if there are several."""
    places = []
    for width in sorted({row.width for row in rows}):
        size = next(row.params_nonembedding for row in rows if row.width == width)
        ranks, shares = profile(rows, width)
        for share in SHARES:
            below = np.flatnonzero((shares[:-1] >= share) & (shares[1:] < share))
            if below.size:
                k = below[-1]
                part = (shares[k] - share) / (shares[k] - shares[k + 1])
                rank, reason = float(np.exp(ranks[k] + part * (ranks[k + 1] - ranks[k]))), ""
            else:
                rank, reason = None, missing(shares, share)
            places.append(LearntRank(width=width, params_nonembedding=size, share=share, rank=rank, reason=reason))
    return places


def missing(shares: Array, share: float) -> str:
    """Why a profile does not fall through a share at any rank."""
    if not shares.size:
        return "no class tells a bigram model from a unigram model"
    if shares.min() >= share:
        return "every class is learnt beyond it"
    return "no class is learnt up to it" if shares.max() < share else "it is not in the order of rank"


def improvements(rows: Sequence[BigramLoss]) -> list[LearntRank]:
    """For each width but the narrowest: the mean ln rank of test tokens, weighted by the fall of the loss on their class."""
    widths = sorted({row.width for row in rows})
    firsts = sorted({row.first_rank for row in rows})
    ranks = []
    for small, large in pairwise(widths):
        size = next(row.params_nonembedding for row in rows if row.width == large)
        total, weight = 0.0, 0.0
        for first in firsts:
            mine = [row for row in rows if row.first_rank == first]
            before, after = (float(np.mean([row.loss for row in mine if row.width == width])) for width in (small, large))
            less = before - after
            total += mine[0].tokens * less * 0.5 * float(np.log(first * mine[0].last_rank))
            weight += mine[0].tokens * less
        rank, reason = (float(np.exp(total / weight)), "") if weight > 0 else (None, f"it loses no less than width {small}")
        ranks.append(LearntRank(width=large, params_nonembedding=size, share=None, rank=rank, reason=reason))
    return ranks
