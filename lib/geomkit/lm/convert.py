"""A fetched model as a folder of safetensors, converted once: GGUF is dequantised, and pickled weights are read without pickle's
power to run code."""

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import save_file

from geomkit.errors import DataError
from geomkit.lm.models import convert_gguf
from geomkit.store.provenance import link_or_copy, replacing_folder

PICKLED = "pytorch_model*.bin"
SUPPORTED = ("model.safetensors", "model.safetensors.index.json")


def convert_model(source: Path, output: Path) -> None:
    """Writes the folder that a fetched model is loaded from: a GGUF file dequantised, pytorch_model*.bin as safetensors, and
    everything else as it is.

    Raises DataError, and leaves no folder, for files that cannot be read, or that hold more than tensors.
    """
    if source.suffix == ".gguf" or list(source.glob("*.gguf")):
        convert_gguf(source, output)
        return
    pickled = [] if any((source / name).exists() for name in SUPPORTED) else sorted(source.glob(PICKLED))
    with replacing_folder(output) as temporary:
        for file in source.iterdir():
            if file.is_file() and file not in pickled and not file.name.startswith((".snakemake", "pytorch_model.bin.index")):
                link_or_copy(file.resolve(), temporary / file.name)
        places: dict[str, str] = {}
        for file in pickled:
            name = file.name.replace("pytorch_model", "model").replace(".bin", ".safetensors")
            weights = unpickled(file)
            save_file(weights, temporary / name, {"format": "pt"})
            places |= dict.fromkeys(weights, name)
            print(f"{file.name}: {len(weights)} tensors are now in {name}")
        if len(pickled) > 1:
            index = {"metadata": {}, "weight_map": places}
            (temporary / "model.safetensors.index.json").write_text(json.dumps(index, sort_keys=True))


def unpickled(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a pickled state dict by name, each with memory of its own, by torch's weights-only loader.

    Nothing that the file asks for is run. Raises DataError, naming the file and what it asks for, if that is more than tensors.
    """
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        why = textwrap.shorten(refusal(str(error)), 200)
        raise DataError(f"{file}: refused, for it is no file of weights alone ({why})") from None
    if not isinstance(found, Mapping):
        raise DataError(f"{file}: refused, for it holds a {type(found).__name__}, not tensors by name")
    for name, value in found.items():
        if not isinstance(value, torch.Tensor):
            raise DataError(f"{file}: refused, for {name!r} is a {type(value).__name__}, not a tensor")
    return {str(name): value.detach().contiguous().clone() for name, value in found.items()}


def refusal(message: str) -> str:
    """What torch's loader would not do, out of a message of many lines that also tells how to switch it off."""
    lines = [line for line in message.splitlines() if "Unsupported" in line or "GLOBAL" in line or "global" in line]
    return (lines or message.splitlines() or ["cut off"])[0].partition("WeightsUnpickler error: ")[2] or (lines or [message])[0]
