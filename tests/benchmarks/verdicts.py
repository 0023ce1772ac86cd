"""How often each verdict is reached, for what truth: `python tests/benchmarks/verdicts.py` writes verdicts.csv beside it.

Seven sizes, those of the trained ladder, with 3, 3, 3, 3, 3, 2 and 1 seeds; three donors, for all sizes, the first six and the
first five, whose nulls err by a third of what a seed does; documents that were drawn shift the slope. Scatter: standard deviation
between seeds of ln(value / null), a third of the ladder's for the effective rank and the ladder's. A size's mean errs by its
seeds alone (`unequal seeds`); by as much again between sizes (`scatter of sizes`); about a parabola that the line misses by as
much (`curvature`); or the donors, too, disagree about the slope, by half the margin (`not nested`, and with the first two donors
alone) or by two margins (`two donors far apart`), where the truth is the mean over donors. Errors: together, with one t, or
separate, each part with a quantile of its own.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from geomkit.core.provenance import rng
from geomkit.laws.differences import Difference
from geomkit.laws.lack_of_fit import Fitness
from geomkit.laws.statistics import slope_weights
from geomkit.laws.verdicts import MARGINS, Endpoint, Judgement, Kind, judge

SIZES = np.array([6592.0, 21720.0, 50880.0, 113184.0, 250048.0, 671232.0, 1586432.0])
SEEDS = (3, 3, 3, 3, 3, 2, 1)
CASES = ("unequal seeds", "scatter of sizes", "curvature", "not nested", "not nested, two donors", "two donors far apart")
ERRORS = ("together", "separate")
COUNTED = (
    *(kind.value for kind in (Kind.BEYOND, Kind.NESTED, Kind.NEGLIGIBLE, Kind.UNDECIDED, Kind.DONOR_DEPENDENT)),
    *("different", "small", "small_attainable", "fragile", "no_power_law"),
)
SCATTER = (0.01, 0.03)
MARGIN = MARGINS["erank_covariance"]
DISAGREEMENT = {"not nested": MARGIN / 2, "not nested, two donors": MARGIN / 2, "two donors far apart": 2 * MARGIN}
"""Standard deviation of the donors' slopes."""
EFFECTS = (0.0, 0.5, 1.0, 2.0, 3.0)
"""In margins."""
DOCUMENTS = 0.003
"""Standard deviation of the slope between draws of documents."""
RESAMPLES = 200
BOUND = 29
"""Of 400: what a rate of 5 % stays below in 98 % of simulations."""


def parabola() -> np.ndarray:
    """Of root mean square 1 at the sizes, and without a slope."""
    x = np.log(SIZES) - np.log(SIZES).mean()
    bend = x**2 - (x**2).mean() - (slope_weights(x) @ x**2) * x
    return bend / np.sqrt((bend**2).mean())


def simulated(case: str, scatter: float, slope: float, draw: np.random.Generator) -> Endpoint:
    """One family."""
    x = np.log(SIZES) - np.log(SIZES).mean()
    means = (slope + DOCUMENTS * draw.standard_normal()) * x
    if case == "scatter of sizes" or case in DISAGREEMENT:
        means = means + scatter * draw.standard_normal(x.size)
    if case == "curvature":
        means = means + scatter * parabola()
    values = [mean + scatter * draw.standard_normal(number) for mean, number in zip(means, SEEDS, strict=True)]
    drawn = DOCUMENTS * np.outer(x, draw.standard_normal(RESAMPLES))
    donors = {}
    for name, sizes in (("widest", 7), ("second", 6), ("third", 5))[: 2 if "two" in case else 3]:
        null = scatter / 3 * draw.standard_normal(sizes)
        if case in DISAGREEMENT:
            null = null + DISAGREEMENT[case] * draw.standard_normal() * x[:sizes]
        seeds = [value - level for value, level in zip(values[:sizes], null, strict=True)]
        donors[name] = Difference(SIZES[:sizes], seeds, drawn[:sizes])
    return Endpoint(donors, MARGIN)


def rows(case: str, scatter: float, effect: float, simulations: int, seed: int) -> Iterator[dict[str, object]]:
    """How often each verdict was reached, both questions were answered yes, and the interval covered the truth."""
    draw, slope = rng(seed, "verdicts", case, scatter, effect), effect * MARGIN
    families = [simulated(case, scatter, slope, draw) for _ in range(simulations)]
    for errors in ERRORS:
        count = Counter[str]()
        for family in families:
            count.update(answers(judge({"": family}, separate=errors == "separate")[""], slope))
        where = {"errors": errors, "case": case, "scatter": scatter, "slope": round(slope, 4), "margin": MARGIN}
        counts = {name: count[name] for name in COUNTED}
        yield where | {"simulations": simulations} | counts | {"coverage": round(count["covered"] / simulations, 4)}


def answers(found: Judgement, slope: float) -> list[str]:
    """The verdict, and what else is true of a judgement."""
    assert found.slope is not None
    assert found.fit is not None
    low, high = found.slope.interval()
    yes = {"different": found.different, "small": found.small, "small_attainable": found.attainable, "fragile": found.fragile}
    yes |= {"no_power_law": found.fit.kind is Fitness.REJECTED, "covered": low <= slope <= high}
    return [found.verdict.kind.value, *(name for name, answer in yes.items() if answer)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("verdicts.csv"))
    options = parser.parse_args()
    table = [
        row
        for case in CASES
        for scatter in SCATTER
        for effect in EFFECTS
        for row in rows(case, scatter, effect, options.simulations, options.seed)
    ]
    with options.output.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    print(options.output.read_text(), end="")
    for name, slope in ((Kind.BEYOND.value, 0.0), ("small", MARGIN)):
        for line in (line for line in table if line["slope"] == slope):
            where = f"{line['case']}, scatter {line['scatter']}, slope {slope}, errors {line['errors']}"
            print(f"{name} in {line[name]} of {options.simulations}: {where} (at most {BOUND} of 400)")


if __name__ == "__main__":
    main()
