"""Predict a metric from a width and a number of tokens alone: independent Gaussian rows whose spectrum is one power law."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from geomkit.core.arrays import Array
from geomkit.core.provenance import rng
from geomkit.laws.pairs import MARGINS
from geomkit.measures.entropy import measure
from geomkit.measures.nulls import gaussian
from geomkit.measures.spectra import is_centred, normalise, row_spectrum

DECAYS = np.linspace(0.0, 3.0, 13)
"""Exponents a at which rows are drawn."""
FINE = np.linspace(0.0, 3.0, 301)
"""Exponents among which one is learnt: ln of a metric is a cubic spline through those above."""
FEWEST, ROWS = 8, 1024
"""Draws at least, and rows of all draws at least: few tokens vary most."""


Mask = NDArray[np.bool_]


class Cell(NamedTuple):
    """A width at a ratio of tokens to directions."""

    ratio: float
    width: int
    tokens: int


@lru_cache(maxsize=4096)
def drawn(tokens: int, width: int, mode: str, eps2: float) -> Mapping[str, Array]:
    """ln of each metric of independent rows with variances i^-a, i = 1 .. width, at every a of `FINE`: (decays,) by metric.

    Rows are normalised as those of models are, and metrics averaged over draws, the same for every a.
    Limit: a = 0 gives isotropic rows.
    """
    draws = max(FEWEST, ROWS // tokens)
    rows = gaussian(draws * tokens, width, rng(0, "width share", tokens, width)).reshape(draws, tokens, width)
    index = np.arange(1.0, width + 1)
    levels: dict[str, list[float]] = {name: [] for name in MARGINS}
    for decay in DECAYS:
        spectrum = row_spectrum(normalise(rows * index ** (-decay / 2), mode), centred=is_centred(mode))
        for name, one in measure(spectrum, list(MARGINS), eps2=eps2).items():
            levels[name].append(float(np.log(np.mean(one.value))))
    return {name: CubicSpline(DECAYS, values)(FINE) for name, values in levels.items()}


class Learnt(NamedTuple):
    """A spectrum learnt from some cells: its decay (resamples,), and predictions of ln of each metric, by name and rule.

    rules, of `PREDICTORS`: arrays (cells, resamples).
    """

    decay: Array
    rules: Mapping[str, Mapping[str, Array]]


CURVE, STRETCHED, CONSTANT, POWER = "curve", "stretched", "constant", "power"
PREDICTORS = (CURVE, STRETCHED, CONSTANT, POWER)


def learn(cells: Sequence[Cell], levels: Mapping[str, Array], training: Mask, mode: str, eps2: float) -> Learnt:
    """Learn one spectrum from the training cells (cells,), and predict ln of each metric in all cells.

    levels: ln of each metric, (cells, resamples). Every rule takes its level at each ratio from the training cells. `curve` has
    one decay for all ratios and metrics, by least squares in ln. Along n = r d a stretched spectrum gives an effective rank
    proportional to d, and the same ratio to the bound at every d. `constant` gives one value. `power` has an exponent with d of
    its own at each ratio.
    """
    ratios = np.array([cell.ratio for cell in cells])
    x = np.log([float(cell.width) for cell in cells])
    curves = {name: np.stack([drawn(cell.tokens, cell.width, mode, eps2)[name] for cell in cells]) for name in levels}
    errors: Array = np.zeros((FINE.size, 1))
    for name, level in levels.items():
        own, rest = at_ratios(curves[name], ratios, training)[training], at_ratios(level, ratios, training)[training]
        errors = errors + (rest**2).sum(axis=0)[None] - 2 * own.T @ rest + (own**2).sum(axis=0)[:, None]
    best = np.argmin(errors, axis=0)
    rules: dict[str, dict[str, Array]] = {}
    for name, level in levels.items():
        slope = x if name == "erank_covariance" else 0 * x
        shapes = {CURVE: curves[name][:, best], STRETCHED: slope[:, None], CONSTANT: 0 * x[:, None]}
        rules[name] = {rule: shape + base(level - shape, ratios, training) for rule, shape in shapes.items()}
        rules[name][POWER] = power_laws(x, level, ratios, training)
    return Learnt(FINE[best], rules)


def base(values: Array, ratios: Array, training: Mask) -> Array:
    """Average values (cells, k) over the training cells of each ratio: (cells, k)."""
    means = np.empty_like(values)
    for ratio in np.unique(ratios):
        means[ratios == ratio] = values[(ratios == ratio) & training].mean(axis=0)
    return means


def at_ratios(values: Array, ratios: Array, training: Mask) -> Array:
    """Subtract the mean over the training cells of each ratio."""
    return values - base(values, ratios, training)


def power_laws(x: Array, level: Array, ratios: Array, training: Mask) -> Array:
    """Fit ln of a metric on ln d at each ratio."""
    centred = at_ratios(x[:, None], ratios, training)
    fitted = base(level, ratios, training)
    for ratio in np.unique(ratios):
        own, known = ratios == ratio, (ratios == ratio) & training
        weights = centred[known, 0] / max(float(np.square(centred[known]).sum()), 1e-12)
        fitted[own] += centred[own] * (weights @ level[known])
    return fitted
