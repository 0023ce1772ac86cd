"""Validate token rows and separate tokens from padding."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from array_api_compat import is_torch_array
from numpy.typing import ArrayLike

from geomkit.core.arrays import EPSILONS, Array, as_numpy, indices, namespace, reals
from geomkit.core.errors import DataError

SHAPES = "token vectors must be a matrix (tokens, d) or a batch (texts, tokens, d)"
ALIKE = 0.15
"""Squared distance of two rows over the sum of their squared distances from the mean row, below which they hardly differ: as
measured on the ladder, what most padding has, and four successive tokens of a text once in some thousands."""
EQUAL = 1e-10
"""The same over the sum of their squared lengths, up to which they are equal but for rounding in float32."""
RUN = 4
"""Successive rows that hardly differ, from which on they are taken for padding."""
COMPARED = 16
"""Texts whose ends are compared."""


def token_rows(Z: Any) -> Any:
    """Validate Z and return it as an array of numpy or torch, in its own type.

    Raises DataError for what is no array of real numbers with at least two axes, such as a model's whole output.
    """
    if type(Z) is not np.ndarray:
        Z = _as_array(Z)
    if is_torch_array(Z):
        real = not (Z.is_complex() or Z.is_meta) and str(Z.layout) == "torch.strided"
    else:
        real = Z.dtype.kind in "biuf" or Z.dtype.name in EPSILONS
    if not real:
        raise DataError(f"{SHAPES} of real numbers, found {_named(Z)}")
    if Z.ndim < 2:
        raise DataError(f"{SHAPES}, found shape {tuple(Z.shape)}")
    return Z


def _as_array(Z: Any) -> Any:
    if isinstance(Z, Mapping) or hasattr(Z, "hidden_states"):
        raise DataError(
            f"{SHAPES}, found a {type(Z).__name__}: hand over one of its states, such as output.hidden_states[-1], and the "
            "attention mask as mask="
        )
    if isinstance(Z, tuple | list) and Z and is_torch_array(Z[0]) and Z[0].ndim > 1:
        raise DataError(f"{SHAPES}, found a {type(Z).__name__} of {len(Z)} tensors: hand over one, such as hidden_states[-1]")
    if np.ma.isMaskedArray(Z):
        raise DataError(f"{SHAPES}, found a masked array: hand over its .data, and which rows are tokens as mask=")
    if is_torch_array(Z):
        return Z
    try:
        array = np.asarray(Z)
    except (ValueError, TypeError):
        raise DataError(f"{SHAPES}, found a {type(Z).__name__} whose rows differ in length, or no array") from None
    if array.dtype == object:  # a data frame of several types
        try:
            return array.astype(np.float64)
        except (ValueError, TypeError):
            raise DataError(f"{SHAPES} of real numbers, found {_named(Z)}") from None
    return array


def _named(Z: Any) -> str:
    layout = f", {Z.layout} on {Z.device}" if is_torch_array(Z) else ""
    return f"{type(Z).__name__}" + (f" of {Z.dtype}{layout}" if hasattr(Z, "dtype") else "")


def tokens_of(Z: Array, mask: ArrayLike, least: int) -> list[Array]:
    """Select the rows of each text that `mask` marks as tokens.

    Of Z (n, d) and mask (n,) that is one array, of Z (texts, n, d) and mask (texts, n) one for each text, in their order.

    mask: 1 or True for tokens, 0 or False for padding, as the attention mask of `transformers`. A text with no padding keeps all.
    Raises DataError for another shape, for other values, and for a text of fewer than `least` tokens.
    """
    if Z.ndim > 3:
        raise DataError(f"mask= takes {SHAPES.removeprefix('token vectors must be ')}, found shape {tuple(Z.shape)}")
    try:
        tokens = as_numpy(mask.detach() if is_torch_array(mask) else mask)
        kept = tokens.astype(np.float64) != 0
        other = tokens[(tokens != 0) & (tokens != 1)]
    except (ValueError, TypeError) as error:
        raise DataError(f"mask must be an array of ones (tokens) and zeros (padding): {error}") from None
    if kept.shape != tuple(Z.shape[:-1]):
        raise DataError(f"mask has shape {kept.shape}; rows of shape {tuple(Z.shape)} take one of shape {tuple(Z.shape[:-1])}")
    if other.size:
        raise DataError(f"mask must be 1 (or True) for tokens and 0 (or False) for padding, found {other[0]}")
    texts = [Z] if Z.ndim == 2 else list(Z)
    chosen = [np.flatnonzero(own) for own in kept.reshape(len(texts), -1)]
    for number, own in enumerate(chosen):
        if len(own) < least:
            raise DataError(f"mask: text {number} has {len(own)} of the {least} tokens that it takes at least; leave it out")
    return [text[indices(own, like=text)] for text, own in zip(texts, chosen, strict=True)]


def warn_of_padding(Z: Array) -> None:
    """Warn of rows that look like padding where no mask was given.

    They are texts of Z (..., n, d) that end or begin in rows that hardly differ, or several texts of a batch that end in the same
    rows.
    """
    n, d = Z.shape[-2:]
    if n <= RUN or not d or 0 in Z.shape:
        return
    texts = reals(Z if Z.ndim == 3 else Z.reshape((-1, n, d)))
    mean = namespace(texts).mean(texts, axis=(0, 1))
    padded = np.zeros(len(texts), dtype=bool)
    for own in (texts[:, -RUN:], texts[:, :RUN]):
        padded |= _alike(own[:, 1:], own[:, :-1], mean).all(axis=-1)
    if len(texts) > 1:
        same = _alike(texts[:COMPARED, None, -2:], texts[None, :COMPARED, -2:], mean).all(axis=-1)
        padded[:COMPARED] |= same.sum(axis=-1) > 1
    if count := int(padded.sum()):
        of = f"{count} of {len(texts)} texts" if Z.ndim > 2 else "the text"
        warnings.warn(
            f"{of} may hold rows of padding: rows at an end hardly differ. Say which rows are tokens: "
            "geomkit.spectrum(Z, mode, mask=attention_mask), all ones if all of them are",
            stacklevel=3,
        )


def _alike(one: Array, other: Array, mean: Array) -> np.ndarray:
    """Whether rows (..., d) differ by little of their distance from the mean row, or only by rounding."""
    gap, apart = _squares(one - other), _squares(one - mean) + _squares(other - mean)
    return as_numpy((gap < ALIKE * apart) | (gap <= EQUAL * (_squares(one) + _squares(other))))


def _squares(rows: Array) -> Array:
    return namespace(rows).linalg.vecdot(rows, rows)
