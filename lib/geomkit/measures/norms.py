"""Layer and RMS norms without their learnt gain and bias."""

from collections.abc import Callable, Mapping

from numpy.typing import ArrayLike

from geomkit.core.arrays import Array, namespace, reals
from geomkit.core.errors import ConfigError


def layer_norm(rows: ArrayLike, eps: float) -> Array:
    """Apply a layer norm to rows (..., d), without gain and bias: (x - m) / sqrt(v + eps), m and v each row's mean and variance.

    Limits: mean 0 and, where v is far above eps, length sqrt(d); a constant row becomes zero. Source: Ba et al. 2016.
    """
    x = reals(rows)
    return rms_norm(x - namespace(x).mean(x, axis=-1, keepdims=True), eps)


def rms_norm(rows: ArrayLike, eps: float) -> Array:
    """Apply an RMS norm to rows (..., d), without gain: x / sqrt(mean x^2 + eps).

    Limits: where the mean square is far above eps, the row's direction at length sqrt(d), so `unit` rows of it are those of the
    rows themselves. Source: Zhang, Sennrich 2019.
    """
    x = reals(rows)
    xp = namespace(x)
    normed: Array = x / xp.sqrt(xp.mean(xp.square(x), axis=-1, keepdims=True) + eps)
    return normed


NORMS: Mapping[str, Callable[[ArrayLike, float], Array]] = {"layer": layer_norm, "rms": rms_norm}


def plain(rows: ArrayLike, norm: str, eps: float) -> Array:
    """Apply a norm of the given kind without gain and bias. Raises ConfigError for an unknown norm."""
    if norm not in NORMS:
        raise ConfigError(f"unknown final norm {norm!r}; known: {', '.join(NORMS)}")
    return NORMS[norm](rows, eps)
