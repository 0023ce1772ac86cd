"""Load any decoder that `AutoModelForCausalLM` loads and any encoder that `AutoModelForMaskedLM` does, make untrained twins, and
find a model's parts."""

import copy
import json
import struct
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from geomkit.config import CAUSAL, MASKED, tokenizer_folder
from geomkit.errors import ConfigError, DataError, RefusalError
from geomkit.lm.loading import cast, drawing, reading
from geomkit.lm.placing import device_map, place, spread, weight_bytes
from geomkit.sources.corpora import files_in
from geomkit.store.provenance import replacing_folder

ATTENTION = ("self_attn", "attention", "attn", "self_attention")
MLP = ("mlp", "fc2", "feed_forward", "ffn")
"""Names that architectures give to a block's two sublayers; OPT's MLP is its last linear map."""

SETTINGS = {
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "hidden_size": ("n_embd", "d_model", "dim"),
    "vocab_size": ("padded_vocab_size", "n_vocab"),
}
"""Keys of the configuration of a text model, and what code that comes with a model may call them."""
EPSILON = ("eps", "variance_epsilon", "epsilon", "norm_eps", "layer_norm_eps")
"""Names that norms give to what they add to the variance."""

UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, ImportError, NotImplementedError),
    *(struct.error, UnpicklingError, SafetensorError, StrictDataclassError),
)
"""What transformers and the libraries below it raise for files that they cannot use."""

OBJECTIVES = {CAUSAL: AutoModelForCausalLM, MASKED: AutoModelForMaskedLM}
"""What loads a model, by what it was trained to predict: the next token, or tokens that are masked."""

logging.disable_progress_bar()


@dataclass(frozen=True)
class Sizes:
    """Parameter counts of a text model, tied weights once. Without embeddings: neither token nor position tables, nor the output
    matrix."""

    params_total: int
    params_nonembedding: int


def find_device(name: str) -> torch.device:
    """`auto` is the GPU if there is one, without a number: where a model does not fit, all of them. `cuda` is the first alone.

    Raises ConfigError for a GPU that is not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("compute.device: cuda, but torch finds no GPU; use auto or cpu")
    if name == "cuda":
        return torch.device("cuda", 0)
    return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else "cpu")


@contextmanager
def loading(path: Path, what: str) -> Iterator[None]:
    """Whatever transformers says of files that it cannot use becomes one DataError of one line."""
    try:
        yield
    except UNREADABLE as error:
        why = textwrap.shorten(f"{type(error).__name__}: {error}", 300)
        raise DataError(f"{path}: no {what} could be loaded from it ({why})") from None


def load_tokenizer(folder: Path, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder. Raises DataError if there is none, for which transformers may make up an empty one."""
    with loading(folder, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(
            tokenizer_folder(folder), local_files_only=True, trust_remote_code=trust_remote_code
        )
    if not tokenizer("a", add_special_tokens=False)["input_ids"]:
        raise DataError(f"{folder}: no tokenizer in it, nor in a folder tokenizer beside it")
    return tokenizer


def load_config(folder: Path, trust_remote_code: bool = False):
    """The configuration of a model folder. Raises DataError if there is none."""
    with loading(folder, "model configuration"):
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)


def load_weights(path: Path, objective: str = CAUSAL, **options: object) -> PreTrainedModel:
    """The trained model, by one of `OBJECTIVES`. Raises DataError if it cannot be loaded, or if a weight is missing or of another
    shape, which transformers would make up."""
    with loading(path, f"{objective} language model"):
        model, found = OBJECTIVES[objective].from_pretrained(
            **options, local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True
        )
    if found["missing_keys"]:
        raise DataError(f"{path}: the weights lack {', '.join(sorted(found['missing_keys'])[:5])}")
    for name, stored, expected in sorted(found["mismatched_keys"])[:1]:
        raise DataError(f"{path}: {name} has shape {tuple(stored)}, but the configuration makes it {tuple(expected)}")
    return model


def load_model(
    folder: Path, dtype: str, device: torch.device, trust_remote_code: bool = False, objective: str = CAUSAL
) -> PreTrainedModel:
    """The trained model in eval mode. Memory holds its weights in `dtype`, and no copy of them in another type.

    A model that does not fit the GPU is spread over all of them and the host's memory (`geomkit.lm.placing`). A quantised
    checkpoint is loaded as transformers loads it. Raises DataError if it cannot be loaded, or if a weight is missing, and
    ConfigError if no memory holds it.
    """
    kind = getattr(torch, dtype)
    limits = place(folder.name, weight_bytes(folder, kind), device).limits
    placed: dict[str, Any] = {}
    if quantization(folder) is not None:
        # such a model must not be moved once it is loaded, and its own parts say how much they take
        placed = {"device_map": {"": device}} if limits is None else {"device_map": "auto", "max_memory": limits}
    elif limits is not None:
        placed = {"device_map": device_map(skeleton(folder, dtype, trust_remote_code, objective), limits)}
    with reading(folder, kind):
        options = {"pretrained_model_name_or_path": folder, "dtype": dtype, "trust_remote_code": trust_remote_code}
        model = load_weights(folder, objective, **options, **placed)
    return (model if placed else model.to(device)).eval()


def skeleton(folder: Path, dtype: str, trust_remote_code: bool = False, objective: str = CAUSAL) -> PreTrainedModel:
    """The model's modules without memory for weights; without quantisation."""
    config = without_quantization(load_config(folder, trust_remote_code))
    with torch.device("meta"):
        return OBJECTIVES[objective].from_config(config, dtype=getattr(torch, dtype), trust_remote_code=trust_remote_code)


def quantization(folder: Path) -> dict | None:
    """What the configuration of a quantised checkpoint says of it; None of any other."""
    file = folder / "config.json"
    try:
        return json.loads(file.read_text()).get("quantization_config") if file.exists() else None
    except ValueError:
        return None  # who loads the configuration says so


def untrained_twin(
    folder: Path, seed: int, dtype: str, device: torch.device, trust_remote_code: bool = False, objective: str = CAUSAL
) -> PreTrainedModel:
    """The same architecture with the weights of its initialisation, in eval mode. The global generator is left alone.

    In a short type these are the float32 twin's, rounded; memory holds one of them at a time in float32. The twin of a quantised
    checkpoint is the architecture without quantisation: weights are initialised before they are quantised.
    """
    kind, config = getattr(torch, dtype), without_quantization(load_config(folder, trust_remote_code))
    with torch.random.fork_rng(devices=[]), drawing(kind):
        torch.manual_seed(seed)
        model = OBJECTIVES[objective].from_config(config, dtype=torch.float32, trust_remote_code=trust_remote_code)
    if kind != torch.float32:
        like = skeleton(folder, dtype, trust_remote_code, objective)
        cast(model, kind, {name: buffer.dtype for name, buffer in like.named_buffers()})
    model.eval()
    if device.type == "cuda":
        limits = place(folder.name, sum(weight.nbytes for weight in model.parameters()), device).limits
        return model.to(device) if limits is None else spread(model, limits)
    return model


def sizes(model: PreTrainedModel) -> Sizes:
    """Parameter counts of a model (Kaplan et al. 2020 count without embeddings in this way).

    Those of a quantised model, whose weights may be packed, are its architecture's. Parts for images or sounds do not count.
    """
    if getattr(model, "is_quantized", False) or hasattr(model.config, "quantization_config"):
        config = without_quantization(copy.deepcopy(model.config))
        with torch.device("meta"):
            model = type(model)(config)
    tables: set[Any] = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    if (matrix := output_matrix(model)) is not None:
        tables.add(matrix.weight)
    weights = text_weights(model)
    return Sizes(count(weights), count(weights - tables))


def text_weights(model: PreTrainedModel) -> set[nn.Parameter]:
    """The weights of a model, but for those of parts that take images or sounds."""
    part, found = text_part(model)
    own = {input_table(model), found}
    towers = [each for each in part.children() if own.isdisjoint(each.modules()) and any(map(is_model, each.modules()))]
    wrapped = text_config(model.config) is not model.config
    counted = filter(None, [part, output_matrix(model)] if wrapped else [model])
    return weights_of(counted) - weights_of(towers)


def without_quantization(config: Any) -> Any:
    """The configuration, from which what it says of quantisation is removed."""
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def text_config(config: Any) -> Any:
    """The configuration of a model's text. Raises RefusalError for one with several."""
    try:
        return config.get_text_config()
    except ValueError as error:
        raise RefusalError(f"{type(config).__name__}: {textwrap.shorten(str(error), 200)}") from None


def setting(config: Any, key: str) -> int:
    """A number of `SETTINGS` in a model's configuration, of its text. Raises RefusalError for a configuration without it."""
    text = text_config(config)
    names = (key, *SETTINGS[key])
    found = next((value for name in names if isinstance(value := getattr(text, name, None), int)), None)
    if found is None:
        raise RefusalError(f"{type(text).__name__}: config.json has no number {key}, nor one of {', '.join(SETTINGS[key])}")
    return found


def blocks(model: PreTrainedModel) -> nn.ModuleList | nn.Sequential:
    """The blocks that a model's text runs through, in order.

    They are found beside the table of token vectors, so that a tower for images or sounds is not taken for them. Raises
    RefusalError for an architecture that has none.
    """
    return text_part(model)[1]


def text_part(model: PreTrainedModel) -> tuple[nn.Module, nn.ModuleList | nn.Sequential]:
    """The smallest part of a model that holds its table of token vectors and its blocks, and the blocks: of several lists of as
    many modules as the configuration says the outermost, and of these the one with most weights."""
    depth = setting(model.config, "num_hidden_layers")
    kinds: tuple[type[nn.ModuleList | nn.Sequential], ...] = (nn.ModuleList, nn.Sequential)
    for kind, part in product(kinds, (*holders(model, input_table(model)), model)):
        lists = [(name, each) for name, each in part.named_modules() if isinstance(each, kind) and len(each) == depth]
        if lists:
            return part, min(lists, key=lambda named: (named[0].count("."), -count(weights_of([named[1]]))))[1]
    raise RefusalError(f"{type(model).__name__}: no list of {depth} blocks in this architecture")


def input_table(model: PreTrainedModel) -> nn.Module | None:
    """The table of token vectors; None for a model that names none."""
    try:
        return model.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        return None


def output_matrix(model: PreTrainedModel) -> nn.Linear | None:
    """What maps the final state to predictions; None for a model that names nothing."""
    try:
        return model.get_output_embeddings()
    except (NotImplementedError, AttributeError):
        return None


def epsilon(module: nn.Module) -> float | None:
    """What a norm adds to the variance; None for a module that is none."""
    return next((float(getattr(module, name)) for name in EPSILON if isinstance(getattr(module, name, None), float)), None)


def holders(model: PreTrainedModel, part: nn.Module | None) -> list[nn.Module]:
    """The modules between a model and one of its parts, the innermost first; neither of the two."""
    paths = [name for name, module in model.named_modules(remove_duplicate=False) if module is part and name]
    names = min(paths, key=len, default="").split(".")
    return [model.get_submodule(".".join(names[:stop])) for stop in range(len(names) - 1, 0, -1)]


def is_model(module: nn.Module) -> bool:
    return isinstance(module, PreTrainedModel)


def weights_of(modules: Iterable[nn.Module]) -> set[nn.Parameter]:
    return {weight for module in modules for weight in module.parameters()}


def count(weights: Iterable[nn.Parameter]) -> int:
    """Numbers in some weights."""
    return sum(weight.numel() for weight in weights)


def has_part(block: nn.Module, names: tuple[str, ...]) -> bool:
    """Whether a child of the block has one of the names."""
    return any(name in names for name, _ in block.named_children())


def part(block: nn.Module, names: tuple[str, ...]) -> nn.Module:
    """The block's first child that has one of the names."""
    return next(child for name, child in block.named_children() if name in names)


def prefix(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Special tokens that the tokenizer puts before a text (BOS, for models that were trained with one)."""
    return around(tokenizer)[0]


def suffix(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Special tokens that the tokenizer puts behind a text, which only a model that reads in both directions can see."""
    return around(tokenizer)[1]


def around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Special tokens before and behind a text."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next((i for i in range(len(whole)) if whole[i : i + len(plain)] == plain), 0)
    return whole[:start], whole[start + len(plain) :]


def convert_gguf(source: Path, output: Path) -> None:
    """Dequantises a GGUF file once, in float32, into a folder of safetensors with its tokenizer.

    Raises DataError, and leaves no folder, for a file that transformers cannot read or that lacks a weight.
    """
    file = files_in(source, ".gguf")[0]
    model = load_weights(file, pretrained_model_name_or_path=file.parent, gguf_file=file.name, dtype=torch.float32)
    with loading(file, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
    model.hf_quantizer = None
    without_quantization(model.config)
    with replacing_folder(output) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        (temporary / "converted.json").write_text(json.dumps({"from": file.name, "weights": "dequantised to float32"}) + "\n")
