"""A bootstrapped Chinchilla fit beside L-BFGS from a grid of 500 starts: `python tests/benchmarks/fits.py`.

245 points, as many as Epoch AI read off the paper's figure, simulated from their refit (arXiv 2404.10102) with 1 % scatter. Both
sides minimise the same loss on the same resamples. The peer has the analytic gradient of its own parametrisation (ln E, ln A, ln
B, alpha, beta); it is timed on a handful of resamples and extrapolated to all.
"""

import argparse
import itertools
import time

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from geomkit.core.provenance import rng
from geomkit.laws.fit import DELTA, bootstrap, fit, size_means
from geomkit.laws.forms import Array, Chinchilla

EPOCH = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
GRID = tuple(itertools.product((-1, -0.5, 0, 0.5, 1), (5, 20), (0, 0.5, 1, 1.5, 2), (5, 20), (0, 0.5, 1, 1.5, 2)))


def simulate(seed: int, points: int = 245, scatter: float = 0.01) -> tuple[Array, Array]:
    """x (2, points), y (points,): N from 44 M to 16 B and 6e18 to 3e21 FLOPs, at 6 FLOPs a parameter and token."""
    draw = rng(seed, "chinchilla")
    n, flops = (np.exp(draw.uniform(*np.log(ends), points)) for ends in ((4.4e7, 1.6e10), (6e18, 3e21)))
    x = np.stack([n, flops / (6 * n)])
    return x, Chinchilla.formula(EPOCH, x) * np.exp(scatter * draw.standard_normal(points))


def lbfgs(x: Array, y: Array, counts: Array) -> float:
    """Least loss that L-BFGS finds from the grid."""
    one, (n, d) = np.ones_like(y), np.log(x)
    zero = np.zeros_like(y)
    terms = np.array([[one, zero, zero, zero, zero], [zero, one, -n, zero, zero], [zero, zero, zero, one, -d]])
    z = np.log(y)

    def loss(theta: Array) -> tuple[float, Array]:
        logs = np.einsum("tpn,p->tn", terms, theta)
        r = z - logsumexp(logs, axis=0)
        psi = counts * np.clip(r, -DELTA, DELTA)
        value = counts @ np.where(np.abs(r) <= DELTA, r * r / 2, DELTA * (np.abs(r) - DELTA / 2))
        return value, -np.einsum("tpn,tn->p", terms, softmax(logs, axis=0) * psi)

    # The loss is of the order of 1e-3, so the default tolerances would stop the peer far from its minimum.
    return min(minimize(loss, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10}).fun for start in GRID)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=4000)
    parser.add_argument("--peer", type=int, default=3, help="resamples that the peer refits")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    x, y = simulate(options.seed)

    start = time.perf_counter()
    law = fit("chinchilla", x, y)
    full = time.perf_counter() - start
    start = time.perf_counter()
    draws = bootstrap("chinchilla", x, y, options.resamples, rng(options.seed, "bootstrap"))
    ours = (time.perf_counter() - start) / options.resamples

    points = size_means(x, y)
    start = time.perf_counter()
    peers = np.array([lbfgs(*points, counts) for counts in draws.counts[: options.peer]])
    peer = (time.perf_counter() - start) / options.peer
    excess = draws.objective[: options.peer] / peers - 1

    print(f"{'parameter':10} {'truth':>9} {'fit':>9} {'95 % interval':>20} {'bootstrap sd':>13}")
    for name, truth in EPOCH.items():
        ends = " ".join(f"{end:9.4f}" for end in law.interval.get(name, ()))
        print(f"{name:10} {truth:9.4f} {law.params[name]:9.4f} {ends:>20} {np.nanstd(draws.params[name]):13.4f}")
    print(f"full fit with intervals {full:.2f} s, status {law.status}, objective {law.objective:.6e}")
    lost = int(np.isnan(draws.objective).sum())
    print(f"{options.resamples} refits: {ours * options.resamples:.2f} s, {ours * 1e3:.3f} ms each, {lost} lost")
    print(f"L-BFGS from {len(GRID)} starts, {options.peer} refits: {peer:.2f} s each, {peer * options.resamples:.0f} s for all")
    print(f"ratio {peer / ours:.0f}; our objective over the peer's, less 1: {', '.join(f'{value:.1e}' for value in excess)}")


if __name__ == "__main__":
    main()
