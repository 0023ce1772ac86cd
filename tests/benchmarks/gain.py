"""Gains of every prefix of a text: one Cholesky factor against a ridge regression by scikit-learn for each token on its past.

Both sides must agree. The rows of a table are the cost against the length of the text.
"""

import time
import timeit
from collections.abc import Callable
from statistics import median

import numpy as np
from sklearn.linear_model import Ridge

from geomkit.measures.gain import _gains, information_gain
from geomkit.measures.spectra import normalise

WIDTH, NARROW = 768, 64
LENGTHS = (64, 128, 256, 512, 1024)
TARGET = {512: 150}
EPS2 = 0.5


def hidden_states(tokens: int, d: int) -> np.ndarray:
    """Unit rows with a common direction and a spectrum that decays, as those of a language model."""
    draw = np.random.default_rng(tokens)
    return normalise((draw.standard_normal((tokens, d)) + 1) * np.arange(1, d + 1) ** -0.5, "unit")


def loop(Z: np.ndarray) -> np.ndarray:
    """ln(1 + c rho_t), rho_t from the ridge of token t on the t tokens before it."""
    c = WIDTH / (len(Z) * EPS2)
    optimum = [Z[0] @ Z[0]]
    for t in range(1, len(Z)):
        w = Ridge(1 / c, fit_intercept=False).fit(Z[:t].T, Z[t]).coef_
        optimum.append(np.square(Z[t] - w @ Z[:t]).sum() + w @ w / c)
    return np.log1p(c * np.array(optimum))


def seconds(function: Callable[[], object], runs: int = 9) -> float:
    """Median over the runs of the time for a call, after one that is not counted."""
    return median(timeit.repeat(function, number=1, repeat=runs + 1)[1:])


def against_ridge() -> None:
    print(f"Information gain of every token on its past, d = {WIDTH}; scikit-learn: one run over all prefixes")
    print(f"{'T':>5}{'geomkit ms':>12}{'Ridge loop ms':>15}{'times ours':>12}{'target':>8}{'largest relative difference':>29}")
    loop(hidden_states(8, WIDTH))
    for tokens in LENGTHS:
        Z = hidden_states(tokens, WIDTH)
        ours = seconds(lambda Z=Z: information_gain(Z, EPS2))
        start = time.perf_counter()
        peer = loop(Z)
        theirs = time.perf_counter() - start
        target = f"> {TARGET[tokens]}" if tokens in TARGET else ""
        print(
            f"{tokens:>5}{1e3 * ours:>12.2f}{1e3 * theirs:>15.0f}{theirs / ours:>12.0f}{target:>8}"
            f"{difference(peer, information_gain(Z, EPS2)):>29.1e}"
        )


def against_one_factor() -> None:
    print(f"Texts longer than the model is wide, d = {NARROW}: blocks, above T = {4 * NARROW}, against one T x T factor")
    print(f"{'T':>5}{'geomkit ms':>12}{'one factor ms':>15}{'times ours':>12}{'largest relative difference':>37}")
    for tokens in LENGTHS:
        Z = hidden_states(tokens, NARROW)
        rows = np.sqrt(NARROW / (tokens * EPS2)) * Z
        ours, theirs = seconds(lambda Z=Z: information_gain(Z, EPS2)), seconds(lambda rows=rows: _gains(rows @ rows.T))
        largest = difference(_gains(rows @ rows.T), information_gain(Z, EPS2))
        print(f"{tokens:>5}{1e3 * ours:>12.2f}{1e3 * theirs:>15.2f}{theirs / ours:>12.1f}{largest:>37.1e}")


def difference(theirs: np.ndarray, ours: np.ndarray) -> float:
    largest = np.abs(theirs / ours - 1).max()
    assert largest < 1e-9, f"gains of {len(ours)} tokens differ by {largest:.1e}"
    return largest


def main() -> None:
    against_ridge()
    print()
    against_one_factor()


if __name__ == "__main__":
    main()
