"""Intrinsic dimension, TwoNN and Gride at scales 2, 4, .. up to n / 8, beside two peers: `python tests/benchmarks dimension`.

geomkit    neighbours from one Gram matrix, then both estimators
skdim      scikit-dimension: `TwoNN`, and `GRIDE` at several scales, each of which finds neighbours
DADApy     distances to as many neighbours, then `compute_id_2NN` and `return_id_scaling_gride`. Its releases need NumPy below 2
           and a version of JAX of their own, so it runs in an interpreter of its own, which the variable DADAPY names:
           python -m venv peer && peer/bin/pip install dadapy, then DADAPY=peer/bin/python python tests/benchmarks dimension
sklearn    the neighbours alone, by brute force

DADApy and skdim leave out ratios that are far from the median (q50 + 20 (q95 - q50)). geomkit does not: where there are such, at
a scale, a difference is expected, and printed.

One thread. The routes take turns, for the machine's speed drifts: ratios are medians of runs in turn.

Then how wide intervals are: the standard error, root mean square over clouds, over the standard deviation of the estimate
between clouds, for quarters of the documents, which geomkit takes, and for a jackknife over documents. 1 is right.
"""

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

LADDER = Path(__file__).parents[2] / "workflow/resources/ladder"
ROWS, ROUNDS = 1000, 7
CLOUDS, SIZED = 200, 25
"""Clouds of a simulation, and those of them whose intervals are taken."""
Estimates = dict[str, list[float]]


def highest(n: int) -> int:
    return 2 ** int(np.log2(n / 8))


def geomkit(rows: np.ndarray) -> Estimates:
    from geomkit.measures.intrinsic_dimension import intrinsic_dimension

    return {name: found.value.tolist() for name, found in intrinsic_dimension(rows).items()}


def skdim(rows: np.ndarray) -> Estimates:
    from skdim.id import GRIDE, TwoNN

    gride = GRIDE(multiscale=True, range_max=highest(len(rows))).fit(rows)
    return {"twonn": [float(TwoNN(0.1).fit(rows).dimension_)], "gride": gride.dimension_scales_.tolist()}


def dadapy(rows: np.ndarray) -> Estimates:
    from dadapy.data import Data

    data = Data(rows, verbose=False)
    data.compute_distances(maxk=highest(len(rows)))
    gride = data.return_id_scaling_gride(range_max=highest(len(rows)) + 1)[0]
    return {"twonn": [float(data.compute_id_2NN(mu_fraction=0.9)[0])], "gride": gride.tolist()}


def sklearn(rows: np.ndarray) -> Estimates:
    from sklearn.neighbors import NearestNeighbors

    NearestNeighbors(n_neighbors=highest(len(rows)), algorithm="brute").fit(rows).kneighbors()
    return {}


def timed(route: Callable[[np.ndarray], Estimates], rows: np.ndarray) -> tuple[float, Estimates]:
    start = time.perf_counter()
    found = route(rows)
    return time.perf_counter() - start, found


def serve() -> None:
    """Answer each name of a file of rows with DADApy's time and estimates."""
    for name in sys.stdin:
        with redirect_stdout(sys.stderr):
            answer = timed(dadapy, np.load(name.strip()))
        print(json.dumps(answer), flush=True)


class Peer:
    """DADApy in an interpreter of its own."""

    def __init__(self, python: str, folder: Path):
        command = [python, "-P", __file__, "serve"]
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.folder = folder
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=own
        )

    def __call__(self, rows: np.ndarray) -> tuple[float, Estimates]:
        np.save(self.folder / "rows.npy", rows)
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{self.folder / 'rows.npy'}\n")
        self.process.stdin.flush()
        spent, found = json.loads(self.process.stdout.readline())
        return spent, found

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def synthetic() -> Iterator[tuple[str, np.ndarray]]:
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((ROWS, 11))
    turn = np.linalg.qr(draw.standard_normal((100, 11)))[0]
    yield "sphere of 10 dimensions", rows / np.linalg.norm(rows, axis=1, keepdims=True) @ turn.T
    yield "Gaussian, spectrum 1 / i", draw.standard_normal((ROWS, 576)) * np.arange(1, 577) ** -0.5


def hidden_states() -> Iterator[tuple[str, np.ndarray]]:
    """States of the widest bundled model, of one occurrence of each token of the page that describes it."""
    import torch

    from geomkit.core.config import ModelSpec
    from geomkit.models.load import load_model, load_tokenizer

    torch.set_num_threads(1)
    folder = max(LADDER.glob("ladder-*"), key=lambda folder: int(folder.name.split("-")[1]))
    ids = np.array(load_tokenizer(folder)((LADDER / "README.md").read_text())["input_ids"][:2048])
    first = np.sort(np.unique(ids, return_index=True)[1])
    with torch.inference_mode():
        parts = torch.tensor(ids[: len(ids) // 256 * 256]).reshape(-1, 256)
        states = load_model(ModelSpec(folder, device="cpu"))(parts, output_hidden_states=True).hidden_states
    flat = states[len(states) // 2].reshape(-1, states[0].shape[-1]).numpy()
    yield f"{folder.name}, middle", flat[first[first < len(flat)]].astype(np.float64)


def compare(name: str, rows: np.ndarray, peers: dict[str, Callable[[np.ndarray], tuple[float, Estimates]]]) -> None:
    routes = {"geomkit": lambda rows: timed(geomkit, rows), **peers}
    ours, times = geomkit(rows), {route: np.zeros(ROUNDS) for route in routes}
    found: dict[str, Estimates] = {}
    for number in range(-1, ROUNDS):  # the first is not counted
        for route, run in routes.items():
            spent, found[route] = run(rows)
            times[route][max(number, 0)] = spent
    for route, theirs in found.items():
        differences = [
            f"{max(abs(np.array(theirs[of]) / np.array(ours[of]) - 1)):.0e}" if theirs else "" for of in ("twonn", "gride")
        ]
        spent = np.median(times[route]), np.median(times[route] / times["geomkit"])
        print(f"{name:<26}{rows.shape[0]:>5}{rows.shape[1]:>5}  {route:<9}{1e3 * spent[0]:>8.1f}{spent[1]:>12.1f}", end="")
        print("".join(f"{one:>10}" for one in differences))


def widths() -> None:
    from geomkit.measures.intrinsic_dimension import estimated, intrinsic_dimension, nearest_neighbours

    def clustered(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        documents = np.repeat(np.arange(24), 8)
        return 0.7 * draw.standard_normal((24, 6))[documents] + draw.standard_normal((192, 6)), documents

    def decaying(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        documents = np.repeat(np.arange(90), 4)
        rows = 0.5 * draw.standard_normal((90, 64))[documents] + draw.standard_normal((360, 64))
        return rows * np.arange(1, 65) ** -0.5, documents

    def logs(rows: np.ndarray) -> np.ndarray:
        return np.log(estimated(nearest_neighbours(rows), ["gride"])["gride"].value)

    print(f"\nStandard error over standard deviation, Gride, {SIZED} of {CLOUDS} clouds")
    for name, cloud in (("24 documents of 8 rows, d = 6", clustered), ("90 documents of 4 rows, d = 64", decaying)):
        values, quarters, jackknife = [], [], []
        for number in range(CLOUDS):
            rows, documents = cloud(np.random.default_rng([number]))
            values.append(logs(rows))
            if number < SIZED:
                found = intrinsic_dimension(rows, ["gride"], documents)["gride"]
                quarters.append(np.var(np.log(found.quarters), axis=0, ddof=1) / 3)
                groups = [np.arange(len(set(documents)))[place::20] for place in range(20)]
                left = [logs(rows[~np.isin(documents, group)])[: values[0].size] for group in groups]
                count = min(map(len, left))
                jackknife.append(19 * np.var([one[:count] for one in left], axis=0))
        spread = np.std(values, axis=0)
        for how, variances in (("quarters", quarters), ("jackknife", jackknife)):
            count = min(map(len, variances))
            ratio = np.sqrt(np.mean([one[:count] for one in variances], axis=0)) / spread[:count]
            print(f"  {name}  {how:<10}", "  ".join(f"scale {2 << place}: {one:.2f}" for place, one in enumerate(ratio)))


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        return serve()
    warnings.filterwarnings("ignore")
    peers: dict[str, Callable[[np.ndarray], tuple[float, Estimates]]] = {"sklearn": lambda rows: timed(sklearn, rows)}
    if find_spec("skdim"):
        peers["skdim"] = lambda rows: timed(skdim, rows)
    else:
        print("scikit-dimension is not installed: pip install -e '.[benchmark]'")
    with TemporaryDirectory() as folder:
        if python := os.environ.get("DADAPY"):
            peers["DADApy"] = Peer(python, Path(folder))
        else:
            print("DADApy is not compared: DADAPY names no interpreter that has it")
        print(f"Both estimators; medians of {ROUNDS}. Differences are the largest relative ones")
        print(f"{'rows':<26}{'n':>5}{'d':>5}  {'route':<9}{'ms':>8}{'times ours':>12}{'TwoNN':>10}{'Gride':>10}")
        for name, rows in (*synthetic(), *hidden_states()):
            compare(name, rows, peers)
        for peer in peers.values():
            if isinstance(peer, Peer):
                peer.close()
    widths()


if __name__ == "__main__":
    main()
