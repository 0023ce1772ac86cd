"""Lasso supports of 64 targets where 1, 2, 4, 8, 16 and 32 tokens first have a weight: `python tests/benchmarks lasso`.

geomkit    the exact path of each target; its Gram matrix and KKT gaps are counted in
celer      `celer_path` at geomkit's penalties, warm starts from large to small, on columns of one matrix in Fortran order, with
           the better setting of `prune` and the loosest tolerance (a power of ten) that brings all KKT gaps to 1e-6 or below
celer own  the same, with the loosest tolerance for each target alone, which nobody knows beforehand: a bound on tuning
lars       `lars_path_gram` of scikit-learn down to the smallest penalty, read off at geomkit's; its Gram matrix is counted in

Synthetic rows, each correlated with the one before, and hidden states of the widest bundled model on the page that describes it.
One thread. The routes take turns, for the machine's speed drifts: ratios are medians of runs in turn.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.linear_model import lars_path_gram

from geomkit.core.config import ModelSpec
from geomkit.measures.selection import TOLERANCE, LassoPath, lasso_paths
from geomkit.measures.spectra import normalise

LADDER = Path(__file__).parents[2] / "workflow/resources/ladder"
BUDGETS = (1, 2, 4, 8, 16, 32)
TOKENS, TARGETS = 256, 64
TARGET = 15
ROUNDS = 7
TOLERANCES = [10.0**-exponent for exponent in range(5, 16)]
"""Of celer: its duality gap."""

Solutions = list[np.ndarray]
"""For each target the weights of all candidates (budgets, target)."""


def synthetic(count: int = TOKENS, d: int = 768) -> np.ndarray:
    draw = np.random.default_rng(d)
    Z = draw.standard_normal((count, d))
    for t in range(1, count):
        Z[t] = 0.7 * Z[t - 1] + np.sqrt(1 - 0.7**2) * Z[t]
    return normalise((Z + 0.5 * draw.standard_normal(d)) * np.arange(1, d + 1) ** -0.3, "unit")


def hidden_states() -> Iterator[tuple[str, np.ndarray]]:
    import torch

    from geomkit.models.load import load_model, load_tokenizer

    torch.set_num_threads(1)
    folder = max(LADDER.glob("ladder-*"), key=lambda folder: int(folder.name.split("-")[1]))
    ids = load_tokenizer(folder)((LADDER / "README.md").read_text())["input_ids"][:TOKENS]
    with torch.inference_mode():
        states = load_model(ModelSpec(folder, device="cpu"))(torch.tensor([ids]), output_hidden_states=True).hidden_states
    for name, layer in (("middle", len(states) // 2), ("last", -1)):
        yield f"{folder.name}, {name}", normalise(states[layer][0].numpy(), "unit")


def targets(count: int) -> np.ndarray:
    return np.linspace(count // 4, count - 1, TARGETS).astype(int)


def geomkit(Z: np.ndarray) -> list[LassoPath]:
    return lasso_paths(gram_matrix(Z), targets(len(Z)), 0, BUDGETS)


def gram_matrix(Z: np.ndarray) -> np.ndarray:
    return Z @ Z.T


def dense(paths: list[LassoPath]) -> Solutions:
    solutions = []
    for target, path in zip(targets(TOKENS), paths, strict=True):
        weights = np.zeros((len(BUDGETS), target + 1))
        np.put_along_axis(weights, path.indices, path.weights, axis=1)  # the padding, -1, goes to the target's own place
        solutions.append(weights[:, :target])
    return solutions


def celer(X: np.ndarray, target: int, penalties: np.ndarray, tolerance: float, prune: int) -> np.ndarray:
    from celer import celer_path

    alphas = penalties / len(X)
    return celer_path(X[:, :target], X[:, target], "lasso", alphas=alphas, tol=tolerance, prune=prune, max_iter=100)[1].T


def lars(Z: np.ndarray, penalties: np.ndarray) -> Solutions:
    gram, solutions = Z @ Z.T, []
    for target, levels in zip(targets(len(Z)), penalties, strict=True):
        system, least = gram[:target, :target], levels.min()
        knots, _, path = lars_path_gram(gram[:target, target], system, n_samples=1, alpha_min=least, method="lasso")
        solutions.append(np.array([np.interp(levels, knots[::-1], weights[::-1]) for weights in path]).T)
    return solutions


def gap(gram: np.ndarray, target: int, penalties: np.ndarray, weights: np.ndarray) -> float:
    """Largest KKT gap of a target's solutions (budgets, target), in parts of its largest penalty."""
    b, level = gram[target, :target], penalties[:, None]
    correlation = b - weights @ gram[:target, :target]
    violation = np.where(weights != 0, np.abs(correlation - level * np.sign(weights)), np.abs(correlation) - level)
    return float(max(violation.max(), 0) / np.abs(b).max())


def worst(Z: np.ndarray, penalties: np.ndarray, solutions: Solutions) -> float:
    gram = Z @ Z.T
    return max(gap(gram, *each) for each in zip(targets(len(Z)), penalties, solutions, strict=True))


def agreement(solutions: Solutions, reference: Solutions) -> float:
    """Share of targets and budgets with the same tokens."""
    same = [((a != 0) == (b != 0)).all(axis=1) for a, b in zip(solutions, reference, strict=True)]
    return float(np.mean(same))


def loosest(X: np.ndarray, gram: np.ndarray, cases: list[tuple[int, np.ndarray]], prune: int) -> tuple[list[float], float]:
    """Celer's loosest tolerances with KKT gaps as small as ours must be: of each target alone, and of all together."""
    own = np.zeros(len(cases))
    for tol in TOLERANCES:
        enough = np.array([gap(gram, *case, celer(X, *case, tol, prune)) <= TOLERANCE for case in cases])
        own[enough & (own == 0)] = tol
        if enough.all():
            return own.tolist(), tol
    raise SystemExit(f"celer does not reach a KKT gap of {TOLERANCE} with a tolerance of {TOLERANCES[-1]}")


def celer_routes(Z: np.ndarray, penalties: np.ndarray) -> dict[str, Callable[[], Solutions]]:
    """The better setting of `prune`, with one tolerance for all and with each target's own."""
    X, gram, cases = np.asfortranarray(Z.T), Z @ Z.T, list(zip(targets(len(Z)), penalties, strict=True))
    found: dict[str, list[Callable[[], Solutions]]] = {"celer": [], "celer own": []}
    for prune in (0, 1):
        own, common = loosest(X, gram, cases, prune)
        for name, tolerances in (("celer", [common] * len(cases)), ("celer own", own)):
            settings = [(*case, tol, prune) for case, tol in zip(cases, tolerances, strict=True)]
            found[name].append(lambda settings=settings: [celer(X, *setting) for setting in settings])
    return {name: faster(*routes) for name, routes in found.items()}


def seconds(routes: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, np.ndarray]:
    """Times of each (rounds,), in turn."""
    times: dict[str, list[float]] = {name: [] for name in routes}
    for _ in range(rounds):
        for name, route in routes.items():
            start = time.perf_counter()
            route()
            times[name].append(time.perf_counter() - start)
    return {name: np.array(spent) for name, spent in times.items()}


def faster(one: Callable[[], Solutions], other: Callable[[], Solutions]) -> Callable[[], Solutions]:
    times = seconds({"one": one, "other": other}, rounds=3)
    return one if np.median(times["one"]) < np.median(times["other"]) else other


def compare(name: str, Z: np.ndarray) -> None:
    paths = geomkit(Z)
    penalties, ours = np.array([path.penalty for path in paths]), dense(paths)
    assert all((path.size == BUDGETS).all() for path in paths)
    assert worst(Z, penalties, ours) <= TOLERANCE
    peers: dict[str, Callable[[], Solutions]] = {"lars": lambda: lars(Z, penalties)}
    if find_spec("celer"):
        peers = celer_routes(Z, penalties) | peers
    times = seconds({"geomkit": lambda: geomkit(Z), **peers})
    for route, spent in times.items():
        solutions = peers[route]() if route in peers else ours
        print(
            f"{name:<22}{Z.shape[1]:>4}  {route:<11}{1e3 * np.median(spent):>8.1f}{np.median(spent / times['geomkit']):>12.1f}"
            f"{worst(Z, penalties, solutions):>13.1e}{agreement(solutions, ours):>14.3f}"
            f"{f'  >= {TARGET} times ours' if route == 'celer' else ''}"
        )


def main() -> None:
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", message=".*[Cc]onverge.*")
    if not find_spec("celer"):
        print("celer is not installed, so nothing is compared with it: pip install -e '.[benchmark]'\n")
    start = time.perf_counter()
    geomkit(synthetic(70, 8))
    print(
        f"First call {time.perf_counter() - start:.1f} s: numba compiles, or loads what it kept. It is not in the times below.\n"
    )
    print(f"{TARGETS} targets of {TOKENS} tokens, {len(BUDGETS)} penalties each; medians of {ROUNDS}")
    print(f"{'rows':<22}{'d':>4}  {'route':<11}{'ms':>8}{'times ours':>12}{'largest gap':>13}{'same support':>14}  target")
    for name, Z in [("synthetic", synthetic()), *hidden_states()]:
        compare(name, Z)
    print(f"Cost against the length of the text, synthetic rows of 768 columns, {TARGETS} targets")
    print(f"{'tokens':>6}{'Gram ms':>10}{'all ms':>10}{'microseconds a target':>24}{'largest gap':>13}")
    for count in (64, 128, 256, 512, 1024):
        Z = synthetic(count)
        gram, whole = (
            np.median(spent) for spent in seconds({"gram": partial(gram_matrix, Z), "all": partial(geomkit, Z)}).values()
        )
        largest = max(path.gap.max() for path in geomkit(Z))
        print(f"{count:>6}{1e3 * gram:>10.1f}{1e3 * whole:>10.1f}{1e6 * whole / TARGETS:>24.0f}{largest:>13.1e}")


if __name__ == "__main__":
    main()
