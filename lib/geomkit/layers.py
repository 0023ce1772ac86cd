"""Layers by number and by word: 0 the embedding, 1 to L after each block, L + 1 after the final norm."""

from collections.abc import Mapping
from typing import Any

from geomkit.errors import ConfigError


def resolve_layers(layers: Any, depth: int) -> list[int]:
    """Numbers of the layers named by `all`, `middle` (half the blocks), `last` (the last block), `final` (after the final norm),
    `{every: k}`, or a list of numbers and of these words.

    Raises ConfigError for a layer that a model of `depth` blocks does not have.
    """
    if isinstance(layers, Mapping):
        return sorted({*range(0, depth + 1, layers["every"]), depth, depth + 1})
    words = {"middle": [-(-depth // 2)], "last": [depth], "final": [depth + 1], "all": list(range(depth + 2))}
    found: set[int] = set()
    for layer in layers if isinstance(layers, list) else [layers]:
        found |= set(words.get(layer, [layer]))
    if wrong := sorted(layer for layer in found if not 0 <= layer <= depth + 1):
        raise ConfigError(f"layer {wrong[0]} does not exist: this model has 0 (embedding) to {depth + 1} (after the final norm)")
    return sorted(found)


def layer_name(layer: int, depth: int) -> str:
    """What figures call a layer that models of any depth have: embedding, middle, last, final; else nothing."""
    return {0: "embedding", -(-depth // 2): "middle", depth: "last", depth + 1: "final"}.get(layer, "")
