"""Place the weights of a model that does not fit one GPU: over several, then the host's memory, by accelerate's device map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import get_balanced_memory
from transformers import PreTrainedModel

from geomkit.core.errors import ConfigError, DataError
from geomkit.core.model_folders import header, weight_files
from geomkit.core.state import State

GB = 1e9
HOST = torch.device("cpu")
Homes = Mapping[State, torch.device]
"""Device on which the rows of a state are handed out, and their sums kept; the host for a state that is not named."""
HOSTED: Homes = {}
LIMIT = Path("/sys/fs/cgroup/memory.max")
"""File in which a container says how much memory it may use."""
MARGIN = 2 << 30
"""Bytes that each GPU keeps free for a batch: its logits take up to 1 GiB in float32, and as much again while they are made."""


@dataclass(frozen=True)
class Placement:
    """Bytes of weights that each GPU, and `cpu`, may hold; None: one GPU, or the host, holds all."""

    limits: dict[int | str, int] | None


def placement(name: str, weights: int, gpus: Sequence[int], host: int, margin: int = MARGIN) -> Placement:
    """Place bytes of weights by the free bytes of each GPU and of the host: the first GPU, else several, else the host too.

    Weights that lie in the host's memory are copied to a GPU at each pass. Raises ConfigError, naming the model and what would
    fit, where all of it does not suffice.
    """
    rooms = [max(0, free - margin) for free in gpus]
    if rooms and weights <= rooms[0]:
        return Placement(None)
    if weights <= sum(rooms) + host:
        return Placement({**dict(enumerate(rooms)), "cpu": host if weights > sum(rooms) else 0})
    there = f"{len(gpus)} GPUs have room for {sum(rooms) / GB:.1f} GB beside a batch and the host for {host / GB:.1f} GB"
    raise ConfigError(
        f"{name}: its weights take {weights / GB:.1f} GB, and {there}; models of up to {(sum(rooms) + host) / GB:.1f} GB fit: "
        "compute.dtype bfloat16 takes half of float32, or use a smaller or a quantised model, or another machine"
    )


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on a device, a container's limit included."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limit = LIMIT.read_text().strip() if LIMIT.exists() else "max"
    free = psutil.virtual_memory().available
    return free if limit == "max" else min(free, int(limit))


def devices(device: torch.device) -> list[torch.device]:
    """List the devices that a run may use: only that GPU if it has a number, all GPUs for `cuda`, and the host in any case."""
    if device.type == "cpu":
        return [HOST]
    gpus = range(torch.cuda.device_count()) if device.index is None else [device.index]
    return [*(torch.device("cuda", number) for number in gpus), HOST]


def device_map(model: PreTrainedModel, limits: Mapping[int | str, int]) -> dict[str, Any]:
    """Map each part of a model, which may lie on no device, to a device.

    Blocks are placed whole, with alike shares on the GPUs where these hold all of it.
    """
    whole = sorted(model._no_split_modules or [])
    return infer_auto_device_map(model, get_balanced_memory(model, dict(limits), whole), no_split_module_classes=whole)


def spread(model: PreTrainedModel, limits: Mapping[int | str, int]) -> PreTrainedModel:
    """Spread the blocks of a model in the host's memory over the devices that the limits name."""
    return dispatch_model(model, device_map(model, limits))


def entry(model: PreTrainedModel) -> torch.device:
    """Return the device for the tokens of a model, from which accelerate moves what its parts need.

    It is, of a spread model, the first device that runs a part. Weights that are copied there at each pass lie nowhere.
    """
    return runs_on(model.hf_device_map) if hasattr(model, "hf_device_map") else model.device


def runs_on(places: Mapping[str, Any], name: str = "") -> torch.device:
    """Return the device on which a part of a model runs, by a device map.

    It is where the part lies, if that is a GPU; else the first GPU of the map, or the host where there is none.
    """
    return gpu(lies_on(places, name)) or next(filter(None, map(gpu, places.values())), HOST)


def gpu(place: Any) -> torch.device | None:
    """Return the GPU that a device map names; None for the host and the disk."""
    if isinstance(place, int):
        return torch.device("cuda", place)
    return torch.device(place) if str(place).startswith("cuda") else None


def lies_on(places: Mapping[str, Any], name: str) -> Any:
    """Return where a part of a model lies, by the longest name of a device map that begins the part's; None if there is none."""
    named = [one for one in places if one == "" or f"{name}.".startswith(f"{one}.")]
    return places[max(named, key=len)] if named else None


def weight_bytes(folder: Path, dtype: torch.dtype) -> int:
    """Return the bytes of a checkpoint's weights in the type of a run, from its safetensors headers; of other files their size.

    Packed weights of a quantised checkpoint, which are no floats, count as they are stored. 0 for a folder without weights.
    Raises DataError for a file that is cut off.
    """
    try:
        files = weight_files(folder)
    except DataError:
        return 0  # who loads it says so
    total = 0
    for file in files:
        if file.suffix != ".safetensors":
            total += file.stat().st_size
            continue
        for one in header(file)[0].values():
            low, high = one["data_offsets"]
            total += prod(one["shape"]) * dtype.itemsize if one["dtype"] in ("F32", "F16", "BF16") else high - low
    return total


def place(name: str, weights: int, device: torch.device) -> Placement:
    """Place bytes of weights by what is free now. A GPU with a number is one GPU, whatever fits.

    Raises ConfigError where nothing holds them, which on the CPU is its memory alone.
    """
    if device.type == "cuda" and device.index is not None:
        return Placement(None)
    *gpus, host = map(free_memory, devices(device))
    result = placement(name, weights, gpus, host)
    return result if gpus else Placement(None)
