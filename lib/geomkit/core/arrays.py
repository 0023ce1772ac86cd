"""Arrays of numpy or torch, on any device, for measures and laws.

Code for both is written in the array API, and never imports torch: a tensor brings its own functions along.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj, is_torch_array, to_device
from array_api_compat import device as device_of
from array_api_compat import numpy as functions_of_numpy
from numpy.typing import ArrayLike, NDArray

from geomkit.core.errors import ConfigError

Array = NDArray[np.float64]

EPSILONS: Mapping[str, float] = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""The machine epsilon of each type that states are computed or stored in."""


def namespace(values: ArrayLike) -> Any:
    """Return the array API functions for these values: torch's for a tensor, else numpy's."""
    if type(values) is np.ndarray:  # what is called a hundred thousand times, without asking every library
        return functions_of_numpy
    return array_namespace(values if is_array_api_obj(values) else np.asarray(values))


def reals(values: ArrayLike, like: ArrayLike | None = None, copy: bool = False) -> Array:
    """Convert values to float64, or to float32 on a device without float64; copy them if `copy` is true.

    A tensor stays on its device and brings no gradient. With `like` the values go where that array is.
    """
    where = values if like is None else like
    if type(where) is np.ndarray or not is_torch_array(where):
        return np.array(values, dtype=np.float64) if copy else np.asarray(values, dtype=np.float64)
    xp, device = array_namespace(where), device_of(where)
    kept = values.detach() if is_torch_array(values) else values
    return xp.asarray(kept, dtype=widest(xp, device), device=device, copy=copy or None)


@functools.cache
def widest(xp: Any, device: Any) -> Any:
    """Return the widest real type of a device."""
    types = xp.__array_namespace_info__().dtypes(device=device, kind="real floating")
    return types.get("float64", types["float32"])


def indices(values: ArrayLike, like: Array) -> Any:
    """Return whole numbers as an array on the device of another array."""
    xp = namespace(like)
    return xp.asarray(values, dtype=xp.int64, device=device_of(like))


def epsilon(values: Array) -> float:
    """Return the machine epsilon of an array's type."""
    return float(namespace(values).finfo(values.dtype).eps)


def narrowest(*types: Any) -> str:
    """Return the name, from `EPSILONS`, of the type with the fewest digits among names and dtypes of numpy and torch.

    Raises ConfigError for a type that is none of them.
    """
    names = [np.dtype(one).name if isinstance(one, type) else str(one).removeprefix("torch.") for one in types]
    if unknown := [name for name in names if name not in EPSILONS]:
        raise ConfigError(f"unknown dtype {unknown[0]!r}; states are computed and stored in {', '.join(EPSILONS)}")
    return max(names, key=lambda name: EPSILONS[name])


def rounding(values: Any, dtype: Any = None) -> float:
    """Return the share of a vector's length that rounding may have changed.

    It is epsilon^(3/4) of the array's type, of float64 for whole numbers, or of `dtype` where that has fewer digits.

    A model rounds at every step, so errors are several epsilon: up to 10 in 24 blocks in float32, as measured, whose limit is 54.
    Limits: 1.8e-12 in float64, 6e-6 in float32, 0.006 in float16, 0.026 in bfloat16.
    """
    kind = str(getattr(values, "dtype", "float64")).removeprefix("torch.")
    own = EPSILONS.get(kind) or (epsilon(values) if "float" in kind else 0.0)
    return max(own, EPSILONS["float64" if dtype is None else narrowest(dtype)]) ** 0.75


def slack(values: Array) -> float:
    """Return the relative rounding error to allow for in a quantity: 1e-9 in float64, 1e-4 in float32."""
    return 1e-9 if epsilon(values) < 1e-12 else 1e-4


def highest(values: Array, axis: int) -> Array:
    """Return the largest of nonnegative values along an axis, which stays with length 1; 0 where there is none."""
    xp = namespace(values)
    return (xp.max if values.shape[axis] else xp.sum)(values, axis=axis, keepdims=True)


def as_numpy(values: ArrayLike) -> Array:
    """Copy values from any device into a numpy array."""
    return np.asarray(to_device(values.detach(), "cpu") if is_torch_array(values) else values)
