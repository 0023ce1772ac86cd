"""Draw random graphs of texts and skills, to check the closed forms of the theory against: a check of arithmetic, not of the
theory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, stats

from geomkit.core.errors import DataError
from geomkit.laws.statistics import Estimate
from geomkit.theory.skills import Array, SkillGraph


@dataclass(frozen=True)
class Simulation:
    """Means over graphs with t intervals: entropy left by size alone, number of skills seen often enough, and entropy left by
    both."""

    size: Estimate
    seen: Estimate
    gap: Estimate


def sample_texts(graph: SkillGraph, texts: int, rng: np.random.Generator) -> sparse.csr_array:
    """Samples the bipartite graph (texts, skills): each text has `degree` edges, to skills drawn with replacement; an edge that
    is drawn twice is stored twice.

    The number of edges of each skill is multinomial, and all orders of the edges are as likely: so they are counted and then
    shuffled, with no search for each. 10^6 skills and 10^7 edges in 10^6 texts: 59 MiB while they are drawn and 52 MiB after;
    a process with such graphs to learn from and to be tested on in `simulate` takes 315 MiB in all.
    Raises DataError for 2^31 skills or edges.
    """
    edges = texts * graph.degree
    if graph.skills > np.iinfo(np.int32).max or edges > np.iinfo(np.int32).max:
        raise DataError(f"{graph.skills} skills and {edges} edges: a graph has fewer than 2^31 of each")
    counts = rng.multinomial(edges, per_skill(graph, graph.probability))
    skills = np.repeat(np.arange(graph.skills, dtype=np.int32), counts)
    rng.shuffle(skills)
    starts = np.arange(0, edges + 1, graph.degree, dtype=np.int32)
    return sparse.csr_array((np.ones(edges, dtype=np.int8), skills, starts), shape=(texts, graph.skills))


def per_skill(graph: SkillGraph, rows: Array) -> Array:
    """Spreads values of rows (rows,) to their skills (skills,)."""
    return np.repeat(rows, graph.number.astype(int))


def sightings(sample: sparse.csr_array) -> NDArray[np.int64]:
    """Number of times that each skill is used in a graph (skills,)."""
    return np.bincount(sample.indices, minlength=sample.shape[1])


def left(sample: sparse.csr_array, entropy: Array, held: NDArray[np.bool_]) -> float:
    """Mean over the uses in a graph of the entropies (skills,) of skills that are not known (skills,), nats."""
    return float((sample @ np.where(held, 0.0, entropy)).sum() / sample.nnz)


def simulate(
    graph: SkillGraph,
    n: int,
    texts: int,
    times: int,
    replicates: int,
    rng: np.random.Generator,
    test_texts: int | None = None,
    level: float = 0.95,
) -> Simulation:
    """Draws `replicates` pairs of graphs: texts to learn from, and as many to be tested on, or `test_texts`.

    A model holds the n most frequent skills, and of those has learnt what its texts show at least `times` times.
    Raises DataError below two replicates and for n beyond the skills.
    """
    if replicates < 2 or not 0 <= n <= graph.skills:
        raise DataError(f"{replicates} replicates of a model with {n} of {graph.skills} skills: at least 2, and n at most all")
    samples, entropy = [], per_skill(graph, graph.entropy)
    room = np.arange(graph.skills) < n
    for _ in range(replicates):
        learnt = sightings(sample_texts(graph, texts, rng)) >= times
        test = sample_texts(graph, test_texts or texts, rng)
        samples.append((left(test, entropy, room), float(learnt.sum()), left(test, entropy, room & learnt)))
    return Simulation(*(t_interval(values, level) for values in zip(*samples, strict=True)))


def t_interval(values: ArrayLike, level: float) -> Estimate:
    """Mean of values (n,) with its t interval."""
    values = np.asarray(values, dtype=float)
    freedom = values.size - 1
    width = float(stats.t.ppf((1 + level) / 2, freedom) * values.std(ddof=1) / np.sqrt(values.size))
    return Estimate(float(values.mean()), float(values.mean()) - width, float(values.mean()) + width, freedom)
