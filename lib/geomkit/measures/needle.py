"""Classify whether a text contains a fact, and how often, from losses alone, by the rule that docs/protocol_1.md fixed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from geomkit.core.errors import DataError

STATEMENTS = {"needle": 1, "repeated": 8, "plain": 0}
"""Number of times that the fact is stated in each kind of context."""
CALLS = {"needle": "concentrated", "repeated": "redundant", "plain": "absent"}


@dataclass(frozen=True)
class Margins:
    """Margins fixed before the experiment was run, in nats; `right` is a share of the texts of each kind."""

    known: float = 1.0
    unknown: float = 5.0
    random: float = 0.2
    kept: float = 0.5
    lost: float = 4.0
    right: float = 0.9


class Scores(NamedTuple):
    """Losses of the answer in nats: see the protocol. `random` is NaN where nothing was removed by chance."""

    whole: float
    none: float
    without_one: float
    one_kept: float
    random: float


class ClassifiedText(NamedTuple):
    """One text's kind, its scores, and the call that the scores alone lead to."""

    kind: str
    scores: Scores
    call: str


@dataclass(frozen=True)
class Outcome:
    """Whether removing tokens locates a fact. whole, none: means over needle texts. random_shift: mean of |random - whole| there.

    right: share of the texts of each kind that get their own call. mistaken: texts that get the call of another kind.
    """

    whole: float
    none: float
    random_shift: float
    right: dict[str, float]
    mistaken: int
    works: bool
    told_apart: bool


def call(scores: Scores, margins: Margins) -> str:
    """Classify a text by its scores: `absent`, `redundant`, `concentrated` or `undecided`."""
    if scores.whole > margins.unknown:
        return "absent"
    if scores.one_kept >= margins.known or scores.none - scores.whole < margins.lost:
        return "undecided"
    if scores.without_one - scores.whole <= margins.kept:
        return "redundant"
    return "concentrated" if scores.without_one - scores.whole >= margins.lost else "undecided"


def outcome(texts: Sequence[ClassifiedText], margins: Margins) -> Outcome:
    """Judge whether the method works, and whether it separates the three kinds by the margin.

    Raises DataError if a kind has no text.
    """
    calls = {kind: [text.call for text in texts if text.kind == kind] for kind in STATEMENTS}
    if missing := [kind for kind, results in calls.items() if not results]:
        raise DataError(f"no text of the kind {missing[0]!r} was scored")
    needles = np.array([text.scores for text in texts if text.kind == "needle"], dtype=float)
    whole, none = float(needles[:, 0].mean()), float(needles[:, 1].mean())
    shift = float(np.abs(needles[:, 4] - needles[:, 0]).mean())
    works = whole < margins.known and none > margins.unknown and shift <= margins.random
    right = {kind: float(np.mean([name == CALLS[kind] for name in names])) for kind, names in calls.items()}
    mistaken = sum(name not in (CALLS[kind], "undecided") for kind, names in calls.items() for name in names)
    return Outcome(whole, none, shift, right, mistaken, works, works and mistaken == 0 and min(right.values()) >= margins.right)
