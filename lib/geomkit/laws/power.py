"""Plan how many sizes, seeds or documents would decide whether a slope with model size is negligible, from measured variances."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special

from geomkit.laws.differences import LEVEL, POWER, detectable
from geomkit.laws.pairs import FACTOR

MOST = 1000
"""Sizes, seeds or times as many documents, beyond which nothing is planned."""


class Needed(NamedTuple):
    """Least number of each that decides while the others stay as they are; None where no number does."""

    sizes: int | None
    seeds: int | None
    documents: int | None
    """Times as many as there were."""

    def __str__(self) -> str:
        known = [
            f"{self.sizes} sizes" if self.sizes else "",
            f"{self.seeds} seeds a size" if self.seeds else "",
            f"{self.documents} times as many documents" if self.documents else "",
        ]
        return " or ".join(filter(None, known)) or "no number of sizes, seeds or documents alone, up to a thousand,"


@dataclass(frozen=True)
class Precision:
    """Variance components of a slope on ln N whose sizes lie evenly in ln N.

    size, seed: standard deviations of a size's own residual and of a seed about its size. documents: standard error that
    resamples of documents give the slope. span: range of ln N. terms: number of terms, with the slope, that sizes estimate.
    """

    sizes: int
    seeds: float
    size: float
    seed: float
    documents: float
    span: float
    terms: int = 3

    @property
    def freedom(self) -> int:
        return self.sizes - self.terms

    @property
    def error(self) -> float:
        """Standard deviation of the slope."""
        return math.hypot(self._scatter * math.sqrt(design(self.sizes, self.span, self.terms).squares), self.documents)

    @property
    def expected_error(self) -> float:
        """Standard error that a jackknife over sizes and resamples of documents report in expectation, with its factor."""
        return FACTOR * math.hypot(self._scatter * math.sqrt(design(self.sizes, self.span, self.terms).jackknife), self.documents)

    @property
    def _scatter(self) -> float:
        return math.hypot(self.size, self.seed / math.sqrt(self.seeds))

    def decides(self, margin: float, power: float = POWER) -> bool:
        """Whether either truth would be seen with this power: a slope of 0 as negligible, and one of two margins as different.

        Negligible: the 90 % interval lies within the margin. Different: the 95 % interval excludes 0, and the estimate lies
        outside the margin.
        """
        if self.freedom < 1:
            return False
        if self.error == 0:
            return True
        reach = {tail: -float(special.stdtrit(self.freedom, tail)) * self.expected_error for tail in (LEVEL, LEVEL / 2)}
        negligible = 2 * float(special.ndtr((margin - reach[LEVEL]) / self.error)) - 1
        different = float(special.ndtr((2 * margin - max(margin, reach[LEVEL / 2])) / self.error))
        return min(negligible, different) >= power

    def advice(self, margin: float) -> str:
        """Say what would decide."""
        if self.decides(margin):
            return "a design like this one decides with 80 % power"
        return f"{self.needed(margin)} would decide with 80 % power"

    def needed(self, margin: float) -> Needed:
        """Plan one thing at a time; what stands already may decide, and is then the answer."""
        return Needed(
            least(lambda number: replace(self, sizes=number).decides(margin), self.terms + 1),
            least(lambda number: replace(self, seeds=float(number)).decides(margin), 1),
            least(lambda times: replace(self, documents=self.documents / math.sqrt(times)).decides(margin), 1),
        )


def sizes_to_detect(slope: float, scatter: float, span: float) -> int | None:
    """Plan the sizes, even in ln N over `span`, at which a t test detects this slope with 80 % power; None above MOST.

    scatter: standard deviation of a size about the line.
    """

    def detects(sizes: int) -> bool:
        return abs(slope) >= detectable(sizes - 2) * scatter * math.sqrt(design(sizes, span, 2).squares)

    return least(detects, 3) if slope else None


class Design(NamedTuple):
    """Variance of a slope over even sizes, for a unit variance of each: its own, and in expectation that of a jackknife."""

    squares: float
    jackknife: float


@lru_cache
def design(sizes: int, span: float, terms: int) -> Design:
    """Compute both from the powers of ln N up to terms - 1.

    Leaving out a size of leverage h moves the slope by w e / (1 - h), with w its weight and e its residual of variance 1 - h; so
    the jackknife expects the sum of w^2 / (1 - h), times (sizes - 1) / sizes.
    """
    x = np.linspace(-span / 2, span / 2, sizes)
    basis = np.linalg.qr(np.vander(x, terms, increasing=True))[0]
    linear = x - basis[:, [0, *range(2, terms)]] @ (basis[:, [0, *range(2, terms)]].T @ x)
    weights = linear / (linear @ linear)
    room = np.maximum(1 - (basis**2).sum(axis=1), 1e-12)
    return Design(float(weights @ weights), float((sizes - 1) / sizes * (weights**2 / room).sum()))


def least(decides: Callable[[int], bool], first: int) -> int | None:
    """Find the least number from `first` on that decides, where all greater ones do; None above MOST."""
    if not decides(MOST):
        return None
    low, high = first - 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
