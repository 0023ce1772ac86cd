"""Error rates of the pair model: `python tests/benchmarks/pairs.py` writes pairs.csv and pairs_power.csv beside it.

Widths: the seven of the ladder (`7`), the twelve of the confirmation (`12`), and all nineteen (`19`). A width's residual y is its
truth, plus a misfit of sizes, plus the mean of its seeds; differences of pairs are those of the pair model, plus an error of each
pair and a slope of each donor's own. Components are those measured for the effective rank at the last block, on two corpora.

pairs.csv: how often 95 % intervals cover the estimate from data without noise, and how often each verdict is reached. Intervals
take four quantiles of the jackknife; a jackknife weighted by leverage (Wu 1986); least squares over sizes; and the protocol's
factor. pairs_power.csv: the confirmatory family of two metrics, with Holm.
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from geomkit.core.arrays import Array
from geomkit.core.provenance import rng
from geomkit.laws.differences import LEVEL
from geomkit.laws.pairs import FACTOR, MARGINS, Margins, PairDesign, Verdict

OLD = {16: (2, 3), 24: (3, 3), 32: (4, 3), 48: (4, 3), 64: (5, 3), 96: (6, 2), 128: (8, 1)}
"""Layers and seeds of each width of the ladder, when version 2 was fixed."""
NEW = {18: 2, 20: 3, 28: 4, 36: 4, 40: 4, 54: 4, 60: 5, 72: 5, 80: 6, 90: 6, 100: 6, 112: 7}
"""Layers of each width of the confirmation."""
SECOND = (18, 20, 28, 100, 112)
"""New widths with a second seed; old widths have three by then."""

COMPONENTS = {"sotu": (0.032, 0.013), "wikipedia": (0.043, 0.036)}
"""Standard deviation of seeds, and misfit of sizes, of ln effective rank."""
PAIR, DONOR, DOCUMENTS = 0.008, 0.0036, 0.003
"""Standard deviations: of the error of a pair, of the slope of a donor, and of the slope between draws of documents."""
RATIO = 0.35
"""Of all components of ln(ratio) to those of ln(effective rank)."""
CORRELATION = 0.95
"""Between the two metrics."""
RULES = ("z", "t, widths - 1", "t, widths - 2", "t, widths - 3")
TERMS = ("slope", "sag", "level")


@dataclass(frozen=True)
class Truth:
    """What data without noise would show, and what noise there is beside the components."""

    name: str
    slope: float = 0.0
    sag: float = 0.0
    level: float = 0.0
    donors: float = 1.0
    documents: float = 0.0
    kink: float = 0.0
    """Fall of the widest third, linear in ln N: a curve that is no quadratic."""


TRUTHS = (
    Truth("width alone"),
    Truth("slope", slope=0.03),
    Truth("level, high", level=0.1),
    Truth("level, low", level=-0.03),
    Truth("sag", sag=-0.15),
    Truth("fall of the widest", kink=-0.15),
    Truth("donors disagree", donors=5.0),
    Truth("documents", documents=DOCUMENTS),
)


def parameters(width: int, layers: int) -> int:
    """Parameters without embeddings of a GPT-NeoX model with an MLP of four widths."""
    return layers * (12 * width**2 + 13 * width) + 2 * width


def grids() -> Iterator[tuple[str, str, Array, Array]]:
    """Name of the widths, name of the seeds, ln N, and seeds of each width."""
    layers = {width: depth for width, (depth, _) in OLD.items()} | NEW
    pooled = {width: 3 for width in OLD} | {width: 1 + (width in SECOND) for width in NEW}
    for name, widths in (("7", sorted(OLD)), ("12", sorted(NEW)), ("19", sorted(layers))):
        size = np.log([parameters(width, layers[width]) for width in widths])
        for seeds in (1, 2, 3):
            yield name, str(seeds), size, np.full(len(widths), seeds)
        if name == "7":
            yield name, "as trained", size, np.array([OLD[width][1] for width in widths])
        if name == "19":
            yield name, "as planned", size, np.array([pooled[width] for width in widths])


@dataclass(frozen=True)
class Simulated:
    """Estimates (runs, 3) of slope, sag and level, what they would be without noise (3,), and errors (runs, 3) that contain those
    of documents; least squares over sizes say nothing of the level (runs, 2)."""

    estimate: Array
    truth: Array
    error: Array
    weighted: Array
    least_squares: Array


def noise(design: PairDesign, seeds: Array, components: tuple[float, float], truth: Truth, runs: int, draw: np.random.Generator):
    """Differences of pairs (runs, pairs) without a truth."""
    of_seeds, misfit = components
    widths, pairs = design.log_size.size, design.donor.size
    y = np.hypot(misfit, of_seeds / np.sqrt(seeds)) * draw.standard_normal((runs, widths))
    slopes = truth.donors * DONOR * draw.standard_normal((runs, widths))
    steps = design.log_size[design.target] - design.log_size[design.donor]
    shift = truth.documents * draw.standard_normal((runs, 1)) + slopes[:, design.donor]
    return y[:, design.target] - y[:, design.donor] + PAIR * draw.standard_normal((runs, pairs)) + shift * steps


def expected(design: PairDesign, truth: Truth) -> Array:
    """Differences of pairs (pairs,) without noise."""
    x = design.log_size
    last = x[-len(x) // 3 :]
    y = design.basis @ [0.0, truth.slope, truth.sag] + truth.kink * np.clip(x - last[0], 0, None) / np.ptp(last)
    return truth.level + y[design.target] - y[design.donor]


def simulate(
    design: PairDesign, seeds: Array, components: tuple[float, float], truth: Truth, runs: int, draw: np.random.Generator
):
    without = expected(design, truth)
    return estimated(design, without, without + noise(design, seeds, components, truth, runs, draw), truth)


def estimated(design: PairDesign, without: Array, differences: Array, truth: Truth) -> Simulated:
    """`PairDesign.fit` of every run at once: a test holds them to be equal."""
    pairs, widths = design.donor.size, design.log_size.size
    weights = design.weights[:, :3, :pairs]
    estimates = np.einsum("ktp,rp->rkt", weights, differences, optimize=True)
    spread = estimates[:, 1:] - estimates[:, 1:].mean(axis=1, keepdims=True)
    y = differences @ design.separation[1:].T
    residual = y - y @ np.linalg.pinv(design.basis).T @ design.basis.T
    scale = np.sqrt(np.diag(np.linalg.inv(design.basis.T @ design.basis)))[1:]
    steps = design.log_size[design.target] - design.log_size[design.donor]
    documents = truth.documents * abs(weights[0] @ steps)
    leverage = np.diag(design.basis @ np.linalg.pinv(design.basis))
    left_out = (1 - leverage)[:, None] * (estimates[:, 1:] - estimates[:, :1]) ** 2
    return Simulated(
        estimate=estimates[:, 0],
        truth=weights[0] @ without,
        error=np.hypot(np.sqrt((widths - 1) / widths * (spread**2).sum(axis=1)), documents),
        weighted=np.hypot(np.sqrt(left_out.sum(axis=1)), documents),
        least_squares=np.hypot(np.sqrt((residual**2).sum(axis=1, keepdims=True) / (widths - 3)) * scale, documents[:2]),
    )


def quantile(rule: str, widths: int) -> float:
    return float(stats.norm.ppf(0.975) if rule == "z" else stats.t.ppf(0.975, widths - int(rule[-1])))


def factor(off: Array, error: Array, t: float) -> float:
    """The least factor on t with which intervals cover 94 % of all three terms."""
    return float((np.quantile(off / error, 0.94, axis=0) / t).max())


def p_values(found: Simulated, margins: Margins, widths: int) -> tuple[Array, Array]:
    """Of no slope, and of the two one-sided tests on slope, sag and level: (runs,) and (runs, 3)."""
    error, limits = FACTOR * found.error, np.array([margins.slope, margins.sag, margins.level])
    apart = 2 * stats.t.sf(abs(found.estimate[:, 0]) / error[:, 0], widths - 3)
    return apart, stats.t.sf((limits - abs(found.estimate)) / error, widths - 3)


def verdicts(apart: Array, within: Array, outside: Array) -> dict[Verdict, float]:
    """How often each is reached, from adjusted p values, and where the estimate lies outside the margin."""
    average, everything = within[:, 0] < LEVEL, (within < LEVEL).all(axis=1)
    beyond = ~average & (apart < LEVEL) & outside
    counts = {Verdict.SUFFICES: everything, Verdict.ON_AVERAGE: average & ~everything, Verdict.BEYOND: beyond}
    return {name: round(float(hits.mean()), 4) for name, hits in counts.items()} | {
        Verdict.OPEN: round(float((~average & ~beyond).mean()), 4)
    }


def coverage_rows(runs: int, seed: int) -> Iterator[dict[str, object]]:
    for widths, seeds, size, numbers in grids():
        design = PairDesign.complete(size)
        for corpus, components in COMPONENTS.items():
            for truth in TRUTHS:
                found = simulate(design, numbers, components, truth, runs, rng(seed, "pairs", widths, seeds, corpus, truth.name))
                off = abs(found.estimate - found.truth)
                row: dict[str, object] = {
                    "widths": widths,
                    "seeds": seeds,
                    "components": corpus,
                    "truth": truth.name,
                    "runs": runs,
                }
                row |= {
                    "slope": round(float(found.truth[0]), 4),
                    "bias": round(float((found.estimate - found.truth)[:, 0].mean()), 5),
                }
                row |= {"half_width": round(float(quantile(RULES[-1], size.size) * FACTOR * found.error[:, 0].mean()), 4)}
                reach = {rule: quantile(rule, size.size) * found.error for rule in RULES}
                t = quantile(RULES[-1], size.size)
                reach |= {
                    "weighted": t * found.weighted,
                    "least squares": t * found.least_squares,
                    "protocol": t * FACTOR * found.error,
                }
                for rule, reached in reach.items():
                    covers = (off[:, : reached.shape[1]] <= reached).mean(axis=0)
                    row |= {f"{term}: {rule}": round(float(rate), 4) for term, rate in zip(TERMS, covers, strict=False)}
                row |= {
                    f"factor{of}": round(factor(off, error, t), 4)
                    for of, error in (("", found.error), (": weighted", found.weighted))
                }
                margins = MARGINS["erank_covariance"]
                apart, within = p_values(found, margins, size.size)
                row |= {"different": round(float((apart < LEVEL).mean()), 4)}
                yield row | verdicts(apart, within, abs(found.estimate[:, 0]) > margins.slope)


def holm(p: Array) -> Array:
    """Adjusted p values (runs, 2) of two tests."""
    low, high = np.sort(p, axis=1).T
    first = np.minimum(1.0, 2 * low)
    return np.where(p == low[:, None], first[:, None], np.maximum(first, high)[:, None])


def power_rows(runs: int, seed: int) -> Iterator[dict[str, object]]:
    """The confirmatory family: both metrics on the new widths, one seed each, adjusted for one another."""
    widths, seeds, size, numbers = next(grid for grid in grids() if grid[0] == "12")
    design = PairDesign.complete(size)
    scales = {"erank_covariance": 1.0, "rate_distortion_ratio": RATIO}
    for corpus, components in COMPONENTS.items():
        for in_margins in (0.0, 1.0, 1.5, 2.0):
            draw = rng(seed, "pairs", "power", corpus, in_margins)
            shared = noise(design, numbers, components, Truth(""), runs, draw)
            apart, within, outside = [], [], []
            for metric, scale in scales.items():
                own = noise(design, numbers, components, Truth(""), runs, draw)
                truth = Truth("", slope=in_margins * MARGINS[metric].slope)
                without = expected(design, truth)
                mixed = CORRELATION * shared + np.sqrt(1 - CORRELATION**2) * own
                found = estimated(design, without, without + scale * mixed, truth)
                one, three = p_values(found, MARGINS[metric], size.size)
                apart.append(one)
                within.append(three)
                outside.append(abs(found.estimate[:, 0]) > MARGINS[metric].slope)
            adjusted = holm(np.stack(apart, axis=1))
            negligible = np.stack([holm(np.stack([one[:, term] for one in within], axis=1)) for term in range(3)], axis=2)
            any_beyond = np.zeros(runs, dtype=bool)
            for index, metric in enumerate(scales):
                any_beyond |= (adjusted[:, index] < LEVEL) & outside[index]
                row = {"widths": widths, "seeds": seeds, "components": corpus, "metric": metric, "slope_in_margins": in_margins}
                yield row | {"runs": runs} | verdicts(adjusted[:, index], negligible[:, index], outside[index])
            yield row | {"metric": "either", "runs": runs, Verdict.BEYOND: round(float(any_beyond.mean()), 4)}


def power_table(table: Sequence[dict[str, str]]) -> str:
    """The rows of docs/protocol.md: in how many of 100 families each verdict is reached."""
    labels = {"erank_covariance": "effective rank", "rate_distortion_ratio": "ratio"}
    names = [Verdict.SUFFICES, Verdict.ON_AVERAGE, Verdict.BEYOND, Verdict.OPEN]
    lines = ["| components | metric | true slope, in margins | " + " | ".join(names) + " |", "| --- " * 7 + "|"]
    for row in table:
        if row["metric"] in labels:
            shares = " | ".join(f"{100 * float(row[name]):.0f} %" for name in names)
            lines.append(f"| {row['components']} | {labels[row['metric']]} | {row['slope_in_margins']} | {shares} |")
    return "\n".join(lines)


def write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    rows = list(coverage_rows(options.runs, options.seed))
    write(options.output / "pairs.csv", rows)
    power = list(power_rows(options.runs, options.seed))
    write(options.output / "pairs_power.csv", power)
    for rule in (*RULES, "weighted", "least squares", "protocol"):
        names = [f"{term}: {rule}" for term in TERMS if f"{term}: {rule}" in rows[0]]
        least, name, row = min(((row[name], name, row) for row in rows for name in names), key=lambda found: found[0])
        where = ", ".join(str(row[key]) for key in ("widths", "seeds", "components", "truth"))
        print(f"{name} covers at least {least:.3f} ({where})")
    for name in ("factor", "factor: weighted"):
        print(f"{name} that covers 94 % in every case: {max(row[name] for row in rows):.3f}; the protocol's is {FACTOR}")
    print((options.output / "pairs_power.csv").read_text(), end="")


if __name__ == "__main__":
    main()
