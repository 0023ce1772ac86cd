"""Convert a model to a folder of safetensors, once.

GGUF is dequantised, pickled weights are read without pickle's power to run code, and an adapter is merged into the weights that
it was trained on.
"""

import json
import shutil
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import save_file

from geomkit.core.config import ModelSpec, tokenizer_files, tokenizer_folder
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.model_folders import check_adapter, check_file, check_pointer, read_object
from geomkit.core.provenance import link_or_copy, replacing_folder, scratch_folder
from geomkit.models.load import convert_gguf, load_model, loading

PICKLED = "pytorch_model*.bin"
SUPPORTED = ("model.safetensors", "model.safetensors.index.json")
SKIPPED = (".", "pytorch_model.bin.index")
"""Prefixes of file names that are not copied."""
ON_CPU = ModelSpec(device="cpu")


def convert_model(source: Path, output: Path, adapter: str | Path | None = None, spec: ModelSpec = ON_CPU) -> None:
    """Write the folder that a model is loaded from.

    A GGUF file is dequantised, pytorch_model*.bin becomes safetensors, and everything else stays as it is. adapter: the folder of
    an adapter of peft, which is merged into the weights in float32. spec: how the model is loaded for that.

    Raises DataError, and leaves no folder, for files that cannot be read, or that hold more than tensors, and ConfigError for an
    adapter where peft is not installed.
    """
    if adapter is not None:
        with scratch_folder(output) as work, named(source, work):
            base = work / "base"
            link_without_adapter(source, work / "source")
            convert_model(work / "source", base)
            merge_adapter(spec.at(base), Path(adapter).expanduser(), output)
        return
    check_adapter(source.parent if source.is_file() else source)
    if source.suffix == ".gguf" or list(source.glob("*.gguf")):
        convert_gguf(source, output)
        return
    pickled = [] if any((source / name).exists() for name in SUPPORTED) else sorted(source.glob(PICKLED))
    with replacing_folder(output) as temporary:
        for file in source.iterdir():
            if file.is_file() and file not in pickled and not file.name.startswith(SKIPPED):
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


@contextmanager
def named(source: Path, work: Path) -> Iterator[None]:
    """Inside the block, make errors name the source instead of the folders that it was linked to."""
    try:
        yield
    except DataError as error:
        said = str(error)
        for folder in (work / "source", work / "base"):
            said = said.replace(str(folder), str(source))
        raise type(error)(said) from None


def link_without_adapter(source: Path, target: Path) -> None:
    """Link a model's files to a folder, without an adapter that lies there, which transformers may apply by itself."""
    target.mkdir()
    files = list(source.iterdir()) if source.is_dir() else [source]
    if source.is_dir() and not tokenizer_files(source):  # a family shares the one beside it
        files += tokenizer_files(tokenizer_folder(source))
    for file in files:
        if file.is_file() and not file.name.startswith("adapter_"):
            link_or_copy(file.resolve(), target / file.name)


def merge_adapter(spec: ModelSpec, adapter: Path, output: Path) -> None:
    """Write a model with an adapter merged into its weights, in float32, and its tokenizer.

    Raises ConfigError where peft is not installed, and DataError for an adapter that does not fit the model, or cannot be merged.
    """
    try:
        from peft import PeftConfig, PeftModel
    except ImportError:
        raise ConfigError("models.*.adapter: an adapter is applied by the package peft; install it: pip install peft") from None
    check_adapter_files(adapter)
    model = load_model(spec)
    with loading(adapter, "adapter of this model"), warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(missing|unexpected) adapter keys.*")
        config = PeftConfig.from_pretrained(str(adapter))
        adapted = PeftModel.from_pretrained(model, adapter, config=config)
        if not hasattr(adapted, "merge_and_unload") or config.is_prompt_learning:
            raise DataError(f"{adapter}: an adapter of the kind {config.peft_type.value} has no weights that can be merged")
        merged = adapted.merge_and_unload(safe_merge=True)
    with replacing_folder(output) as temporary:
        merged.save_pretrained(temporary)
        for file in spec.folder.iterdir():
            weights = file.suffix in (".safetensors", ".bin") or file.name.endswith(".index.json")
            if not weights and not (temporary / file.name).exists():
                shutil.copyfile(file, temporary / file.name)
        (temporary / "converted.json").write_text(json.dumps({"adapter": adapter.name, "weights": "merged in float32"}) + "\n")


def check_adapter_files(folder: Path) -> None:
    """Check that an adapter has weights and that its files are neither empty nor pointers; raise DataError otherwise."""
    read_object(folder / "adapter_config.json")
    files = [folder / name for name in ("adapter_model.safetensors", "adapter_model.bin")]
    check_file(next((file for file in files if file.exists()), files[0]))


def unpickled(file: Path) -> dict[str, torch.Tensor]:
    """Load the tensors of a pickled state dict by name, each with memory of its own, by torch's weights-only loader.

    Nothing that the file asks for is run. Raises DataError, naming the file and what it asks for, if that is more than tensors.
    """
    check_pointer(file)
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        why = textwrap.shorten(refusal(str(error)), 200)
        raise DataError(f"{file}: refused, for it is no file of weights alone ({why})") from None
    if not isinstance(loaded, Mapping):
        raise DataError(f"{file}: refused, for it holds a {type(loaded).__name__}, not tensors by name")
    for name, value in loaded.items():
        if not isinstance(value, torch.Tensor):
            raise DataError(f"{file}: refused, for {name!r} is a {type(value).__name__}, not a tensor")
    return {str(name): value.detach().contiguous().clone() for name, value in loaded.items()}


def refusal(message: str) -> str:
    """Extract what torch's loader refused, from a message of many lines that also says how to disable the check."""
    lines = [line for line in message.splitlines() if "Unsupported" in line or "GLOBAL" in line or "global" in line]
    return (lines or message.splitlines() or ["cut off"])[0].partition("WeightsUnpickler error: ")[2] or (lines or [message])[0]
