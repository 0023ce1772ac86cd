"""Find the turning points of a curve over training steps that both seeds and documents confirm."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from geomkit.core.arrays import Array
from geomkit.core.errors import DataError
from geomkit.laws.resampling import percentile_interval

Direction = Literal["rise", "fall"]
PHASES: tuple[Direction, ...] = ("fall", "rise", "fall")
"""Published phases of RankMe: warm-up, entropy-seeking and compression-seeking (Li et al. 2025, arXiv 2509.23024)."""


@dataclass(frozen=True)
class Turn:
    """An extreme at step number `at` (counted from 0 among the kept steps), and the first and last step it may be at."""

    at: int
    low: int
    high: int


@dataclass(frozen=True)
class Leg:
    """Section of a curve between turns or ends: its change, with an interval over documents, and whether it counts."""

    start: int
    stop: int
    change: float
    low: float
    high: float
    agreed: bool
    """Whether every seed has the sign."""

    @property
    def direction(self) -> Direction:
        return "rise" if self.change > 0 else "fall"

    @property
    def counts(self) -> bool:
        return self.agreed and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Course:
    """A curve's turns and the legs between them. A single leg that does not count is a curve without a visible change."""

    turns: tuple[Turn, ...]
    legs: tuple[Leg, ...]

    @property
    def directions(self) -> tuple[Direction, ...]:
        return tuple(leg.direction for leg in self.legs if leg.counts)


def course(seeds: ArrayLike, drawn: ArrayLike) -> Course:
    """Find the turns of a curve.

    seeds (seeds, steps): each seed's value at every step. drawn (resamples, steps): the mean over seeds in resamples of
    documents, the same documents at all steps. Every interior extreme of the mean over seeds begins as a turn. While there are
    legs between turns (or an end) that do not count, the shortest is removed, with both of its ends, or with the one that is
    no end of the curve. A turn's interval is the 95 % range of where resamples, and every seed, have the extreme
    between the neighbouring turns, out to the next step on either side.
    Limits: no turn for a monotone curve; all extremes where there is no noise.
    Raises DataError for fewer than three steps, and for values that are not finite.
    """
    each, draws = np.atleast_2d(np.asarray(seeds, dtype=float)), np.asarray(drawn, dtype=float)
    steps = each.shape[1]
    if steps < 3 or draws.ndim != 2 or draws.shape[1] != steps:
        raise DataError(f"turns take three steps or more; found shapes {each.shape} and {draws.shape}")
    if not (np.isfinite(each).all() and np.isfinite(draws).all()):
        raise DataError("at some step there is no value, or none that is positive")
    mean = each.mean(axis=0)
    moves = np.diff(mean)
    moving = np.flatnonzero(moves)  # a plateau turns, if it does, at its first step
    ends = [0, *(int(k) + 1 for k, after in pairwise(moving) if moves[k] * moves[after] < 0), steps - 1]
    while len(ends) > 2:
        legs = [leg(each, draws, start, stop) for start, stop in pairwise(ends)]
        weak = [number for number, one in enumerate(legs) if not one.counts]
        if not weak:
            break
        shortest = min(weak, key=lambda number: abs(legs[number].change))
        gone = {ends[shortest], ends[shortest + 1]} - {0, steps - 1}
        ends = [end for end in ends if end not in gone]
    legs = [leg(each, draws, start, stop) for start, stop in pairwise(ends)]
    turns = tuple(turn(each, draws, ends, place, mean) for place in range(1, len(ends) - 1))
    return Course(turns, tuple(legs))


def leg(seeds: Array, drawn: Array, start: int, stop: int) -> Leg:
    changes = seeds[:, stop] - seeds[:, start]
    change = float(changes.mean())
    low, high = percentile_interval(drawn[:, stop] - drawn[:, start])
    return Leg(start, stop, change, low, high, bool((changes * change > 0).all()))


def turn(seeds: Array, drawn: Array, ends: Sequence[int], place: int, mean: Array) -> Turn:
    before, at, after = ends[place - 1 : place + 2]
    sign = 1 if mean[at] > mean[before] else -1
    inside = slice(before + 1, after)

    def extremes(curves: Array) -> Array:
        return before + 1 + np.argmax(sign * curves[:, inside], axis=1)

    low, high = (round(end) for end in percentile_interval(extremes(drawn)))
    of_seeds = extremes(seeds)
    low, high = min(low, at, int(of_seeds.min())), max(high, at, int(of_seeds.max()))
    return Turn(at, max(low - 1, 0), min(high + 1, seeds.shape[1] - 1))


def beside_phases(directions: Sequence[Direction], phases: Sequence[Direction] = PHASES) -> str:
    """Compare legs with expected phases: `follows` if equal, `in part` for a run of two or more of them, else `differs`."""
    legs, known = tuple(directions), tuple(phases)
    if legs == known:
        return "follows"
    runs = {known[start:stop] for start in range(len(known)) for stop in range(start + 2, len(known) + 1)}
    return "in part" if legs in runs else "differs"
