"""How often 95 % intervals of scaling fits cover the truth: `python tests/benchmarks/coverage.py` writes coverage.csv beside it.

Seven sizes from 19 M to 11 B parameters (forms of size and data: each at five data sizes), one model each, whose ln y scatters
about the law: at the level of Pythia's losses, and three and ten times that. A fit that fails or has no interval counts as a
miss.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from geomkit.core.provenance import rng
from geomkit.laws.fit import fit
from geomkit.laws.forms import forms

SIZES = np.geomspace(1.9e7, 1.1e10, 7)
PAIRS = np.stack(np.meshgrid(SIZES, np.geomspace(1e9, 3e11, 5), indexing="ij")).reshape(2, -1)
SCATTER = (0.0015, 0.005, 0.015)
TRUTH = {
    "power": (SIZES, {"a": 8.07, "b": -0.0713}),
    "log_linear": (SIZES, {"a": 4.65, "b": -0.1346}),
    "offset_power": (SIZES, {"E": 1.151, "A": 27.0, "alpha": 0.179}),
    "chinchilla": (PAIRS, {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}),
    "kaplan": (PAIRS, {"N_c": 6.4e13, "alpha": 0.076, "D_c": 1.8e13, "beta": 0.103}),
}


def rows(form: str, scatter: float, simulations: int, seed: int) -> Iterator[dict[str, object]]:
    """A row for each parameter that has an interval."""
    x, truth = TRUTH[form]
    y = forms[form].formula(truth, np.atleast_2d(x))
    draw = rng(seed, "coverage", form, scatter)
    covered: Counter[str] = Counter()
    status: Counter[str] = Counter()
    for _ in range(simulations):
        law = fit(form, x, y * np.exp(scatter * draw.standard_normal(y.size)), held_out=0)
        status[law.status] += 1
        covered.update(name for name, (low, high) in law.interval.items() if low <= truth[name] <= high)
    for name in forms[form].intervals:
        yield {
            "form": form,
            "parameter": name,
            "truth": truth[name],
            "points": y.size,
            "scatter": scatter,
            "simulations": simulations,
            "failed": status["failed"],
            "bound_hit": status["bound hit"],
            "coverage": round(covered[name] / simulations, 4),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("coverage.csv"))
    options = parser.parse_args()
    table = [row for form in TRUTH for scatter in SCATTER for row in rows(form, scatter, options.simulations, options.seed)]
    with options.output.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    print(options.output.read_text(), end="")
    within = sum(0.92 <= float(str(row["coverage"])) <= 0.98 for row in table)
    print(f"{within} of {len(table)} intervals cover the truth in 92 to 98 % of {options.simulations} simulations")


if __name__ == "__main__":
    main()
