"""Compare sampled graphs of texts and skills with the closed forms: a check of arithmetic, not of the theory."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.laws.statistics import Estimate
from geomkit.tables.rows import write_csv
from geomkit.theory.graphs import simulate
from geomkit.theory.rows import SimulatedGraph
from geomkit.theory.skills import Array, SkillGraph

ENTROPIES = ("one", "falling")
TOGETHER = 0.95
"""Chance that all sums of a graph are in their intervals, at least."""
SUMS = 3
"""That are taken from the sample of a graph."""


def simulate_skills(output: Path, grid: Mapping[str, Any], seed: int) -> None:
    """Write simulation.csv. grid: lists `a`, `skills` and `times`, and one number each of `texts`, `degree` and `replicates`."""
    rows: list[SimulatedGraph] = []
    for a, skills, times, kind in product(grid["a"], grid["skills"], grid["times"], ENTROPIES):
        graph = SkillGraph.power_law(skills, a, entropies(kind, skills), grid["degree"])
        draws = rng(seed, "theory", "graphs tested one by one", a, skills, times, kind)
        rows += beside(graph, a, kind, times, grid["texts"], grid["replicates"], draws)
    if not rows:
        raise DataError("theory.simulation: a grid without a, skills or times has no graph")
    write_csv(output, SimulatedGraph, rows)


def entropies(kind: str, skills: int) -> Array:
    """In nats of each skill (skills,): `one` for all, or `falling` from 1 + ln K of the most frequent to 1 of the rarest."""
    rank = np.arange(1, skills + 1)
    return np.ones(skills) if kind == "one" else 1 + np.log(skills / rank)


def beside(
    graph: SkillGraph, a: float, kind: str, times: int, texts: int, replicates: int, draws: np.random.Generator
) -> Iterator[SimulatedGraph]:
    """Compare the three sums of a model that knows a tenth of all skills. They share a sample, so their intervals are
    simultaneous: after Bonferroni the chance that all three cover is at least 95 %."""
    n = graph.skills // 10
    simulated = simulate(graph, n, texts, times, replicates, draws, level=1 - (1 - TOGETHER) / SUMS)
    missed = graph.unlearnt(texts, times, "binomial")
    cost = graph.probability * graph.entropy
    closed: Sequence[tuple[str, float, Estimate]] = (
        ("size", float(graph.conditional_entropy(n)), simulated.size),
        ("seen", graph.seen(texts, times), simulated.seen),
        ("gap", float(graph.beyond(cost * (1 - missed), n)) + float(graph.number @ (cost * missed)), simulated.gap),
    )
    for quantity, value, estimate in closed:
        yield SimulatedGraph(
            a=a, skills=graph.skills, times=times, entropies=kind, n=n, texts=texts, degree=graph.degree, replicates=replicates,
            quantity=quantity, closed=value, simulated=estimate.value, low=estimate.low, high=estimate.high,
            inside=estimate.low <= value <= estimate.high,
        )  # fmt: skip
