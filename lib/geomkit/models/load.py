"""Load causal and masked language models, make untrained twins, and find a model's parts.

These are the models that `AutoModelForCausalLM` and `AutoModelForMaskedLM` load.
"""

import copy
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain, product
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from geomkit.core.config import CAUSAL, MASKED, ModelSpec, tokenizer_folder
from geomkit.core.errors import ConfigError, DataError, RefusalError
from geomkit.core.logs import explain
from geomkit.core.model_folders import check_adapter, check_config, check_files, check_tokenizer, header, weight_files
from geomkit.core.provenance import replacing_folder
from geomkit.models.gguf_metadata import GgufFile, apply_metadata, apply_tokenizer, gguf_file
from geomkit.models.placing import device_map, place, spread, weight_bytes
from geomkit.models.weights import cast, drawing, reading, unused

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

OBJECTIVES = {CAUSAL: AutoModelForCausalLM, MASKED: AutoModelForMaskedLM}
"""Classes that load a model, by its objective: the next token, or tokens that are masked."""

logging.disable_progress_bar()


@dataclass(frozen=True)
class Sizes:
    """Parameter counts of a text model, tied weights once.

    Without embeddings: neither token nor position tables, nor the output matrix.
    """

    params_total: int
    params_nonembedding: int


def find_device(name: str) -> torch.device:
    """Find the device by name. `auto` is the GPU if there is one, without a number: where a model does not fit, all of them.

    `cuda` is only the first GPU.

    Raises ConfigError for a GPU that is not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("compute.device: cuda, but torch finds no GPU; use auto or cpu")
    if name == "cuda":
        return torch.device("cuda", 0)
    return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else "cpu")


HINTS = {
    "Padding_idx must be within": "pad_token_id in config.json is not below vocab_size",
    "Unrecognized configuration class": "transformers has no class that loads its model_type with this objective; of a wrapper "
    "for images or sounds give the text model alone, or set another objective",
    "custom code": "it brings code of its own; set trust_remote_code: true in its entry if you trust it",
    "`tiktoken` is required": "its vocabulary needs the package sentencepiece or tiktoken; install it, or add a tokenizer.json",
    "Couldn't instantiate the backend tokenizer": "there is no tokenizer.json, nor another file that a tokenizer can be made of",
}
"""Remedies for messages of transformers that do not name the cause."""


@contextmanager
def loading(path: Path, what: str) -> Iterator[None]:
    """Turn any error of transformers, and of the libraries below it, about a file into a DataError of one line.

    They raise errors of every kind for such files, and tokenizers a bare Exception.
    """
    try:
        yield
    except Exception as error:
        if explain(error) is not None:  # our own, or a disk, a memory or a permission
            raise
        why = textwrap.shorten(f"{type(error).__name__}: {error}", 300)
        if hint := next((hint for words, hint in HINTS.items() if words in why), None):
            why = f"{hint}; {textwrap.shorten(why, 130)}"
        raise DataError(f"{path}: no {what} could be loaded from it ({why})") from None


def load_tokenizer(model: ModelSpec | Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model, or of a folder, with the rules of its tokenizer.json where there is one.

    Raises DataError if there is none, for which transformers may make up an empty one, or if a file of it cannot be read.
    """
    spec = model if isinstance(model, ModelSpec) else ModelSpec(model)
    place = tokenizer_folder(spec.folder)
    check_tokenizer(place)
    if (place / "config.json").exists():  # whose model_type names a class
        stated(place)
    file = place / "tokenizer.json"
    with loading(place, "tokenizer"):
        try:
            tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True, trust_remote_code=spec.trust_remote_code)
        except BaseException:
            if file.is_file():
                check_readable(file)  # if this is the cause, it says so
            raise
        if file.is_file():
            tokenizer = with_rules_of(file, tokenizer)
        if not set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens):
            raise DataError(f"{spec.folder}: no tokenizer in it, nor in a folder tokenizer beside it")
        around(tokenizer)  # settings of a wrong type show when a text is split
    return tokenizer


def with_rules_of(file: Path, tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Give a tokenizer the rules of its file, where the class of a model's type may have set others.

    Names of special tokens stay those of the tokenizer, as far as the file has these tokens.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or type(tokenizer) is PreTrainedTokenizerFast:  # code without such rules, and what reads the file itself
        return tokenizer
    own = Tokenizer.from_file(str(file))
    if rules(own) == rules(backend):
        return tokenizer
    print(f"{file}: {type(tokenizer).__name__}, which the model's type names, has other rules; those of the file are used")
    named = {
        name: token
        for name, token in tokenizer.special_tokens_map.items()
        if isinstance(token, str) and own.token_to_id(token) is not None
    }
    return PreTrainedTokenizerFast.from_pretrained(file.parent, local_files_only=True, **named)


OF_MODEL = ("unk_token", "unk_id", "dropout", "byte_fallback", "fuse_unk", "ignore_merges", "continuing_subword_prefix",
            "end_of_word_suffix", "max_input_chars_per_word")  # fmt: skip
"""Settings of tokenizers' models beside their vocabulary."""


def rules(backend: Tokenizer) -> tuple[object, ...]:
    """Return the rules by which a tokenizer splits a text: normalisation, words and settings, without the vocabulary."""
    steps = [None if step is None else step.__getstate__() for step in (backend.normalizer, backend.pre_tokenizer)]
    return (*steps, type(backend.model).__name__, [getattr(backend.model, name, None) for name in OF_MODEL])


def check_readable(file: Path) -> None:
    """Check that the installed tokenizers can read a tokenizer.json; raise DataError otherwise."""
    try:
        Tokenizer.from_file(str(file))
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # tokenizers may raise either
            raise
        why = textwrap.shorten(str(error), 200)
        raise DataError(
            f"{file}: tokenizers {version('tokenizers')} cannot read it ({why}); it is damaged, or another version of tokenizers "
            "wrote it: install that version, or let it save the tokenizer again"
        ) from None


def stated(folder: Path) -> dict[str, Any]:
    """Read the configuration by `check_config`. Raises DataError also for a dtype that PyTorch does not have."""
    said = check_config(folder)
    dtype = said.get("dtype") or said.get("torch_dtype") or "auto"
    known = isinstance(dtype, str) and isinstance(getattr(torch, dtype, None), torch.dtype)
    if not known and dtype != "auto":
        raise DataError(f"{folder / 'config.json'}: dtype is {dtype!r}, which is no type of PyTorch, such as float32 or bfloat16")
    return said


def load_config(spec: ModelSpec):
    """Load the configuration of a model.

    Raises DataError if there is none, or if it is not a configuration, and RefusalError for an encoder with a decoder, which
    reads two texts.
    """
    folder = spec.folder
    stated(folder)
    with loading(folder, "model configuration"):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=spec.trust_remote_code)
        if getattr(config, "is_encoder_decoder", False):
            raise RefusalError(
                f"{folder}: {config.model_type} is an encoder with a decoder (is_encoder_decoder in config.json); "
                "only models that read one text can be measured"
            )
        if (size := setting(config, "vocab_size", 0)) < 1:
            raise DataError(f"{folder / 'config.json'}: vocab_size is {size!r}, but should be the number of tokens")
        return config


def load_weights(path: Path, objective: str = CAUSAL, **options: object) -> PreTrainedModel:
    """Load the trained model by one of `OBJECTIVES`.

    Raises DataError if it cannot be loaded, if a weight is missing or of another shape, which transformers would make up, and if
    there are weights within what is measured that the model has no place for, which transformers would leave out. Other weights
    that are left out, such as a pooler's, are named in the model's attribute `left_out`.
    """
    with loading(path, f"{objective} language model"):
        model, report = OBJECTIVES[objective].from_pretrained(
            **options, local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True
        )
    if missing := sorted(report["missing_keys"]):
        ends = tuple(f".{name}" for name in missing)
        other = next((name for name in sorted(report["unexpected_keys"]) if name.endswith(ends)), None)
        hint = f"; it has {other}: save the model without what wraps it" if other else ""
        raise DataError(f"{path}: the weights lack {some(missing)}{hint}")
    for name, stored, expected in sorted(report["mismatched_keys"])[:1]:
        raise DataError(f"{path}: {name} has shape {tuple(stored)}, but the configuration makes it {tuple(expected)}")
    with loading(path, f"{objective} language model"):
        within, model.left_out = tensors_without_place(path, model, report["unexpected_keys"])
    if within:
        raise DataError(
            f"{path}: the model has no place for {some(within)}, so it would compute something else than was trained; its "
            "configuration is not that of these weights (look at model_type, num_hidden_layers, attention_bias, mlp_bias)"
        )
    if model.left_out:
        print(f"{path}: left out, for they take no part in what is measured: {', '.join(model.left_out)}")
    return model


def some(names: list[str]) -> str:
    """List the first names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def tensors_without_place(path: Path, model: PreTrainedModel, names: set[str]) -> tuple[list[str], list[str]]:
    """Apply `unused` to a model and the folder that it is loaded from."""
    if not names:
        return [], []
    config = model.config.get_text_config()
    try:
        layers = blocks(model)
    except RefusalError:
        layers = None  # whoever measures it says so
    owner = next((name for name, module in model.named_modules() if layers in module.children()), model.base_model_prefix)
    of_blocks = next((name for name, module in model.named_modules() if module is layers), owner)
    further = getattr(config, "num_nextn_predict_layers", None) or 0
    files = [file for file in (weight_files(path) if path.is_dir() else []) if file.suffix == ".safetensors"]
    shapes = {name: one["shape"] for file in files for name, one in header(file)[0].items()}
    measured = [owner, *parents(model, model.get_input_embeddings(), model.get_output_embeddings())]
    last = getattr(config, "num_hidden_layers", 0)
    return unused(names, measured, shapes, of_blocks, range(last, last + further), quantized(model))


def parents(model: nn.Module, *parts: nn.Module | None) -> list[str]:
    """Return the names of the modules around a part of a model, and of the part itself where the model holds it."""
    names = {module: name for name, module in model.named_modules()}
    return [names[one].rpartition(".")[0] or names[one] for one in parts if one is not None]


def load_model(spec: ModelSpec) -> PreTrainedModel:
    """Load the trained model in eval mode. Memory holds its weights in the type of the run, and no copy of them in another type.

    A model that does not fit the GPU is spread over all of them and the host's memory (`geomkit.models.placing`). A quantised
    checkpoint is loaded as transformers loads it. Raises DataError if it cannot be loaded, and as `load_weights` does, and
    ConfigError if no memory holds it.
    """
    folder, kind, device = spec.folder, getattr(torch, spec.dtype), find_device(spec.device)
    load_config(spec)
    check_adapter(folder)
    check_files(folder)
    limits = place(folder.name, weight_bytes(folder, kind), device).limits
    placed: dict[str, Any] = {}
    if (quantized_by := quantization(folder)) is not None:
        check_quantization(folder, quantized_by)
        # such a model must not be moved once it is loaded, and its own parts say how much they take
        placed = {"device_map": {"": device}} if limits is None else {"device_map": "auto", "max_memory": limits}
    elif limits is not None:
        placed = {"device_map": device_map(skeleton(spec), limits)}
    with reading(folder, kind):
        options = {"pretrained_model_name_or_path": folder, "dtype": spec.dtype, "trust_remote_code": spec.trust_remote_code}
        model = load_weights(folder, spec.objective, **options, **placed)
    return (model if placed else model.to(device)).eval()


def check_quantization(folder: Path, stated: Mapping[str, Any]) -> None:
    """Check that transformers knows the way a checkpoint is quantised.

    Raises DataError otherwise, since it would take the weights as they are.
    """
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING as KNOWN

    method = stated.get("quant_method")
    if method is not None and not any(name == method or name.startswith(f"{method}_") for name in KNOWN):
        raise DataError(
            f"{folder / 'config.json'}: quantization_config.quant_method is {method!r}, which this transformers does not know; "
            "install a newer one, or measure the unquantised weights"
        )


def skeleton(spec: ModelSpec, config: Any = None) -> PreTrainedModel:
    """Build the model's modules without memory for weights; without quantisation. config: see `initialised`."""
    with torch.device("meta"):
        return initialised(spec, getattr(torch, spec.dtype), config)


def initialised(spec: ModelSpec, dtype: torch.dtype, config: Any = None) -> PreTrainedModel:
    """Build a model of the same architecture with its initial weights, before training; without quantisation.

    config: the configuration, where it is not that of the model's folder.
    """
    config = without_quantization(load_config(spec) if config is None else copy.deepcopy(config))
    with loading(spec.folder, f"{spec.objective} language model"):
        return OBJECTIVES[spec.objective].from_config(config, dtype=dtype, trust_remote_code=spec.trust_remote_code)


def quantization(folder: Path) -> dict | None:
    """Return the quantisation settings of a checkpoint's configuration; None if it is not quantised."""
    return check_config(folder).get("quantization_config")


def quantized(model: PreTrainedModel) -> bool:
    """Whether a model was loaded from a quantised checkpoint."""
    return bool(getattr(model, "is_quantized", False)) or hasattr(model.config, "quantization_config")


def untrained_twin(spec: ModelSpec, seed: int, config: Any = None) -> PreTrainedModel:
    """Build the same architecture with initial weights, in eval mode. The global generator is left alone.

    config: the configuration of a model in memory, whose twin stays on the CPU; otherwise that of the spec's folder.

    In a short type these are the float32 twin's, rounded; memory holds one of them at a time in float32. The twin of a quantised
    checkpoint is the architecture without quantisation: weights are initialised before they are quantised.
    """
    kind, device = getattr(torch, spec.dtype), find_device(spec.device)
    with torch.random.fork_rng(devices=[]), drawing(kind):
        torch.manual_seed(seed)
        model = initialised(spec, torch.float32, config)
    if kind != torch.float32:
        cast(model, kind, {name: buffer.dtype for name, buffer in skeleton(spec, config).named_buffers()})
    model.eval()
    if device.type == "cuda" and config is None:
        limits = place(spec.folder.name, sum(weight.nbytes for weight in model.parameters()), device).limits
        return model.to(device) if limits is None else spread(model, limits)
    return model


def sizes(model: PreTrainedModel) -> Sizes:
    """Count the parameters of a model (Kaplan et al. 2020 count without embeddings in this way).

    Those of a quantised model, whose weights may be packed, are its architecture's. Parts for images or sounds do not count.
    """
    if quantized(model):
        config = without_quantization(copy.deepcopy(model.config))
        with torch.device("meta"):
            model = type(model)(config)
    tables: set[Any] = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    if (matrix := output_matrix(model)) is not None:
        tables.add(matrix.weight)
    weights = text_weights(model)
    return Sizes(count(weights), count(weights - tables))


def text_weights(model: PreTrainedModel) -> set[nn.Parameter]:
    """Return the weights of a model, without those of parts that take images or sounds."""
    part, block_list = text_part(model)
    own = {input_table(model), block_list}
    towers = [each for each in part.children() if own.isdisjoint(each.modules()) and any(map(is_model, each.modules()))]
    wrapped = text_config(model.config) is not model.config
    counted = filter(None, [part, output_matrix(model)] if wrapped else [model])
    return weights_of(counted) - weights_of(towers)


def without_quantization(config: Any) -> Any:
    """Remove the quantisation settings from a configuration."""
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def text_config(config: Any) -> Any:
    """Return the configuration of a model's text. Raises RefusalError for one with several."""
    try:
        return config.get_text_config()
    except ValueError as error:
        raise RefusalError(f"{type(config).__name__}: {textwrap.shorten(str(error), 200)}") from None


def setting(config: Any, key: str, default: int | None = None) -> int:
    """Read a number of `SETTINGS` from a model's configuration, of its text. Raises RefusalError without it or a default."""
    text = text_config(config)
    names = (key, *SETTINGS[key])
    number = next((value for name in names if isinstance(value := getattr(text, name, None), int)), default)
    if number is None:
        raise RefusalError(f"{type(text).__name__}: config.json has no number {key}, nor one of {', '.join(SETTINGS[key])}")
    return number


def blocks(model: PreTrainedModel) -> nn.ModuleList | nn.Sequential:
    """Return the blocks that a model's text runs through, in order.

    They are found beside the table of token vectors, so that a tower for images or sounds is not taken for them. Raises
    RefusalError for an architecture that has none.
    """
    return text_part(model)[1]


def text_part(model: PreTrainedModel) -> tuple[nn.Module, nn.ModuleList | nn.Sequential]:
    """Return the smallest part of a model with its table of token vectors and its blocks, and the blocks.

    Of several lists of as many modules as the configuration says, they are the outermost, and of these the one with most weights.
    """
    depth = setting(model.config, "num_hidden_layers")
    kinds: tuple[type[nn.ModuleList | nn.Sequential], ...] = (nn.ModuleList, nn.Sequential)
    for kind, part in product(kinds, (*holders(model, input_table(model)), model)):
        lists = [(name, each) for name, each in part.named_modules() if isinstance(each, kind) and len(each) == depth]
        if lists:
            return part, min(lists, key=lambda named: (named[0].count("."), -count(weights_of([named[1]]))))[1]
    raise RefusalError(f"{type(model).__name__}: no list of {depth} blocks in this architecture")


def input_table(model: PreTrainedModel) -> nn.Module | None:
    """Return the table of token vectors; None for a model that names none."""
    try:
        return model.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        return None


def output_matrix(model: PreTrainedModel) -> nn.Linear | None:
    """Return the output matrix, from the final state to predictions; None for a model that names none."""
    try:
        return model.get_output_embeddings()
    except (NotImplementedError, AttributeError):
        return None


def epsilon(module: nn.Module) -> float | None:
    """Return the epsilon of a norm; None for any other module."""
    return next((float(getattr(module, name)) for name in EPSILON if isinstance(getattr(module, name, None), float)), None)


def holders(model: PreTrainedModel, part: nn.Module | None) -> list[nn.Module]:
    """Return the modules between a model and one of its parts, the innermost first; neither of the two."""
    paths = [name for name, module in model.named_modules(remove_duplicate=False) if module is part and name]
    names = min(paths, key=len, default="").split(".")
    return [model.get_submodule(".".join(names[:stop])) for stop in range(len(names) - 1, 0, -1)]


def is_model(module: nn.Module) -> bool:
    return isinstance(module, PreTrainedModel)


def weights_of(modules: Iterable[nn.Module]) -> set[nn.Parameter]:
    return {weight for module in modules for weight in module.parameters()}


def count(weights: Iterable[nn.Parameter]) -> int:
    """Count the numbers in some weights."""
    return sum(weight.numel() for weight in weights)


def has_part(block: nn.Module, names: tuple[str, ...]) -> bool:
    """Whether a child of the block has one of the names."""
    return any(name in names for name, _ in block.named_children())


def part(block: nn.Module, names: tuple[str, ...]) -> nn.Module:
    """Return the block's first child that has one of the names."""
    return next(child for name, child in block.named_children() if name in names)


def prefix(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the special tokens that the tokenizer puts before a text (BOS, for models that were trained with one)."""
    return around(tokenizer)[0]


MARK = "geomkit text"
"""What stands for a user's words while a chat template is read."""


def chat_prefix(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that a tokenizer's chat template puts before the words of a user.

    Raises DataError for a tokenizer without a template, and for a template that does not hand on a user's words.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise DataError(f"{tokenizer.name_or_path}: this tokenizer has no chat template; remove template: chat from the entry")
    rendered = tokenizer.apply_chat_template([{"role": "user", "content": MARK}], tokenize=False)
    before, found, _ = str(rendered).partition(MARK)
    if not found:
        raise DataError(f"{tokenizer.name_or_path}: its chat template leaves out the words of a user")
    return list(tokenizer(before, add_special_tokens=False)["input_ids"])


def suffix(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the special tokens that the tokenizer puts after a text, which only a model that reads in both directions sees."""
    return around(tokenizer)[1]


def around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the special tokens before and after a text. Raises DataError for a tokenizer that gives no text any tokens."""
    for text in chain("a", words(tokenizer)):
        if plain := tokenizer(text, add_special_tokens=False)["input_ids"]:
            break
    else:
        raise DataError(f"{tokenizer.name_or_path}: this tokenizer gives no text any tokens")
    whole = tokenizer(text)["input_ids"]
    start = next((i for i in range(len(whole)) if whole[i : i + len(plain)] == plain), None)
    if start is None:
        raise DataError(f"{tokenizer.name_or_path}: {text!r} has other tokens where special tokens surround it")
    return whole[:start], whole[start + len(plain) :]


def words(tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """Yield texts of a tokenizer's own tokens that are not special."""
    special = set(tokenizer.all_special_ids)
    yield from (tokenizer.decode([token]) for token in sorted(tokenizer.get_vocab().values()) if token not in special)


def convert_gguf(source: Path, output: Path) -> None:
    """Dequantise a GGUF file once, in float32, into a folder of safetensors with its tokenizer.

    What transformers does not read of the file's metadata and tensors, and what changes the computation, is applied or refused
    (`geomkit.models.gguf_metadata`). Raises DataError, and leaves no folder, for such a file, and for one that cannot be read or
    that lacks a weight.
    """
    file = gguf_file(source)
    with loading(file, "GGUF file"):
        metadata = GgufFile(file)
    model = load_weights(file, pretrained_model_name_or_path=file.parent, gguf_file=file.name, dtype=torch.float32)
    if model.left_out:
        raise DataError(f"{file}: transformers has no place for {some(model.left_out)}")
    with loading(file, "GGUF file"):
        apply_metadata(metadata, model)
    with loading(file, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
        apply_tokenizer(metadata, tokenizer)
    model.hf_quantizer = None
    without_quantization(model.config)
    with replacing_folder(output) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        (temporary / "converted.json").write_text(json.dumps({"from": file.name, "weights": "dequantised to float32"}) + "\n")
