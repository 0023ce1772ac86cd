"""Similarity of clouds beside peers: `python tests/benchmarks similarity`. One thread.

repsim        HSIC by Song's unbiased estimator with linear kernels, from whose values debiased CKA is assembled. Its own `cka`
              divides Song's estimate by the norms of the biased one, which is another number and is shown apart
scikit-learn  lists of nearest neighbours, and their overlap as Huh et al. 2024 compute it, of all other rows

geomkit computes value, null and interval, with a document for each row, and (`documents`) with 80 documents; peers compute the
value alone. Last, all pairs of the states of a model as deep and wide as SmolLM2. The routes take turns, for the machine's speed
drifts: ratios are medians of runs in turn.
"""

import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np
from sklearn.neighbors import NearestNeighbors

from geomkit.measures.similarity import Clouds, similarities, similarity

TOKENS, K, ROUNDS = 1000, 10, 5
STATES, DOCUMENTS = 33, 80


def clouds(d: int, count: int = 2) -> list[np.ndarray]:
    """Rows with shared directions and a spectrum that decays."""
    draw = np.random.default_rng(d)
    shared = draw.standard_normal((TOKENS, 8))
    return [
        shared @ draw.standard_normal((8, d)) + draw.standard_normal((TOKENS, d)) * np.arange(1, d + 1) ** -0.5 + 1
        for _ in range(count)
    ]


def ours(X: np.ndarray, Y: np.ndarray, name: str, documents: np.ndarray | None = None) -> float:
    return float(similarity(X, Y, documents, [name], k=K)[name].raw)


def repsim_cka(X: np.ndarray, Y: np.ndarray) -> float:
    import repsim

    hsic = repsim.hsic([X, Y], "linear", "song")
    return float(hsic[0, 1] / np.sqrt(hsic[0, 0] * hsic[1, 1]))


def overlap_of_lists(X: np.ndarray, Y: np.ndarray) -> float:
    lists = [NearestNeighbors(n_neighbors=K, algorithm="brute").fit(Z).kneighbors(return_distance=False) for Z in (X, Y)]
    return float(np.mean([len(np.intersect1d(one, other)) / K for one, other in zip(*lists, strict=True)]))


def seconds(routes: dict[str, Callable[[], float]]) -> dict[str, np.ndarray]:
    """Times of each (rounds,), in turn."""
    times: dict[str, list[float]] = {name: [] for name in routes}
    for _ in range(ROUNDS):
        for name, route in routes.items():
            start = time.perf_counter()
            route()
            times[name].append(time.perf_counter() - start)
    return {name: np.array(spent) for name, spent in times.items()}


def main() -> None:
    peers: dict[str, tuple[str, Callable[..., float]]] = {"scikit-learn": ("mutual_neighbours", overlap_of_lists)}
    if find_spec("repsim"):
        peers = {"repsim": ("cka", repsim_cka)} | peers
    else:
        print("repsim is not installed, so CKA is compared with nothing: pip install -e '.[benchmark]'\n")
    documents = np.arange(TOKENS) * DOCUMENTS // TOKENS
    print(f"Two clouds of {TOKENS} rows; medians of {ROUNDS}")
    print(f"{'measure':<19}{'d':>5}  {'route':<14}{'ms':>8}{'times ours':>12}{'value':>15}{'difference':>12}")
    for d in (64, 576):
        X, Y = clouds(d)
        for peer, (name, route) in peers.items():
            routes = {
                "geomkit": partial(ours, X, Y, name),
                "documents": partial(ours, X, Y, name, documents),
                peer: partial(route, X, Y),
            }
            reference = routes["geomkit"]()
            times = seconds(routes)
            for called, spent in times.items():
                value = routes[called]()
                difference = "" if called == "documents" else f"{abs(value - reference):>12.1e}"
                ratio = np.median(spent / times["documents"])
                print(f"{name:<19}{d:>5}  {called:<14}{1e3 * np.median(spent):>8.1f}{ratio:>12.2f}{value:>15.10f}{difference}")
                assert called == "documents" or abs(value - reference) < 1e-10, f"{called} differs"
        if "repsim" in peers:
            import repsim

            own = float(repsim.cka([X, Y], "linear", "song")[0, 1])
            print(f"{'':<24}  repsim.cka, Song's estimate over norms of the biased one: {own:.6f}")
    states = [rows.astype(np.float32) for rows in clouds(576, STATES)]
    for name, measure in similarities.items():
        together = Clouds(states, documents)
        start = time.perf_counter()
        measure(together, together)
        spent = time.perf_counter() - start
        print(f"all pairs of {STATES} states of {TOKENS} x 576, {DOCUMENTS} documents: {name} {spent:.1f} s")


if __name__ == "__main__":
    main()
