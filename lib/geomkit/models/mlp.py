"""Find the linear map that reads the hidden states of a block's MLP: its input is what the activation has put out."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn
from transformers.pytorch_utils import Conv1D

from geomkit.models.load import ATTENTION, MLP, has_part, part


class LinearMap(NamedTuple):
    """A linear map, the width of the vectors that it takes, and of those that it returns."""

    module: nn.Module
    takes: int
    returns: int


def down_projection(block: nn.Module, width: int) -> LinearMap | str:
    """Return the down projection of a block's MLP, or the reason why the block has none.

    width: of the hidden states that blocks hand on. An MLP is known by its shape: maps from `width` to f, or to 2 f where a gate
    is stacked on them, and one map from f back to `width`, which is the last one where f is `width`. It is looked for in the part
    of the block that is named as an MLP, or else outside attention. A mixture of experts has several such MLPs, or weights with
    an axis for experts, and none of them sees every token.
    """
    named = has_part(block, MLP)
    place = part(block, MLP) if named else block
    maps = list(linear_maps(place))
    if named and len(maps) == 1 and maps[0].module is place:  # the last map itself stands in the block
        return maps[0]
    if any(weight.ndim > 2 for module in outside_attention(place) for weight in own_weights(module)):
        return "its MLP has weights with three axes, as a mixture of experts has"
    ups = {returns for _, takes, returns in maps if takes == width}
    wide = [one for one in maps if one.takes != width and one.returns == width and {one.takes, 2 * one.takes} & ups]
    if not wide and len(maps) > 1 and all((takes, returns) in ((width, width), (width, 2 * width)) for _, takes, returns in maps):
        return maps[-1] if named else "no part of it is named as an MLP, and no map in it changes the width"
    if len(wide) != 1 or sum(takes == wide[0].takes for _, takes, _ in maps) > 1:
        number = "no map" if not wide else "more than one map"
        return f"{number} leads back to {width} numbers from vectors that other maps put out: it has not one MLP"
    return wide[0]


def linear_maps(place: nn.Module) -> Iterator[LinearMap]:
    """Yield the linear maps in a part of a model outside attention, in the order in which it lists them."""
    for module in outside_attention(place):
        if isinstance(module, Conv1D):
            yield LinearMap(module, module.nx, module.nf)
        elif isinstance(takes := getattr(module, "in_features", None), int):
            yield LinearMap(module, takes, int(module.out_features))  # type: ignore[arg-type]


def outside_attention(place: nn.Module) -> Iterator[nn.Module]:
    """Yield a module and all in it, without those named as attention."""
    yield place
    for name, child in place.named_children():
        if name not in ATTENTION:
            yield from outside_attention(child)


def own_weights(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters of a module itself; those of convolutions, whose third axis is a place, do not count."""
    if not isinstance(module, nn.modules.conv._ConvNd):
        yield from module.parameters(recurse=False)
