"""Test whether sampled graphs of texts and skills agree with the closed forms."""

from collections.abc import Iterator, Sequence

from scipy import stats

from geomkit.theory.rows import Conclusion, SimulatedGraph, Status, Test
from geomkit.theory.tests.table import row

TOGETHER = 0.95
"""Chance, at least, that all sums of a graph are in their intervals."""


def of_simulation(rows: Sequence[SimulatedGraph]) -> Iterator[Conclusion]:
    """Test each graph: it agrees where all of its sums do. One-sided, because its intervals are cautious."""
    graphs: dict[tuple[float, int, int, str], list[bool]] = {}
    for each in rows:
        graphs.setdefault((each.a, each.skills, each.times, each.entropies), []).append(each.inside)
    hits = sum(all(inside) for inside in graphs.values())
    low, high = stats.binomtest(hits, len(graphs), TOGETHER).proportion_ci(0.95)
    p = float(stats.binom.cdf(hits, len(graphs), TOGETHER))
    yield row(
        Test.ARITHMETIC,
        f"{len(graphs)} kinds of sampled graphs",
        "Do sampled graphs of texts and skills agree with the closed forms?",
        Status.AGREES if p >= 0.05 else Status.DIFFERS,
        hits / len(graphs),
        low=float(low),
        high=float(high),
        predicted=TOGETHER,
        unit="share of graphs with all sums in simultaneous 95 % intervals",
        note=f"{hits} of {len(graphs)} graphs, {sum(each.inside for each in rows)} of {len(rows)} sums; one-sided p = {p:.2g}; "
        "arithmetic alone, not the theory",
    )
