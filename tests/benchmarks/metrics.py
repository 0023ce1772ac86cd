"""All metrics of one text's token vectors: our route against the routes through the d x d covariance.

eigvalsh  eigenvalues of the d x d covariance, then the same metrics
svd       full SVD of the d x d covariance, as Diff-eRank computes it, then the same metrics
"""

import timeit
from collections.abc import Callable
from statistics import median

import numpy as np

from geomkit.measures.entropy import measure
from geomkit.measures.spectra import Spectrum, normalise, spectrum

TOKENS = 256
RUNS = {768: {"eigvalsh": 7, "svd": 3}, 2048: {"eigvalsh": 3, "svd": 1}}


def geomkit(Z: np.ndarray) -> dict[str, float]:
    return values(spectrum(normalise(Z, "unit")))


def eigvalsh(Z: np.ndarray) -> dict[str, float]:
    return of_covariance(Z, lambda covariance: np.linalg.eigvalsh(covariance)[::-1])


def svd(Z: np.ndarray) -> dict[str, float]:
    return of_covariance(Z, lambda covariance: np.linalg.svd(covariance)[1])


def of_covariance(Z: np.ndarray, eigenvalues: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    n, d = Z.shape
    rows = Z.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return values(Spectrum(eigenvalues(rows.T @ rows / n)[: min(n, d)], n, d))


def values(found: Spectrum) -> dict[str, float]:
    return {name: float(result.value) for name, result in measure(found).items()}


def hidden_states(d: int) -> np.ndarray:
    """Rows with a common direction and a spectrum that decays, as those of a language model."""
    draw = np.random.default_rng(d)
    return ((draw.standard_normal((TOKENS, d)) + 1) * np.arange(1, d + 1) ** -0.5).astype(np.float32)


def seconds(route: Callable[[np.ndarray], dict[str, float]], Z: np.ndarray, runs: int, calls: int = 1) -> float:
    """Median over the runs of the time for a call; several calls a run make short calls meet the interruptions of long ones."""
    return median(timeit.repeat(lambda: route(Z), number=calls, repeat=runs)) / calls


def main() -> None:
    print(f"All metrics of {TOKENS} token vectors, median of several runs")
    print(f"{'d':>5}  {'route':<9}{'ms':>10}{'times ours':>12}{'largest relative difference':>29}")
    for d, runs in RUNS.items():
        Z = hidden_states(d)
        ours, reference = geomkit(Z), seconds(geomkit, Z, runs=7, calls=10)
        print(f"{d:>5}  {'geomkit':<9}{1e3 * reference:>10.1f}{1:>12.1f}")
        for route in (eigvalsh, svd):
            theirs, time = route(Z), seconds(route, Z, runs[route.__name__])
            difference = max(abs(theirs[name] / ours[name] - 1) for name in ours)
            assert theirs.keys() == ours.keys()
            assert difference < 1e-9, f"{route.__name__} at d = {d} differs by {difference:.1e}"
            print(f"{d:>5}  {route.__name__:<9}{1e3 * time:>10.1f}{time / reference:>12.1f}{difference:>29.1e}")


if __name__ == "__main__":
    main()
